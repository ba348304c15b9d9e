/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/*
 * The phones of many calls of G.711: sends a packet of 172 bytes every 20 ms for each call and
 * direction, the calls spread evenly over the 20 ms, and tells what arrived.
 *
 *	rtp_load INSIDE OUTSIDE WARM_UP_S SECONDS < CALLS
 *
 * INSIDE and OUTSIDE are the HOST:PORT of all inside and all outside phones. CALLS has a line
 * for each call: the HOST:PORT that its inside phone sends to and the one of its outside phone.
 * Prints "measuring" when the warm-up is over, "sent" when the last packet is out, and then a
 * line of name=value: what of the packets of the measured time was lost or came twice, and the delay
 * of those that came in and went out, in us by the kernel's receive timestamps.
 */
#define SIDES 2
#define PACKET_LEN 172
#define RTP_LEN 12
#define PERIOD_NS 20000000ULL
#define BATCH 16 /* sent by one call: the last one's timestamp is only some 30 us old */
#define READ_BATCH 64
#define PAUSE_NS 100000ULL
#define DRAIN_NS 500000000ULL

struct body { /* behind the RTP header */
	uint32_t call;
	uint32_t seq;
	uint64_t sent_ns; /* wall clock, as the kernel's receive timestamps */
};

struct call {
	struct sockaddr_in to[SIDES];
	uint32_t seq[SIDES];
	uint8_t *seen[SIDES]; /* by the other side: a bit for each seq */
};

struct load {
	int fd[SIDES];
	uint32_t calls_n;
	struct call *call;
	uint32_t seq_max;
	uint64_t begin_ns, end_ns; /* of the measured time, wall clock */
	uint64_t sent, send_failed, received, duplicates, strange;
	size_t delays_max;
	struct delays {
		uint32_t *us;
		size_t n;
	} delay[SIDES]; /* by the side that heard */
};

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t
now_ns(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static struct sockaddr_in
address(const char *text)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	char host[64];
	unsigned port;

	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 ||
	    inet_pton(AF_INET, host, &a.sin_addr) != 1) {
		fprintf(stderr, "%s: HOST:PORT expected\n", text);
		exit(2);
	}
	a.sin_port = htons((uint16_t)port);
	return a;
}

static int
open_phone(const char *where)
{
	struct sockaddr_in a = address(where);
	int on = 1, room = 32 << 20, fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(where);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
		die("SO_TIMESTAMPNS");
	return fd;
}

static void
read_calls(struct load *l)
{
	char line[256], inside[128], outside[128];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		struct call *c;

		if (sscanf(line, "%127s %127s", inside, outside) != 2)
			continue;
		l->call = realloc(l->call, (l->calls_n + 1) * sizeof(*l->call));
		c = &l->call[l->calls_n++];
		memset(c, 0, sizeof(*c));
		c->to[0] = address(inside);
		c->to[1] = address(outside);
		for (int side = 0; side < SIDES; side++)
			c->seen[side] = calloc(1, l->seq_max / 8 + 1);
	}
}

/* -- Sending -- */

static void
fill(struct load *l, uint32_t call, int side, uint8_t packet[static PACKET_LEN], uint64_t wall_ns)
{
	uint32_t seq = l->call[call].seq[side]++;
	struct body body = { call, seq, wall_ns };
	uint16_t rtp_seq = htons((uint16_t)seq);
	uint32_t timestamp = htonl(seq * 160), ssrc = htonl(call * 2 + (uint32_t)side + 1);

	packet[0] = 0x80;
	packet[1] = 0;
	memcpy(packet + 2, &rtp_seq, sizeof(rtp_seq));
	memcpy(packet + 4, &timestamp, sizeof(timestamp));
	memcpy(packet + 8, &ssrc, sizeof(ssrc));
	memcpy(packet + RTP_LEN, &body, sizeof(body));
}

