/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
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
 *	rtp_load [-d DRAIN_MS] [-o FILE] INSIDE OUTSIDE WARM_UP_S SECONDS < CALLS
 *
 * INSIDE and OUTSIDE are the [NETNS@]HOST:PORT of all inside and all outside phones; NETNS is a
 * name of `ip netns` or a path: one process and one clock for both ends of a line. CALLS has a line for each
 * call: the HOST:PORT that its inside phone sends to and the one of its outside phone.
 *
 * The phones speak for WARM_UP_S, the measured SECONDS and DRAIN_MS (500); what was sent in the
 * measured time counts, whenever it arrives. Prints "measuring" when the warm-up is over, "sent" when
 * the last measured packet is out, and then a line of name=value: how many were sent, received, lost or
 * came twice, in all and of each direction (in: heard inside), their delays in us by the kernel's
 * receive timestamps, and by how much the generator itself was at worst behind its plan.
 *
 * FILE gets all delays, in the byte order of the host: struct dump; then for each direction (in, out)
 * and each call the delay of each packet in us, UINT32_MAX for one that never came. Packet i of call
 * c of n left at begin_ns + (i + c/n) x 20 ms, as planned.
 */
#define SIDES 2
#define PACKET_LEN 172
#define RTP_LEN 12
#define PERIOD_NS 20000000ULL
#define PACKETS_PER_S (1000000000ULL / PERIOD_NS)
#define BATCH 16 /* sent by one call: the last one's timestamp is only some 30 us old */
#define READ_BATCH 64
#define PAUSE_NS 100000ULL
#define DRAIN_MS 500
#define NEVER UINT32_MAX

struct body { /* behind the RTP header */
	uint32_t call;
	uint32_t seq;
	uint64_t sent_ns; /* wall clock, as the kernel's receive timestamps */
};

struct dump {
	uint32_t calls_n, packets_n; /* of each call and direction */
	uint64_t begin_ns;           /* wall clock */
};

struct call {
	struct sockaddr_in to[SIDES];
	uint32_t seq[SIDES];
	uint32_t *delay_us[SIDES]; /* by the side that heard; of the measured packets */
};

struct load {
	int fd[SIDES];
	uint32_t calls_n;
	struct call *call;
	uint32_t first_seq, end_seq, seq_max; /* measured are first_seq .. end_seq - 1 */
	uint64_t begin_ns;                    /* wall clock */
	uint64_t behind_ns;
	uint64_t send_failed, duplicates, strange;
	struct heard {
		uint32_t *us; /* sorted */
		size_t n;
	} heard[SIDES];
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

/* From now on sockets are opened in this network namespace. */
static void
enter(const char *netns)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s%s", strchr(netns, '/') == NULL ? "/run/netns/" : "",
	    netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET) < 0)
		die(path);
	close(fd);
}

static int
open_phone(const char *where)
{
	const char *at = strchr(where, '@');
	char netns[100];
	struct sockaddr_in a = address(at == NULL ? where : at + 1);
	int on = 1, room = 32 << 20, fd;

	if (at != NULL) {
		snprintf(netns, sizeof(netns), "%.*s", (int)(at - where), where);
		enter(netns);
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		die(where);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0)
		die("SO_TIMESTAMPNS");
	return fd;
}

static uint32_t *
no_delays(const struct load *l)
{
	size_t len = (l->end_seq - l->first_seq) * sizeof(uint32_t);
	uint32_t *delays = malloc(len);

	if (delays == NULL)
		die("malloc");
	memset(delays, 0xff, len); /* NEVER */
	return delays;
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
			c->delay_us[side] = no_delays(l);
	}
}

/* -- Sending -- */

static bool
measured(const struct load *l, uint32_t seq)
{
	return seq >= l->first_seq && seq < l->end_seq;
}

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
	if (measured(l, l->call[first].seq[side] - 1))
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
	uint32_t *delay_us;

	if (n != PACKET_LEN) {
		l->strange++;
		return;
	}
	memcpy(&body, packet + RTP_LEN, sizeof(body));
	if (body.call >= l->calls_n || body.seq >= l->seq_max) {
		l->strange++;
		return;
	}
	if (!measured(l, body.seq))
		return;
	delay_us = &l->call[body.call].delay_us[side][body.seq - l->first_seq];
	if (*delay_us != NEVER)
		l->duplicates++;
	else
		*delay_us =
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

/* Turn `turn` is about to leave: how far behind is that, and is it a moment to tell of? */
static void
note_turn(struct load *l, uint64_t turn, uint64_t start_ns)
{
	uint64_t begin = (uint64_t)l->first_seq * l->calls_n,
		 end = (uint64_t)l->end_seq * l->calls_n;
	uint64_t due_ns = start_ns + turn * PERIOD_NS / l->calls_n, now = now_ns(CLOCK_MONOTONIC);

	if (turn >= begin && turn < end && now > due_ns + l->behind_ns)
		l->behind_ns = now - due_ns;
	if (turn == begin) {
		l->begin_ns = now_ns(CLOCK_REALTIME) + due_ns - now;
		puts("measuring");
	} else if (turn == end) {
		puts("sent");
	} else {
		return;
	}
	fflush(stdout);
}

/* What is due of `turn` and later, at most to the end of a period; how many calls that was. */
static uint32_t
take_turns(struct load *l, uint64_t turn, uint64_t due)
{
	uint32_t first = (uint32_t)(turn % l->calls_n), n = l->calls_n - first;

	if (n > due - turn)
		n = (uint32_t)(due - turn);
	if (n > BATCH)
		n = BATCH;
	for (int side = 0; side < SIDES; side++)
		send_batch(l, first, n, side);
	return n;
}

