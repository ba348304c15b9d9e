/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef VOFW_BASE_DAEMON_H
#define VOFW_BASE_DAEMON_H

#include <stdbool.h>

struct event_base;

/* Something else to do with a configuration than to run: asked for by --NAME or --NAME=VALUE. */
struct daemon_action {
	const char *name;   /* "doctor" */
	const char *values; /* the VALUE that it takes, "long"; it may be left out */
	const char *help;   /* one line for -h */
	const char *help_value;
	/* Prints to stdout, as JSON if `json` (--json); conf is borrowed. The exit status: 0 or 1. */
	int (*run)(const void *conf, const char *value, bool json);
};

/*
 * The skeleton both agents share: options (-c FILE, -t, -V, -h, an action), the event base, SIGHUP, SIGTERM,
 * SIGINT, SIGPIPE ignored, sd_notify's READY=1 over $NOTIFY_SOCKET when set, RLIMIT_NOFILE raised
 * to its hard limit. One thread.
 */
struct daemon {
	const char *name;    /* "hrac" */
	const char *summary; /* one line for -h */
	/* Loads and checks FILE; errors are on stderr as "FILE:LINE: ...". 0 and a new configuration. */
	int (*load)(const char *file, void **conf);
	void (*unload)(void *conf);
	/* Starts all services on `base`; takes over conf on success. Errors are logged by it. */
	int (*start)(struct event_base *base, void *conf, void **state);
	/* SIGHUP: takes over the new conf; what cannot change without a restart is logged. */
	void (*reload)(void *state, void *conf);
	/* SIGTERM: begins to end in order; calls event_base_loopexit when done (at most ~2 s). */
	void (*stop)(void *state);
	void (*free)(void *state);          /* after the loop ended */
	const struct daemon_action *action; /* NULL = none */
};

/*
 * Parses the options and runs; returns the exit status of main: 0 good, 1 bad. Of an action 2 is a
 * configuration or a command line that is of no use.
 */
int daemon_main(const struct daemon *d, int argc, char **argv);

#endif
