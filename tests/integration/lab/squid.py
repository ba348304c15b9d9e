# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's squid, as companies have it in front of the web."""

import hashlib
import re
import subprocess

from .wait import wait_for

_CONFIG = """
http_port {address}:3128
pid_filename none
visible_hostname proxy
cache deny all
cache_log {directory}/cache.log
access_log stdio:{directory}/access.log
coredump_dir {directory}
shutdown_lifetime 0 seconds
dns_nameservers 127.0.0.1
netdb_filename none
{more}
acl web port 80 443
{auth}
http_access allow web{user}
http_access deny all
"""
_AUTH = """
{schemes}
acl known proxy_auth REQUIRED"""
_SCHEMES = {
    "basic": """
auth_param basic program /usr/lib/squid/basic_ncsa_auth {directory}/users
auth_param basic realm squid""",
    "digest": """
auth_param digest program /usr/lib/squid/digest_file_auth -c {directory}/digests
auth_param digest realm squid""",
    # What a domain controller is asked for is taken on trust.
    "ntlm": "auth_param ntlm program /usr/lib/squid/ntlm_fake_auth",
    "negotiate": """
auth_param negotiate program /usr/lib/squid/negotiate_kerberos_auth -k {keytab} -s {principal}""",
}


class Squid:
    """A running squid on port 3128 of `host`. With `password` only user "office" may pass, who
    proves himself by one of `schemes`; "negotiate" wants a `service` of a kerberos.Realm. `tls` is
    a certificate and its key: then the clients speak TLS with the proxy itself."""

    def __init__(self, host, password=None, more="", schemes=("basic",), service=None, tls=None):
        lab = host.lab
        self.host = host
        directory = lab.path("squid")
        lab.write("squid/access.log", "")
        asks = password is not None or service is not None
        if password is not None:
            crypt = subprocess.run(["openssl", "passwd", "-apr1", password], text=True,
                                   capture_output=True, check=True).stdout
            lab.write("squid/users", f"office:{crypt}")
            digest = hashlib.md5(f"office:squid:{password}".encode()).hexdigest()
            lab.write("squid/digests", f"office:squid:{digest}\n")
        keytab, principal = (service.keytab, service.principal) if service else ("", "")
        auth = "".join(_SCHEMES[scheme] for scheme in schemes).format(
            directory=directory, keytab=keytab, principal=principal)
        config = _CONFIG.format(
            address=host.address, directory=directory, more=more,
            auth=_AUTH.format(schemes=auth) if asks else "", user=" known" if asks else "")
        if tls:
            config = config.replace("http_port", "https_port").replace(
                ":3128", f":3128 tls-cert={tls[0]} tls-key={tls[1]}")
        # squid gives up being root, and with it the right to write into the test's directory:
        # so it is never root.
        self.process = host.spawn(
            "squid", ["unshare", "--user", "--map-user=13", "--map-group=13", "squid", "-N", "-f",
                      lab.write("squid/squid.conf", config)],
            cwd=directory, env=service.environment if service else None)
        wait_for("squid", lambda: host.connect((host.address, 3128)))

    def log(self):
        with open(self.host.lab.path("squid/access.log"), encoding="utf-8") as file:
            return file.read()

    def answers(self, status):
        """How many requests got this HTTP status."""
        return len(re.findall(rf"/{status} ", self.log()))
