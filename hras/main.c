/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stddef.h>
#include <stdio.h>

#include "base/daemon.h"
#include "config/config.h"
#include "hras/hras.h"

static int
load(const char *file, void **conf)
{
	struct config_hras *c = NULL;
	char wrong[HRAS_WRONG_MAX];
	int err = config_load_hras(file, &c);

	if (err == 0 && (err = hras_check(c, wrong)) < 0) {
		fprintf(stderr, "%s: TLS: %s\n", file, wrong);
		config_free_hras(c);
		c = NULL;
	}
	*conf = c;
	return err;
}

static void
unload(void *conf)
{
	config_free_hras(conf);
}

int
main(int argc, char **argv)
{
	static const struct daemon daemon = {
		.name = "hras",
		.summary =
		    "The outside agent of VoFW: SIP proxy and registrar, and the other end of the tunnel.",
		.load = load,
		.unload = unload,
		.start = hras_start,
		.reload = hras_reload,
		.stop = hras_stop,
		.free = hras_free,
	};

	return daemon_main(&daemon, argc, argv);
}
