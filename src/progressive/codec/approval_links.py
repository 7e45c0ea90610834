"""Approvals by link: signed tokens that name one answer of one person to one question, for a mail
or a message.

A token says who may answer what, and until when, and is signed with HMAC-SHA256 (RFC 2104): who
has the secret can make one, nobody can change one, and everybody can read it. It is for the step
that waits now, and so good once: after the answer, a hold or another step it is refused.

The server that takes the link is yours. Let a link open a page with a button, and the button send
the token with POST: programs that look at mails for people follow every link with GET.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from progressive.errors import ConflictError, StateError, StrategyError
from progressive.model import fields
from progressive.rollout.events import Approve, Reject
from progressive.rollout.state import Rollout

from .strict_json import parsed, text_of

__all__ = ["approval_link", "read_approval"]

LEAST: Final = 32
"""Bytes that a secret has at least: as many as the signature."""

LONGEST: Final = 4_096
"""Characters that a token has at most; it goes into a link."""


def approval_link(
    secret: bytes,
    rollout: Rollout,
    *,
    by: str,
    expires: datetime,
    reject: bool = False,
    url: str = "",
) -> str:
    """Make the token with which a person answers the approval that ``rollout`` waits for; with a
    ``url`` in front, such as ``"https://deploy.example/answer?token="``.

    * ``secret``: at least 32 random bytes (``secrets.token_bytes(32)``), known to whoever makes and
      reads tokens, and to nobody else.
    * ``by``: the person whom it is sent to; the answer is recorded as theirs.
    * ``expires``: an aware time from which on it is refused.
    * ``reject``: whether it refuses the approval, which rolls back, and does not grant it.

    Raises `StrategyError` if the rollout does not wait for an approval, and for a secret that is
    too short.
    """
    step = rollout.plan.steps[rollout.progress.step]
    if step.approval is None or not rollout.waits_for_person or rollout.final:
        raise StrategyError(
            f"approval_link(rollout): {rollout.id!r} waits for no approval now; it is "
            f"{rollout.phase.value} in step {step.id!r}"
        )
    expires = fields.moment(expires, "approval_link(expires=)")
    if not isinstance(by, str) or not by.strip():
        raise StrategyError(f"approval_link(by=): {by!r} names nobody; write a name or an address")
    said = {
        "rollout": rollout.id,
        "approval": step.approval,
        "epoch": rollout.epoch,
        "answer": "reject" if reject else "approve",
        "by": by,
        "expires": expires.isoformat(timespec="milliseconds"),
    }
    words = _text(text_of(said).encode())
    token = f"{words}.{_text(_signed(_secret(secret), words))}"
    if len(token) > LONGEST:
        raise StrategyError(f"approval_link(by=): a token of {len(token)} characters is no link")
    return f"{url}{token}"


def read_approval(
    secret: bytes | Sequence[bytes],
    token: str,
    rollout: Rollout,
    *,
    at: datetime,
    why: str = "by link",
) -> Approve | Reject:
    """Return the answer that a token stands for, to be submitted to ``rollout`` as it is stored.

    * ``secret``: that of `approval_link`; several while one replaces another.
    * ``at``: an aware time, now.

    Raises `StateError` for a token that is not signed with one of the secrets, is of another
    rollout, or has expired; `ConflictError` if the rollout does not wait for it any more, as after
    an answer.
    """
    given = [secret] if isinstance(secret, bytes) else list(secret)
    known = [_secret(each) for each in given]
    words = _words(token, known)
    if words is None:
        raise StateError("not signed by us, or cut short; send a new link", path="token")
    said = parsed(words)
    if said["rollout"] != rollout.id:
        raise StateError(f"it is for {said['rollout']!r}, not {rollout.id!r}", path="token")
    at = fields.moment(at, "read_approval(at=)")
    if at >= datetime.fromisoformat(said["expires"]):
        raise StateError(f"it has expired at {said['expires']}; send a new link", path="token")
    step = rollout.plan.steps[rollout.progress.step]
    answered = any(each.approval == said["approval"] for each in rollout.progress.approvals)
    if step.approval != said["approval"] or rollout.epoch != said["epoch"] or answered:
        raise ConflictError(
            f"{rollout.id!r} does not wait for {said['approval']!r} as it did: it was answered, or "
            "something else has happened since; look at its status"
        )
    kind = Approve if said["answer"] == "approve" else Reject
    return kind(at=at, approval=said["approval"], by=said["by"], why=why)


def _secret(secret: object) -> bytes:
    if not isinstance(secret, bytes) or len(secret) < LEAST:
        raise StrategyError(
            f"secret: expected at least {LEAST} random bytes (not shown); make it with "
            "secrets.token_bytes(32) and keep it where credentials are kept"
        )
    return secret


def _words(token: object, secrets: Sequence[bytes]) -> bytes | None:
    """Return what a token says; None if it is not signed with one of the secrets."""
    if not isinstance(token, str) or len(token) > LONGEST or not token.isascii():
        return None
    words, _, signature = token.partition(".")
    seal = _bytes(signature)
    if seal is None or not any(hmac.compare_digest(seal, _signed(each, words)) for each in secrets):
        return None
    return _bytes(words)


def _signed(secret: bytes, words: str) -> bytes:
    return hmac.new(secret, f"progressive approval 1\n{words}".encode(), hashlib.sha256).digest()


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes | None:
    """Return what `_text` wrote; None for anything else, and for what only decodes to the same."""
    try:
        data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (UnicodeEncodeError, binascii.Error):
        return None
    return data if _text(data) == text else None
