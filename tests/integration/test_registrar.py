# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may register, who may call, and what a restart of HRAS leaves of it."""

import signal

from lab.agents import HRAC, Hras
from lab.rawsip import Endpoint
from lab.scenes import Pair, both_hear, connect, hang_up
from lab.sipp import sdp
from lab.wait import expect, wait_for
from lab.world import HRAS


def test_outside_registers_by_digest(lab):
    hras = Hras(lab, {"auth": {"digest": "both"}}).start()
    bob = Endpoint(lab.out1, "bob", HRAS)
    answer = bob.ask("REGISTER", "sip:example.com", to="<sip:bob@example.com>")
    expect(answer.status == 401, f"a challenge, not {answer.start}")
    kinds = {text.split("algorithm=")[-1].split(",")[0].strip('" ').upper()
             for text in answer.all("WWW-Authenticate")}
    expect(kinds == {"MD5", "SHA-256"}, f"MD5 and SHA-256 are offered, not {kinds}")
    expect(bob.register(password="looking-glass").status in (401, 403), "a wrong password")
    expect(hras.status()["registrations"] == 0, "nobody is registered")
    for algorithm in ("MD5", "SHA-256"):
        answer = bob.register(algorithm=algorithm)
        expect(answer.status == 200, f"{algorithm}: {answer.start}")
        expect("expires=" in answer["Contact"], f"the binding is told: {answer['Contact']}")
    expect(hras.status()["registrations"] == 1, "one contact, however often")
    expect(bob.register(expires=0).status == 200, "it is taken back")
    hras.wait_status(lambda status: status["registrations"] == 0, "no registration left")


def test_a_digest_that_is_not_offered_is_not_taken(lab):
    hras = Hras(lab, {"auth": {"digest": "sha256"}}).start()
    bob = Endpoint(lab.out1, "bob", HRAS)
    answer = bob.ask("REGISTER", "sip:example.com", to="<sip:bob@example.com>")
    kinds = [text.split("algorithm=")[-1] for text in answer.all("WWW-Authenticate")]
    expect(kinds == ["SHA-256"], f"SHA-256 alone is offered, not {kinds}")
    weaker = bob.credentials(answer, "REGISTER", "sip:example.com").replace("SHA-256", "MD5")
    answer = bob.ask("REGISTER", "sip:example.com", to="<sip:bob@example.com>", cseq=2,
                     headers=weaker)
    expect(answer.status in (401, 403), f"refused, not {answer.start}")
    expect(bob.register().status == 200, "by SHA-256 it is")
    expect(hras.status()["registrations"] == 1, "one registration")


def test_a_nonce_of_ones_own_is_worth_nothing(lab):
    hras = Hras(lab).start()
    bob = Endpoint(lab.out1, "bob", HRAS)
    challenge = bob.ask("REGISTER", "sip:example.com", to="<sip:bob@example.com>")
    credentials = bob.credentials(challenge, "REGISTER", "sip:example.com")
    nonce = credentials.split('nonce="')[1].split('"')[0]
    forged = credentials.replace(nonce, "0" * len(nonce))
    answer = bob.ask("REGISTER", "sip:example.com", to="<sip:bob@example.com>", cseq=2,
                     headers=forged)
    expect(answer.status == 401, f"challenged again, not {answer.start}")
    expect(hras.status()["registrations"] == 0, "nobody is registered")


def test_one_cannot_register_as_another(lab):
    hras = Hras(lab).start()
    bob = Endpoint(lab.out1, "bob", HRAS)
    uri, victim = "sip:example.com", "<sip:alice@example.com>"
    challenge = bob.ask("REGISTER", uri, to=victim)
    credentials = bob.credentials(challenge, "REGISTER", uri)
    answer = bob.ask("REGISTER", uri, to=victim, cseq=2, headers=credentials)
    expect(answer.status == 403, f"bob is not alice: 403, not {answer.start}")
    expect(hras.status()["registrations"] == 0, "alice is not registered")