/* The packets of calls first .. first + n, as one side's phones. */
static void
send_batch(struct load *l, uint32_t first, uint32_t n, int side)
{
	static uint8_t packet[BATCH][PACKET_LEN];
	struct iovec iov[BATCH];
	struct mmsghdr msg[BATCH];
	uint64_t wall_ns = now_ns(CLOCK_REALTIME);
	int done;

	memset(msg, 0, sizeof(msg));
	for (uint32_t i = 0; i < n; i++) {
		fill(l, first + i, side, packet[i], wall_ns);
		iov[i] = (struct iovec){ packet[i], PACKET_LEN };
		msg[i].msg_hdr.msg_iov = &iov[i];
		msg[i].msg_hdr.msg_iovlen = 1;
		msg[i].msg_hdr.msg_name = &l->call[first + i].to[side];
		msg[i].msg_hdr.msg_namelen = sizeof(l->call[first + i].to[side]);
	}
	done = sendmmsg(l->fd[side], msg, n, 0);
	if (done < 0)
		done = 0;
	if (wall_ns < l->begin_ns || wall_ns >= l->end_ns)
		return;
	l->sent += n;
	l->send_failed += n - (uint32_t)done;
}

/* -- Receiving -- */

static uint64_t
arrival_ns(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		struct timespec t;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&t, CMSG_DATA(c), sizeof(t));
		return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	}
	return 0;
}

static void
on_packet(struct load *l, int side, const uint8_t *packet, size_t n, uint64_t arrived_ns)
{
	struct body body;
	struct delays *d;
	uint8_t *seen, bit;

	if (n != PACKET_LEN) {
		l->strange++;
		return;
	}
	memcpy(&body, packet + RTP_LEN, sizeof(body));
	if (body.call >= l->calls_n || body.seq >= l->seq_max) {
		l->strange++;
		return;
	}
	if (body.sent_ns < l->begin_ns || body.sent_ns >= l->end_ns)
		return;
	seen = &l->call[body.call].seen[!side][body.seq / 8];
	bit = (uint8_t)(1U << body.seq % 8);
	if ((*seen & bit) != 0) {
		l->duplicates++;
		return;
	}
	*seen |= bit;
	l->received++;
	d = &l->delay[side];
	if (d->n < l->delays_max)
		d->us[d->n++] =
		    arrived_ns < body.sent_ns ? 0 : (uint32_t)((arrived_ns - body.sent_ns) / 1000);
}

static void
receive(struct load *l, int side)
{
	static uint8_t packet[READ_BATCH][PACKET_LEN + 1];
	static uint8_t control[READ_BATCH][CMSG_SPACE(sizeof(struct timespec))];
	struct iovec iov[READ_BATCH];
	struct mmsghdr msg[READ_BATCH];
	int n;

	do {
		memset(msg, 0, sizeof(msg));
		for (int i = 0; i < READ_BATCH; i++) {
			iov[i] = (struct iovec){ packet[i], sizeof(packet[i]) };
			msg[i].msg_hdr.msg_iov = &iov[i];
			msg[i].msg_hdr.msg_iovlen = 1;
			msg[i].msg_hdr.msg_control = control[i];
			msg[i].msg_hdr.msg_controllen = sizeof(control[i]);
		}
		n = recvmmsg(l->fd[side], msg, READ_BATCH, MSG_DONTWAIT, NULL);
		for (int i = 0; i < n; i++)
			on_packet(l, side, packet[i], msg[i].msg_len, arrival_ns(&msg[i].msg_hdr));
	} while (n == READ_BATCH);
}

/* -- The run -- */

