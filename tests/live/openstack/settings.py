"""Where the cloud lies, its ports, and the configuration of each service."""

import os
import shutil

import guests

HERE = os.path.dirname(os.path.abspath(__file__))
PASSWORD = 'live-secret'
REGION = 'RegionOne'
# The same services once more, behind TLS.
GUARDED = 'Guarded'
HOST = 'paper-node'
# Projects, each with one user of its name.
MEMBERS = ('member', 'second', 'third')
ADDRESS = '127.0.0.1'

# Ports beside those that OpenStack, a database or a message queue of the machine's own would have.
PORTS = {'keystone': 25000, 'nova': 28774, 'cinder': 28776, 'placement': 28778, 'glance': 29292, 'neutron': 29696,
         'designate': 29001, 'octavia': 29876, 'swift': 28080, 'manila': 28786,
         'bind': 25353, 'bind-control': 25953, 'mdns': 25354, 'swift-account': 26202, 'swift-container': 26201,
         'swift-object': 26200, 'mariadb': 23306, 'rabbitmq': 25673, 'rabbitmq-peers': 25674, 'epmd': 24369, 'memcached': 21211}

# Where the front listens that has TLS.
FRONT = {name: PORTS[name] - 8000 for name in ('keystone', 'nova', 'cinder', 'placement', 'glance', 'neutron', 'designate', 'octavia',
                                              'swift', 'manila')}

# How long a token lives, in seconds.
DAY = 86400

DATABASES = ('keystone', 'glance', 'placement', 'nova', 'nova_api', 'nova_cell0', 'neutron', 'cinder')


