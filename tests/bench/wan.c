/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tests/bench/wan_line.h"
#include "tests/bench/wan_tun.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/*
 * A WAN between two network namespaces, in user space: two TUN devices and the packets between
 * them, delayed, jittered, lost and queued by direction as wan_line.h says.
 *
 *	wan --a NETNS:IFNAME:ADDR/PREFIX --b NETNS:IFNAME:ADDR/PREFIX [--seed N]
 *
 * Prints "ready" when both devices are up, then answers each line of its input with one line:
 *
 *	set ab|ba|both NAME=VALUE ...	"ok": from now on the line is so; all of it or nothing
 *	stats				"ab NAME=VALUE ... ba NAME=VALUE ..."
 *	reset				"ok": the counters are zero
 *	quit				"ok", and ends, as the end of the input does
 *
 * or "error" and what is wrong. NAMEs of set are those of struct line_set. Of stats, by direction:
 * packets, bytes, udp_packets, udp_bytes, tcp_packets and tcp_bytes were offered, IP headers
 * included; dropped_loss, _burst, _queue, _off were lost by the line; delivered and delivered_bytes
 * came out; in_flight are on their way; overrun were lost by the emulator or its devices and must be
 * 0 for a measurement to count; packet_max is the largest packet's bytes; queue_max_ms the longest
 * wait for the link; late_p99_us and late_max_us how much later than planned packets came out.
 *
 * One thread at real-time priority if it may: the moments matter, and it sleeps in between. When there
 * is much to do it wakes once in NAP_NS, not for each packet: a packet then comes out up to half of it
 * too early or too late, and is taken to have come in the middle of the nap in which it came.
 */
#define WAYS 2
#define SLOT_LEN 2048
#define SLOTS 131072 /* packets on their way; memory is taken as they are */
#define WARM_SLOTS 4096
#define TURN_MAX 32    /* packets of a way read, and written, before the others get their turn */
#define LATE_MAX 16384 /* us */
#define PRIORITY 30
#define NAP_NS 150000

struct event {
	int64_t at;
	uint64_t order; /* of arrival, which decides between equal moments */
	uint32_t slot;
	uint32_t len;
};

struct counts {
	uint64_t packets, bytes;
	uint64_t udp_packets, udp_bytes, tcp_packets, tcp_bytes;
	uint64_t fate[LINE_OFF + 1]; /* LINE_PASSES: delivered */
	uint64_t delivered_bytes;
	uint64_t overrun;
	uint64_t packet_max;
	int64_t late_max;
	uint32_t late_us[LATE_MAX];
};

struct way {
	const char *name;
	struct tun *from, *to;
	struct line line;
	struct event *heap; /* the soonest first */
	size_t heap_n;
	uint64_t overrun_before; /* of the device, when the counters were reset */
	struct counts counts;
};

struct wan {
	struct tun tun[WAYS];
	struct way way[WAYS]; /* way[i] reads tun[i] */
	uint8_t *slots;
	uint32_t *free_slot;
	size_t free_n;
	uint64_t order;
	int64_t woke_at;
	unsigned handled; /* packets read and written in the last turn */
	bool busy;        /* more came than a wake each is worth */
	int64_t napped;   /* just now, so that what is read may have come so much earlier */
	char input[1024];
	size_t input_n;
	bool ended;
};

static int64_t
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void
die(const char *what)
{
	perror(what);
	exit(1);
}

/* -- What is on its way, by moment -- */

