# SPDX-License-Identifier: GPL-3.0-or-later
"""A linphonec that speaks from a file and records into one."""

import os

from . import audio
from .hearing import Hearing
from .wait import wait_for

_CONFIG = """
[sip]
sip_port=5060
sip_tcp_port=0
sip_tls_port=0
guess_hostname=0
contact=sip:{user}@{address}
inc_timeout=60
default_proxy={default}
media_encryption=none

[net]
mtu=1300
firewall_policy=none

[rtp]
audio_rtp_port=7078

[sound]
echocancellation=0

[video]
enabled=0
"""
_ACCOUNT = """
[proxy_0]
reg_proxy=<sip:{proxy};transport=udp>
reg_route=<sip:{proxy};transport=udp;lr>
reg_identity=sip:{user}@{domain}
reg_expires=600
reg_sendregister=1
publish=0

[auth_info_0]
username={user}
passwd={password}
domain={domain}
"""


class Linphone(Hearing):
    """One linphonec, registered as `user` by `proxy` if that is given."""

    # On a busy machine its jitter buffer repeats and leaves out single frames of what it records;
    # a window with such a slip in it correlates with nothing.
    needed_share = 0.5

    def __init__(self, host, user, proxy=None, answer=False, password="wonderland",
                 domain="example.com"):
        lab = host.lab
        self.host, self.user, self.domain, self.address = host, user, domain, host.address
        self.voice = lab.voice(user)
        home = f"{host.name}-linphone-{user}"
        self.recording = lab.path(f"{home}/heard.wav")
        text = _CONFIG.format(user=user, address=host.address, default=0 if proxy else -1)
        if proxy:
            text += _ACCOUNT.format(user=user, domain=domain, proxy=proxy, password=password)
        config = lab.write(f"{home}/linphonerc", text)
        # Without a place for its database it starts, but never opens its SIP port.
        os.makedirs(lab.path(f"{home}/linphone"))
        os.makedirs(lab.path(f"{home}/.local/share/linphone"))
        directory = os.path.dirname(config)
        read, self.input = os.pipe()
        self.process = host.spawn(
            f"linphone-{user}",
            ["linphonec", "-c", config, "-d", "6", "-l", f"{directory}/log"]
            + (["-a"] if answer else []),
            stdin=read, cwd=directory,
            env={"HOME": directory, "XDG_DATA_HOME": directory, "XDG_CONFIG_HOME": directory})
        os.close(read)
        self.command("soundcard use files")
        # Its line editor scrolls what is longer than a terminal is wide: names relative to cwd.
        self.command(f"play {os.path.relpath(self.voice, directory)}")
        self.command("record heard.wav")
        self.process.wait_output("^linphonec> record")
        if proxy:
            wait_for(f"{user} to be registered", self._registered)

    def _registered(self):
        self.command("status register")
        return "registered, identity" in self.process.output()

    def command(self, text):
        os.write(self.input, text.encode() + b"\n")

    def dial(self, uri):
        self.command(f"call {uri}")

    def answer(self):
        self.command("answer")

    def hangup(self):
        self.command("terminate")

    def wait_established(self, timeout=10.0):
        self.process.wait_output(r"Media streams established", timeout)

    def wait_closed(self, timeout=10.0):
        self.process.wait_output(r"Call \d+ with .* ended", timeout)

    def heard(self):
        return audio.read_wav(self.recording)
