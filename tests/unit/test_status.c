/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The status server asked over a real socket, with a source that the test controls. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "base/err.h"
#include "log/log.h"
#include "status/render.h"
#include "status/shape.h"
#include "status/status.h"

struct counts {
	uint64_t widgets, gadgets;
};

static struct counts counts = { 7, 3 };
static const struct metric table[] = {
	METRIC(struct counts, widgets, METRIC_COUNTER, "Widgets made."),
	METRIC(struct counts, gadgets, METRIC_GAUGE, "Gadgets there."),
	{ 0 },
};
static bool healthy;
static struct event_base *base;
static struct status *status;
static struct addr where;
static char answer[65536];

static json_t *
source_status(void *arg)
{
	(void)arg;
	return json_pack(
	    "{s:s, s:s, s:i, s:i, s:i, s:[{s:s, s:s, s:i, s:f, s:b, s:{s:i, s:b, s:n}}],"
	    " s:{s:{s:f, s:n}, s:{s:n}}}",
	    "role", "hras", "version", "0", "uptime_s", 5, "calls", 2, "registrations", 1,
	    "tunnels", "agent", "off\"ice", "state", "up", "connections", 2, "rtt_ms", 12.5,
	    "guarded", 1, "down", "loss_level", 2, "congested", 1, "bytes_per_packet", "heard",
	    "outside", "mos_worst", 3.25, "burst_mean", "inside", "mos_worst");
}

static json_t *
source_calls(void *arg, size_t max)
{
	(void)arg;
	return json_pack("{s:[i]}", "calls", (int)max);
}

static json_t *
source_registrations(void *arg, size_t max)
{
	(void)arg;
	return json_pack("{s:[i]}", "registrations", (int)max);
}

static bool
source_healthy(void *arg)
{
	(void)arg;
	return healthy;
}

static size_t
source_metrics(void *arg, struct metric_set *out, size_t cap)
{
	(void)arg;
	assert_true(cap >= 2);
	out[0] = (struct metric_set){ table, &counts };
	out[1] = (struct metric_set){ table, &counts };
	return 2;
}

static json_t *
source_history(void *arg)
{
	(void)arg;
	return json_pack("{s:[i, n]}", "calls", 3);
}

static const struct status_source source = { source_status, source_calls, source_registrations,
	source_healthy, source_metrics, source_history };

static int
start(void **state)
{
	(void)state;
	struct sockaddr_in any = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(any);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	/* A port that was free a moment ago. */
	if (bind(fd, (struct sockaddr *)&any, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)&any, &len) != 0)
		return -1;
	close(fd);
	addr_from_sockaddr((struct sockaddr *)&any, &where);
	base = event_base_new();
	return status_new(base, &where, &source, NULL, &status);
}

static int
stop(void **state)
{
	(void)state;
	status_free(status);
	event_base_free(base);
	return 0;
}

/* Sends one request and gives the whole answer; the server runs in between, on the same loop. */
static const char *
ask(const char *request)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t n = 0;
	ssize_t got;

	assert_int_equal(connect(fd, &where.u.sa, addr_len(&where)), 0);
	assert_int_equal(write(fd, request, strlen(request)), (ssize_t)strlen(request));
	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((got = read(fd, answer + n, sizeof(answer) - 1 - n)) != 0) {
		if (got > 0)
			n += (size_t)got;
		else
			event_base_loop(base, EVLOOP_ONCE);
	}
	close(fd);
	answer[n] = '\0';
	return answer;
}

static const char *
get(const char *path)
{
	char request[256];

	snprintf(request, sizeof(request),
	    "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
	return ask(request);
}

static void
status_json_has_the_figures_of_the_source_and_the_counters(void **state)
{
	(void)state;
	json_t *root;

	assert_non_null(strstr(get("/api/status"), "200 OK"));
	root = json_loads(strstr(answer, "\r\n\r\n"), 0, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "role")), "hras");
	/* Two sets of the same names are one counter. */
	assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "counters"),
			     "widgets")),
	    14);
	json_decref(root);
}

static void
metrics_are_prometheus_text_with_each_name_told_once(void **state)
{
	(void)state;
	const char *first;

	get("/metrics");
	first = strstr(answer, "\nvofw_widgets_total 14\n");
	assert_non_null(first);
	assert_null(strstr(first + 2, "vofw_widgets_total"));
	assert_non_null(strstr(answer, "# TYPE vofw_gadgets gauge\nvofw_gadgets 6\n"));
	assert_non_null(strstr(answer, "vofw_tunnel_up{agent=\"off\\\"ice\"} 1\n"));
	assert_non_null(strstr(answer, "vofw_calls 2\n"));
	assert_non_null(strstr(answer, "vofw_tunnel_guarded{agent=\"off\\\"ice\"} 1\n"));
}

static void
metrics_tell_each_direction_and_each_side_and_nothing_unknown(void **state)
{
	(void)state;
	get("/metrics");
	assert_non_null(strstr(answer,
	    "vofw_tunnel_loss_level{agent=\"off\\\"ice\",direction=\"down\"} 2\n"));
	assert_non_null(strstr(answer,
	    "vofw_tunnel_congested{agent=\"off\\\"ice\",direction=\"down\"} 1\n"));
	assert_null(strstr(answer, "direction=\"up\""));
	assert_null(strstr(answer, "vofw_tunnel_bytes_per_packet{"));
	assert_non_null(strstr(answer, "vofw_heard_mos_worst{listener=\"outside\"} 3.25\n"));
	assert_null(strstr(answer, "vofw_heard_mos_worst{listener=\"inside\"}"));
	assert_null(strstr(answer, "vofw_heard_burst_packets{"));
}

