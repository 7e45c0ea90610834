"""Mails, to a real SMTP server with TLS and passwords (aiosmtpd)."""

from __future__ import annotations

import email
import email.policy
import re
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from tests.senders.test_senders import SOON, message
from tests.support.rules import rule

from progressive.errors import Failure, NotificationError, StrategyError
from progressive.model.message import Severity
from progressive.senders.mail import Mail

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult, Session


@attrs.define
class Inbox:
    """What an SMTP server took. ``refuses``: what it says instead, of the next mails."""

    mails: list[Any] = attrs.field(factory=list)
    refuses: list[str] = attrs.field(factory=list)

    async def handle_RCPT(  # noqa: N802 (aiosmtpd's name)
        self, server: Any, session: Session, envelope: Any, address: str, options: Any
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such user"
        if address.startswith("later"):
            return "451 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 (aiosmtpd's name)
        self, server: Any, session: Session, envelope: Any
    ) -> str:
        if self.refuses:
            return self.refuses.pop(0)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.mails.append((envelope.rcpt_tos, session.ssl is not None, session.authenticated, mail))
        return "250 OK"


def allowed(server: Any, session: Session, envelope: Any, mechanism: str, data: Any) -> AuthResult:
    right = (data.login, data.password) == (b"deploys", b"s3cr3t-password")
    return AuthResult(success=right, handled=right)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, path


@pytest.fixture
def served(authority: tuple[trustme.CA, Path]) -> Iterator[tuple[Inbox, Callable[..., Mail]]]:
    """A server with STARTTLS, and what makes a `Mail` to it."""
    ca, path = authority
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    inbox = Inbox()
    controller = Controller(
        inbox,
        hostname="localhost",
        port=free_port(),
        tls_context=context,
        require_starttls=True,
        auth_required=True,
        authenticator=allowed,
    )
    controller.start()

    def made(**more: Any) -> Mail:
        given: dict[str, Any] = {
            "sender": "Deploys <deploys@example.org>",
            "to": ["on-call@example.org", "team@example.org"],
            "port": controller.port,
            "user": "deploys",
            "password": "s3cr3t-password",
            "ca": str(path),
            "timeout": SOON,
        }
        return Mail("localhost", **(given | more))

    try:
        yield inbox, made
    finally:
        controller.stop()


