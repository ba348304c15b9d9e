# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP proxy of the laboratory's own that does to bodies what old and careful ones do.

    holder.py ADDRESS PORT [--up] [--down] [--old] [--delay MS]

--up, --down: it holds bodies of requests, of answers, back until they are whole. --old: it speaks
HTTP/1.0, with one request on a connection, and takes no body whose length it is not told. --delay:
what passes takes so long each way."""

import argparse
import asyncio
import urllib.parse

_HOP = ("connection", "proxy-connection", "keep-alive", "transfer-encoding", "content-length")


class Later:
    """A writer whose bytes leave some time later, in order."""

    def __init__(self, writer, delay):
        self.writer, self.delay = writer, delay
        self.loop = asyncio.get_running_loop()

    def write(self, data):
        self.loop.call_later(self.delay, self.writer.write, data)

    def close(self):
        self.loop.call_later(self.delay, self.writer.close)


class Head:
    """The first lines of a message."""

    def __init__(self, data):
        lines = data.decode("latin-1").split("\r\n")
        self.start = lines[0].split(" ", 2)
        self.fields = [line.split(": ", 1) for line in lines[1:] if ": " in line]

    def get(self, name):
        return next((value for key, value in self.fields if key.lower() == name), None)

    def made(self, start, length=None):
        """The bytes of it, with another first line, for a connection that ends with the body."""
        fields = [f for f in self.fields if length is None or f[0].lower() not in _HOP]
        if length is not None:
            fields += [("Content-Length", str(length)), ("Connection", "close")]
        return "\r\n".join([start, *(f"{k}: {v}" for k, v in fields), "", ""]).encode("latin-1")


async def chunks(reader):
    """A chunked body."""
    body = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return body


async def whole(reader, head, to_the_end):
    """A body that is held back until its end."""
    if (head.get("transfer-encoding") or "").lower() == "chunked":
        return await chunks(reader)
    length = head.get("content-length")
    if length is None:
        return await reader.read(-1) if to_the_end else b""
    return await reader.readexactly(int(length))


async def pass_on(reader, later):
    """What comes, as it comes."""
    while data := await reader.read(65536):
        later.write(data)
    later.close()


class Holder:
    """The proxy."""

    def __init__(self, options):
        self.options = options

    async def serve(self, reader, writer):
        later = Later(writer, self.options.delay / 1000)
        try:
            await self.request(reader, later)
        except (OSError, asyncio.IncompleteReadError):
            pass
        later.close()

    async def request(self, reader, client):
        head = Head(await reader.readuntil(b"\r\n\r\n"))
        method, url, _ = head.start
        at = urllib.parse.urlsplit(url)
        if self.options.old and head.get("transfer-encoding"):
            client.write(b"HTTP/1.0 411 Length Required\r\n\r\n")
            return
        answers, up = await asyncio.open_connection(at.hostname, at.port or 80)
        server = Later(up, self.options.delay / 1000)
        start = f"{method} {at.path} HTTP/1.{0 if self.options.old else 1}"
        if self.options.up or self.options.old:
            body = await whole(reader, head, False)
            server.write(head.made(start, len(body)) + body)
        else:
            server.write(head.made(start))
            asyncio.ensure_future(pass_on(reader, server))
        await self.answer(answers, client)
        server.close()

    async def answer(self, reader, client):
        if not self.options.down and not self.options.old:
            while data := await reader.read(65536):
                client.write(data)
            return
        head = Head(await reader.readuntil(b"\r\n\r\n"))
        body = await whole(reader, head, True)
        start = f"HTTP/1.{0 if self.options.old else 1} {' '.join(head.start[1:])}"
        client.write(head.made(start, len(body)) + body)


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--up", action="store_true")
    parser.add_argument("--down", action="store_true")
    parser.add_argument("--old", action="store_true")
    parser.add_argument("--delay", type=float, default=0)
    options = parser.parse_args()
    server = await asyncio.start_server(Holder(options).serve, options.address, options.port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
