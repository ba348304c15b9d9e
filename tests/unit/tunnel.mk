# SPDX-License-Identifier: GPL-3.0-or-later
# Two tunnels over simulated TCP; see tests/support/sim.h.
sim_sources = tests/support/sim.c tests/support/sim.h \
	tests/support/sim_line.c tests/support/sim_line.h \
	tests/bench/wan_line.c tests/bench/wan_line.h \
	tests/support/sim_stream.c tests/support/sim_stream.h \
	tests/support/sim_tcp.c tests/support/sim_tcp.h tests/support/sim_tcp_impl.h \
	tests/support/sim_tcp_sender.c \
	tests/support/sim_voice.c tests/support/sim_voice.h \
	tests/support/sim_watch.c tests/support/sim_watch.h
alone = tests/support/alone.c tests/support/alone.h
lossy_link = tests/support/lossy_link.c tests/support/lossy_link.h \
	tests/support/lossy_link_impl.h tests/support/lossy_harm.c
unit_tests += tests/unit/test_control tests/unit/test_guard tests/unit/test_handshake tests/unit/test_meter \
	tests/unit/test_parity tests/unit/test_probe tests/unit/test_protocol tests/unit/test_recover \
	tests/unit/test_reliable tests/unit/test_sched tests/unit/test_tunnel \
	tests/unit/test_tunnel_alone tests/unit/test_tunnel_frame tests/unit/test_tunnel_harm
unit_tests += tests/unit/test_cipher tests/unit/test_crypto tests/unit/test_rekey
unit_tests += tests/unit/test_tunnel_edge
tests_unit_test_tunnel_edge_SOURCES = tests/unit/test_tunnel_edge.c $(alone)
tests_unit_test_tunnel_alone_SOURCES = tests/unit/test_tunnel_alone.c $(alone)
tests_unit_test_tunnel_SOURCES = tests/unit/test_tunnel.c $(lossy_link)
unit_tests += tests/unit/test_tunnel_luck
tests_unit_test_tunnel_luck_SOURCES = tests/unit/test_tunnel_luck.c $(lossy_link)
tests_unit_test_tunnel_harm_SOURCES = tests/unit/test_tunnel_harm.c $(lossy_link)
unit_tests += tests/unit/test_sim
tests_unit_test_sim_SOURCES = tests/unit/test_sim.c $(sim_sources)
unit_tests += tests/unit/test_room_line
tests_unit_test_room_line_SOURCES = tests/unit/test_room_line.c $(sim_sources)
voice_lab = tests/unit/voice_lab.c tests/unit/voice_lab.h $(sim_sources)
unit_tests += tests/unit/test_tunnel_voice tests/unit/test_tunnel_guard
tests_unit_test_tunnel_voice_SOURCES = tests/unit/test_tunnel_voice.c $(voice_lab)
unit_tests += tests/unit/test_tunnel_poll
tests_unit_test_tunnel_poll_SOURCES = tests/unit/test_tunnel_poll.c $(alone) $(voice_lab)
tests_unit_test_tunnel_guard_SOURCES = tests/unit/test_tunnel_guard.c $(voice_lab)
unit_tests += tests/unit/test_datagram tests/unit/test_datapath \
	tests/unit/test_trust
tests_unit_test_datapath_SOURCES = tests/unit/test_datapath.c $(sim_sources)
