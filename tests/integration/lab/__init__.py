# SPDX-License-Identifier: GPL-3.0-or-later
"""The laboratory: networks, firewalls, phones and the pair of agents, all inside one private
network namespace. Nothing of it is seen by the host, and nothing of it survives the test."""
