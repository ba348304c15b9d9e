# SPDX-License-Identifier: GPL-3.0-or-later
# `make bench` prints tables: the pair of agents beside a bare TCP relay. Never a part of `make check`,
# which must not depend on how busy the machine is. BENCH="--calls 500 --only voice" chooses.
EXTRA_PROGRAMS = tests/bench/rtp_load tests/bench/tcp_shim tests/bench/turn_client \
	tests/bench/wan
tests_bench_rtp_load_SOURCES = tests/bench/rtp_load.c
tests_bench_rtp_load_LDADD =
tests_bench_tcp_shim_SOURCES = tests/bench/tcp_shim.c
tests_bench_tcp_shim_LDADD =
tests_bench_wan_SOURCES = tests/bench/wan.c tests/bench/wan_line.c tests/bench/wan_line.h \
	tests/bench/wan_tun.c tests/bench/wan_tun.h
tests_bench_wan_LDADD = -lm
tests_bench_turn_client_SOURCES = tests/bench/turn_client.c
tests_bench_turn_client_LDADD =
CLEANFILES += $(EXTRA_PROGRAMS)
# What the tunnel's pure part costs, without sockets: `make tests/bench/bench_tunnel` and run it.
EXTRA_PROGRAMS += tests/bench/bench_tunnel
# What a listener hears on a simulated line: `make tests/bench/sim`, then `tests/bench/sim --help`.
EXTRA_PROGRAMS += tests/bench/sim
tests_bench_sim_SOURCES = tests/bench/sim.c $(sim_sources)
tests_bench_sim_LDADD = libmedia.a libtunnel.a liblog.a libbase.a $(OPENSSL_LIBS) $(ORTP_LIBS) $(EVENT_LIBS) -lm

EXTRA_DIST += tests/bench/bench tests/bench/cores.py tests/bench/phones.py tests/bench/relays.py \
	tests/bench/uac.xml tests/bench/uas.xml tests/bench/wan.py tests/bench/quality \
	tests/bench/quality_lab.py tests/bench/quality_names.py tests/bench/quality_peers.py \
	tests/bench/quality_plan.py tests/bench/quality_plots.py tests/bench/quality_report.py \
	tests/bench/quality_room.py tests/bench/quality_runs.py tests/bench/quality_stats.py \
	tests/bench/quality_systems.py tests/bench/quality_verdicts.py tests/bench/quality_check \
	tests/bench/wan_check

bench: hrac/hrac hras/hras $(EXTRA_PROGRAMS)
	VOFW_BIN_DIR=$(abs_top_builddir) $(srcdir)/tests/bench/bench $(BENCH)

# What a listener hears over a bad line: the whole matrix (hours; what is in QUALITY_OUT already is not
# measured again), and the decisive cells (minutes). As root. QUALITY="--logs DIR" adds options.
QUALITY_OUT = quality.jsonl
bench-quality: hrac/hrac hras/hras $(EXTRA_PROGRAMS)
	VOFW_BIN_DIR=$(abs_top_builddir) $(srcdir)/tests/bench/quality --matrix all \
		--out $(QUALITY_OUT) $(QUALITY)
bench-quick: hrac/hrac hras/hras $(EXTRA_PROGRAMS)
	VOFW_BIN_DIR=$(abs_top_builddir) $(srcdir)/tests/bench/quality --quick $(QUALITY)
.PHONY: bench bench-quality bench-quick

# The instruments against known answers, before what they measure is believed.
bench_checks = tests/bench/wan_check tests/bench/quality_check

bench-check: tests/bench/wan tests/bench/rtp_load
	for check in $(bench_checks); do \
		VOFW_BIN_DIR=$(abs_top_builddir) $(srcdir)/$$check || exit 1; \
	done
.PHONY: bench-check
