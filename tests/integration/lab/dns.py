# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server on the Internet of the laboratory."""

ADDRESS = "203.0.113.53"


class Dns:
    """dnsmasq with just these records, as its own options: "srv-host=NAME,TARGET,PORT"."""

    def __init__(self, lab, records):
        self.host = lab.internet.host("dns", ADDRESS + "/24")
        self.process = self.host.spawn("dnsmasq", [
            "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
            "--user=root", "--group=root", "--pid-file=", "--bind-interfaces", "--log-queries",
            f"--listen-address={ADDRESS}", "--local=/#/"] + [f"--{record}" for record in records])
        self.process.wait_output(r"cleared cache|read .* names")

    def questions(self):
        """What was asked so far."""
        return self.process.output()
