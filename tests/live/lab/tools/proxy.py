#!/usr/bin/env python3
"""The machines' way to package archives, and to nothing else.

usage: proxy.py --netns NAME|PATH --listen ADDRESS:PORT --keep FOLDER HOST...

An HTTP proxy with one foot in each network: its socket listens in the lab's namespace, its requests leave from
the host's. Only the hosts named are served. Package files never change, so they are kept and served from disk.
"""

import argparse
import ctypes
import hashlib
import http.server
import os
import select
import shutil
import socket
import tempfile
import urllib.error
import urllib.request
from urllib.parse import urlsplit

CLONE_NEWNET = 0x40000000
BLOCK = 1 << 18


def socket_in(netns, address):
    """Opens a listening socket in a namespace; the process itself stays where it is."""
    setns = ctypes.CDLL(None, use_errno=True).setns
    with open("/proc/self/ns/net") as here, open(os.path.join("/run/netns", netns)) as there:
        if setns(there.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {netns}")
        listening = socket.create_server(address, backlog=64)
        if setns(here.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "cannot come back from the network namespace")
    return listening


class Proxy(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening, hosts, keep):
        super().__init__(listening.getsockname(), Request, bind_and_activate=False)
        self.socket.close()
        self.socket, self.hosts, self.keep = listening, hosts, keep


class Request(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 120
    asked = ("Accept", "If-Modified-Since", "If-None-Match", "If-Range", "Range", "User-Agent")
    answered = ("Content-Type", "Content-Range", "ETag", "Last-Modified", "Location")

    def refused(self, host, port):
        if host in self.server.hosts and port in (80, 443):
            return False
        self.send_error(403, f"{host} is no package archive of this lab")
        return True

    def do_GET(self):
        url = urlsplit(self.path)
        if url.scheme != "http":
            self.send_error(400, "this is a proxy for http://")
        elif not self.refused(url.hostname, url.port or 80):
            if self.command == "GET" and url.path.endswith(".deb"):
                self.package()
            else:
                self.pass_on()

    do_HEAD = do_GET

    def ask(self, headers):
        request = urllib.request.Request(self.path, headers=headers, method=self.command)
        try:
            return urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as answer:
            return answer
        except OSError as error:
            self.send_error(502, str(error))
            return None

    def pass_on(self):
        answer = self.ask({name: self.headers[name] for name in self.asked if self.headers[name]})
        if answer is None:
            return
        with answer:
            self.send_response(answer.status)
            for name in self.answered:
                if answer.headers[name]:
                    self.send_header(name, answer.headers[name])
            if answer.headers["Content-Length"] is not None:
                self.send_header("Content-Length", answer.headers["Content-Length"])
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "GET":
                shutil.copyfileobj(answer, self.wfile, BLOCK)

    def package(self):
        kept = os.path.join(self.server.keep, hashlib.sha256(self.path.encode()).hexdigest())
        if not os.path.exists(kept) and not self.fetch(kept):
            return
        with open(kept, "rb") as file:
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.debian.binary-package")
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile, BLOCK)

    def fetch(self, kept):
        answer = self.ask({})
        if answer is None:
            return False
        with answer:
            if answer.status != 200:
                self.send_error(answer.status)
                return False
            with tempfile.NamedTemporaryFile(dir=self.server.keep, delete=False) as part:
                shutil.copyfileobj(answer, part, BLOCK)
            if os.path.getsize(part.name) != int(answer.headers["Content-Length"] or -1):
                os.unlink(part.name)
                self.send_error(502, "the archive sent only a part")
                return False
            os.replace(part.name, kept)
            return True

    def do_CONNECT(self):
        host, _, port = self.path.rpartition(":")
        if not port.isdigit() or self.refused(host, int(port)):
            return
        try:
            far = socket.create_connection((host, int(port)), timeout=60)
        except OSError as error:
            self.send_error(502, str(error))
            return
        self.send_response(200, "Connection established")
        self.end_headers()
        self.close_connection = True
        other = {self.connection: far, far: self.connection}
        with far:
            while ready := select.select(list(other), [], [], 120)[0]:
                for side in ready:
                    data = side.recv(1 << 16)
                    if not data:
                        return
                    other[side].sendall(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--netns", required=True)
    parser.add_argument("--listen", required=True)
    parser.add_argument("--keep", required=True)
    parser.add_argument("hosts", nargs="+", metavar="HOST")
    options = parser.parse_args()
    os.makedirs(options.keep, exist_ok=True)
    address, _, port = options.listen.rpartition(":")
    Proxy(socket_in(options.netns, (address, int(port))), frozenset(options.hosts), options.keep).serve_forever()


if __name__ == "__main__":
    main()
