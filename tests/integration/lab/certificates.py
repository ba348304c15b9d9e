# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority of the test's own, and what it signs."""

import subprocess


def _openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """`ca` is the PEM file that a client trusts."""

    def __init__(self, lab, name="ca"):
        self.lab, self.name = lab, name
        self.ca, self.key = lab.path(f"{name}.pem"), lab.path(f"{name}.key")
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                 "-nodes", "-days", "2", "-subj", f"/CN=laboratory {name}", "-keyout", self.key,
                 "-out", self.ca)

    def sign(self, address, days=2):
        """A certificate for an IP address: the names of (certificate, key)."""
        base = self.lab.path(f"{self.name}-{address}")
        extensions = self.lab.write(f"{self.name}-{address}.ext", f"subjectAltName=IP:{address}\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", f"/CN={address}", "-keyout", f"{base}.key", "-out", f"{base}.csr")
        _openssl("x509", "-req", "-in", f"{base}.csr", "-CA", self.ca, "-CAkey", self.key,
                 "-CAcreateserial", "-days", str(days), "-extfile", extensions,
                 "-out", f"{base}.pem")
        return f"{base}.pem", f"{base}.key"
