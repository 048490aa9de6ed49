"""The processes of the cloud: started each in a session of its own, found again by pid and start time, stopped by those."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import services
import settings
from certificates import Certificates
from settings import ADDRESS, PASSWORD, PORTS


def started_at(pid):
    """When a process was started, in ticks: with it a pid names one process for good."""
    try:
        with open('/proc/%d/stat' % pid) as stat:
            fields = stat.read().rsplit(')', 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == 'Z' else fields[19]


class Daemons:
    """What was started, by name."""

    def __init__(self, place):
        self.place = place
        self.environment = dict(
            PATH='/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL='C.UTF-8',
            HOME=place.kept('home'), XDG_CACHE_HOME=place.kept('cache'), PYTHONDONTWRITEBYTECODE='1',
            PYTHONPATH=os.path.join(settings.HERE, 'drivers'))

    def _note(self, name):
        return os.path.join(self.place.run, name)

    def pid(self, name):
        """The pid, while it is still the same process."""
        try:
            with open(self._note(name)) as note:
                pid, start = note.read().split()
        except (OSError, ValueError):
            return None
        return int(pid) if started_at(int(pid)) == start else None

    def start(self, name, command, **environment):
        if self.pid(name) is not None:
            return
        with open(self.log(name), 'ab') as log:
            child = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                     env=dict(self.environment, **environment), start_new_session=True)
        with open(self._note(name), 'w') as note:
            note.write('%d %s\n' % (child.pid, started_at(child.pid)))

    def log(self, name):
        return os.path.join(self.place.logs, name + '.log')

    def wait(self, name, seconds, is_up):
        until = time.monotonic() + seconds
        while not is_up():
            if self.pid(name) is None:
                sys.exit('error: %s has ended, see %s' % (name, self.log(name)))
            if time.monotonic() > until:
                sys.exit('error: %s did not answer in %d s, see %s' % (name, seconds, self.log(name)))
            time.sleep(0.3)

    def run(self, name, *command, check=True):
        with open(self.log(name), 'ab') as log:
            done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  env=self.environment)
        if check and done.returncode != 0:
            sys.exit('error: `%s` failed, see %s' % (command[0], self.log(name)))

    def stop(self, name):
        pid = self.pid(name)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            until = time.monotonic() + 15
            while self.pid(name) is not None and time.monotonic() < until:
                reap(pid)
                time.sleep(0.1)
            try:
                # What is left of its session.
                os.killpg(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        if os.path.exists(self._note(name)):
            os.remove(self._note(name))

    def signal(self, name, number):
        """To all of its session."""
        pid = self.pid(name)
        if pid is None:
            sys.exit('error: %s is not running' % name)
        os.killpg(pid, number)

    def stop_all(self):
        names = os.listdir(self.place.run) if os.path.isdir(self.place.run) else []
        names = [name for name in names if os.path.isfile(self._note(name))]
        ground = [name for name in ('libvirtd', 'memcached', 'rabbitmq', 'epmd', 'mariadb', 'proxy', 'namespace') if name in names]
        for name in [name for name in names if name not in ground] + ground:
            self.stop(name)


def reap(pid):
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((ADDRESS, port)) == 0


def answers(address):
    try:
        urllib.request.urlopen(address, timeout=5).close()
        return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def start_ground(daemons):
    """Database, queue, cache."""
    place = daemons.place
    data = os.path.join(place.state, 'mariadb')
    if not os.path.isdir(os.path.join(data, 'mysql')):
        os.makedirs(data, exist_ok=True)
        daemons.run('mariadb-install', 'mariadb-install-db', '--no-defaults', '--user=root', '--datadir=' + data,
                    '--auth-root-authentication-method=socket', '--skip-test-db')
    first = os.path.join(place.state, 'grants.sql')
    with open(os.open(first, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as out:
        out.write("CREATE USER IF NOT EXISTS 'cloud'@'%s' IDENTIFIED BY '%s';\n" % (ADDRESS, PASSWORD))
        for name in (*settings.DATABASES, *services.DATABASES):
            out.write('CREATE DATABASE IF NOT EXISTS %s CHARACTER SET utf8;\n' % name)
            out.write("GRANT ALL ON %s.* TO 'cloud'@'%s';\n" % (name, ADDRESS))
    daemons.start('mariadb', [
        'mariadbd', '--no-defaults', '--user=root', '--datadir=' + data, '--bind-address=' + ADDRESS,
        '--port=%d' % PORTS['mariadb'], '--socket=%s/socket' % data, '--pid-file=%s/pid' % data, '--init-file=' + first,
        '--skip-name-resolve', '--max-connections=500', '--skip-log-bin', '--innodb-buffer-pool-size=256M',
        '--innodb-flush-log-at-trx-commit=0', '--innodb-doublewrite=0', '--performance-schema=OFF',
        '--character-set-server=utf8', '--collation-server=utf8_general_ci'])
    daemons.start('memcached', ['memcached', '-u', 'root', '-l', ADDRESS, '-p', PORTS['memcached'], '-U', 0, '-m', 64])
    epmd = {'ERL_EPMD_ADDRESS': ADDRESS, 'ERL_EPMD_PORT': str(PORTS['epmd'])}
    daemons.start('epmd', ['epmd'], **epmd)
    daemons.wait('epmd', 20, lambda: listens(PORTS['epmd']))
    home = place.kept('rabbitmq')
    daemons.start(
        'rabbitmq', ['/usr/lib/rabbitmq/bin/rabbitmq-server'], **epmd, HOME=home, RABBITMQ_NODENAME='live@localhost',
        RABBITMQ_DIST_PORT=str(PORTS['rabbitmq-peers']), RABBITMQ_CONF_ENV_FILE='/dev/null',
        RABBITMQ_CONFIG_FILE=place.conf('rabbitmq'), RABBITMQ_ADVANCED_CONFIG_FILE=place.conf('rabbitmq-advanced'),
        RABBITMQ_ENABLED_PLUGINS_FILE=place.conf('rabbitmq-plugins'), RABBITMQ_MNESIA_BASE=place.kept('rabbitmq', 'mnesia'),
        RABBITMQ_LOG_BASE=place.logs, RABBITMQ_LOGS='-', RABBITMQ_PID_FILE=os.path.join(home, 'pid'),
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none')
    daemons.wait('mariadb', 90, lambda: listens(PORTS['mariadb']))
    daemons.wait('rabbitmq', 120, lambda: listens(PORTS['rabbitmq']))
    daemons.wait('memcached', 20, lambda: listens(PORTS['memcached']))


def with_files(place, *names):
    return [word for name in names for word in ('--config-file', place.conf(name))]


def make_databases(daemons):
    """Brings every database up to the version of its service; once for each set of packages."""
    place = daemons.place
    versions = subprocess.run(['dpkg-query', '-W', '-f=${Package} ${Version}\n', 'python3-keystone', 'python3-glance',
                               'python3-placement', 'python3-nova', 'python3-neutron', 'python3-cinder',
                               *(() if place.has_guests else services.LIBRARIES)],
                              capture_output=True, text=True, check=True).stdout
    note = os.path.join(place.state, 'databases')
    if os.path.exists(note) and open(note).read() == versions:
        return
    keystone = ['keystone-manage', *with_files(place, 'keystone.conf')]
    nova = ['nova-manage', *with_files(place, 'nova.conf', 'nova-databases.conf')]
    daemons.run('make-keystone', *keystone, 'db_sync')
    for what in ('fernet_setup', 'credential_setup'):
        daemons.run('make-keystone', *keystone, what, '--keystone-user', 'root', '--keystone-group', 'root')
    address = place.keystone + '/v3'
    daemons.run('make-keystone', *keystone, 'bootstrap', '--bootstrap-username', 'admin', '--bootstrap-password', PASSWORD,
                '--bootstrap-project-name', 'admin', '--bootstrap-role-name', 'admin', '--bootstrap-service-name', 'keystone',
                '--bootstrap-region-id', settings.REGION, '--bootstrap-admin-url', address,
                '--bootstrap-internal-url', address, '--bootstrap-public-url', address)
    daemons.run('make-nova', *nova, 'api_db', 'sync')
    daemons.run('make-nova', *nova, 'cell_v2', 'map_cell0', '--database_connection', settings.database('nova_cell0'))
    daemons.run('make-nova', *nova, 'cell_v2', 'create_cell', '--name', 'cell1', check=False)
    daemons.run('make-nova', *nova, 'db', 'sync')
    daemons.run('make-neutron', 'neutron-db-manage', *with_files(place, 'neutron.conf', 'ml2.conf'), 'upgrade', 'heads')
    if not place.has_guests:
        daemons.run('make-cinder', 'cinder-manage', *with_files(place, 'cinder.conf'), 'db', 'sync')
        services.make_databases(daemons)
    daemons.run('make-glance', 'glance-manage', *with_files(place, 'glance.conf'), 'db', 'sync')
    daemons.run('make-placement', 'placement-manage', *with_files(place, 'placement.conf'), 'db', 'sync')
    with open(note, 'w') as out:
        out.write(versions)


def wsgi(name, program):
    return ['uwsgi', '--plugins', 'python3', '--http-socket', '%s:%d' % (ADDRESS, PORTS[name]), '--wsgi-file', program,
            '--master', '--processes', '2', '--lazy-apps', '--need-app', '--die-on-term', '--enable-threads',
            '--buffer-size', '65535', '--add-header', 'Connection: close', '--disable-logging']


def commands(place):
    """What is started, by name: the command and the variables of its own."""
    api = with_files(place, 'nova.conf', 'nova-databases.conf')
    placement = settings.first('/usr/bin/placement-api', '/usr/bin/placement-api-wsgi')
    common = {
        'keystone': (wsgi('keystone', '/usr/bin/keystone-wsgi-public'),
                     {'OS_KEYSTONE_CONFIG_DIR': place.etc, 'OS_KEYSTONE_CONFIG_FILES': 'keystone.conf'}),
        'placement': (wsgi('placement', placement), {'OS_PLACEMENT_CONFIG_DIR': place.etc}),
        'glance': (['glance-api', *with_files(place, 'glance.conf')], {}),
        'neutron': (['neutron-server', *with_files(place, 'neutron.conf', 'ml2.conf')], {}),
        'nova-conductor': (['nova-conductor', *api], {}),
        'nova-scheduler': (['nova-scheduler', *api], {}),
        'nova': (['nova-api', *api], {}),
        'nova-compute': (['nova-compute', *with_files(place, 'nova.conf')], {}),
    }
    # The hypervisor is there before the service that asks it.
    return {**(with_guests(place) if place.has_guests else on_paper(place)), **common}


def with_guests(place):
    """The hypervisor, and who carries packets. Servers have no volumes."""
    libvirt = os.path.join(place.etc, 'libvirt', 'libvirtd.conf')
    return {
        'libvirtd': (['libvirtd', '--config', libvirt], {}),
        'neutron-linuxbridge': (['neutron-linuxbridge-agent', *with_files(place, 'neutron.conf', 'linuxbridge.conf')], {}),
        'neutron-l3': (['neutron-l3-agent', *with_files(place, 'neutron.conf', 'l3.conf')], {}),
        'neutron-dhcp': (['neutron-dhcp-agent', *with_files(place, 'neutron.conf', 'dhcp.conf')], {}),
    }


def on_paper(place):
    """Volumes, what no server needs, and TLS before all."""
    own = Certificates(place)
    pairs = ['%d:%d' % (settings.FRONT[name], PORTS[name]) for name in settings.FRONT]
    front = os.path.join(settings.HERE, 'front.py')
    return {
        **services.commands(place, wsgi),
        'cinder': (['cinder-api', *with_files(place, 'cinder.conf')], {}),
        'cinder-scheduler': (['cinder-scheduler', *with_files(place, 'cinder.conf')], {}),
        'cinder-volume': (['cinder-volume', *with_files(place, 'cinder.conf')], {}),
        'front': ([sys.executable, front, '--certificate', own.certificate, '--key', own.key, '--counter', place.counter, *pairs],
                  {}),
    }


def start_one(daemons, name):
    command, environment = commands(daemons.place)[name]
    daemons.start(name, command, **environment)
    if name in PORTS:
        daemons.wait(name, 120, lambda: answers(settings.url(name, '/')))


def start_identity(daemons):
    # Nova's compute asks placement at once, and without an account it asks again only after half a minute.
    start_one(daemons, 'keystone')


def start_services(daemons):
    names = [name for name in commands(daemons.place) if name != 'keystone']
    for name in names:
        command, environment = commands(daemons.place)[name]
        daemons.start(name, command, **environment)
    for name in names:
        if name in PORTS:
            daemons.wait(name, 180, lambda name=name: answers(settings.url(name, '/')))