def free_port() -> int:
    with socket.create_server(("localhost", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


Served = tuple[Inbox, Callable[..., Mail]]


def test_a_rollout_is_one_conversation_of_encrypted_mails(served: Served) -> None:
    inbox, made = served
    first = made().send(message(1))
    second = made().send(message(2, again=True, link="https://deploy.example/shop"), first)

    (to, encrypted, authenticated, one), (*_, two) = inbox.mails
    assert (to, encrypted) == (["on-call@example.org", "team@example.org"], True)
    assert authenticated
    assert (one["Subject"], two["Subject"]) == ("shop: v1 to v2 (shop.2)",) * 2
    assert one["Message-ID"] != two["Message-ID"]
    assert all(re.fullmatch(r"<[0-9a-f]{32}@example\.org>", m["Message-ID"]) for m in (one, two))
    assert first == second == two["References"] == two["In-Reply-To"] == one["Message-ID"]
    assert one["References"] is None
    assert two["X-Progressive-Id"] == "shop.2/4/2"
    text = two.get_content()
    assert "entered step 2 <!channel> & more" in text
    assert "more: https://deploy.example/shop" in text
    assert "perhaps sent before" in text and "perhaps" not in one.get_content()


def test_text_with_headers_in_it_adds_none(served: Served) -> None:
    inbox, made = served
    made().send(
        message(service="shop\r\nBcc: eve@example.org", text="é\r\n.\r\nQUIT\r\n", stable="v\n1")
    )

    [(to, _, _, mail)] = inbox.mails
    assert to == ["on-call@example.org", "team@example.org"]
    assert mail["Bcc"] is None
    assert "QUIT" in mail.get_content()


@pytest.mark.parametrize(
    ("more", "refuses", "failure", "said"),
    [
        ({"password": "wrong-s3cr3t"}, [], Failure.PERMANENT, "answered 535"),
        ({"password": lambda: "wrong-s3cr3t"}, [], Failure.PERMANENT, "answered 535"),
        ({"to": "nobody@example.org"}, [], Failure.PERMANENT, "no such user"),
        ({"to": "later@example.org"}, [], Failure.TRANSIENT, "greylisted"),
        ({}, ["451 busy"], Failure.TRANSIENT, "answered 451: b'busy'"),
        ({}, ["554 spam"], Failure.PERMANENT, "answered 554: b'spam'"),
        ({"ca": None}, [], Failure.TRANSIENT, "certificate verify failed"),
    ],
)
@rule("R37")
def test_what_the_server_refuses_is_said_without_the_password(
    served: Served, more: Any, refuses: list[str], failure: Failure, said: str
) -> None:
    inbox, made = served
    inbox.refuses = refuses
    with pytest.raises(NotificationError) as caught:
        made(**more).send(message(severity=Severity.ERROR))

    assert caught.value.failure is failure
    assert said in str(caught.value)
    assert caught.value.__context__ is None
    assert "s3cr3t" not in str(caught.value) + repr(made(**more))
    assert inbox.mails == []


def test_nobody_there_may_pass(served: Served) -> None:
    _, made = served
    with pytest.raises(NotificationError, match="ConnectionRefusedError") as caught:
        made(port=free_port()).send(message())

    assert caught.value.failure is Failure.TRANSIENT


@pytest.mark.parametrize("other", ["later@example.org", "nobody@example.org"])
def test_an_address_that_is_refused_beside_a_good_one_is_logged_and_bothers_no_other(
    served: Served, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    """To fail would be to send it to the others again, for as long as it is refused."""
    inbox, made = served
    handle = made(to=["team@example.org", other]).send(message())

    [(taken, *_, mail)] = inbox.mails
    assert (taken, mail["Message-ID"]) == (["team@example.org"], handle)
    [record] = [each for each in caplog.records if each.name == "progressive.notify"]
    assert record.levelname == "WARNING"
    assert "refused some of the addresses" in record.getMessage()
    assert other in record.getMessage()


def test_a_long_id_keeps_its_conversation(served: Served) -> None:
    inbox, made = served
    long = "team-payments/checkout-service/2026-01-31T09.30.00Z-0123456789abcdef"
    first = made().send(message(rollout=long, id=f"{long}/4/1"))
    made().send(message(rollout=long, id=f"{long}/4/2"), first)

    (*_, one), (*_, two) = inbox.mails
    assert two["In-Reply-To"] == one["Message-ID"] == first


def test_a_password_that_no_server_takes_needs_a_person(served: Served) -> None:
    _, made = served
    with pytest.raises(NotificationError) as caught:
        made(password="caf\N{LATIN SMALL LETTER E WITH ACUTE}").send(message())

    assert caught.value.failure is Failure.PERMANENT


@contextmanager
def speaking(*lines: bytes) -> Iterator[int]:
    """A server that says these lines, one after each that it gets, and hangs up."""
    with socket.create_server(("localhost", 0)) as listening:

        def serve() -> None:
            sock, _ = listening.accept()
            with sock, sock.makefile("rwb") as file:
                for i, line in enumerate(lines):
                    if i:
                        file.readline()
                    file.write(line + b"\r\n")
                    file.flush()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        thread.join(10)


@pytest.mark.parametrize(
    ("lines", "failure"),
    [
        ((b"220 hello",), Failure.TRANSIENT),
        ((b"220 hello", b"250 me", b"250 me", b"250 ok"), Failure.UNKNOWN),
        ((b"554 go away",), Failure.PERMANENT),
    ],
)
def test_a_server_that_hangs_up_has_perhaps_taken_what_it_was_given(
    lines: tuple[bytes, ...], failure: Failure
) -> None:
    with speaking(*lines) as port, pytest.raises(NotificationError) as caught:
        Mail("localhost", sender="a@b.example", to="c@d.example", port=port, timeout=SOON).send(
            message()
        )

    assert caught.value.failure is failure


def test_to_another_machine_nothing_is_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("progressive.senders.mail.LOCAL", ())
    with speaking(b"220 hello", b"250 me") as port:
        sender = Mail("localhost", sender="a@b.example", to="c@d.example", port=port, timeout=SOON)
        with pytest.raises(NotificationError, match="STARTTLS extension not supported"):
            sender.send(message())


def test_over_tls_from_the_first_byte(
    authority: tuple[trustme.CA, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ca, path = authority
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost").configure_cert(context)
    inbox, port = Inbox(), free_port()
    monkeypatch.setattr("progressive.senders.mail.OVER_TLS", port)
    controller = Controller(inbox, hostname="localhost", port=port, ssl_context=context)
    controller.start()
    try:
        Mail("localhost", sender="a@b.example", to="c@d.example", port=port, ca=str(path)).send(
            message()
        )
    finally:
        controller.stop()

    assert len(inbox.mails) == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"to": []}, "Mail.to: nobody; write ['deploys@example.org']"),
        ({"to": "eve"}, "'eve' is no address; write 'deploys@example.org'"),
        ({"to": ["a@b.example\nBcc: c@d"]}, "is no address"),
        ({"sender": "eve"}, "Mail.sender: 'eve' is no address"),
        ({"port": 0}, "port"),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(given: Any, problem: str) -> None:
    with pytest.raises(StrategyError) as caught:
        Mail("localhost", **({"sender": "a@b.example", "to": "c@d.example"} | given))

    assert problem in str(caught.value)
