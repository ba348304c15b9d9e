# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kerberos realm of the test's own, with a real KDC."""

import subprocess

from .wait import wait_for

REALM = "EXAMPLE.COM"
_KRB5 = """
[libdefaults]
	default_realm = {realm}
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	udp_preference_limit = 1
[realms]
	{realm} = {{
		kdc = {kdc}:88
	}}
[domain_realm]
	.example.com = {realm}
"""
_KDC = """
[kdcdefaults]
	kdc_listen = {kdc}:88
	kdc_tcp_listen = {kdc}:88
[realms]
	{realm} = {{
		database_name = {directory}/principal
		key_stash_file = {directory}/stash
		acl_file = {directory}/acl
	}}
"""


class Service:
    """A principal whose keytab we have."""

    def __init__(self, realm, principal):
        self.principal = f"{principal}@{REALM}"
        self.keytab = realm.lab.path(f"kdc/{principal.replace('/', '-')}.keytab")
        self.environment = {**realm.environment, "KRB5_KTNAME": self.keytab,
                            "KRB5RCACHENAME": "none:"}
        realm.admin(f"addprinc -randkey {self.principal}",
                    f"ktadd -k {self.keytab} {self.principal}")


class Realm:
    """Its KDC runs on `host`; `environment` lets a process find it."""

    def __init__(self, host):
        self.lab, self.host = host.lab, host
        directory = self.lab.path("kdc")
        names = {"realm": REALM, "kdc": host.address, "directory": directory}
        self.environment = {
            "KRB5_CONFIG": self.lab.write("kdc/krb5.conf", _KRB5.format(**names)),
            "KRB5_KDC_PROFILE": self.lab.write("kdc/kdc.conf", _KDC.format(**names)),
        }
        self._run("kdb5_util", "create", "-r", REALM, "-s", "-P", "master")
        self.process = host.spawn("kdc", ["krb5kdc", "-n", "-r", REALM], env=self.environment)
        wait_for("the KDC", lambda: host.connect((host.address, 88)))

    def _run(self, *command, text=None):
        subprocess.run(command, env={**self.lab.environment, **self.environment}, input=text,
                       text=True, check=True, capture_output=True)

    def admin(self, *commands):
        for command in commands:
            self._run("kadmin.local", "-r", REALM, "-q", command)

    def service(self, principal):
        return Service(self, principal)

    def ticket(self, host, service):
        """The environment of a process on `host` that has a ticket of that principal's."""
        environment = {**self.environment, "KRB5CCNAME": "FILE:" + self.lab.path("kdc/cache")}
        with host.inside():
            subprocess.run(["kinit", "-k", "-t", service.keytab, service.principal],
                           env={**self.lab.environment, **environment}, check=True,
                           capture_output=True)
        return environment
