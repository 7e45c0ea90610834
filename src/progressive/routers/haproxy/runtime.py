"""HAProxy's runtime socket: how it is spoken to, which names it can carry, and the line to type at
it.
"""

from __future__ import annotations

import re
import shlex
from typing import Final

import attrs

from progressive.adapters.lines import LineClient, LineSocket
from progressive.errors import Failure, RouterError, StrategyError
from progressive.model import fields
from progressive.model.release import Release

__all__ = ["client", "is_word", "refuse_names", "refused", "typed"]

_WORD: Final = re.compile(r"[A-Za-z0-9._/@+=:-]+")
"""What can stand in a command. A space would begin another argument, ``;`` another command; a
backslash escapes.
"""


def client(socket: LineSocket) -> LineClient:
    """Every answer of HAProxy ends with an empty line (management guide, 9.3); without it the
    answer was cut off.
    """
    return LineClient(socket, RouterError, "HAProxy", ending="\n\n")


def refused(why: str) -> RouterError:
    """What HAProxy, or this adapter before it, does not do; nothing was written."""
    return RouterError(f"HAProxy: {why}", failure=Failure.PERMANENT)


def is_word(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    """A validator: a name or a path that a command can carry."""
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        where = fields.where(instance, attribute)
        raise StrategyError(
            f"{where}: {fields.brief(value)} can't stand in a command; use letters, digits and . _ "
            "- / @ + = :"
        )


def refuse_names(release: Release, separator: str) -> None:
    """Raise for a backend with the sign in its name that parts names in a command or an entry."""
    for track, version in release.versions.items():
        if separator in version.backend:
            raise refused(
                f"{track.label(release)} has the backend {version.backend!r}, and {separator!r} "
                "parts names here; name it without, in HAProxy and with Version(backend=...)"
            )


def typed(socket: LineSocket) -> str:
    """The end of a line that a person types: what takes commands from a pipe and gives them to the
    socket.
    """
    if not socket.is_path:
        host, port = socket.host_and_port
        where = f"TCP:[{host}]:{port}" if ":" in host else f"TCP:{host}:{port}"
    else:
        where = "UNIX-CONNECT:" + re.sub(r"([\\:,!\"'({\[])", r"\\\1", socket.address)
    return f"socat - {shlex.quote(where)}"
