"""Fills the cloud by its own interfaces: accounts and catalog, then what tests need. Twice is once."""

import json
import os
import sys
import time
import urllib.error
import urllib.request

import settings
from settings import PASSWORD, REGION, url

CATALOG = (
    ('nova', 'compute', url('nova', '/v2.1')),
    ('neutron', 'network', url('neutron')),
    ('glance', 'image', url('glance')),
    ('placement', 'placement', url('placement')),
    ('cinder', 'block-storage', url('cinder', '/v3/%(project_id)s')),
)

FLAVORS = (('1', 'paper.tiny', 1, 512, 1), ('2', 'paper.small', 1, 2048, 10), ('3', 'paper.large', 4, 8192, 40))


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


def accounts(place):
    """Services, their addresses and users, and the project of the tests."""
    api = patiently(lambda: Api(place), 60, 'a login')
    base = api.identity
    services = api.by_name(base + '/services', 'services')
    there = {(one['service_id'], one['interface']) for one in api.call('GET', base + '/endpoints')['endpoints']}
    for name, kind, address in CATALOG:
        service = services.get(name) or api.call('POST', base + '/services', {'service': {'name': name, 'type': kind}})['service']
        for interface in ('public', 'internal', 'admin'):
            if (service['id'], interface) not in there:
                api.call('POST', base + '/endpoints', {'endpoint': {
                    'service_id': service['id'], 'interface': interface, 'url': address, 'region_id': REGION}})
    roles = api.by_name(base + '/roles', 'roles')
    if 'service' not in roles:
        roles['service'] = api.call('POST', base + '/roles', {'role': {'name': 'service'}})['role']
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
    for name in ('nova', 'neutron', 'glance', 'placement', 'cinder'):
        grant(of_services, user(name), 'admin', 'service')
    member = project('member')
    grant(member, user('member'), 'member')
    grant(member, users['admin'], 'admin')


def resources(place):
    """Two images, flavors, the way out, types of volumes, quotas; and waits until servers and volumes can be made."""
    api = Api(place)
    member = api.by_name(api.identity + '/projects', 'projects')['member']['id']
    images(api)
    have = api.by_name(url('nova', '/v2.1/flavors'), 'flavors')
    for number, name, cores, memory, disk in FLAVORS:
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
    # Cinder takes only the project of the token in a path.
    volumes = url('cinder', '/v3/%s' % api.project)
    types = api.by_name(volumes + '/types', 'volume_types')
    for name in ('files', 'more'):
        if name not in types:
            api.call('POST', volumes + '/types', {'volume_type': {
                'name': name, 'extra_specs': {'volume_backend_name': name}}})
    quotas(api, member, volumes)

    def up(address, key, wanted):
        rows = api.call('GET', address)[key]
        return wanted <= {row['binary'] for row in rows if row['state'] == 'up'}
    patiently(lambda: up(url('nova', '/v2.1/os-services'), 'services', {'nova-compute'}), 120, 'nova-compute')
    patiently(lambda: api.call('GET', url('nova', '/v2.1/os-hypervisors'))['hypervisors'], 120, 'a hypervisor')
    patiently(lambda: up(volumes + '/os-services', 'services', {'cinder-volume', 'cinder-scheduler'}), 120, 'cinder-volume')


def images(api):
    have = api.by_name(url('glance', '/v2/images?limit=100'), 'images')
    for name in ('paper', 'carton'):
        if name in have:
            continue
        made = api.call('POST', url('glance', '/v2/images'), {
            'name': name, 'disk_format': 'raw', 'container_format': 'bare', 'visibility': 'public', 'os_distro': name})
        api.call('PUT', url('glance', '/v2/images/%s/file' % made['id']), bytes(1 << 20), kind='application/octet-stream')


def quotas(api, member, volumes):
    api.call('PUT', url('nova', '/v2.1/os-quota-sets/%s' % member),
             {'quota_set': {'cores': 64, 'instances': 40, 'ram': 131072}})
    api.call('PUT', '%s/os-quota-sets/%s' % (volumes, member), {'quota_set': {'volumes': 40, 'gigabytes': 1000, 'snapshots': 40}})
    api.call('PUT', url('neutron', '/v2.0/quotas/%s' % member), {'quota': {
        'network': 40, 'subnet': 40, 'router': 10, 'port': 200, 'floatingip': 30, 'security_group': 40,
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
