/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/daemon.h"

#include <errno.h>
#include <event2/event.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMER_SLACK_NS 5000UL
#define STOP_DEADLINE_S 3 /* after SIGTERM; an orderly end that takes longer is cut */

enum { OPTION_ACTION = 256, OPTION_JSON };

struct options {
	const char *file;
	bool check_only;
	bool action, json;
	const char *value; /* of the action; NULL = none */
	bool done;         /* -V or -h: all is said */
};

struct run {
	const struct daemon *d;
	const char *file;
	struct event_base *base;
	struct event *hup, *term, *interrupt, *deadline;
	void *state;
	bool stopping;
};

static void
usage(const struct daemon *d, FILE *f)
{
	fprintf(f,
	    "usage: %s -c FILE [-t]\n"
	    "%s\n"
	    "  -c FILE  the configuration\n"
	    "  -t       check the configuration and exit\n"
	    "  -V       print the version and exit\n"
	    "  -h       print this and exit\n",
	    d->name, d->summary);
	if (d->action != NULL)
		fprintf(f,
		    "  --%s [--json]\n           %s\n"
		    "  --%s=%s [--json]\n           %s\n",
		    d->action->name, d->action->help, d->action->name, d->action->values,
		    d->action->help_value);
}

/* A long option. false when it is wrong. */
static bool
take_long(const struct daemon *d, int c, struct options *o)
{
	if (c == OPTION_JSON) {
		o->json = true;
		return true;
	}
	o->action = true;
	o->value = optarg;
	return optarg == NULL || strcmp(optarg, d->action->values) == 0;
}

/* false when the command line is wrong. */
static bool
parse_options(const struct daemon *d, int argc, char **argv, struct options *o)
{
	const struct option longs[] = {
		{ d->action == NULL ? "" : d->action->name, optional_argument, NULL,
		    OPTION_ACTION },
		{ "json", no_argument, NULL, OPTION_JSON },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "c:tVh", d->action == NULL ? longs + 2 : longs,
		    NULL)) != -1) {
		switch (c) {
		case OPTION_ACTION:
		case OPTION_JSON:
			if (!take_long(d, c, o))
				return false;
			break;
		case 'c':
			o->file = optarg;
			break;
		case 't':
			o->check_only = true;
			break;
		case 'V':
			printf("%s (VoFW) %s\n", d->name, PACKAGE_VERSION);
			o->done = true;
			return true;
		case 'h':
			usage(d, stdout);
			o->done = true;
			return true;
		default:
			return false;
		}
	}
	return o->file != NULL && optind == argc && (o->action || !o->json);
}

/*
 * Tells systemd about a change of state, as sd_notify(3) describes: one datagram to the socket
 * it named, where a leading '@' stands for the abstract name space.
 */
static void
notify(const char *what)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = path == NULL ? 0 : strlen(path);
	int fd;

	if (n == 0 || n >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, n);
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	/* If nobody listens there is nobody to tell that to either. */
	(void)sendto(fd, what, strlen(what), MSG_NOSIGNAL, (const struct sockaddr *)&un,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
	close(fd);
}

/* Each call takes four sockets: the soft limit of 1024 would be its end at 250 calls. */
static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void
on_reload(evutil_socket_t sig, short what, void *arg)
{
	struct run *r = arg;
	void *conf;

	(void)sig;
	(void)what;
	if (r->stopping)
		return;
	if (r->d->load(r->file, &conf) < 0) {
		fprintf(stderr, "%s: the configuration in use stays as it was\n", r->d->name);
		return;
	}
	notify("RELOADING=1");
	r->d->reload(r->state, conf);
	notify("READY=1");
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct run *r = arg;

	(void)fd;
	(void)what;
	event_base_loopbreak(r->base);
}

/* The first signal ends in order, a second one at once. */
static void
on_stop(evutil_socket_t sig, short what, void *arg)
{
	static const struct timeval limit = { .tv_sec = STOP_DEADLINE_S };
	struct run *r = arg;

	(void)sig;
	(void)what;
	if (r->stopping) {
		event_base_loopbreak(r->base);
		return;
	}
	r->stopping = true;
	notify("STOPPING=1");
	evtimer_add(r->deadline, &limit);
	r->d->stop(r->state);
}

static bool
run_open(struct run *r)
{
	r->base = event_base_new();
	if (r->base == NULL)
		return false;
	r->hup = evsignal_new(r->base, SIGHUP, on_reload, r);
	r->term = evsignal_new(r->base, SIGTERM, on_stop, r);
	r->interrupt = evsignal_new(r->base, SIGINT, on_stop, r);
	r->deadline = evtimer_new(r->base, on_deadline, r);
	return r->hup != NULL && r->term != NULL && r->interrupt != NULL && r->deadline != NULL &&
	    event_add(r->hup, NULL) == 0 && event_add(r->term, NULL) == 0 &&
	    event_add(r->interrupt, NULL) == 0;
}

static void
run_close(struct run *r)
{
	struct event *events[] = { r->hup, r->term, r->interrupt, r->deadline };

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i] != NULL)
			event_free(events[i]);
	}
	if (r->base != NULL)
		event_base_free(r->base);
}

/* Takes over conf. The exit status. */
static int
run(const struct daemon *d, const char *file, void *conf)
{
	struct run r = { .d = d, .file = file };
	int status = 1;

	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	/* The system may lengthen a wait by this much to save power: not by as much as we nap. */
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
	if (!run_open(&r)) {
		fprintf(stderr, "%s: event loop: %s\n", d->name, strerror(errno));
		d->unload(conf);
	} else if (d->start(r.base, conf, &r.state) < 0) {
		d->unload(conf);
	} else {
		notify("READY=1");
		status = event_base_dispatch(r.base) < 0;
		d->free(r.state);
	}
	run_close(&r);
	return status;
}

/* Takes over conf. */
static int
act(const struct daemon *d, void *conf, const struct options *o)
{
	int status;

	signal(SIGPIPE, SIG_IGN);
	status = d->action->run(conf, o->value, o->json);
	d->unload(conf);
	return status;
}

int
daemon_main(const struct daemon *d, int argc, char **argv)
{
	struct options o = { 0 };
	void *conf;

	if (!parse_options(d, argc, argv, &o)) {
		usage(d, stderr);
		return o.action ? 2 : 1;
	}
	if (o.done)
		return 0;
	if (d->load(o.file, &conf) < 0)
		return o.action ? 2 : 1;
	if (o.action && !o.check_only)
		return act(d, conf, &o);
	if (o.check_only) {
		d->unload(conf);
		return 0;
	}
	return run(d, o.file, conf);
}
