/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/bench/wan_tun.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_AHEAD 20000 /* packets that may wait in the device: 2 s of 200 calls */

struct place {
	char netns[256], name[IFNAMSIZ];
	struct in_addr address, mask;
};

static int
parse_address(struct place *p, char *text)
{
	char *slash = strchr(text, '/'), *end;
	long prefix;

	if (slash == NULL)
		return -1;
	*slash = '\0';
	prefix = strtol(slash + 1, &end, 10);
	if (*end != '\0' || prefix < 1 || prefix > 32)
		return -1;
	p->mask.s_addr = htonl((uint32_t)(UINT64_C(0xffffffff) << (32 - prefix)));
	return inet_pton(AF_INET, text, &p->address) == 1 ? 0 : -1;
}

static int
parse(struct place *p, const char *where)
{
	char text[512], *address, *name;

	if ((size_t)snprintf(text, sizeof(text), "%s", where) >= sizeof(text))
		return -1;
	address = strrchr(text, ':');
	if (address == NULL)
		return -1;
	*address++ = '\0';
	name = strrchr(text, ':');
	if (name == NULL)
		return -1;
	*name++ = '\0';
	if (name[0] == '\0' || strlen(name) >= sizeof(p->name) || text[0] == '\0')
		return -1;
	memcpy(p->name, name, strlen(name) + 1);
	if ((size_t)snprintf(p->netns, sizeof(p->netns), "%s%s",
		text[0] == '/' ? "" : "/run/netns/", text) >= sizeof(p->netns))
		return -1;
	return parse_address(p, address);
}

static int
enter(const char *netns)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC), result;

	if (fd < 0)
		return -1;
	result = setns(fd, CLONE_NEWNET);
	close(fd);
	return result;
}

/* The line speaks IPv4: without this the kernel's router solicitations would be counted on it. */
static void
forbid_ipv6(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return; /* a kernel without IPv6 */
	(void)!write(fd, "1", 1);
	close(fd);
}

static int
set_address(int control, struct ifreq *r, unsigned long request, struct in_addr address)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = address };

	memcpy(&r->ifr_addr, &a, sizeof(a));
	return ioctl(control, request, r);
}

static int
bring_up(const struct place *p)
{
	int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), result = -1;
	struct ifreq r = { 0 };

	if (control < 0)
		return -1;
	memcpy(r.ifr_name, p->name, sizeof(p->name));
	r.ifr_qlen = READ_AHEAD;
	if (ioctl(control, SIOCSIFTXQLEN, &r) < 0)
		goto out;
	r.ifr_mtu = WAN_MTU;
	if (ioctl(control, SIOCSIFMTU, &r) < 0 ||
	    set_address(control, &r, SIOCSIFADDR, p->address) < 0 ||
	    set_address(control, &r, SIOCSIFNETMASK, p->mask) < 0)
		goto out;
	if (ioctl(control, SIOCGIFFLAGS, &r) < 0)
		goto out;
	r.ifr_flags |= IFF_UP;
	result = ioctl(control, SIOCSIFFLAGS, &r);
out:
	close(control);
	return result;
}

/* In the right namespace already. */
static const char *
make_device(struct tun *t, const struct place *p)
{
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	t->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		return "/dev/net/tun";
	memcpy(r.ifr_name, p->name, sizeof(p->name));
	/* Without offloads every packet comes as it would be on the wire. */
	if (ioctl(t->fd, TUNSETIFF, &r) < 0 || ioctl(t->fd, TUNSETOFFLOAD, 0) < 0)
		return "the device";
	forbid_ipv6(p->name);
	if (bring_up(p) < 0)
		return "the device's address";
	t->dev = open("/proc/self/net/dev", O_RDONLY | O_CLOEXEC);
	return t->dev < 0 ? "/proc/self/net/dev" : NULL;
}

const char *
tun_open(struct tun *t, const char *where)
{
	struct place p;
	const char *failed;
	int home, why;

	*t = (struct tun){ .fd = -1, .dev = -1 };
	if (parse(&p, where) < 0) {
		errno = 0;
		return "NETNS:IFNAME:ADDR/PREFIX expected";
	}
	memcpy(t->name, p.name, sizeof(t->name));
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0 || enter(p.netns) < 0) {
		failed = "the namespace";
	} else {
		failed = make_device(t, &p);
		why = errno;
		if (setns(home, CLONE_NEWNET) < 0)
			failed = "the way back from the namespace";
		else
			errno = why;
	}
	why = errno;
	if (home >= 0)
		close(home);
	if (failed != NULL)
		tun_close(t);
	errno = why;
	return failed;
}

uint64_t
tun_overrun(const struct tun *t)
{
	static char text[1 << 16];
	ssize_t n = pread(t->dev, text, sizeof(text) - 1, 0);
	unsigned long long dropped = 0;
	char name[sizeof(t->name) + 1], *line = text;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	snprintf(name, sizeof(name), "%s:", t->name);
	do
		line = strstr(line + 1, name);
	while (line != NULL && line[-1] != ' ' && line[-1] != '\n');
	/* Eight columns of reception, then bytes, packets, errors and drops of transmission. */
	if (line == NULL ||
	    sscanf(line + strlen(name), "%*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu",
		&dropped) != 1)
		return 0;
	return dropped;
}

void
tun_close(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	if (t->dev >= 0)
		close(t->dev);
	t->fd = t->dev = -1;
}
