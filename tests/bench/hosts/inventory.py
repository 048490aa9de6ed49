"""Hosts for pyinfra, one line each in a file: label, address, key."""

import os

hosts = []
with open(os.environ["BENCH_HOSTS"]) as lines:
    for line in lines:
        label, address, keys = line.split()
        hosts.append(
            (
                address,
                {
                    "label": label,
                    "ssh_user": "root",
                    "ssh_key": f"{keys}/user_key",
                    "ssh_known_hosts_file": f"{keys}/known_hosts",
                    "ssh_strict_host_key_checking": "yes",
                },
            )
        )
