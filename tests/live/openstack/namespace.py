"""The namespaces in which a cloud with guests lives: its bridges, rules and guests can't touch those of the machine, and all go when
the namespaces go. Nothing is added to the machine's own network, so that the addresses outside answer only from within."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from urllib.parse import urlsplit

import guests
import settings

PROXY = os.path.join(settings.HERE, '..', 'lab', 'tools', 'proxy.py')


def be_first():
    """Runs as the first process within, to the end: prepares mounts and network, and buries orphans."""
    place = settings.Place(has_guests=True)

    def run(*words):
        subprocess.run(words, check=True)
    run('mount', '--make-rprivate', '/')
    run('mount', '-t', 'sysfs', 'sysfs', '/sys')
    for folder in ('/run/netns', '/run/libvirt', '/var/lib/libvirt'):
        os.makedirs(folder, exist_ok=True)
    run('mount', '-t', 'tmpfs', 'tmpfs', '/run/netns')
    run('mount', '--make-rshared', '/run/netns')
    run('mount', '-t', 'tmpfs', 'tmpfs', '/run/libvirt')
    run('mount', '--bind', place.kept('libvirt'), '/var/lib/libvirt')
    run('mount', '--bind', os.path.join(place.etc, 'libvirt'), '/etc/libvirt')
    run('ip', 'link', 'set', 'lo', 'up')
    for name, address, other in ((guests.TUNNEL, guests.TUNNEL_ADDRESS + '/24', guests.TUNNEL + '-peer'),
                                 (guests.GATEWAY, guests.GATEWAY_ADDRESS, guests.OUTSIDE)):
        run('ip', 'link', 'add', name, 'type', 'veth', 'peer', 'name', other)
        run('ip', 'address', 'add', address, 'dev', name)
        run('ip', 'link', 'set', name, 'up')
        run('ip', 'link', 'set', other, 'up')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(1)


def first_process(daemons):
    """The pid of the first process within, as the machine counts; None while there is none."""
    pid = daemons.pid('namespace')
    if pid is None:
        return None
    found = subprocess.run(['pgrep', '-P', str(pid)], capture_output=True, text=True).stdout.split()
    return int(found[0]) if found else None


def enter(daemons, *command):
    """A command within the namespaces, as words."""
    pid = first_process(daemons)
    if pid is None:
        sys.exit('error: the cloud with guests is not running')
    return ['nsenter', '-t', str(pid), '-m', '-n', '-p', '--', *command]


def start(daemons):
    place = daemons.place
    if daemons.pid('namespace') is None:
        own = os.path.join(place.etc, 'libvirt')
        shutil.rmtree(own, ignore_errors=True)
        shutil.copytree('/etc/libvirt', own, symlinks=True)
        shutil.rmtree(os.path.join(own, 'qemu', 'networks', 'autostart'), ignore_errors=True)
        os.makedirs(os.path.join(own, 'secrets'), exist_ok=True)
        for name, text in (('qemu.conf', guests.QEMU), ('libvirtd.conf', guests.LIBVIRTD % uuid.uuid4())):
            with open(os.path.join(own, name), 'w') as out:
                out.write(text)
        daemons.start('namespace', ['unshare', '--mount', '--net', '--pid', '--fork', '--mount-proc', '--kill-child=SIGKILL',
                                    sys.executable, os.path.join(settings.HERE, 'cloud'), '--guests', 'first'],
                      **passed_on())
    daemons.wait('namespace', 30, lambda: first_process(daemons) and is_up(daemons))


def is_up(daemons):
    look = subprocess.run(enter(daemons, 'ip', '-o', 'link', 'show', guests.OUTSIDE, 'up'), capture_output=True)
    return look.returncode == 0 and look.stdout != b''


def passed_on():
    """Where the cloud lies, for those within."""
    return {name: os.environ[name] for name in ('DMP_LIVE_CACHE', 'HOME') if name in os.environ}


def start_proxy(daemons, address):
    """The guests' way to the package archives that this machine's own apt uses, and to nothing else: at an address outside."""
    host = address.rpartition(':')[0]
    subprocess.run(enter(daemons, 'ip', 'address', 'replace', host + '/32', 'dev', guests.GATEWAY), check=True)
    namespace = '/proc/%d/ns/net' % first_process(daemons)
    keep = os.path.join(os.path.dirname(daemons.place.root), 'debs')
    proxy = subprocess.run('eval "$(apt-config shell it Acquire::http::Proxy)"; printf %s "$it"', shell=True,
                           capture_output=True, text=True).stdout
    more = {'http_proxy': proxy} if proxy else {}
    daemons.start('proxy', [sys.executable, PROXY, '--netns', namespace, '--listen', address, '--keep', keep, *archives()], **more)


def archives():
    """The hosts of Debian's archives, as this machine's apt knows them."""
    told = subprocess.run(['apt-get', 'indextargets', '--format', '$(ORIGIN)|$(REPO_URI)', 'Created-By: Packages'],
                          capture_output=True, text=True, check=True).stdout
    pairs = (line.split('|', 1) for line in told.splitlines() if '|' in line)
    hosts = {urlsplit(address).hostname for origin, address in pairs if origin == 'Debian'}
    if not hosts:
        sys.exit('error: this machine\'s apt knows no Debian archive (apt-get update)')
    return sorted(hosts)