class Place:
    """The folders of one cloud: of that whose servers are on paper, or of that whose servers are guests."""

    def __init__(self, has_guests=False):
        cache = os.environ.get('DMP_LIVE_CACHE') or os.path.expanduser('~/.cache/dmp-live')
        self.has_guests = has_guests
        self.root = os.path.join(cache, 'openstack-guests' if has_guests else 'openstack')
        self.etc, self.logs, self.run, self.state = (os.path.join(self.root, name) for name in ('etc', 'log', 'run', 'state'))
        # In a namespace of processes pids mean something else.
        if os.environ.get(INSIDE):
            self.run = os.path.join(self.run, 'inside')
        self.token_seconds = DAY
        self.keystone = 'http://%s:%d' % (ADDRESS, PORTS['keystone'])

    @property
    def counter(self):
        """How many requests the front has passed on."""
        return os.path.join(self.state, 'requests')

    def make(self):
        for folder in (self.etc, self.logs, self.run, self.state):
            os.makedirs(folder, exist_ok=True)

    def purge(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def conf(self, name):
        return os.path.join(self.etc, name)

    def kept(self, *names):
        path = os.path.join(self.state, *names)
        os.makedirs(path, exist_ok=True)
        return path


# Set in the namespaces in which a cloud with guests lives.
INSIDE = 'DMP_CLOUD_INSIDE'


def front(service, path=''):
    return 'https://localhost:%d%s' % (FRONT[service], path)


def url(service, path=''):
    return 'http://%s:%d%s' % (ADDRESS, PORTS[service], path)


def database(name):
    return 'mysql+pymysql://cloud:%s@%s:%d/%s?charset=utf8' % (PASSWORD, ADDRESS, PORTS['mariadb'], name)


QUEUE = 'rabbit://cloud:%s@%s:%d/' % (PASSWORD, ADDRESS, PORTS['rabbitmq'])


def first(*paths):
    """The first file that is there: packages have moved some."""
    for path in paths:
        if os.path.exists(path):
            return path
    raise SystemExit('error: none of these is there: %s' % ', '.join(paths))


def account(place, user):
    """How one service logs in at another."""
    return {'auth_type': 'password', 'auth_url': place.keystone, 'username': user, 'password': PASSWORD,
            'project_name': 'service', 'user_domain_name': 'Default', 'project_domain_name': 'Default',
            'region_name': REGION}


def checks_tokens(place, user):
    return dict(account(place, user), www_authenticate_uri=place.keystone,
                memcached_servers='%s:%d' % (ADDRESS, PORTS['memcached']),
                # A token that is taken back is known to be so within these seconds, and not after five minutes.
                token_cache_time=5,
                service_token_roles='service', service_token_roles_required='true')


def pool(name):
    return {'connection': database(name), 'max_pool_size': 10, 'max_overflow': 20}


def common(place, name):
    return {'oslo_concurrency': {'lock_path': place.kept(name, 'lock')},
            'oslo_messaging_notifications': {'driver': 'noop'},
            'oslo_messaging_rabbit': {'heartbeat_in_pthread': 'false'}}


def keystone(place):
    return {
        'DEFAULT': {'use_stderr': 'true', 'max_token_size': 512},
        'database': pool('keystone'),
        'cache': {'enabled': 'true', 'backend': 'dogpile.cache.memcached',
                  'memcache_servers': '%s:%d' % (ADDRESS, PORTS['memcached'])},
        'token': {'provider': 'fernet', 'expiration': place.token_seconds},
        'fernet_tokens': {'key_repository': place.kept('keystone', 'fernet')},
        'credential': {'key_repository': place.kept('keystone', 'credential')},
    }


def placement(place):
    return {'DEFAULT': {'use_stderr': 'true'}, 'api': {'auth_strategy': 'keystone'},
            'placement_database': {'connection': database('placement')},
            'keystone_authtoken': checks_tokens(place, 'placement')}


def glance(place):
    return {
        'DEFAULT': {'bind_host': ADDRESS, 'bind_port': PORTS['glance'], 'workers': 1, 'use_stderr': 'true',
                    'enabled_backends': 'disk:file', 'enabled_import_methods': '[glance-direct,web-download]',
                    'worker_self_reference_url': url('glance')},
        'database': pool('glance'),
        'keystone_authtoken': checks_tokens(place, 'glance'),
        'paste_deploy': {'flavor': 'keystone', 'config_file': first('/usr/share/glance-common/glance-api-paste.ini',
                                                                    '/etc/glance/glance-api-paste.ini')},
        'glance_store': {'default_backend': 'disk'},
        'disk': {'filesystem_store_datadir': place.kept('glance', 'images')},
        'os_glance_staging_store': {'filesystem_store_datadir': place.kept('glance', 'staging')},
        'os_glance_tasks_store': {'filesystem_store_datadir': place.kept('glance', 'tasks')},
        'oslo_concurrency': {'lock_path': place.kept('glance', 'lock')},
    }


def nova(place):
    return {
        **(guests.of_nova() if place.has_guests else {}),
        'DEFAULT': {'my_ip': ADDRESS, 'host': HOST, 'state_path': place.kept('nova'),
                    'instances_path': place.kept('nova', 'instances'), 'transport_url': QUEUE,
                    'enabled_apis': 'osapi_compute', 'osapi_compute_listen': ADDRESS,
                    'osapi_compute_listen_port': PORTS['nova'], 'osapi_compute_workers': 1, 'use_stderr': 'true',
                    # On paper the interfaces, the scheduler and all states are real; servers boot in a cloud with guests.
                    'compute_driver': 'libvirt.LibvirtDriver' if place.has_guests else 'fake.FakeDriver',
                    # What a server is told at its first boot is on a disc: no service of metadata is needed.
                    'force_config_drive': str(place.has_guests).lower(), 'allow_resize_to_same_host': 'true',
                    'cpu_allocation_ratio': '16.0', 'ram_allocation_ratio': '1.0', 'reserved_host_memory_mb': 0,
                    'update_resources_interval': 30, 'max_local_block_devices': 3},
        'api': {'auth_strategy': 'keystone'},
        'keystone_authtoken': checks_tokens(place, 'nova'),
        'service_user': dict(account(place, 'nova'), send_service_user_token='true'),
        'placement': account(place, 'placement'),
        'neutron': account(place, 'neutron'),
        'cinder': dict(account(place, 'cinder'), os_region_name=REGION),
        'glance': {'api_servers': url('glance')},
        'vnc': {'enabled': 'false'},
        'scheduler': {'discover_hosts_in_cells_interval': 2, 'workers': 1},
        'conductor': {'workers': 1},
        'wsgi': {'api_paste_config': first('/usr/share/nova-common/api-paste.ini', '/etc/nova/api-paste.ini')},
        **common(place, 'nova'),
    }


def nova_databases(_place):
    # nova-compute refuses to know them, so they stand in a file of their own.
    return {'api_database': {'connection': database('nova_api')}, 'database': pool('nova')}


def neutron(place):
    # Without agents nobody calls.
    callers = 1 if place.has_guests else 0
    return {
        'DEFAULT': {'bind_host': ADDRESS, 'bind_port': PORTS['neutron'], 'host': HOST, 'state_path': place.kept('neutron'),
                    'transport_url': QUEUE, 'core_plugin': 'ml2', 'service_plugins': 'router,qos', 'api_workers': 1,
                    'rpc_workers': callers, 'rpc_state_report_workers': callers, 'dhcp_agents_per_network': 1,
                    'dhcp_agent_notification': str(place.has_guests).lower(),
                    'use_stderr': 'true', 'api_paste_config': first('/usr/share/neutron-common/api-paste.ini',
                                                                    '/etc/neutron/api-paste.ini')},
        'database': pool('neutron'),
        'keystone_authtoken': checks_tokens(place, 'neutron'),
        'nova': account(place, 'nova'),
        'placement': account(place, 'placement'),
        'agent': {'root_helper': 'sudo', 'report_interval': 10},
        **common(place, 'neutron'),
    }


def ml2(place):
    return {'ml2': {'type_drivers': 'flat,vxlan', 'tenant_network_types': 'vxlan',
                    'mechanism_drivers': 'linuxbridge' if place.has_guests else 'paper',
                    'extension_drivers': 'port_security,qos'},
            'experimental': {'linuxbridge': str(place.has_guests).lower()},
            'ml2_type_flat': {'flat_networks': 'external'}, 'ml2_type_vxlan': {'vni_ranges': '1:1000'},
            'securitygroup': {'enable_security_group': 'true'}}


def cinder(place):
    return {
        'DEFAULT': {'my_ip': ADDRESS, 'host': HOST, 'osapi_volume_listen': ADDRESS, 'osapi_volume_listen_port': PORTS['cinder'],
                    'osapi_volume_workers': 1, 'state_path': place.kept('cinder'), 'transport_url': QUEUE,
                    'auth_strategy': 'keystone', 'glance_api_servers': url('glance'), 'enabled_backends': 'files,more',
                    'default_volume_type': 'files', 'use_stderr': 'true',
                    'image_conversion_dir': place.kept('cinder', 'conversion'),
                    'rootwrap_config': first('/etc/cinder/rootwrap.conf'),
                    'api_paste_config': first('/usr/share/cinder-common/api-paste.ini', '/etc/cinder/api-paste.ini')},
        **{name: {'volume_driver': 'dmp_cloud.volumes.FilesDriver', 'volume_backend_name': name,
                  'paper_folder': place.kept('cinder', name)} for name in ('files', 'more')},
        'database': pool('cinder'),
        'keystone_authtoken': checks_tokens(place, 'cinder'),
        'service_user': dict(account(place, 'cinder'), send_service_user_token='true'),
        'nova': dict(account(place, 'nova'), interface='internal'),
        **common(place, 'cinder'),
    }


FILES = {'keystone.conf': keystone, 'placement.conf': placement, 'glance.conf': glance, 'nova.conf': nova,
         'nova-databases.conf': nova_databases, 'neutron.conf': neutron, 'ml2.conf': ml2, 'cinder.conf': cinder}


def write_sections(place, files):
    for name, make in files.items():
        lines = []
        for section, options in make(place).items():
            lines.append('[%s]' % section)
            lines += ['%s = %s' % option for option in options.items()]
        # Each service looks for policies in a folder of its own, and never in /etc.
        lines += ['[oslo_policy]', 'policy_dirs = %s' % place.kept('policies')]
        with open(os.open(place.conf(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as out:
            out.write('\n'.join(lines) + '\n')


def write(place):
    """Writes every file of configuration anew, but for those of `services`."""
    write_sections(place, {**FILES, **guests.FILES} if place.has_guests else FILES)
    if place.has_guests:
        with open(place.conf(guests.DNSMASQ), 'w') as out:
            out.write(guests.OF_DNSMASQ)
    with open(place.conf('rabbitmq.conf'), 'w') as out:
        out.write('\n'.join(['listeners.tcp.1 = %s:%d' % (ADDRESS, PORTS['rabbitmq']), 'loopback_users = none',
                             'default_user = cloud', 'default_pass = %s' % PASSWORD, 'disk_free_limit.absolute = 50MB',
                             'vm_memory_high_watermark.absolute = 512MB', 'log.console = true',
                             'log.console.level = warning']) + '\n')
    with open(place.conf('rabbitmq-plugins'), 'w') as out:
        out.write('[].\n')
