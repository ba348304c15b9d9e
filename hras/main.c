/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/daemon.h"
#include "base/err.h"
#include "config/config.h"
#include "log/log.h"

static int
load(const char *file, void **conf)
{
	struct config_hras *c;
	int err = config_load_hras(file, &c);

	if (err == 0)
		*conf = c;
	return err;
}

static void
unload(void *conf)
{
	config_free_hras(conf);
}

static int
start(struct event_base *base, void *conf, void **state)
{
	const struct config_hras *c = conf;

	(void)base;
	(void)state;
	log_set_level(c->log_level);
	config_warn_hras(c);
	log_error("hras", "this build has no services");
	return ERR_UNSUPPORTED;
}

int
main(int argc, char **argv)
{
	static const struct daemon hras = {
		.name = "hras",
		.summary = "VoFW outside agent: the SIP proxy and registrar at the far end of HTTP tunnels",
		.load = load,
		.unload = unload,
		.start = start,
	};

	return daemon_main(&hras, argc, argv);
}