def test_outside_calls_only_with_a_password(lab):
    pair = Pair(lab)
    stranger = pair.outside_endpoint("mallory", lab.out2)
    for uri in ("sip:alice@example.com", "sip:someone@elsewhere.example.net"):
        answer = stranger.ask("INVITE", uri, body=sdp(port=6000).replace("[local_ip]", "192.0.2.1"))
        expect(answer.status in (403, 407), f"{uri}: {answer.start}")
    pair.hras.wait_calls(0)


def test_inside_is_asked_when_all_are(lab):
    pair = Pair(lab, hras={"auth": {"require": "all"}})
    alice = pair.inside_endpoint()
    answer = alice.ask("REGISTER", "sip:example.com", to="<sip:alice@example.com>")
    expect(answer.status == 401, f"a challenge, not {answer.start}")
    expect(alice.register().status == 200, "with the password")
    alice.close()
    phone, bob = pair.inside(), pair.outside(answer="auto")
    connect(phone, bob)
    both_hear(phone, bob, 1.0)
    hang_up(bob, phone)


def test_registrations_survive_a_restart_of_hras(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(answer="auto"), pair.outside(answer="auto")
    pair.hras.wait_registered("alice", "bob")
    before = sorted(r["aor"] for r in pair.hras.registrations())
    pair.hras.kill()
    pair.hrac.wait_no_tunnel()
    pair.hras.start()
    expect(sorted(r["aor"] for r in pair.hras.registrations()) == before, "the same bindings")
    pair.hras.wait_tunnel(agent="office", timeout=15)
    pair.hrac.wait_tunnel()
    connect(bob, alice)
    both_hear(bob, alice, 1.0)
    hang_up(bob, alice)
    connect(alice, bob)
    both_hear(bob, alice, 1.0)
    hang_up(alice, bob)


def test_a_phone_has_several_places(lab):
    """bob inside and bob outside: both ring, and when one answers the other stops."""
    pair = Pair(lab)
    alice = pair.inside()
    desk = pair.inside("bob", pair.office.p2)
    away = pair.outside("bob")
    pair.hras.wait_status(lambda status: status["registrations"] == 3, "three bindings")
    alice.dial("sip:bob@example.com")
    desk.wait_event("CALL_INCOMING")
    away.wait_event("CALL_INCOMING")
    away.answer()
    desk.wait_closed()
    alice.wait_event("CALL_ESTABLISHED")
    both_hear(alice, away)
    hang_up(away, alice)
    pair.hras.wait_calls(0)


def test_sighup_takes_a_new_user_and_no_call_is_lost(lab):
    pair = Pair(lab)
    alice, bob = pair.inside(), pair.outside(answer="auto")
    connect(alice, bob)
    erin = pair.outside_endpoint("erin", lab.out2)
    expect(erin.register().status in (401, 403), "erin is unknown")
    pair.hras.options["user erin"] = {"password": "wonderland"}
    pair.hras.write()
    pair.hras.process.signal(signal.SIGHUP)
    pair.hrac.process.signal(signal.SIGHUP)
    wait_for("erin to be taken", lambda: erin.register().status == 200)
    both_hear(alice, bob)
    hang_up(alice, bob)


def test_many_phones_register(lab):
    users = [f"u{i}" for i in range(60)]
    pair = Pair(lab, hras={f"user {user}": {"password": "wonderland"} for user in users})
    for number, user in enumerate(users):
        host, proxy = ((pair.office.p1, HRAC), (lab.out1, HRAS))[number % 2]
        pair.registered(user, host, proxy, port=5100 + number)
    expect(pair.hras.status()["registrations"] == len(users), "all of them are there")
    agents = [r["agent"] for r in pair.hras.registrations()]
    expect(agents.count("office") == 30 and agents.count(None) == 30, f"who is where: {agents}")
