# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_doctor
tests_unit_test_doctor_LDADD = libdoctor.a libuplink.a libproxy.a $(LDADD)
unit_tests += tests/unit/test_outage
tests_unit_test_outage_LDADD = libhrac.a $(LDADD)
unit_tests += tests/unit/test_taught
tests_unit_test_taught_LDADD = libhrac.a $(LDADD)
unit_tests += tests/unit/test_uplink_udp
tests_unit_test_uplink_udp_LDADD = libuplink.a libproxy.a $(LDADD)
unit_tests += tests/unit/test_pac
tests_unit_test_pac_LDADD = libuplink.a libproxy.a $(LDADD)
unit_tests += tests/unit/test_proxy_way
tests_unit_test_proxy_way_LDADD = libuplink.a libproxy.a $(LDADD)
unit_tests += tests/unit/test_proxy_find
tests_unit_test_proxy_find_LDADD = libuplink.a libproxy.a $(LDADD)

loopback_sources = tests/support/loopback.c tests/support/loopback.h
unit_tests += tests/unit/test_hrac
tests_unit_test_hrac_SOURCES = tests/unit/test_hrac.c $(loopback_sources)
tests_unit_test_hrac_LDADD = libhrac.a libuplink.a libproxy.a libgateway.a $(LDADD)
unit_tests += tests/unit/test_hras
tests_unit_test_hras_SOURCES = tests/unit/test_hras.c $(loopback_sources)
tests_unit_test_hras_LDADD = libhras.a libuplink.a libproxy.a libgateway.a $(LDADD)
