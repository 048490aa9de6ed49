"""Installs Debian's packages by the machine's own apt, and starts nothing."""

import os
import subprocess
import sys

import guests
import services

WANTED = (
    'mariadb-server rabbitmq-server memcached uwsgi-core uwsgi-plugin-python3 keystone glance-api placement-api '
    'nova-api nova-conductor nova-scheduler nova-compute neutron-server cinder-api cinder-scheduler cinder-volume '
    'python3-openstackclient qemu-utils openssl'
).split()

POLICY = '/usr/sbin/policy-rc.d'

# What the packages would ask: none makes a database or an account of its own.
ANSWERS = ['dbconfig-common dbconfig-common/dbconfig-install boolean false',
           'keystone keystone/create-admin-tenant boolean false', 'keystone keystone/register-endpoint boolean false']
for name in ('keystone', 'glance', 'placement', 'nova', 'neutron', 'cinder', 'designate', 'octavia', 'manila'):
    ANSWERS.append('%s-common %s/configure_db boolean false' % (name, name))
    ANSWERS.append('%s %s/configure_db boolean false' % (name, name))
    ANSWERS.append('%s-api %s/register-endpoint boolean false' % (name, name))


def is_installed(package):
    asked = subprocess.run(['dpkg-query', '-W', '-f=${db:Status-Status}', package], capture_output=True, text=True)
    return asked.stdout == 'installed'


def install(place):
    wanted = WANTED + (guests.PACKAGES if place.has_guests else services.PACKAGES)
    missing = [package for package in wanted if not is_installed(package)]
    if not missing:
        return
    print('installing %s' % ' '.join(missing), file=sys.stderr)
    os.makedirs(place.logs, exist_ok=True)
    environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    subprocess.run(['debconf-set-selections'], input='\n'.join(ANSWERS) + '\n', text=True, check=True)
    with open(os.path.join(place.logs, 'apt.log'), 'a') as log, NoStarts():
        for words in (['update', '-q'], ['install', '-y', '-q', '--no-remove', '--no-install-recommends', *missing]):
            done = subprocess.run(['apt-get', '-o', 'DPkg::Lock::Timeout=900', *words],
                                  stdout=log, stderr=log, env=environment)
            if done.returncode != 0:
                sys.exit('error: `apt-get %s` failed, see %s' % (words[0], log.name))


class NoStarts:
    """While packages are installed no service starts. A policy that was there is put back."""

    def __enter__(self):
        self.before = None
        if os.path.exists(POLICY):
            with open(POLICY) as old:
                self.before = (old.read(), os.stat(POLICY).st_mode & 0o777)
        with open(os.open(POLICY, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o755), 'w') as policy:
            policy.write('#!/bin/sh\nexit 101\n')

    def __exit__(self, *_):
        os.remove(POLICY)
        if self.before is not None:
            text, mode = self.before
            with open(os.open(POLICY, os.O_WRONLY | os.O_CREAT, mode), 'w') as policy:
                policy.write(text)
