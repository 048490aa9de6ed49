#!/bin/sh
# One host of the fleet of `cargo xtask bench hosts`: an sshd with a root of its own, laid over this machine's files. Runs as
# process 1 of namespaces for processes and mounts, and all of it is gone with it. Arguments: a folder to mount at, the
# address to listen at, the folder of the keys.
set -eu
place=$1 address=$2 keys=$3
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" "$place/root"
cd "$place/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mkdir -p run/sshd srv/bench
rm -rf root/.ssh var/lib/dmp
mkdir -m 700 root/.ssh
cp "$keys/user_key.pub" root/.ssh/authorized_keys
cp "$keys/host_key" etc/ssh/bench_host_key
chmod 600 etc/ssh/bench_host_key
cat >etc/ssh/bench_config <<CONFIG
ListenAddress $address:22
HostKey /etc/ssh/bench_host_key
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 200
Subsystem sftp internal-sftp
CONFIG
exec chroot . /usr/sbin/sshd -D -f /etc/ssh/bench_config
