#!/usr/bin/env python3
"""TLS before the services, as clouds have it: shows a certificate, counts the requests that come by, and passes them on.

usage: front.py --certificate FILE --key FILE --counter FILE FROM:TO...

Listens at each port FROM of loopback and passes on to the port TO. The counter's file holds the number of requests so far.
"""

import argparse
import asyncio
import os
import ssl

ADDRESS = '127.0.0.1'
LONGEST_HEAD = 1 << 20
PIECE = 1 << 16


class Counter:
    """How many requests have come by, in a file that others read."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self.count = 0
        self.write()

    def add(self):
        self.count += 1
        self.write()

    def write(self):
        # It only grows, so that nothing of an earlier number is left behind it.
        os.pwrite(self.file, b'%d\n' % self.count, 0)


def headers(head):
    lines = head.decode('latin-1').split('\r\n')[1:]
    pairs = (line.split(':', 1) for line in lines if ':' in line)
    return {name.strip().lower(): value.strip().lower() for name, value in pairs}


async def pass_bytes(reader, writer, count):
    while count > 0:
        piece = await reader.read(min(count, PIECE))
        if not piece:
            raise EOFError
        writer.write(piece)
        await writer.drain()
        count -= len(piece)


async def pass_chunks(reader, writer):
    while True:
        line = await reader.readline()
        writer.write(line)
        size = int(line.split(b';')[0], 16)
        await pass_bytes(reader, writer, size + 2)
        if size == 0:
            return


async def pass_requests(reader, writer, counter):
    """Request by request, since a connection carries several."""
    while True:
        head = await reader.readuntil(b'\r\n\r\n')
        counter.add()
        writer.write(head)
        said = headers(head)
        if said.get('transfer-encoding') == 'chunked':
            await pass_chunks(reader, writer)
        else:
            await pass_bytes(reader, writer, int(said.get('content-length', 0)))
        await writer.drain()


async def pass_answers(reader, writer):
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()


async def serve(reader, writer, port, counter):
    try:
        far_reader, far_writer = await asyncio.open_connection(ADDRESS, port)
    except OSError:
        writer.transport.abort()
        return
    ways = {asyncio.create_task(pass_requests(reader, far_writer, counter)),
            asyncio.create_task(pass_answers(far_reader, writer))}
    # Whoever ends first ends both: a client that goes, or a service that has said all.
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    for way in ways:
        way.cancel()
    await asyncio.gather(*ways, return_exceptions=True)
    for side in (writer, far_writer):
        side.close()


async def main(options):
    counter = Counter(options.counter)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(options.certificate, options.key)
    servers = []
    for pair in options.ports:
        here, there = pair.split(':')

        async def client(reader, writer, port=int(there)):
            await serve(reader, writer, port, counter)
        servers.append(await asyncio.start_server(client, ADDRESS, int(here), ssl=tls, limit=LONGEST_HEAD))
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--certificate', required=True)
    parser.add_argument('--key', required=True)
    parser.add_argument('--counter', required=True)
    parser.add_argument('ports', nargs='+', metavar='FROM:TO')
    asyncio.run(main(parser.parse_args()))
