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

    def sign(self, name, days=2, kind="IP"):
        """A certificate for an IP address, or with kind="DNS" for a name: the names of
        (certificate, key). A second one of the same name takes the place of the first."""
        base = self.lab.path(f"{self.name}-{name}")
        extensions = self.lab.write(f"{self.name}-{name}.ext", f"subjectAltName={kind}:{name}\n")
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                 "-subj", f"/CN={name}", "-keyout", f"{base}.key", "-out", f"{base}.csr")
        _openssl("x509", "-req", "-in", f"{base}.csr", "-CA", self.ca, "-CAkey", self.key,
                 "-CAcreateserial", "-days", str(days), "-extfile", extensions,
                 "-out", f"{base}.pem")
        return f"{base}.pem", f"{base}.key"


def serial(file):
    return subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", file], check=True,
                          text=True, capture_output=True).stdout.strip()


def shown_serial(host, address, port=443):
    """The serial of the certificate that a server shows to a new connection from `host`."""
    shown = host.run("openssl", "s_client", "-connect", f"{address}:{port}", text="")
    return host.run("openssl", "x509", "-noout", "-serial", text=shown).strip()
