/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>

#include "tunnel/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The body of a probe, its report and its path: none is taken for more than it can be. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct probe_report report;
	static struct probe_reader reader;
	struct probe_plan plan = { .count = 3, .size = 24, .interval_ms = 1 };
	struct tunnel_grant grant = { .session = 1 };
	struct probe_request request;
	char path[TUNNEL_PATH_MAX] = "";

	probe_reader_init(&reader, &plan);
	(void)probe_read(&reader, 1, data, n / 2);
	(void)probe_read(&reader, 2, data + n / 2, n - n / 2);
	if (reader.n > plan.count)
		abort();
	if (probe_report_decode(data, n, &report) == 0 && report.n > PROBE_COUNT_MAX)
		abort();
	memcpy(path, data, n < sizeof(path) ? n : sizeof(path) - 1);
	if (request_parse_probe(path, &request) == 0 &&
	    (!probe_plan_good(&request.plan) || request_probe_genuine(&grant, &request)))
		abort();
	return 0;
}
