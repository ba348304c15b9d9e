# SPDX-License-Identifier: GPL-3.0-or-later
# Real agents and real phones in networks of the test's own: not a part of `make check`, which needs
# neither namespaces nor phones. `make check-integration NAME=hold` runs those whose name has "hold".
EXTRA_DIST += tests/integration/README.md tests/integration/run tests/integration/demo \
	tests/integration/lab \
	tests/integration/test_lab.py tests/integration/test_calls.py tests/integration/test_cloud.py \
	tests/integration/test_doctor.py tests/integration/test_flows.py \
	tests/integration/test_front.py tests/integration/test_registrar.py tests/integration/test_tunnel.py \
	tests/integration/test_ladder.py tests/integration/test_line.py tests/integration/test_luck.py tests/integration/test_media.py \
	tests/integration/test_poll.py \
	tests/integration/test_proxy.py tests/integration/test_heard.py tests/integration/test_room.py tests/integration/test_seal.py \
	tests/integration/test_status.py tests/integration/test_troubles.py \
	tests/integration/test_udp.py

check-integration: hrac/hrac hras/hras
	VOFW_BIN_DIR=$(abs_top_builddir) $(srcdir)/tests/integration/run $(NAME)
.PHONY: check-integration