static bool
sooner(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void
heap_push(struct way *w, struct event e)
{
	size_t i = w->heap_n++;

	while (i > 0 && sooner(&e, &w->heap[(i - 1) / 2])) {
		w->heap[i] = w->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	w->heap[i] = e;
}

static struct event
heap_pop(struct way *w)
{
	struct event first = w->heap[0], last = w->heap[--w->heap_n];
	size_t i = 0, child;

	while ((child = 2 * i + 1) < w->heap_n) {
		if (child + 1 < w->heap_n && sooner(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!sooner(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return first;
}

/* -- The packets -- */

static void
count_offered(struct counts *c, const uint8_t *packet, size_t len)
{
	c->packets++;
	c->bytes += len;
	if (len > c->packet_max)
		c->packet_max = len;
	if (len < sizeof(struct in_addr) * 5 || packet[0] >> 4 != 4)
		return;
	if (packet[9] == IPPROTO_UDP) {
		c->udp_packets++;
		c->udp_bytes += len;
	} else if (packet[9] == IPPROTO_TCP) {
		c->tcp_packets++;
		c->tcp_bytes += len;
	}
}

/* Reads one packet of the way and decides what befalls it. False: there is none. */
static bool
take_in(struct wan *w, struct way *way)
{
	static uint8_t spare[SLOT_LEN]; /* what no slot is free for is read and lost */
	bool full = w->free_n == 0;
	uint32_t slot = full ? 0 : w->free_slot[w->free_n - 1];
	uint8_t *packet = full ? spare : w->slots + (size_t)slot * SLOT_LEN;
	ssize_t n = read(way->from->fd, packet, SLOT_LEN);
	enum line_fate fate;
	int64_t release;

	if (n <= 0) {
		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO)
			die(way->from->name);
		return false;
	}
	w->handled++;
	count_offered(&way->counts, packet, (size_t)n);
	if (full || n > WAN_MTU) {
		way->counts.overrun++;
		return true;
	}
	fate = line_offer(&way->line, (size_t)n, w->woke_at - w->napped / 2, &release);
	if (fate != LINE_PASSES) {
		way->counts.fate[fate]++;
		return true;
	}
	w->free_n--;
	heap_push(way, (struct event){ release, w->order++, slot, (uint32_t)n });
	return true;
}

static void
let_out(struct wan *w, struct way *way)
{
	struct event e = heap_pop(way);
	struct counts *c = &way->counts;
	int64_t late = now_ns() - e.at;

	if (write(way->to->fd, w->slots + (size_t)e.slot * SLOT_LEN, e.len) == (ssize_t)e.len) {
		c->fate[LINE_PASSES]++;
		c->delivered_bytes += e.len;
	} else {
		c->overrun++;
	}
	w->free_slot[w->free_n++] = e.slot;
	w->handled++;
	if (late < 0)
		late = 0;
	if (late > c->late_max)
		c->late_max = late;
	c->late_us[late / 1000 < LATE_MAX ? late / 1000 : LATE_MAX - 1]++;
}

/* -- Commands -- */

static const struct name {
	const char *name;
	size_t offset;
	double max;
} names[] = {
#define NAME(field, max)                                      \
	{                                                     \
#field, offsetof(struct line_set, field), max \
	}
	NAME(on, 1),
	NAME(rate_kbit, 1e8),
	NAME(queue_ms, 1e5),
	NAME(queue_bytes, 1e9),
	NAME(loss_pct, 100),
	NAME(burst_ms, 1e6),
	NAME(burst_every_ms, 1e8),
	NAME(burst_poisson, 1),
	NAME(delay_ms, 1e4),
	NAME(jitter_ms, 1e4),
	NAME(jitter_normal, 1),
	NAME(reorder, 1),
#undef NAME
};

/* "NAME=VALUE" into `s`. */
static const char *
assign(struct line_set *s, const char *word)
{
	const char *value = strchr(word, '=');
	char *end;
	double number;

	if (value++ == NULL)
		return "NAME=VALUE expected";
	number = strtod(value, &end);
	if (end == value || *end != '\0')
		return "a number expected";
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		size_t n = strlen(names[i].name);

		if ((size_t)(value - word) != n + 1 || strncmp(word, names[i].name, n) != 0)
			continue;
		if (!(number >= 0 && number <= names[i].max))
			return "out of range";
		memcpy((char *)s + names[i].offset, &number, sizeof(number));
		return NULL;
	}
	return "no such name";
}

/* The words of "set" after it. All that is said takes effect, or nothing. */
static const char *
set(struct wan *w, char *rest)
{
	char *save = NULL, *which = strtok_r(rest, " ", &save), *word;
	int64_t now = now_ns();
	struct line_set sets[WAYS];
	struct line trial;
	const char *wrong = NULL;
	bool chosen[WAYS];

	for (int i = 0; i < WAYS; i++) {
		sets[i] = w->way[i].line.set;
		chosen[i] = which != NULL &&
		    (strcmp(which, "both") == 0 || strcmp(which, w->way[i].name) == 0);
	}
	if (!chosen[0] && !chosen[1])
		return "ab, ba or both expected";
	while (wrong == NULL && (word = strtok_r(NULL, " ", &save)) != NULL)
		for (int i = 0; i < WAYS && wrong == NULL; i++)
			wrong = chosen[i] ? assign(&sets[i], word) : NULL;
	for (int i = 0; i < WAYS && wrong == NULL; i++) {
		trial = w->way[i].line;
		wrong = line_change(&trial, &sets[i], now);
	}
	for (int i = 0; i < WAYS && wrong == NULL; i++)
		if (chosen[i])
			(void)line_change(&w->way[i].line, &sets[i], now);
	return wrong;
}

static unsigned
late_p99_us(const struct counts *c)
{
	uint64_t total = 0, seen = 0;
	unsigned us;

	for (us = 0; us < LATE_MAX; us++)
		total += c->late_us[us];
	for (us = 0; us < LATE_MAX - 1; us++) {
		seen += c->late_us[us];
		if (seen * 100 >= total * 99)
			break;
	}
	return us;
}

static void
print_way(const struct way *way)
{
	const struct counts *c = &way->counts;
#define U(x) (unsigned long long)(x)

	printf("%s packets=%llu bytes=%llu udp_packets=%llu udp_bytes=%llu tcp_packets=%llu "
	       "tcp_bytes=%llu ",
	    way->name, U(c->packets), U(c->bytes), U(c->udp_packets), U(c->udp_bytes),
	    U(c->tcp_packets), U(c->tcp_bytes));
	printf("dropped_loss=%llu dropped_burst=%llu dropped_queue=%llu dropped_off=%llu ",
	    U(c->fate[LINE_LOST]), U(c->fate[LINE_BURST]), U(c->fate[LINE_QUEUE]),
	    U(c->fate[LINE_OFF]));
	printf("delivered=%llu delivered_bytes=%llu in_flight=%zu overrun=%llu packet_max=%llu ",
	    U(c->fate[LINE_PASSES]), U(c->delivered_bytes), way->heap_n,
	    U(c->overrun + tun_overrun(way->from) - way->overrun_before), U(c->packet_max));
	printf("queue_max_ms=%.3f late_p99_us=%u late_max_us=%llu",
	    (double)way->line.queued_max / 1e6, late_p99_us(c), U(c->late_max / 1000));
#undef U
}

static void
print_stats(const struct wan *w)
{
	print_way(&w->way[0]);
	putchar(' ');
	print_way(&w->way[1]);
	putchar('\n');
}

static void
reset(struct wan *w)
{
	for (int i = 0; i < WAYS; i++) {
		struct way *way = &w->way[i];

		memset(&way->counts, 0, sizeof(way->counts));
		way->line.queued_max = 0;
		way->overrun_before = tun_overrun(way->from);
	}
}

static void
obey(struct wan *w, char *command)
{
	const char *wrong = NULL;

	if (strcmp(command, "stats") == 0) {
		print_stats(w);
		return;
	}
	if (strcmp(command, "reset") == 0)
		reset(w);
	else if (strcmp(command, "quit") == 0)
		w->ended = true;
	else if (strncmp(command, "set ", 4) == 0)
		wrong = set(w, command + 4);
	else
		wrong = "set, stats, reset or quit expected";
	printf(wrong == NULL ? "ok\n" : "error %s\n", wrong);
}

static void
on_input(struct wan *w)
{
	ssize_t n = read(STDIN_FILENO, w->input + w->input_n, sizeof(w->input) - w->input_n);
	char *line = w->input, *end;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		w->ended = true;
		return;
	}
	w->input_n += (size_t)n;
	while (!w->ended && (end = memchr(line, '\n', (size_t)(w->input + w->input_n - line)))) {
		*end = '\0';
		obey(w, line);
		line = end + 1;
	}
	w->input_n = (size_t)(w->input + w->input_n - line);
	memmove(w->input, line, w->input_n);
	if (w->input_n == sizeof(w->input)) {
		printf("error a line of at most %zu bytes expected\n", sizeof(w->input) - 1);
		w->input_n = 0;
	}
	fflush(stdout);
}

/* -- The loop -- */

static int64_t
next_due(const struct wan *w)
{
	int64_t next = INT64_MAX;

	for (int i = 0; i < WAYS; i++)
		if (w->way[i].heap_n > 0 && w->way[i].heap[0].at < next)
			next = w->way[i].heap[0].at;
	return next;
}

/* As ppoll until a moment, or without end at INT64_MAX. */
static void
poll_until(struct pollfd *p, nfds_t n, int64_t until)
{
	int64_t left = until - now_ns();
	struct timespec wait = { 0 };

	if (left > 0)
		wait = (struct timespec){ left / 1000000000, left % 1000000000 };
	if (ppoll(p, n, until == INT64_MAX ? NULL : &wait, NULL) < 0 && errno != EINTR)
		die("ppoll");
}

/*
 * Sleeps until a packet or a command comes or the next packet is due; says what is readable. When
 * that was soon the last time too, for the rest of NAP_NS whatever comes.
 */
static void
sleep_until_due(struct wan *w, struct pollfd *p)
{
	int64_t before = w->woke_at, began = now_ns();

	if (w->busy) {
		poll_until(NULL, 0, before + NAP_NS);
		poll_until(p, WAYS + 1, 0);
	} else {
		poll_until(p, WAYS + 1, next_due(w));
	}
	w->woke_at = now_ns();
	w->napped = w->busy ? w->woke_at - began : 0;
	w->busy = w->busy ? w->handled > 1 : w->woke_at - before < NAP_NS;
	w->handled = 0;
}

static void
turn(struct wan *w, const struct pollfd *p)
{
	for (int i = 0; i < WAYS; i++) {
		struct way *way = &w->way[i];

		if (p[i].revents != 0)
			for (int n = 0; n < TURN_MAX && take_in(w, way); n++)
				;
		for (int n = 0;
		     n < TURN_MAX && way->heap_n > 0 && way->heap[0].at <= w->woke_at + NAP_NS / 2;
		     n++)
			let_out(w, way);
	}
	if (p[WAYS].revents != 0)
		on_input(w);
}

static void
run(struct wan *w)
{
	struct pollfd p[WAYS + 1] = {
		{ .fd = w->tun[0].fd, .events = POLLIN },
		{ .fd = w->tun[1].fd, .events = POLLIN },
		{ .fd = STDIN_FILENO, .events = POLLIN },
	};

	while (!w->ended) {
		sleep_until_due(w, p);
		turn(w, p);
	}
}

static void
be_punctual(void)
{
	struct sched_param priority = { .sched_priority = PRIORITY };

	(void)prctl(PR_SET_TIMERSLACK, 1UL);
	if (sched_setscheduler(0, SCHED_FIFO, &priority) < 0)
		fprintf(stderr, "wan: no real-time priority: %s\n", strerror(errno));
}

static void
allocate(struct wan *w)
{
	w->slots = mmap(NULL, (size_t)SLOTS * SLOT_LEN, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	w->free_slot = calloc(SLOTS, sizeof(*w->free_slot));
	if (w->slots == MAP_FAILED || w->free_slot == NULL)
		die("memory");
	memset(w->slots, 0, (size_t)WARM_SLOTS * SLOT_LEN);
	for (uint32_t i = 0; i < SLOTS; i++)
		w->free_slot[w->free_n++] = SLOTS - 1 - i;
	for (int i = 0; i < WAYS; i++) {
		w->way[i].heap = calloc(SLOTS, sizeof(*w->way[i].heap));
		if (w->way[i].heap == NULL)
			die("memory");
	}
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: wan --a NETNS:IFNAME:ADDR/PREFIX --b NETNS:IFNAME:ADDR/PREFIX "
	    "[--seed N]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	static struct wan w;
	const char *where[WAYS] = { NULL, NULL }, *failed;
	uint64_t seed = 1;

	for (int i = 1; i < argc; i += 2) {
		if (i + 1 == argc)
			usage();
		if (strcmp(argv[i], "--seed") == 0)
			seed = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--a") == 0 || strcmp(argv[i], "--b") == 0)
			where[argv[i][2] - 'a'] = argv[i + 1];
		else
			usage();
	}
	if (where[0] == NULL || where[1] == NULL)
		usage();
	allocate(&w);
	for (int i = 0; i < WAYS; i++) {
		failed = tun_open(&w.tun[i], where[i]);
		if (failed != NULL) {
			fprintf(stderr, "wan: %s: %s%s%s\n", where[i], failed, errno ? ": " : "",
			    errno ? strerror(errno) : "");
			return 1;
		}
	}
	for (int i = 0; i < WAYS; i++) {
		struct way *way = &w.way[i];

		way->name = i == 0 ? "ab" : "ba";
		way->from = &w.tun[i];
		way->to = &w.tun[1 - i];
		line_init(&way->line, WAYS * seed + (uint64_t)i);
	}
	reset(&w);
	be_punctual();
	puts("ready");
	fflush(stdout);
	run(&w);
	return 0;
}
