# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_outage
tests_unit_test_outage_LDADD = libhrac.a $(LDADD)
unit_tests += tests/unit/test_taught
tests_unit_test_taught_LDADD = libhrac.a $(LDADD)
