# SPDX-License-Identifier: GPL-3.0-or-later
# The two ends of the tunnel's HTTP, joined in one process.
http_pair_sources = \
	tests/support/http_pair.c tests/support/http_pair.h \
	tests/support/tcp_forwarder.c tests/support/tcp_forwarder.h \
	tests/support/tls_ca.c tests/support/tls_ca.h

unit_tests += tests/unit/test_uplink_gateway
tests_unit_test_uplink_gateway_SOURCES = tests/unit/test_uplink_gateway.c $(http_pair_sources)
tests_unit_test_uplink_gateway_LDADD = libuplink.a libgateway.a $(LDADD)

unit_tests += tests/unit/test_uplink_squid
tests_unit_test_uplink_squid_SOURCES = tests/unit/test_uplink_squid.c $(http_pair_sources)
tests_unit_test_uplink_squid_LDADD = libuplink.a libgateway.a $(LDADD)