/*
 * Both sides of call c speak at every 20 ms + c/n of it; a turn is one call's, over all periods.
 * What is due leaves at most every 100 us, as a network card that spares its host interrupts would
 * deliver it; a thread that wakes for each packet takes a core for itself.
 */
static void
speak(struct load *l)
{
	uint64_t start = now_ns(CLOCK_MONOTONIC), turn = 0, next;
	uint64_t turns = (uint64_t)l->seq_max * l->calls_n;

	while (turn < turns) {
		uint64_t due = (now_ns(CLOCK_MONOTONIC) - start) * l->calls_n / PERIOD_NS + 1;

		if (due > turns)
			due = turns;
		while (turn < due) {
			uint64_t end_of_period = turn - turn % l->calls_n + l->calls_n;

			if (turn % l->calls_n == 0)
				note_turn(l, turn, start);
			turn += take_turns(l, turn, due < end_of_period ? due : end_of_period);
		}
		for (int side = 0; side < SIDES; side++)
			receive(l, side);
		next = start + turn * PERIOD_NS / l->calls_n;
		if (next < now_ns(CLOCK_MONOTONIC) + PAUSE_NS)
			next = now_ns(CLOCK_MONOTONIC) + PAUSE_NS;
		sleep_until(next);
	}
}

/* -- The results -- */

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
collect(struct load *l, int side)
{
	struct heard *h = &l->heard[side];
	size_t packets_n = l->end_seq - l->first_seq;

	h->us = malloc(packets_n * l->calls_n * sizeof(*h->us));
	if (h->us == NULL)
		die("malloc");
	for (uint32_t c = 0; c < l->calls_n; c++) {
		for (size_t i = 0; i < packets_n; i++) {
			if (l->call[c].delay_us[side][i] != NEVER)
				h->us[h->n++] = l->call[c].delay_us[side][i];
		}
	}
	qsort(h->us, h->n, sizeof(*h->us), compare);
}

static uint32_t
percentile(const struct heard *h, double share)
{
	return h->n == 0 ? 0 : h->us[(size_t)(share * (double)(h->n - 1))];
}

static void
print_direction(const struct load *l, const char *name, const struct heard *h)
{
	size_t sent = (size_t)(l->end_seq - l->first_seq) * l->calls_n;

	printf(" %s_sent=%zu %s_lost=%zu %s_min_us=%u %s_p50_us=%u %s_p99_us=%u %s_max_us=%u", name,
	    sent, name, sent - h->n, name, percentile(h, 0), name, percentile(h, 0.5), name,
	    percentile(h, 0.99), name, percentile(h, 1));
}

static void
report(struct load *l)
{
	size_t sent = (size_t)(l->end_seq - l->first_seq) * l->calls_n * SIDES, received;

	collect(l, 0);
	collect(l, 1);
	received = l->heard[0].n + l->heard[1].n;
	printf("calls=%u sent=%zu received=%zu lost=%zu duplicates=%llu strange=%llu "
	       "send_failed=%llu behind_us=%llu",
	    l->calls_n, sent, received, sent - received, (unsigned long long)l->duplicates,
	    (unsigned long long)l->strange, (unsigned long long)l->send_failed,
	    (unsigned long long)(l->behind_ns / 1000));
	print_direction(l, "in", &l->heard[0]);
	print_direction(l, "out", &l->heard[1]);
	printf("\n");
}

static void
dump(const struct load *l, const char *path)
{
	struct dump head = { l->calls_n, l->end_seq - l->first_seq, l->begin_ns };
	FILE *f = fopen(path, "w");

	if (f == NULL || fwrite(&head, sizeof(head), 1, f) != 1)
		die(path);
	for (int side = 0; side < SIDES; side++) {
		for (uint32_t c = 0; c < l->calls_n; c++) {
			if (fwrite(l->call[c].delay_us[side], sizeof(uint32_t), head.packets_n,
				f) != head.packets_n)
				die(path);
		}
	}
	if (fclose(f) != 0)
		die(path);
}

static int
usage(void)
{
	fprintf(stderr,
	    "usage: rtp_load [-d DRAIN_MS] [-o FILE] INSIDE OUTSIDE WARM_UP_S SECONDS "
	    "< CALLS\n");
	return 2;
}

int
main(int argc, char **argv)
{
	struct load l = { .calls_n = 0 };
	const char *dump_path = NULL;
	uint64_t drain_ms = DRAIN_MS;
	int option;

	while ((option = getopt(argc, argv, "d:o:")) != -1) {
		if (option == 'd')
			drain_ms = strtoull(optarg, NULL, 10);
		else if (option == 'o')
			dump_path = optarg;
		else
			return usage();
	}
	argv += optind;
	if (argc - optind != 4)
		return usage();
	l.first_seq = (uint32_t)(strtoull(argv[2], NULL, 10) * PACKETS_PER_S);
	l.end_seq = l.first_seq + (uint32_t)(strtoull(argv[3], NULL, 10) * PACKETS_PER_S);
	l.seq_max = l.end_seq + (uint32_t)(drain_ms * PACKETS_PER_S / 1000);
	l.fd[0] = open_phone(argv[0]);
	l.fd[1] = open_phone(argv[1]);
	read_calls(&l);
	if (l.calls_n == 0 || l.end_seq == l.first_seq || l.seq_max == l.end_seq)
		return usage();
	speak(&l);
	report(&l);
	if (dump_path != NULL)
		dump(&l, dump_path);
	return 0;
}