static void
sleep_until(uint64_t mono_ns)
{
	struct timespec t = { (time_t)(mono_ns / 1000000000), (long)(mono_ns % 1000000000) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/*
 * Both sides of call c speak at every 20 ms + c/n of it; `turn` counts the calls over all periods.
 * What is due leaves at most every 100 us, as a network card that spares its host interrupts would
 * deliver it; a thread that wakes for each packet takes a core for itself.
 */
static void
speak(struct load *l, uint64_t seconds)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC), turn = 0;
	uint64_t turns = seconds * 1000000000 / PERIOD_NS * l->calls_n;
	bool told = false;

	while (turn < turns) {
		uint64_t next;

		uint64_t due = (now_ns(CLOCK_MONOTONIC) - start) * l->calls_n / PERIOD_NS + 1;

		while (turn < due && turn < turns) {
			uint32_t first = (uint32_t)(turn % l->calls_n), n = l->calls_n - first;

			if (n > due - turn)
				n = (uint32_t)(due - turn);
			if (n > BATCH)
				n = BATCH;
			for (int side = 0; side < SIDES; side++)
				send_batch(l, first, n, side);
			turn += n;
		}
		for (int side = 0; side < SIDES; side++)
			receive(l, side);
		if (!told && now_ns(CLOCK_REALTIME) >= l->begin_ns) {
			puts("measuring");
			fflush(stdout);
			told = true;
		}
		next = start + turn * PERIOD_NS / l->calls_n;
		if (next < now_ns(CLOCK_MONOTONIC) + PAUSE_NS)
			next = now_ns(CLOCK_MONOTONIC) + PAUSE_NS;
		sleep_until(next);
	}
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t
percentile(const struct delays *d, double share)
{
	return d->n == 0 ? 0 : d->us[(size_t)(share * (double)(d->n - 1))];
}

static void
print_delays(const char *name, struct delays *d)
{
	qsort(d->us, d->n, sizeof(*d->us), compare);
	printf(" %s_p50_us=%u %s_p99_us=%u %s_max_us=%u", name, percentile(d, 0.5), name,
	    percentile(d, 0.99), name, percentile(d, 1));
}

static void
report(struct load *l)
{
	printf("calls=%u sent=%llu received=%llu lost=%llu duplicates=%llu strange=%llu "
	       "send_failed=%llu",
	    l->calls_n, (unsigned long long)l->sent, (unsigned long long)l->received,
	    (unsigned long long)(l->sent - l->received), (unsigned long long)l->duplicates,
	    (unsigned long long)l->strange, (unsigned long long)l->send_failed);
	print_delays("in", &l->delay[0]);
	print_delays("out", &l->delay[1]);
	printf("\n");
}

int
main(int argc, char **argv)
{
	struct load l = { .calls_n = 0 };
	uint64_t warm_up_s, seconds, until;

	if (argc != 5) {
		fprintf(stderr, "usage: rtp_load INSIDE OUTSIDE WARM_UP_S SECONDS < CALLS\n");
		return 2;
	}
	warm_up_s = strtoull(argv[3], NULL, 10);
	seconds = strtoull(argv[4], NULL, 10);
	l.seq_max = (uint32_t)((warm_up_s + seconds + 1) * 1000000000 / PERIOD_NS);
	l.fd[0] = open_phone(argv[1]);
	l.fd[1] = open_phone(argv[2]);
	read_calls(&l);
	if (l.calls_n == 0)
		return 2;
	l.delays_max = (size_t)seconds * 51 * (l.calls_n + 1);
	for (int side = 0; side < SIDES; side++)
		l.delay[side].us = malloc(l.delays_max * sizeof(uint32_t));
	l.begin_ns = now_ns(CLOCK_REALTIME) + warm_up_s * 1000000000;
	l.end_ns = l.begin_ns + seconds * 1000000000;

	speak(&l, warm_up_s + seconds);
	puts("sent");
	fflush(stdout);
	for (until = now_ns(CLOCK_MONOTONIC) + DRAIN_NS; now_ns(CLOCK_MONOTONIC) < until;) {
		usleep(1000);
		receive(&l, 0);
		receive(&l, 1);
	}
	report(&l);
	return 0;
}
