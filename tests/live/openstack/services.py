"""The services that no server needs: names (Designate, with BIND behind it), load balancers (Octavia, whose balancers are on paper),
objects (Swift, with one copy of each) and shares (Manila, whose shares are on paper)."""

import os
import shutil
import subprocess

import settings
from settings import ADDRESS, PASSWORD, PORTS, QUEUE, account, checks_tokens, common, database, first, pool

PACKAGES = ('bind9 designate-api designate-central designate-worker designate-mdns octavia-api octavia-worker '
            'swift-proxy swift-account swift-container swift-object manila-api manila-scheduler manila-share '
            'python3-designateclient python3-octaviaclient python3-manilaclient').split()
# Those whose databases are brought up to a version.
LIBRARIES = ('python3-designate', 'python3-octavia', 'python3-manila')
DATABASES = ('designate', 'octavia', 'manila')
CATALOG = (
    ('designate', 'dns', ''),
    ('octavia', 'load-balancer', ''),
    ('swift', 'object-store', '/v1/AUTH_%(project_id)s'),
    ('manila', 'shared-file-system', '/v2'),
)
# What a member needs beside its role as one.
ROLES = ('load-balancer_member',)
POOL = '794ccc2c-d751-44fe-b57f-8894c9f5c842'


def designate(place):
    return {
        'DEFAULT': {'transport_url': QUEUE, 'use_stderr': 'true', 'state_path': place.kept('designate'), 'host': settings.HOST,
                    'root_helper': 'sudo'},
        'service:api': {'listen': '%s:%d' % (ADDRESS, PORTS['designate']), 'auth_strategy': 'keystone', 'enable_api_v2': 'true',
                        'workers': 1, 'api_paste_config': first('/usr/share/designate-common/api-paste.ini',
                                                                '/etc/designate/api-paste.ini')},
        'service:central': {'workers': 1, 'default_pool_id': POOL},
        'service:mdns': {'workers': 1, 'listen': '%s:%d' % (ADDRESS, PORTS['mdns'])},
        # Names are looked for at once, and then every second.
        'service:worker': {'workers': 1, 'threads': 20, 'poll_delay': 0, 'poll_retry_interval': 1, 'poll_max_retries': 20},
        'storage:sqlalchemy': {'connection': database('designate'), 'max_pool_size': 10},
        'keystone_authtoken': checks_tokens(place, 'designate'),
        **common(place, 'designate'),
    }


def octavia(place):
    run, authority = place.kept('octavia', 'run'), os.path.join(place.state, 'front', 'ca.pem')
    return {
        'DEFAULT': {'transport_url': QUEUE, 'use_stderr': 'true', 'host': settings.HOST},
        'api_settings': {'bind_host': ADDRESS, 'bind_port': PORTS['octavia'], 'auth_strategy': 'keystone',
                         'enabled_provider_drivers': 'amphora:On paper,octavia:On paper', 'default_provider_driver': 'amphora'},
        'database': pool('octavia'),
        'oslo_messaging': {'topic': 'octavia_prov'},
        'controller_worker': {'workers': 1, 'amphora_driver': 'amphora_noop_driver', 'compute_driver': 'compute_noop_driver',
                              'network_driver': 'network_noop_driver', 'image_driver': 'image_noop_driver',
                              'amp_image_tag': 'paper', 'amp_flavor_id': '1', 'amp_boot_network_list': POOL,
                              'client_ca': authority},
        'certificates': {'cert_manager': 'local_cert_manager', 'cert_generator': 'local_cert_generator',
                         'ca_certificate': authority,
                         'ca_private_key': os.path.join(place.state, 'front', 'ca.key'),
                         'server_certs_key_passphrase': 'insecure-key-do-not-use-this-key'},
        'health_manager': {'heartbeat_key': PASSWORD},
        'driver_agent': {name + '_socket_path': os.path.join(run, name + '.sock') for name in ('status', 'stats', 'get')},
        'keystone_authtoken': checks_tokens(place, 'octavia'),
        'service_auth': account(place, 'octavia'),
        **common(place, 'octavia'),
    }


