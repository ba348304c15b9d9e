/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "status/render.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "log/log.h"

#define PROMETHEUS_MAX (4u << 20)

json_t *
render_counters(const struct metric_set *sets, size_t n)
{
	json_t *root = json_object(), *old;

	for (size_t i = 0; i < n; i++) {
		for (const struct metric *m = sets[i].table; m->name != NULL; m++) {
			json_int_t v = (json_int_t)metric_value(&sets[i], m);

			if ((old = json_object_get(root, m->name)) != NULL)
				v += json_integer_value(old);
			json_object_set_new(root, m->name, json_integer(v));
		}
	}
	return root;
}

static void
on_event(void *arg, uint64_t wall_s, enum log_level level, const char *component, const char *text)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	json_t *array = arg;

	json_array_insert_new(array, 0,
	    json_pack("{s:I, s:s, s:s, s:s}", "time", (json_int_t)wall_s, "level", names[level],
		"component", component, "text", text));
}

json_t *
render_events(void)
{
	json_t *array = json_array();

	log_recent(on_event, array);
	return json_pack("{s:o}", "events", array);
}

/* A label value: backslash, quote and newline are escaped (the format's rule). */
static void
put_label(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n')
			buf_append(b, "\\n", 2);
		else if (*s == '\\' || *s == '"')
			buf_printf(b, "\\%c", *s);
		else
			buf_append(b, s, 1);
	}
}

static void
put_head(struct buf *b, const char *name, const char *help, const char *type)
{
	buf_printf(b, "# HELP vofw_%s %s\n# TYPE vofw_%s %s\n", name, help, name, type);
}

/* A figure of the status; a module's gauge of the same name is not told a second time. */
static void
put_figure(struct buf *b, const json_t *status, json_t *sums, const char *key, const char *name,
    const char *help)
{
	const json_t *v = json_object_get(status, key);

	json_object_del(sums, name);
	if (!json_is_number(v))
		return;
	put_head(b, name, help, "gauge");
	buf_printf(b, "vofw_%s %.10g\n", name, json_number_value(v));
}

static double
tunnel_figure(const json_t *tunnel, const char *key)
{
	const json_t *v = json_object_get(tunnel, key);

	if (json_is_string(v))
		return strcmp(json_string_value(v), "up") == 0;
	return json_is_boolean(v) ? json_is_true(v) : json_number_value(v);
}

static void
put_tunnels(struct buf *b, const json_t *status)
{
	static const struct {
		const char *key, *name, *help;
	} figures[] = {
		{ "state", "tunnel_up", "1 when the tunnel of this agent is up." },
		{ "connections", "tunnel_connections",
		    "Live pairs of GET and POST of the tunnel." },
		{ "rtt_ms", "tunnel_rtt_ms",
		    "Smoothed round-trip time of the tunnel, milliseconds." },
		{ "min_rtt_ms", "tunnel_min_rtt_ms",
		    "Smallest round-trip time of the last minute, milliseconds." },
		{ "guarded", "tunnel_guarded",
		    "1 while redundancy is held back since what waits in the line grew." },
		{ "bytes_sent", "tunnel_sent_bytes", "Body bytes sent in this session." },
		{ "bytes_received", "tunnel_received_bytes",
		    "Body bytes received in this session." },
		{ "reconnects", "tunnel_reconnects", "Sessions opened since the start." },
	};
	const json_t *tunnels = json_object_get(status, "tunnels"), *t;
	size_t i;

	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
		put_head(b, figures[f].name, figures[f].help, "gauge");
		json_array_foreach(tunnels, i, t) {
			const char *agent = json_string_value(json_object_get(t, "agent"));

			buf_printf(b, "vofw_%s{agent=\"", figures[f].name);
			put_label(b, agent ? agent : "");
			buf_printf(b, "\"} %.10g\n", tunnel_figure(t, figures[f].key));
		}
	}
}

/* One sample; nothing where the figure is not known. */
static void
put_way(struct buf *b, const json_t *tunnel, const char *way, const char *key, const char *name)
{
	const json_t *w = json_object_get(tunnel, way), *v = json_object_get(w, key);

	if (v == NULL || json_is_null(v))
		return;
	buf_printf(b, "vofw_%s{agent=\"", name);
	put_label(b, json_string_value(json_object_get(tunnel, "agent")) ?: "");
	buf_printf(b, "\",direction=\"%s\"} %.10g\n", way, tunnel_figure(w, key));
}

static void
put_ways(struct buf *b, const json_t *status)
{
	static const struct {
		const char *key, *name, *help;
	} figures[] = {
		{ "loss_level", "tunnel_loss_level",
		    "Loss of this direction: 0 none, 1 some, 2 much." },
		{ "loss", "tunnel_loss_ratio", "Share of the voice that was missed lately." },
		{ "runs", "tunnel_loss_runs", "1 while what is missed comes in runs." },
		{ "redundancy_level", "tunnel_redundancy",
		    "How voice is protected: 0 none, 1 resend, 2 and 3 repeat, 4 and 5 parity, 6 distant." },
		{ "congested", "tunnel_congested", "1 while what waits in the line grows." },
		{ "connections", "tunnel_streams",
		    "Live connections of this direction; polled, its requests in flight." },
		{ "connections_wanted", "tunnel_streams_wanted",
		    "Connections that this direction should have." },
		{ "bytes_per_packet", "tunnel_bytes_per_packet",
		    "Bytes on the wire for each packet of voice, estimated." },
	};
	const json_t *t;
	size_t i;

	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
		put_head(b, figures[f].name, figures[f].help, "gauge");
		json_array_foreach(json_object_get(status, "tunnels"), i, t) {
			put_way(b, t, "up", figures[f].key, figures[f].name);
			put_way(b, t, "down", figures[f].key, figures[f].name);
		}
	}
}

