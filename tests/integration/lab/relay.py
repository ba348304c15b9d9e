# SPDX-License-Identifier: GPL-3.0-or-later
"""A middlebox of the laboratory's own that does to TCP connections what real ones do on bad days.

    relay.py LISTEN-PORT TARGET TARGET-PORT [--life S] [--bytes N] [--throttle RATE --every N]
             [--spoil N]

--spoil: of each connection one bit is changed, once so many bytes have passed one way.
--life: each connection ends after so many seconds. --bytes: and after so many bytes either way.
--throttle: of the connections each N-th (the first of them after N - 1 others) carries only RATE
bytes a second each way. Ends are RST, as those of middleboxes are. What it did is told on stdout."""

import argparse
import selectors
import socket
import struct
import time

_RESET = struct.pack("ii", 1, 0)
_CHUNK = 65536


class Connection:
    """A client's connection and ours to the target."""

    def __init__(self, client, server, options, throttled):
        self.ends = (client, server)
        self.dies = time.monotonic() + (options.life or 1e9)
        self.rate = options.throttle if throttled else None
        self.left = {client: options.bytes or 1 << 62, server: options.bytes or 1 << 62}
        self.credit = dict.fromkeys(self.ends, 0.0)
        self.spoils = {client: options.spoil or 1 << 62, server: options.spoil or 1 << 62}
        self.waiting = {client: b"", server: b""}
        self.alive = True

    def other(self, end):
        return self.ends[end is self.ends[0]]

    def close(self, selector):
        self.alive = False
        for end in self.ends:
            selector.unregister(end)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            end.close()

    def take(self, source):
        """Reads from one end and passes on what may pass; False when it is over."""
        try:
            data = source.recv(_CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self.waiting[source] += self.spoil(source, data)[:self.left[source]]
        self.left[source] -= min(self.left[source], len(data))
        return self.give(source) and data != b"" and self.left[source] > 0

    def spoil(self, source, data):
        """Changes a bit in the middle of what passes the limit."""
        before = self.spoils[source]
        self.spoils[source] -= len(data)
        if not data or before < 0 or self.spoils[source] >= 0:
            return data
        print("spoilt", flush=True)
        return data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1:]

    def give(self, source, passed=0.0):
        """Passes on what waits from `source`; `passed` is the time since it was last asked to."""
        data = self.waiting[source]
        if self.rate is not None:
            self.credit[source] = min(self.rate, self.credit[source] + passed * self.rate)
            data = data[:int(self.credit[source])]
            self.credit[source] -= len(data)
        try:
            sent = self.other(source).send(data) if data else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            return False
        self.waiting[source] = self.waiting[source][sent:]
        return True


class Relay:
    """All of it: one listener, one loop."""

    def __init__(self, options):
        self.options = options
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("0.0.0.0", options.port), backlog=256)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.connections = []
        self.accepted = 0

    def accept(self):
        client = self.listener.accept()[0]
        self.accepted += 1
        server = socket.create_connection((self.options.target, self.options.target_port))
        throttled = self.options.throttle and self.accepted % self.options.every == 0
        connection = Connection(client, server, self.options, throttled)
        if throttled:
            print("throttled", flush=True)
        for end in connection.ends:
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if throttled:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            end.setblocking(False)
            self.selector.register(end, selectors.EVENT_READ, connection)
        self.connections.append(connection)

    def end(self, connection, now):
        if now >= connection.dies:
            print("cut: old", flush=True)
        elif 0 in connection.left.values():
            print("cut: long", flush=True)
        connection.close(self.selector)

    def run(self):
        last = time.monotonic()
        print("ready", flush=True)
        while True:
            events = self.selector.select(0.05)
            now = time.monotonic()
            for key, _ in events:
                if key.data is None:
                    self.accept()
                elif key.data.alive and not key.data.take(key.fileobj):
                    self.end(key.data, now)
            for connection in self.connections:
                if connection.alive and now >= connection.dies:
                    self.end(connection, now)
                for end in connection.ends if connection.alive else ():
                    if connection.waiting[end]:
                        connection.give(end, now - last)
            self.connections = [c for c in self.connections if c.alive]
            last = now


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("target")
    parser.add_argument("target_port", type=int)
    parser.add_argument("--life", type=float)
    parser.add_argument("--bytes", type=int)
    parser.add_argument("--throttle", type=float)
    parser.add_argument("--spoil", type=int)
    parser.add_argument("--every", type=int, default=3)
    Relay(parser.parse_args()).run()


if __name__ == "__main__":
    main()