static void
lists_are_whole_unless_less_is_asked_for(void **state)
{
	(void)state;
	assert_non_null(strstr(get("/api/calls"), "{\"calls\":[0]}"));
	assert_non_null(strstr(get("/api/calls?max=20"), "{\"calls\":[20]}"));
	assert_non_null(strstr(get("/api/calls?max=x"), "{\"calls\":[0]}"));
	assert_non_null(strstr(get("/api/registrations?max=7"), "{\"registrations\":[7]}"));
}

static void
history_is_what_the_source_tells(void **state)
{
	(void)state;
	assert_non_null(strstr(get("/api/history"), "\r\n\r\n{\"calls\":[3,null]}"));
}

static json_t *
tunnel_with(const char *agent, const struct shape_room *r)
{
	json_t *tunnel = json_pack("{s:s, s:s}", "agent", agent, "state", "up");

	json_object_set_new(tunnel, "room", r != NULL ? shape_room(r) : json_null());
	return tunnel;
}

static void
rooms_are_told_where_they_are_known(void **state)
{
	const struct shape_room full = { 3, 4, 500, 310.26, 299.9, 7 }, open = { 0 };
	json_t *s = json_pack("{s:[o, o, o]}", "tunnels", tunnel_with("full", &full),
	    tunnel_with("open", &open), tunnel_with("away", NULL));
	char *text;
	size_t n;

	(void)state;
	text = render_prometheus(s, NULL, 0, &n);
	assert_non_null(strstr(text, "\nvofw_tunnel_room_calls{agent=\"full\"} 3\n"));
	assert_non_null(strstr(text, "\nvofw_tunnel_room_calls_max{agent=\"full\"} 4\n"));
	assert_non_null(strstr(text, "\nvofw_tunnel_bandwidth_max_kbit{agent=\"full\"} 500\n"));
	assert_non_null(strstr(text,
	    "\nvofw_tunnel_bandwidth_kbit{agent=\"full\",direction=\"up\"} 310.3\n"));
	assert_non_null(strstr(text,
	    "\nvofw_tunnel_bandwidth_kbit{agent=\"full\",direction=\"down\"} 299.9\n"));
	assert_non_null(strstr(text, "\nvofw_tunnel_room_refused{agent=\"full\"} 7\n"));
	assert_non_null(strstr(text, "\nvofw_tunnel_room_calls{agent=\"open\"} 0\n"));
	assert_null(strstr(text, "vofw_tunnel_room_calls_max{agent=\"open\"}"));
	assert_null(strstr(text, "vofw_tunnel_bandwidth_max_kbit{agent=\"open\"}"));
	assert_null(strstr(text, "vofw_tunnel_room_calls{agent=\"away\"}"));
	free(text);
	json_decref(s);
}

static void
healthz_follows_the_tunnel(void **state)
{
	(void)state;
	healthy = false;
	assert_non_null(strstr(get("/healthz"), " 503 "));
	healthy = true;
	assert_non_null(strstr(get("/healthz"), " 200 "));
}

static void
events_show_the_log_newest_first(void **state)
{
	(void)state;
	json_t *root, *list;

	log_info("test", "the first");
	log_info("test", "the last");
	get("/api/events");
	root = json_loads(strstr(answer, "\r\n\r\n"), 0, NULL);
	list = json_object_get(root, "events");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "text")),
	    "the last");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "text")),
	    "the first");
	json_decref(root);
}

static void
page_is_whole_and_asks_nobody_else(void **state)
{
	(void)state;
	get("/");
	assert_non_null(strstr(answer, "text/html"));
	assert_non_null(strstr(answer, "</html>"));
	assert_non_null(strstr(answer, "Content-Security-Policy: default-src 'none'"));
	assert_null(strstr(answer, "https://"));
	assert_null(strstr(answer, "http://"));
}

static void
other_paths_and_methods_are_refused(void **state)
{
	(void)state;
	assert_non_null(strstr(get("/../etc/passwd"), " 404 "));
	assert_non_null(strstr(get("/api/status/"), " 404 "));
	assert_non_null(strstr(ask("POST /api/status HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
				   "Connection: close\r\n\r\n"),
	    " 405 "));
}

static void
a_port_in_use_is_told(void **state)
{
	(void)state;
	struct status *second = NULL;

	assert_int_equal(status_new(base, &where, &source, NULL, &second), ERR_IN_USE);
	assert_null(second);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(status_json_has_the_figures_of_the_source_and_the_counters),
		cmocka_unit_test(metrics_are_prometheus_text_with_each_name_told_once),
		cmocka_unit_test(metrics_tell_each_direction_and_each_side_and_nothing_unknown),
		cmocka_unit_test(lists_are_whole_unless_less_is_asked_for),
		cmocka_unit_test(history_is_what_the_source_tells),
		cmocka_unit_test(rooms_are_told_where_they_are_known),
		cmocka_unit_test(healthz_follows_the_tunnel),
		cmocka_unit_test(events_show_the_log_newest_first),
		cmocka_unit_test(page_is_whole_and_asks_nobody_else),
		cmocka_unit_test(other_paths_and_methods_are_refused),
		cmocka_unit_test(a_port_in_use_is_told),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
