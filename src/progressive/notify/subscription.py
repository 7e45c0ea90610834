"""Which notes a destination is told, and in which words."""

from __future__ import annotations

import string
from collections.abc import Iterator, Sequence
from typing import Any, Final

import attrs

from progressive.adapters.sender import Sender
from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.message import Message, Severity
from progressive.rollout.notes import NOTES, Note, PhaseEntered
from progressive.rollout.phases import FINAL
from progressive.rollout.severity import severity_of
from progressive.rollout.state import Rollout

__all__ = ["RECENT", "Subscription"]

RECENT: Final = 10
"""The most texts that a message has of those before it, with its own."""

WORDS: Final = tuple(
    field.name for field in attrs.fields(Message) if field.name not in ("recent", "again", "over")
)
"""What may stand within the braces of a template."""

_LINK: Final = ("rollout", "service", "stable", "candidate", "id")
"""What may stand within those of a link."""

_FINAL: Final = tuple(phase.value for phase in FINAL)


def _severity(value: Any) -> Any:
    if isinstance(value, str):
        found = [each for each in Severity if each.word == value.lower()]
        return found[0] if found else value
    return value


def _is_severity(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, Severity):
        words = ", ".join(repr(each.word) for each in Severity)
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} is no severity; "
            f"there are {words}"
        )


def _kinds(value: Any) -> Any:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def _are_kinds(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    if value is None:
        return
    known = [kind.kind for kind in NOTES]  # type: ignore[attr-defined]
    given = value if isinstance(value, tuple) else (value,)
    wrong = [each for each in given if not isinstance(value, tuple) or each not in known]
    if wrong:
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(wrong[0])} is no kind of note; "
            f"give a list of some of {', '.join(known)}"
        )


def _problems(template: Any, known: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a format string. Plain names only: no attributes and no items."""
    if not isinstance(template, str):
        yield f"expected a text, got {fields.brief(template)}"
        return
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        yield f"{fields.brief(template)} is no format string: {error}; write {{{{ for a brace"
        return
    for _, name, spec, conversion in parts:
        if name is not None and (name not in known or spec or conversion):
            yield f"{{{name}}} is not known here; there are {', '.join(known)}, as {{text}}"


def _is_template(instance: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    known = _LINK if attribute.name == "link" else WORDS
    where = fields.where(instance, attribute)
    if found := [f"{where}: {problem}" for problem in _problems(value, known)]:
        raise StrategyError(found)


def _is_sender(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, type) or not isinstance(value, Sender):
        raise StrategyError(
            f"{fields.where(instance, attribute)}: {fields.brief(value)} has no send(message, "
            "handle), updates and closes; write one such as Slack(...)"
        )


@attrs.frozen
class Subscription:
    """Whom to tell what: a sender, which notes, and the words.

    * ``sender``: such as ``Slack(...)`` or ``Webhook(...)``.
    * ``name``: of the destination, unique among those of a `Notify`; it stands in the outbox, so
      keep it. By default the sender's kind in small letters.
    * ``at_least``: the lowest severity that is told: ``"debug"`` (every look), ``"info"``,
      ``"warning"`` or ``"error"`` (a person is needed).
    * ``kinds``: the kinds of notes that are told; None for all.
    * ``template``: a format string; within its braces: id, text, kind, severity, at, rollout,
      service, stable, candidate, phase, step, weight, status, link.
    * ``link``: an address, with rollout, service, stable, candidate or id within braces.

    Raises `StrategyError` for whatever is wrong.
    """

    sender: Sender = attrs.field(validator=_is_sender)
    name: str = attrs.field(
        kw_only=True,
        default=attrs.Factory(lambda self: type(self.sender).__name__.lower(), takes_self=True),
        validator=fields.is_name,
    )
    at_least: Severity = attrs.field(
        kw_only=True, default=Severity.INFO, converter=_severity, validator=_is_severity
    )
    kinds: tuple[str, ...] | None = attrs.field(
        kw_only=True, default=None, converter=_kinds, validator=_are_kinds
    )
    template: str = attrs.field(kw_only=True, default="{text}", validator=_is_template)
    link: str = attrs.field(kw_only=True, default="", validator=_is_template)

    def wants(self, note: Note, *, told_before: bool) -> bool:
        """Return whether a note is told. The end is, if the sender needs it and was told before."""
        if severity_of(note) >= self.at_least and (self.kinds is None or note.kind in self.kinds):
            return True
        ends = isinstance(note, PhaseEntered) and note.phase in _FINAL
        return ends and told_before and self.sender.closes

    def message(
        self, rollout: Rollout, notes: Sequence[tuple[str, Note]], *, recent: Sequence[str]
    ) -> Message:
        """Return the message of some notes with their ids, of which the last one is told, and the
        others are among its ``recent`` texts.
        """
        each = [self._of(rollout, id, note) for id, note in notes]
        alarms = [one.text for one in each if one.severity >= Severity.WARNING]
        return attrs.evolve(
            each[-1],
            severity=max(one.severity for one in each),
            alarms=tuple(alarms[-RECENT:]),
            recent=tuple([*recent, *(one.text for one in each)][-RECENT:]),
        )

    def _of(self, rollout: Rollout, id: str, note: Note) -> Message:
        release = rollout.release
        plain = Message(
            id=id,
            text=str(note),
            kind=note.kind,
            severity=severity_of(note),
            at=note.at,
            rollout=rollout.id,
            service=release.service,
            stable="nothing" if release.stable is None else str(release.stable),
            candidate=str(release.candidate),
            phase=rollout.phase.value,
            step=rollout.plan.steps[rollout.progress.step].id,
            weight=str(rollout.routing.desired.candidate),
            status=str(rollout.status),
            over=_tells_of_the_end(rollout, note),
        )
        words = {name: getattr(plain, name) for name in WORDS}
        words |= {"severity": plain.severity.word, "at": note.at.isoformat(timespec="seconds")}
        words["link"] = _sendable(self.link.format_map(words))
        text = _sendable(self.template.format_map(words)).strip() or _sendable(plain.text)
        return attrs.evolve(plain, text=text, link=words["link"], status=_sendable(plain.status))


def _tells_of_the_end(rollout: Rollout, note: Note) -> bool:
    if isinstance(note, PhaseEntered):
        return note.phase in _FINAL
    return rollout.final and note.at >= rollout.clocks.entered


def _sendable(text: str) -> str:
    """Return a text without lone surrogates, which can be stored, and not sent."""
    return text.encode("utf-8", "replace").decode("utf-8")
