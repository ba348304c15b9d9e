# SPDX-License-Identifier: GPL-3.0-or-later
# The two ends of the tunnel's HTTP, joined in one process.
http_pair_sources = \
	tests/support/http_pair.c tests/support/http_pair.h tests/support/http_pair_assert.h \
	tests/support/tcp_forwarder.c tests/support/tcp_forwarder.h \
	tests/support/tls_ca.c tests/support/tls_ca.h
http_pair_libs = libuplink.a libproxy.a libgateway.a $(LDADD)

unit_tests += tests/unit/test_gateway
tests_unit_test_gateway_SOURCES = tests/unit/test_gateway.c $(http_pair_sources)
tests_unit_test_gateway_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_cause
tests_unit_test_uplink_cause_SOURCES = tests/unit/test_uplink_cause.c $(http_pair_sources)
tests_unit_test_uplink_cause_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_gateway
tests_unit_test_uplink_gateway_SOURCES = tests/unit/test_uplink_gateway.c $(http_pair_sources)
tests_unit_test_uplink_gateway_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_network
tests_unit_test_network_LDADD = libuplink.a libproxy.a $(LDADD)

unit_tests += tests/unit/test_uplink_ladder
tests_unit_test_uplink_ladder_LDADD = libuplink.a libproxy.a $(LDADD)

unit_tests += tests/unit/test_uplink_ways
tests_unit_test_uplink_ways_SOURCES = tests/unit/test_uplink_ways.c $(http_pair_sources)
tests_unit_test_uplink_ways_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_loss
tests_unit_test_uplink_loss_SOURCES = tests/unit/test_uplink_loss.c $(http_pair_sources)
tests_unit_test_uplink_loss_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_gateway_conn
tests_unit_test_gateway_conn_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_poll
tests_unit_test_uplink_poll_SOURCES = tests/unit/test_uplink_poll.c $(http_pair_sources)
tests_unit_test_uplink_poll_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_probe
tests_unit_test_uplink_probe_SOURCES = tests/unit/test_uplink_probe.c $(http_pair_sources)
tests_unit_test_uplink_probe_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_proxy
tests_unit_test_uplink_proxy_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_rekey
tests_unit_test_uplink_rekey_SOURCES = tests/unit/test_uplink_rekey.c $(http_pair_sources)
tests_unit_test_uplink_rekey_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_uplink_squid
tests_unit_test_uplink_squid_SOURCES = tests/unit/test_uplink_squid.c $(http_pair_sources)
tests_unit_test_uplink_squid_LDADD = $(http_pair_libs)

unit_tests += tests/unit/test_gateway_tls
tests_unit_test_gateway_tls_SOURCES = tests/unit/test_gateway_tls.c $(http_pair_sources)
tests_unit_test_gateway_tls_LDADD = $(http_pair_libs)
