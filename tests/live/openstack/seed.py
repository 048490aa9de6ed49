"""Fills the cloud by its own interfaces: accounts and catalog, then what tests need. Twice is once."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

import guests
import services
import settings
from settings import GUARDED, PASSWORD, REGION, front, url

# Each service: its name, its type, the path of its interface.
CATALOG = (
    ('nova', 'compute', '/v2.1'),
    ('neutron', 'network', ''),
    ('glance', 'image', ''),
    ('placement', 'placement', ''),
    ('cinder', 'block-storage', '/v3/%(project_id)s'),
)

ON_PAPER = (('1', 'paper.tiny', 1, 512, 1), ('2', 'paper.small', 1, 2048, 10), ('3', 'paper.large', 4, 8192, 40))


class Api:
    """A session of the administrator."""

    def __init__(self, place):
        self.token = None
        body = {'auth': {
            'identity': {'methods': ['password'], 'password': {
                'user': {'name': 'admin', 'domain': {'name': 'Default'}, 'password': PASSWORD}}},
            'scope': {'project': {'name': 'admin', 'domain': {'name': 'Default'}}}}}
        self.identity = place.keystone + '/v3'
        self.project = self.call('POST', self.identity + '/auth/tokens', body)['token']['project']['id']

    def call(self, method, address, body=None, kind='application/json', headers=None):
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(address, data=data, method=method, headers={'Content-Type': kind, **(headers or {})})
        if self.token:
            request.add_header('X-Auth-Token', self.token)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                self.token = answer.headers.get('X-Subject-Token') or self.token
                text = answer.read()
        except urllib.error.HTTPError as error:
            # In its own words, which say more than the status.
            raise OSError('%s %s: %s %s' % (method, address, error.code, error.read().decode(errors='replace'))) from error
        return json.loads(text) if text else None

    def by_name(self, address, many):
        found = self.call('GET', address)[many]
        return {one['name']: one for one in found}


def catalog_of(place):
    # Guests have no volumes.
    return CATALOG[:-1] if place.has_guests else (*CATALOG, *services.CATALOG)


def accounts(place):
    """Services, their addresses and users, and the project of the tests."""
    api = patiently(lambda: Api(place), 60, 'a login')
    base = api.identity
    offered = api.by_name(base + '/services', 'services')
    there = {(one['service_id'], one['interface'], one['region_id'])
             for one in api.call('GET', base + '/endpoints')['endpoints']}
    regions = {one['id'] for one in api.call('GET', base + '/regions')['regions']}

    def lies_at(service, interface, region, address):
        if (service['id'], interface, region) not in there:
            api.call('POST', base + '/endpoints', {'endpoint': {
                'service_id': service['id'], 'interface': interface, 'url': address, 'region_id': region}})
    catalog = catalog_of(place)
    for name, kind, path in catalog:
        service = offered.get(name) or api.call('POST', base + '/services', {'service': {'name': name, 'type': kind}})['service']
        offered[name] = service
        for interface in ('public', 'internal', 'admin'):
            lies_at(service, interface, REGION, url(name, path))
    if not place.has_guests:
        if GUARDED not in regions:
            api.call('POST', base + '/regions', {'region': {'id': GUARDED}})
        for name, _, path in (*catalog, ('keystone', 'identity', '/v3')):
            lies_at(offered[name], 'public', GUARDED, front(name, path))
    roles = api.by_name(base + '/roles', 'roles')
    for name in ('service', *services.ROLES):
        if name not in roles:
            roles[name] = api.call('POST', base + '/roles', {'role': {'name': name}})['role']
    users, projects = api.by_name(base + '/users', 'users'), api.by_name(base + '/projects', 'projects')

    def project(name):
        return projects.get(name) or api.call('POST', base + '/projects', {'project': {'name': name, 'domain_id': 'default'}})['project']

    def user(name):
        return users.get(name) or api.call('POST', base + '/users', {
            'user': {'name': name, 'domain_id': 'default', 'password': PASSWORD}})['user']

    def grant(where, who, *names):
        for name in names:
            api.call('PUT', '%s/projects/%s/users/%s/roles/%s' % (base, where['id'], who['id'], roles[name]['id']))

    of_services = project('service')
    for name, _, _ in {*CATALOG, *catalog}:
        grant(of_services, user(name), 'admin', 'service')
    for name in settings.MEMBERS:
        of_member = project(name)
        grant(of_member, user(name), 'member', *services.ROLES)
        grant(of_member, users['admin'], 'admin')


def resources(place, disk):
    """Images, flavors, the way out, types of volumes, quotas; and waits until servers and volumes can be made. `disk` is
    `NAME=FILE`: the image that guests begin as."""
    api = Api(place)
    images(api, disk)
    have = api.by_name(url('nova', '/v2.1/flavors'), 'flavors')
    for number, name, cores, memory, disk in guests.FLAVORS if place.has_guests else ON_PAPER:
        if name not in have:
            api.call('POST', url('nova', '/v2.1/flavors'), {'flavor': {
                'id': number, 'name': name, 'vcpus': cores, 'ram': memory, 'disk': disk}})
    networks = api.by_name(url('neutron', '/v2.0/networks'), 'networks')
    if 'external' not in networks:
        made = api.call('POST', url('neutron', '/v2.0/networks'), {'network': {
            'name': 'external', 'router:external': True, 'provider:network_type': 'flat',
            'provider:physical_network': 'external'}})['network']
        api.call('POST', url('neutron', '/v2.0/subnets'), {'subnet': {
            'name': 'external-v4', 'network_id': made['id'], 'ip_version': 4, 'cidr': '203.0.113.0/24',
            'enable_dhcp': False, 'allocation_pools': [{'start': '203.0.113.10', 'end': '203.0.113.250'}]}})
    if not place.has_guests:
        kinds_of_volumes(api)
        services.resources(api)
    quotas(api, place, 40)

    def up(address, key, wanted):
        rows = api.call('GET', address)[key]
        return wanted <= {row['binary'] for row in rows if row['state'] == 'up'}
    patiently(lambda: up(url('nova', '/v2.1/os-services'), 'services', {'nova-compute'}), 120, 'nova-compute')
    patiently(lambda: api.call('GET', url('nova', '/v2.1/os-hypervisors'))['hypervisors'], 120, 'a hypervisor')
    if place.has_guests:
        patiently(lambda: agents(api), 120, 'the agents of networks')
    else:
        patiently(lambda: up(volumes(api) + '/os-services', 'services', {'cinder-volume', 'cinder-scheduler'}), 120, 'cinder-volume')


def agents(api):
    """Whether those who carry packets are there."""
    rows = api.call('GET', url('neutron', '/v2.0/agents'))['agents']
    return {'neutron-linuxbridge-agent', 'neutron-l3-agent', 'neutron-dhcp-agent'} <= {row['binary'] for row in rows if row['alive']}


def volumes(api):
    # Cinder takes only the project of the token in a path.
    return url('cinder', '/v3/%s' % api.project)


def kinds_of_volumes(api):
    types = api.by_name(volumes(api) + '/types', 'volume_types')
    for name in ('files', 'more'):
        if name not in types:
            api.call('POST', volumes(api) + '/types', {'volume_type': {
                'name': name, 'extra_specs': {'volume_backend_name': name}}})


def images(api, disk):
    """The disk that guests begin as, `NAME=FILE`; on paper two with nothing on them."""
    for name, path in [disk.split('=', 1)] if disk else [('paper', None), ('carton', None)]:
        if name in api.by_name(url('glance', '/v2/images?limit=100'), 'images'):
            continue
        content = bytes(1 << 20)
        if path:
            with open(path, 'rb') as file:
                content = file.read()
        is_qcow2 = content.startswith(b'QFI\xfb')
        made = api.call('POST', url('glance', '/v2/images'), {
            'name': name, 'disk_format': 'qcow2' if is_qcow2 else 'raw', 'container_format': 'bare', 'visibility': 'public',
            'os_distro': name})
        api.call('PUT', url('glance', '/v2/images/%s/file' % made['id']), content, kind='application/octet-stream')


def room(place, servers):
    """Quotas that hold so many servers, each with a port and a volume."""
    quotas(Api(place), place, servers)


def quotas(api, place, servers):
    member = api.by_name(api.identity + '/projects', 'projects')['member']['id']
    api.call('PUT', url('nova', '/v2.1/os-quota-sets/%s' % member),
             {'quota_set': {'cores': servers + 24, 'instances': servers, 'ram': servers * 3072 + 8192}})
    if not place.has_guests:
        api.call('PUT', '%s/os-quota-sets/%s' % (volumes(api), member),
                 {'quota_set': {'volumes': servers, 'gigabytes': 1000, 'snapshots': 40}})
    api.call('PUT', url('neutron', '/v2.0/quotas/%s' % member), {'quota': {
        'network': 40, 'subnet': 40, 'router': 10, 'port': servers * 2 + 120, 'floatingip': 30, 'security_group': 40,
        'security_group_rule': 400}})


def patiently(look, seconds, what):
    until = time.monotonic() + seconds
    while True:
        why = 'nothing'
        try:
            found = look()
            if found:
                return found
        except (OSError, KeyError) as error:
            why = error
        if time.monotonic() > until:
            sys.exit('error: no %s in %d s: %s' % (what, seconds, why))
        time.sleep(0.5)
