# SPDX-License-Identifier: GPL-3.0-or-later
vcit_lab = tests/unit/vcit_lab.c tests/unit/vcit_lab.h
unit_tests += tests/unit/test_room
unit_tests += tests/unit/test_vcit_end tests/unit/test_vcit_face tests/unit/test_vcit_offer \
	tests/unit/test_vcit_place tests/unit/test_vcit_reinvite tests/unit/test_vcit_row \
	tests/unit/test_vcit_server \
	tests/unit/test_vcit_storm
tests_unit_test_vcit_end_SOURCES = tests/unit/test_vcit_end.c $(vcit_lab)
tests_unit_test_vcit_face_SOURCES = tests/unit/test_vcit_face.c $(vcit_lab)
tests_unit_test_vcit_offer_SOURCES = tests/unit/test_vcit_offer.c $(vcit_lab)
tests_unit_test_vcit_place_SOURCES = tests/unit/test_vcit_place.c $(vcit_lab)
tests_unit_test_vcit_reinvite_SOURCES = tests/unit/test_vcit_reinvite.c $(vcit_lab)
tests_unit_test_vcit_row_SOURCES = tests/unit/test_vcit_row.c $(vcit_lab)
tests_unit_test_vcit_server_SOURCES = tests/unit/test_vcit_server.c \
	tests/unit/sip_world.c tests/unit/sip_world.h
tests_unit_test_vcit_storm_SOURCES = tests/unit/test_vcit_storm.c $(vcit_lab)
