/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/daemon.h"
#include "base/err.h"
#include "config/config.h"
#include "log/log.h"

static int
load(const char *file, void **conf)
{
	struct config_hrac *c;
	int err = config_load_hrac(file, &c);

	if (err == 0)
		*conf = c;
	return err;
}

static void
unload(void *conf)
{
	config_free_hrac(conf);
}

static int
start(struct event_base *base, void *conf, void **state)
{
	const struct config_hrac *c = conf;

	(void)base;
	(void)state;
	log_set_level(c->log_level);
	config_warn_hrac(c);
	log_error("hrac", "this build has no services");
	return ERR_UNSUPPORTED;
}

int
main(int argc, char **argv)
{
	static const struct daemon hrac = {
		.name = "hrac",
		.summary = "VoFW inside agent: carries the SIP and voice of a LAN's phones through HTTP to HRAS",
		.load = load,
		.unload = unload,
		.start = start,
	};

	return daemon_main(&hrac, argc, argv);
}
