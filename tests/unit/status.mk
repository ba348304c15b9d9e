# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_history tests/unit/test_status
