/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stddef.h>
#include <string.h>

#include "base/daemon.h"
#include "config/config.h"
#include "hrac/doctor/doctor.h"
#include "hrac/hrac.h"
#include "hrac/proxy/pac.h"

static int
load(const char *file, void **conf)
{
	struct config_hrac *c = NULL;
	int err = config_load_hrac(file, &c);

	*conf = c;
	return err;
}

static void
unload(void *conf)
{
	config_free_hrac(conf);
}

static int
doctor(const void *conf, const char *value, bool json)
{
	const struct doctor_options options = { .json = json, .is_long = value != NULL };

	return doctor_run(conf, &options);
}

int
main(int argc, char **argv)
{
	static const struct daemon_action action = {
		.name = "doctor",
		.values = "long",
		.help = "find out what stands in the way to HRAS, print it, and exit",
		.help_value = "likewise, with silences of up to two minutes",
		.run = doctor,
	};
	static const struct daemon daemon = {
		.name = "hrac",
		.summary =
		    "The inside agent of VoFW: takes the phones of a LAN to HRAS, through the firewall.",
		.load = load,
		.unload = unload,
		.start = hrac_start,
		.reload = hrac_reload,
		.stop = hrac_stop,
		.free = hrac_free,
		.action = &action,
	};

	if (argc > 0 && strcmp(argv[0], PAC_CHILD_NAME) == 0)
		return pac_child();
	return daemon_main(&daemon, argc, argv);
}