static void
put_heard(struct buf *b, const json_t *status)
{
	static const char *const listeners[] = { "inside", "outside" };
	static const struct {
		const char *key, *name, *help;
	} figures[] = {
		{ "streams", "heard_streams",
		    "Streams of voice that were heard in the last sample." },
		{ "mos_mean", "heard_mos_mean", "Mean MOS of what was heard, by the E-model." },
		{ "mos_worst", "heard_mos_worst", "MOS of who heard worst." },
		{ "lost_percent", "heard_lost_percent", "Voice that never came, per cent." },
		{ "late_percent", "heard_late_percent",
		    "Voice that came too late to be played, per cent." },
		{ "burst_mean", "heard_burst_packets",
		    "Mean length of the runs of packets lost or late." },
		{ "packets_s", "heard_packets_per_second", "Packets heard in a second." },
	};
	const json_t *heard = json_object_get(status, "heard"), *v;

	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
		put_head(b, figures[f].name, figures[f].help, "gauge");
		for (size_t i = 0; i < 2; i++) {
			v = json_object_get(json_object_get(heard, listeners[i]), figures[f].key);
			if (json_is_number(v))
				buf_printf(b, "vofw_%s{listener=\"%s\"} %.10g\n", figures[f].name,
				    listeners[i], json_number_value(v));
		}
	}
}

static void
put_metric(struct buf *b, const char *name, const struct metric *m, json_int_t value)
{
	bool counter = m->kind == METRIC_COUNTER;

	buf_printf(b,
	    "# HELP vofw_%s%s %s\n# TYPE vofw_%s%s %s\nvofw_%s%s %" JSON_INTEGER_FORMAT "\n", name,
	    counter ? "_total" : "", m->help, name, counter ? "_total" : "",
	    counter ? "counter" : "gauge", name, counter ? "_total" : "", value);
}

/* Where there is no maximum there is no sample. */
static void
put_room(struct buf *b, const json_t *tunnel, const char *key, const char *label, const char *name)
{
	const json_t *v = json_object_get(json_object_get(tunnel, "room"), key);

	if (*label != '\0')
		v = json_object_get(v, label);
	if (!json_is_number(v))
		return;
	buf_printf(b, "vofw_%s{agent=\"", name);
	put_label(b, json_string_value(json_object_get(tunnel, "agent")) ?: "");
	if (*label != '\0')
		buf_printf(b, "\",direction=\"%s", label);
	buf_printf(b, "\"} %.10g\n", json_number_value(v));
}

static void
put_rooms(struct buf *b, const json_t *status)
{
	static const struct {
		const char *key, *label[2], *name, *help;
	} figures[] = {
		{ "calls", { "" }, "tunnel_room_calls", "Calls that take room in this tunnel." },
		{ "calls_max", { "" }, "tunnel_room_calls_max",
		    "Calls that there is room for in this tunnel, as far as is known." },
		{ "bandwidth_max_kbit", { "" }, "tunnel_bandwidth_max_kbit",
		    "Most traffic of this tunnel, kbit/s each way." },
		{ "bandwidth_kbit", { "up", "down" }, "tunnel_bandwidth_kbit",
		    "IP traffic of this tunnel, kbit/s." },
		{ "refused", { "" }, "tunnel_room_refused",
		    "Calls refused for want of room since this agent came." },
	};
	const json_t *tunnel;
	size_t i;

	for (size_t f = 0; f < sizeof(figures) / sizeof(figures[0]); f++) {
		put_head(b, figures[f].name, figures[f].help, "gauge");
		json_array_foreach(json_object_get(status, "tunnels"), i, tunnel) {
			for (int l = 0; l < 2 && figures[f].label[l] != NULL; l++)
				put_room(b, tunnel, figures[f].key, figures[f].label[l],
				    figures[f].name);
		}
	}
}

char *
render_prometheus(const json_t *status, const struct metric_set *sets, size_t n, size_t *len)
{
	json_t *sums = render_counters(sets, n);
	struct buf b;
	char *out;

	buf_init(&b, PROMETHEUS_MAX);
	put_head(&b, "info", "The version and role of this agent.", "gauge");
	buf_printf(&b, "vofw_info{role=\"");
	put_label(&b, json_string_value(json_object_get(status, "role")) ?: "");
	buf_printf(&b, "\",version=\"");
	put_label(&b, json_string_value(json_object_get(status, "version")) ?: "");
	buf_printf(&b, "\"} 1\n");
	put_figure(&b, status, sums, "uptime_s", "uptime_seconds",
	    "Seconds since the agent started.");
	put_figure(&b, status, sums, "calls", "calls", "Calls in the table now.");
	put_figure(&b, status, sums, "registrations", "registrations", "Registered contacts now.");
	put_tunnels(&b, status);
	put_ways(&b, status);
	put_heard(&b, status);
	for (size_t i = 0; i < n; i++) {
		for (const struct metric *m = sets[i].table; m->name != NULL; m++) {
			const json_t *v = json_object_get(sums, m->name);

			/* The sum of equal names is told once, where the first of them stands. */
			if (v == NULL)
				continue;
			put_metric(&b, m->name, m, json_integer_value(v));
			json_object_del(sums, m->name);
		}
	}
	put_rooms(&b, status);
	json_decref(sums);
	*len = buf_len(&b);
	out = malloc(*len + 1);
	if (out == NULL)
		abort();
	memcpy(out, buf_data(&b), *len);
	out[*len] = '\0';
	buf_free(&b);
	return out;
}