def manila(place):
    quick = ','.join('%s:0.1' % name for name in ('ensure_share', 'create_share', 'get_pool', 'do_setup', '_get_pools_info',
                                                  '_update_share_stats'))
    return {
        'DEFAULT': {'my_ip': ADDRESS, 'host': settings.HOST, 'transport_url': QUEUE, 'use_stderr': 'true',
                    'osapi_share_listen': ADDRESS, 'osapi_share_listen_port': PORTS['manila'], 'osapi_share_workers': 1,
                    'state_path': place.kept('manila'), 'auth_strategy': 'keystone', 'enabled_share_backends': 'paper',
                    'enabled_share_protocols': 'NFS,CIFS', 'default_share_type': 'paper',
                    'rootwrap_config': first('/etc/manila/rootwrap.conf'),
                    'api_paste_config': first('/usr/share/manila-common/api-paste.ini', '/etc/manila/api-paste.ini')},
        'paper': {'share_driver': 'manila.tests.share.drivers.dummy.DummyDriver', 'share_backend_name': 'paper',
                  'driver_handles_share_servers': 'false', 'dummy_driver_default_driver_method_delay': 0.2,
                  'dummy_driver_driver_methods_delays': quick},
        'database': pool('manila'),
        'keystone_authtoken': checks_tokens(place, 'manila'),
        **common(place, 'manila'),
    }


def swift(place):
    return {'swift-hash': {'swift_hash_path_suffix': PASSWORD, 'swift_hash_path_prefix': PASSWORD},
            'storage-policy:0': {'name': 'one-copy', 'default': 'yes'}}


def swift_part(part, more=()):
    """The configuration of one who keeps things."""
    def make(place):
        return {'DEFAULT': {'bind_ip': ADDRESS, 'bind_port': PORTS['swift-' + part], 'workers': 0, 'user': 'root',
                            'devices': place.kept('swift', 'devices'), 'mount_check': 'false', 'swift_dir': place.etc,
                            'recon_cache_path': place.kept('swift', 'recon'), 'log_address': '/dev/null',
                            'fallocate_reserve': '0'},
                'pipeline:main': {'pipeline': part + '-server'},
                'app:%s-server' % part: dict({'use': 'egg:swift#' + part}, **dict(more))}
    return make


def swift_proxy(place):
    pipeline = ('catch_errors gatekeeper cache listing_formats bulk authtoken keystoneauth copy container-quotas account-quotas slo dlo '
                'versioned_writes proxy-server')
    plain = ('catch_errors', 'gatekeeper', 'listing_formats', 'bulk', 'copy', 'slo', 'dlo')
    return {
        'DEFAULT': {'bind_ip': ADDRESS, 'bind_port': PORTS['swift'], 'workers': 0, 'user': 'root', 'swift_dir': place.etc},
        'pipeline:main': {'pipeline': pipeline},
        'app:proxy-server': {'use': 'egg:swift#proxy', 'account_autocreate': 'true', 'allow_account_management': 'true'},
        **{'filter:' + name: {'use': 'egg:swift#' + name} for name in plain},
        'filter:container-quotas': {'use': 'egg:swift#container_quotas'},
        'filter:account-quotas': {'use': 'egg:swift#account_quotas'},
        'filter:versioned_writes': {'use': 'egg:swift#versioned_writes', 'allow_versioned_writes': 'true'},
        'filter:cache': {'use': 'egg:swift#memcache', 'memcache_servers': '%s:%d' % (ADDRESS, PORTS['memcached'])},
        'filter:authtoken': dict(checks_tokens(place, 'swift'),
                                 **{'paste.filter_factory': 'keystonemiddleware.auth_token:filter_factory',
                                    'delay_auth_decision': 'true', 'service_token_roles_required': 'false'}),
        'filter:keystoneauth': {'use': 'egg:swift#keystoneauth', 'operator_roles': 'admin, member'},
    }


FILES = {'designate.conf': designate, 'octavia.conf': octavia, 'manila.conf': manila, 'swift.conf': swift,
         'swift-proxy.conf': swift_proxy,
         **{'swift-%s.conf' % part: swift_part(part) for part in ('account', 'container', 'object')}}

NAMED = """\
include "%(key)s";
options {
    directory "%(folder)s";
    listen-on port %(port)d { 127.0.0.1; };
    listen-on-v6 { none; };
    pid-file "%(folder)s/pid";
    session-keyfile none;
    allow-new-zones yes;
    allow-notify { 127.0.0.1; };
    recursion no;
    minimal-responses yes;
    notify no;
    serial-query-rate 1000;
    dnssec-validation no;
};
controls { inet 127.0.0.1 port %(control)d allow { 127.0.0.1; } keys { "rndc-key"; }; };
"""

