# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes all IPv4 packets of one device into a pcap file, until it is told to end.

    sniffer.py DEVICE FILE

tcpdump would do, if it did not insist on changing its user, which a user namespace forbids.
"""

import signal
import socket
import struct
import sys

ETH_P_ALL = 3         # a socket for one protocol is not shown what this host sends
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35


def frames(sock):
    """(frame, ancillary data) of each packet; after SIGTERM those that wait already, then no more.
    """
    def end(*_):
        sock.setblocking(False)
        raise InterruptedError
    signal.signal(signal.SIGTERM, end)
    while True:
        try:
            frame, extra, _, _ = sock.recvmsg(262144, 64)
        except InterruptedError:
            continue
        except BlockingIOError:
            return
        yield frame, extra


def main(device, path):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
    except PermissionError:     # in a user namespace: then with the usual size
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    sock.bind((device, ETH_P_ALL))
    with open(path, "wb", buffering=0) as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
        print(f"listening on {device}", flush=True)
        for frame, extra in frames(sock):
            if frame[12:14] != b"\x08\x00":
                continue
            second, nano = struct.unpack_from("qq", extra[0][2])
            n = len(frame)
            file.write(struct.pack("<IIII", second, nano // 1000, n, n) + frame)


if __name__ == "__main__":
    main(*sys.argv[1:])
