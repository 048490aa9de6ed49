#!/usr/bin/env python3
"""One command to a qemu: qmp.py SOCKET COMMAND [ARGUMENTS], arguments as JSON. Prints what it answers."""

import json
import socket
import sys

SECONDS = 60


def answer(lines):
    """The next line that is no event."""
    for line in lines:
        message = json.loads(line)
        if "event" not in message:
            return message
    sys.exit("qemu has hung up")


def main():
    path, command, *rest = sys.argv[1:]
    arguments = json.loads(rest[0]) if rest else {}
    with socket.socket(socket.AF_UNIX) as ear:
        ear.settimeout(SECONDS)
        ear.connect(path)
        with ear.makefile("rw") as lines:
            answer(lines)  # its greeting
            for one in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                lines.write(json.dumps(one) + "\n")
                lines.flush()
                message = answer(lines)
                if "error" in message:
                    sys.exit(f"{command}: {message['error']['desc']}")
            if message["return"]:
                print(json.dumps(message["return"]))


main()