POOLS = """\
- name: default
  description: BIND of this cloud
  attributes: {}
  ns_records:
    - {hostname: ns1.paper.example., priority: 1}
  nameservers:
    - {host: 127.0.0.1, port: %(port)d}
  targets:
    - type: bind9
      description: BIND of this cloud
      masters:
        - {host: 127.0.0.1, port: %(mdns)d}
      options: {host: 127.0.0.1, port: %(port)d, rndc_host: 127.0.0.1, rndc_port: %(control)d, rndc_key_file: %(key)s, clean_zonefile: true}
"""


def write(place):
    """Writes every file of configuration anew; where Swift's things lie is said once."""
    settings.write_sections(place, FILES)
    folder = place.kept('bind')
    key = os.path.join(folder, 'rndc.key')
    if not os.path.exists(key):
        subprocess.run(['rndc-confgen', '-a', '-c', key], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    words = {'key': key, 'folder': folder, 'port': PORTS['bind'], 'control': PORTS['bind-control'], 'mdns': PORTS['mdns']}
    for name, text in (('named.conf', NAMED), ('pools.yaml', POOLS)):
        with open(place.conf(name), 'w') as out:
            out.write(text % words)
    shutil.copyfile(first('/usr/share/designate-common/api-paste.ini', '/etc/designate/api-paste.ini'), place.conf('api-paste.ini'))
    for part in ('account', 'container', 'object'):
        if os.path.exists(place.conf(part + '.ring.gz')):
            continue
        os.makedirs(os.path.join(place.kept('swift', 'devices'), 'disc'), exist_ok=True)
        builder = place.conf(part + '.builder')
        device = 'r1z1-%s:%d/disc' % (ADDRESS, PORTS['swift-' + part])
        for words in (['create', '6', '1', '0'], ['add', device, '1'], ['rebalance']):
            done = subprocess.run(['swift-ring-builder', builder, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode > 1:
                raise SystemExit('error: `swift-ring-builder %s`: %s' % (' '.join(words), done.stdout))


def make_databases(daemons):
    place = daemons.place
    daemons.run('make-designate', 'designate-manage', *conf(place, 'designate'), 'database', 'sync')
    daemons.run('make-octavia', 'octavia-db-manage', *conf(place, 'octavia'), 'upgrade', 'head')
    daemons.run('make-manila', 'manila-manage', *conf(place, 'manila'), 'db', 'sync')


def make_pool(daemons):
    """Tells Designate of its name server; twice is once."""
    daemons.run('make-designate', 'designate-manage', *conf(daemons.place, 'designate'), 'pool', 'update', '--file',
                daemons.place.conf('pools.yaml'))


def resources(api):
    """A type of shares."""
    version = {'X-OpenStack-Manila-API-Version': '2.65'}
    types = settings.url('manila', '/v2/types')
    have = {one['name'] for one in api.call('GET', types, headers=version)['share_types']}
    for name in ('paper', 'carton'):
        if name not in have:
            api.call('POST', types, {'share_type': {
                'name': name, 'extra_specs': {'driver_handles_share_servers': 'false', 'share_backend_name': 'paper'}}}, headers=version)


def conf(place, name):
    return ['--config-file', place.conf(name + '.conf')]


def commands(place, wsgi):
    """What is started, by name: the command and the variables of its own."""
    designate = {part: ([part, *conf(place, 'designate')], {}) for part in ('designate-central', 'designate-worker', 'designate-mdns')}
    swift = {'swift-' + part: (['swift-%s-server' % part, place.conf('swift-%s.conf' % part), '-v'], {})
             for part in ('account', 'container', 'object')}
    octavia = wsgi('octavia', '/usr/bin/octavia-wsgi') + ['--pyargv', ' '.join(conf(place, 'octavia'))]
    return {
        'named': (['named', '-f', '-c', place.conf('named.conf')], {}),
        **designate, **swift,
        'designate': (['designate-api', *conf(place, 'designate')], {}),
        'octavia': (octavia, {}),
        'octavia-worker': (['octavia-worker', *conf(place, 'octavia')], {}),
        'swift': (['swift-proxy-server', place.conf('swift-proxy.conf'), '-v'], {}),
        'manila': (['manila-api', *conf(place, 'manila')], {}),
        'manila-scheduler': (['manila-scheduler', *conf(place, 'manila')], {}),
        'manila-share': (['manila-share', *conf(place, 'manila')], {}),
    }
