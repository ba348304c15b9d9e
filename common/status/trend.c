/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "status/trend.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "status/history.h"

#define PACKETS_MIN 20    /* between two samples, to tell what one costs */
#define SEGMENT_BYTES 52  /* IPv4 20, TCP 20, its timestamps 12 */
#define CHUNK_BYTES 7     /* "578", CRLF; CRLF behind it */
#define DATAGRAM_BYTES 28 /* UDP and IPv4 headers */
#define NAMES(x) x, sizeof(x) / sizeof(*(x))

static const char *const overall_names[] = { "calls" };

enum { MOS_MEAN, MOS_WORST, LOST, LATE, BURST, PACKETS, HEARD_N };
static const char *const heard_names[HEARD_N] = { "mos_mean", "mos_worst", "lost_percent",
	"late_percent", "burst_mean", "packets_s" };

enum {
	RTT,
	MIN_RTT,
	CONNECTIONS,
	LEVEL,
	REDUNDANCY = LEVEL + 2,
	COST = REDUNDANCY + 2,
	TUNNEL_N = COST + 2
};
static const char *const tunnel_names[TUNNEL_N] = { "rtt_ms", "min_rtt_ms", "connections",
	"loss_level_up", "loss_level_down", "redundancy_up", "redundancy_down",
	"bytes_per_packet_up", "bytes_per_packet_down" };

struct tunnel {
	char *agent;
	struct history *history;
	uint64_t session;
	struct trend_way last[TREND_WAYS];
	struct trend_cost cost[TREND_WAYS];
};

struct side { /* where it is heard */
	struct history *history;
	double now[HEARD_N];
	unsigned streams;
};

struct trend {
	uint64_t sampled_us;
	struct history *overall;
	struct side inside, outside;
	struct tunnel **tunnels;
	size_t tunnels_n;
};

struct trend *
trend_new(uint64_t now_us)
{
	struct trend *t = mem_zalloc(sizeof(*t));

	t->sampled_us = now_us;
	t->overall = history_new(NAMES(overall_names));
	t->inside.history = history_new(NAMES(heard_names));
	t->outside.history = history_new(NAMES(heard_names));
	for (size_t i = 0; i < HEARD_N; i++)
		t->inside.now[i] = t->outside.now[i] = NAN;
	return t;
}

static void
tunnel_free(struct tunnel *tunnel)
{
	if (tunnel == NULL)
		return;
	history_free(tunnel->history);
	mem_free(tunnel->agent);
	mem_free(tunnel);
}

void
trend_free(struct trend *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->tunnels_n; i++)
		tunnel_free(t->tunnels[i]);
	mem_free(t->tunnels);
	history_free(t->overall);
	history_free(t->inside.history);
	history_free(t->outside.history);
	mem_free(t);
}

/* -- What is heard -- */

static double
ratio(double part, double whole)
{
	return whole > 0 ? part / whole : NAN;
}

static void
sample_side(struct side *side, const struct heard_sum *h, double seconds)
{
	double sent = (double)(h->audio + h->lost);

	side->streams = h->streams;
	side->now[MOS_MEAN] = ratio((double)h->mos_sum / 100, h->streams);
	side->now[MOS_WORST] = h->streams > 0 ? h->mos_worst / 100.0 : NAN;
	side->now[LOST] = ratio(100 * (double)h->lost, sent);
	side->now[LATE] = ratio(100 * (double)h->late, sent);
	side->now[BURST] = ratio((double)h->run_missed, (double)h->runs);
	side->now[PACKETS] = ratio((double)h->packets, seconds);
	history_add(side->history, side->now);
}

/* -- Tunnels -- */

static struct tunnel *
tunnel_new(const struct trend_tunnel *now)
{
	struct tunnel *tunnel = mem_zalloc(sizeof(*tunnel));

	tunnel->agent = mem_strdup(now->agent);
	tunnel->history = history_new(NAMES(tunnel_names));
	return tunnel;
}

/* Which of the tunnels is this? Nearly always the one in the same place. */
static size_t
tunnel_find(const struct trend *t, const char *agent, size_t guess)
{
	if (guess < t->tunnels_n && t->tunnels[guess] != NULL &&
	    strcmp(t->tunnels[guess]->agent, agent) == 0)
		return guess;
	for (size_t i = 0; i < t->tunnels_n; i++)
		if (t->tunnels[i] != NULL && strcmp(t->tunnels[i]->agent, agent) == 0)
			return i;
	return SIZE_MAX;
}

