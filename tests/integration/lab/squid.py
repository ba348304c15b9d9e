# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's squid, as companies have it in front of the web."""

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
auth_param basic program /usr/lib/squid/basic_ncsa_auth {directory}/users
auth_param basic realm squid
acl known proxy_auth REQUIRED"""


class Squid:
    """A running squid on `host`; with `password`, only for user "office"."""

    def __init__(self, host, password=None, more=""):
        lab = host.lab
        self.host = host
        directory = lab.path("squid")
        lab.write("squid/access.log", "")
        if password:
            crypt = subprocess.run(["openssl", "passwd", "-apr1", password], text=True,
                                   capture_output=True, check=True).stdout
            lab.write("squid/users", f"office:{crypt}")
        config = lab.write("squid/squid.conf", _CONFIG.format(
            address=host.address, directory=directory, more=more,
            auth=_AUTH.format(directory=directory) if password else "",
            user=" known" if password else ""))
        # squid gives up being root, and with it the right to write into the test's directory:
        # so it is never root.
        self.process = host.spawn("squid", ["unshare", "--user", "--map-user=13", "--map-group=13",
                                            "squid", "-N", "-f", config], cwd=directory)
        wait_for("squid", lambda: host.connect((host.address, 3128)))

    def log(self):
        with open(self.host.lab.path("squid/access.log"), encoding="utf-8") as file:
            return file.read()
