"""Capacity: the traffic that the instances of a version can serve, as a fleet reports it."""

from __future__ import annotations

import attrs

from . import fields
from .traffic import is_percent
from .units import Percent

__all__ = ["Capacity"]


@attrs.frozen
class Capacity:
    """The traffic that the instances of one version can serve now.

    * ``able``: the share of *all* of the service's traffic that the ready instances can serve. If
      all of it takes 10 instances, 3 of them are ``percent(30)``.
    * ``identity``: the identity that the instances really run, where the fleet knows it; if they
      don't all run the same, name one that is wrong.
    * ``why``: an explanation for people: ``"3 of 10 instances are ready"``.
    """

    able: Percent = attrs.field(validator=is_percent)
    identity: str | None = attrs.field(
        default=None,
        kw_only=True,
        validator=fields.optional(fields.is_a(str, "what runs, such as a digest")),
    )
    why: str = attrs.field(default="", kw_only=True, validator=fields.is_a(str, "a reason"))

    def __str__(self) -> str:
        return f"{self.able}{f' ({self.why})' if self.why else ''}"