static struct trend_cost
cost_since(const struct trend_way *now, const struct trend_way *last)
{
	double packets = (double)(now->packets - last->packets);
	double bytes = (double)(now->bytes - last->bytes);
	double datagrams = (double)(now->datagrams - last->datagrams);
	double batches = (double)(now->batches - last->batches) - datagrams;

	if (packets < PACKETS_MIN)
		return (struct trend_cost){ 0, 0 };
	return (struct trend_cost){ bytes / packets,
		(bytes + batches * (SEGMENT_BYTES + CHUNK_BYTES) + datagrams * DATAGRAM_BYTES) /
		    packets };
}

static double
known(double v)
{
	return v > 0 ? v : NAN;
}

static void
sample_tunnel(struct tunnel *tunnel, const struct trend_tunnel *now)
{
	double v[TUNNEL_N];

	if (now->session != tunnel->session)
		memset(tunnel->last, 0, sizeof(tunnel->last));
	tunnel->session = now->session;
	v[RTT] = now->up ? known((double)now->rtt_us / 1000) : NAN;
	v[MIN_RTT] = now->up ? known((double)now->min_rtt_us / 1000) : NAN;
	v[CONNECTIONS] = now->connections;
	for (unsigned w = 0; w < TREND_WAYS; w++) {
		tunnel->cost[w] = cost_since(&now->way[w], &tunnel->last[w]);
		tunnel->last[w] = now->way[w];
		v[LEVEL + w] = now->up ? now->way[w].loss_level : NAN;
		v[REDUNDANCY + w] = now->up ? now->way[w].redundancy : NAN;
		v[COST + w] = known(tunnel->cost[w].wire_bytes);
	}
	history_add(tunnel->history, v);
}

static void
sample_tunnels(struct trend *t, const struct trend_tunnel *now, size_t n)
{
	struct tunnel **tunnels = mem_calloc(n + 1, sizeof(struct tunnel *));
	size_t at;

	for (size_t i = 0; i < n; i++) {
		if ((at = tunnel_find(t, now[i].agent, i)) == SIZE_MAX) {
			tunnels[i] = tunnel_new(&now[i]);
		} else {
			tunnels[i] = t->tunnels[at];
			t->tunnels[at] = NULL;
		}
		sample_tunnel(tunnels[i], &now[i]);
	}
	for (size_t i = 0; i < t->tunnels_n; i++)
		tunnel_free(t->tunnels[i]);
	mem_free(t->tunnels);
	t->tunnels = tunnels;
	t->tunnels_n = n;
}

void
trend_sample(struct trend *t, const struct trend_now *now)
{
	double seconds = (double)(now->now_us - t->sampled_us) / CLOCK_S, calls = now->calls;

	t->sampled_us = now->now_us;
	history_add(t->overall, &calls);
	sample_side(&t->inside, &now->heard_inside, seconds);
	sample_side(&t->outside, &now->heard_outside, seconds);
	sample_tunnels(t, now->tunnels, now->tunnels_n);
}

/* -- Facts -- */

struct trend_cost
trend_cost(const struct trend *t, const char *agent, size_t place, unsigned way)
{
	size_t at = tunnel_find(t, agent, place);

	return at == SIZE_MAX ? (struct trend_cost){ 0, 0 } : t->tunnels[at]->cost[way];
}

static json_t *
side_json(const struct side *side)
{
	json_t *j = json_pack("{s:i}", "streams", (int)side->streams);

	for (size_t i = 0; i < HEARD_N; i++)
		json_object_set_new(j, heard_names[i],
		    isnan(side->now[i]) ? json_null() : json_real(round(side->now[i] * 100) / 100));
	return j;
}

json_t *
trend_heard_json(const struct trend *t)
{
	return json_pack("{s:o, s:o}", "inside", side_json(&t->inside), "outside",
	    side_json(&t->outside));
}

json_t *
trend_json(const struct trend *t)
{
	json_t *root = history_json(t->overall), *tunnels = json_array();

	for (size_t i = 0; i < t->tunnels_n; i++) {
		json_t *j = history_json(t->tunnels[i]->history);

		json_object_set_new(j, "agent", json_string(t->tunnels[i]->agent));
		json_array_append_new(tunnels, j);
	}
	json_object_set_new(root, "interval_s", json_integer(TREND_INTERVAL_S));
	json_object_set_new(root, "points", json_integer(HISTORY_POINTS));
	json_object_set_new(root, "heard_inside", history_json(t->inside.history));
	json_object_set_new(root, "heard_outside", history_json(t->outside.history));
	json_object_set_new(root, "tunnels", tunnels);
	return root;
}
