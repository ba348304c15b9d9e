# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_auth
unit_tests += tests/unit/test_location
unit_tests += tests/unit/test_seal
unit_tests += tests/unit/test_proxy
tests_unit_test_proxy_SOURCES = tests/unit/test_proxy.c tests/unit/sip_world.c tests/unit/sip_world.h
unit_tests += tests/unit/test_access
tests_unit_test_access_SOURCES = tests/unit/test_access.c tests/unit/sip_world.c tests/unit/sip_world.h
unit_tests += tests/unit/test_registrar
tests_unit_test_registrar_SOURCES = tests/unit/test_registrar.c tests/unit/sip_world.c tests/unit/sip_world.h
unit_tests += tests/unit/test_hide
tests_unit_test_hide_SOURCES = tests/unit/test_hide.c tests/unit/sip_world.c tests/unit/sip_world.h
unit_tests += tests/unit/test_route
tests_unit_test_route_SOURCES = tests/unit/test_route.c tests/unit/sip_world.c tests/unit/sip_world.h
unit_tests += tests/unit/test_server
tests_unit_test_server_SOURCES = tests/unit/test_server.c tests/unit/sip_world.c tests/unit/sip_world.h
