/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef BENCH_WAN_TUN_H
#define BENCH_WAN_TUN_H

#include <stdint.h>

/*
 * A TUN device in a network namespace: one end of the emulated line. The kernel hands over one IP
 * packet a read, checksummed and at most WAN_MTU long, for the device claims neither checksums nor
 * segmentation. Linux only; needs CAP_NET_ADMIN there and CAP_SYS_ADMIN for the namespace. The
 * program has one thread: the namespace is changed for a moment.
 */
#define WAN_MTU 1500

struct tun {
	int fd;  /* non-blocking; the device lives as long as it is open */
	int dev; /* /proc/net/dev of the namespace */
	char name[16];
};

/*
 * Makes the device that `where` (borrowed) says, NETNS:IFNAME:ADDR/PREFIX with a name of `ip netns`
 * or a path as NETNS and an IPv4 address, and brings it up. Fills `t`; tun_close frees it.
 * Returns NULL, or what failed, a constant text with the reason in errno (0: `where` is malformed).
 */
const char *tun_open(struct tun *t, const char *where);

/* Packets that the kernel lost at this device, since it was made, because nobody read in time. */
uint64_t tun_overrun(const struct tun *t);

void tun_close(struct tun *t);

#endif
