"""Send messages by e-mail, over SMTP.

The messages of a rollout are one conversation: each has the first one as its reference (RFC 5322).
``Message-ID`` is made of the note's id, so that a mail program shows a copy once, where it does so.
"""

from __future__ import annotations

import hashlib
import smtplib
import ssl
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, ClassVar, Final

import attrs

from progressive.adapters.http import Secret
from progressive.adapters.logs import NOTIFY
from progressive.adapters.sender import shortened
from progressive.adapters.veil import veiled
from progressive.errors import Failure, NotificationError, StrategyError
from progressive.model import fields
from progressive.model.message import Message

__all__ = ["Mail"]

SUBJECT: Final = 200

OVER_TLS: Final = 465
"""The port on which TLS begins at once (RFC 8314)."""

LOCAL: Final = ("localhost", "127.0.0.1", "::1")


def _addresses(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,) if value else ()


def _is_address(where: str, value: object) -> None:
    if not isinstance(value, str) or "@" not in parseaddr(value)[1] or not value.isprintable():
        raise StrategyError(
            f"{where}: {fields.brief(value)} is no address; write 'deploys@example.org'"
        )


def _are_addresses(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    where = fields.where(instance, attribute)
    if not value:
        raise StrategyError(f"{where}: nobody; write ['deploys@example.org']")
    for each in value:
        _is_address(where, each)


@attrs.frozen
class Mail:
    """Sends each message as a mail in plain text.

    * ``server``: the host; ``port``: 587 (STARTTLS) or 465 (TLS).
    * ``sender``, ``to``: addresses.
    * ``user``, ``password``: for the server; the password may be a callable that returns it.
    * ``ca``: a file with the authorities to trust; None is those of the system.
    * ``timeout``: the longest silence of the server.

    The connection is always encrypted, except to this machine. An address that the server refuses
    beside others that it takes is logged, and not tried again, as the others would get it again:
    write a `Mail` of its own for whom must not be missed.
    """

    updates: ClassVar[bool] = False
    closes: ClassVar[bool] = False

    server: str = attrs.field(validator=fields.is_a(str, "'smtp.example.org'"))
    sender: str = attrs.field(
        kw_only=True, validator=lambda self, field, value: _is_address("Mail.sender", value)
    )
    to: Sequence[str] = attrs.field(kw_only=True, converter=_addresses, validator=_are_addresses)
    port: int = attrs.field(kw_only=True, default=587, validator=fields.at_least(1))
    user: str = attrs.field(kw_only=True, default="")
    password: Secret = attrs.field(kw_only=True, default="", repr=False)
    ca: str | None = attrs.field(kw_only=True, default=None)
    timeout: timedelta = attrs.field(
        kw_only=True, default=timedelta(seconds=10), validator=fields.is_duration
    )

    def send(self, message: Message, handle: str = "") -> str:
        """Send a message; see `Sender`. Raises `NotificationError`: TRANSIENT may pass, PERMANENT
        needs a person, UNKNOWN was perhaps sent.
        """
        mail = self._mail(message, handle)
        failed = self._sent(mail)
        if failed is not None:
            raise failed
        return handle or mail["Message-ID"]

    def _sent(self, mail: EmailMessage) -> NotificationError | None:
        """Send a mail; why not, made outside of the exception, which may quote a credential."""
        failure, why, password = Failure.TRANSIENT, "", ""
        given, refused = False, dict[str, tuple[int, bytes]]()
        try:
            password = self.password() if callable(self.password) else self.password
            smtp = self._connected()
            try:
                if self.user:
                    smtp.login(self.user, password)
                given = True
                refused = smtp.send_message(mail)
            finally:
                # What it answers to a goodbye changes nothing.
                with suppress(smtplib.SMTPException, OSError):
                    smtp.quit()
                smtp.close()
        except smtplib.SMTPServerDisconnected as error:
            failure, why = Failure.UNKNOWN if given else Failure.TRANSIENT, str(error)
        except smtplib.SMTPRecipientsRefused as error:
            codes = {code for code, _ in error.recipients.values()}
            failure = Failure.PERMANENT if all(code >= 500 for code in codes) else failure
            why = f"refused the addresses: {error.recipients}"
        except smtplib.SMTPResponseException as error:
            failure = Failure.PERMANENT if error.smtp_code >= 500 else Failure.TRANSIENT
            why = f"answered {error.smtp_code}: {error.smtp_error!r}"
        except (smtplib.SMTPNotSupportedError, UnicodeError) as error:
            failure, why = Failure.PERMANENT, type(error).__name__
            why += f": {error}" if isinstance(error, smtplib.SMTPException) else ""
        except (smtplib.SMTPException, OSError) as error:
            failure = Failure.UNKNOWN if given else failure
            why = f"{type(error).__name__}: {error}"
        if refused:
            # The others have it: to send it again would send it to them again, and again.
            NOTIFY.warning("%s", self._said(f"refused some of the addresses: {refused}", password))
        return NotificationError(self._said(why, password), failure=failure) if why else None

    def _said(self, why: str, password: str) -> str:
        said = shortened(veiled(why, (password,) if password else ()), 300)
        return f"mail by {self.server}:{self.port}: {said}"

    def _connected(self) -> smtplib.SMTP:
        trusted, patience = ssl.create_default_context(cafile=self.ca), self.timeout.total_seconds()
        if self.port == OVER_TLS:
            return smtplib.SMTP_SSL(self.server, self.port, timeout=patience, context=trusted)
        smtp = smtplib.SMTP(self.server, self.port, timeout=patience)
        try:
            smtp.ehlo()
            if smtp.has_extn("starttls") or self.server not in LOCAL:
                smtp.starttls(context=trusted)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _mail(self, message: Message, handle: str) -> EmailMessage:
        mail = EmailMessage()
        mail["From"], mail["To"] = self.sender, ", ".join(self.to)
        # One subject, so that mail programs show one conversation.
        mail["Subject"] = shortened(
            " ".join(f"{message.title} ({message.rollout})".split()), SUBJECT
        )
        mail["Date"] = format_datetime(message.at)
        domain = parseaddr(self.sender)[1].rpartition("@")[2]
        # Short, as a long one is written over two lines, and then no program finds it again.
        known = hashlib.sha256(message.id.encode()).hexdigest()[:32]
        mail["Message-ID"] = f"<{known}@{domain}>"
        if handle:
            mail["In-Reply-To"] = mail["References"] = handle
        mail["X-Progressive-Id"] = message.id
        lines = [
            message.text,
            "",
            f"rollout: {message.rollout}",
            f"phase: {message.phase}, step: {message.step}",
            f"candidate: {message.weight}",
        ]
        lines += [f"more: {message.link}"] if message.link else []
        lines += ["", "(This was perhaps sent before.)"] if message.again else []
        mail.set_content("\n".join(lines))
        return mail
