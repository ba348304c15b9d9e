# SPDX-License-Identifier: GPL-3.0-or-later
unit_tests += tests/unit/test_auth
unit_tests += tests/unit/test_location
unit_tests += tests/unit/test_seal
