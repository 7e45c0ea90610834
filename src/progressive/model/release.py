"""What is released: two versions of one service, and the names under which the router and the
metrics know them.
"""

from __future__ import annotations

import enum

import attrs

from progressive.errors import StrategyError

from . import fields

__all__ = ["Release", "Track", "Version"]


@attrs.frozen
class Version:
    """One version of a service.

    ``identity`` is what runs (an image digest, a version number); ``backend`` is the name under
    which the router and the metrics know it (a subset, server, cluster or Service), by default the
    same. Nothing is bound to "blue" or "green" elsewhere.
    """

    identity: str = attrs.field(validator=fields.is_name)
    backend: str = attrs.field(
        validator=fields.is_name,
        kw_only=True,
        default=attrs.Factory(lambda self: self.identity, takes_self=True),
    )

    def __str__(self) -> str:
        return self.identity


class Track(enum.StrEnum):
    """The roles that a version can have in a release."""

    STABLE = "stable"
    CANDIDATE = "candidate"
    BASELINE = "baseline"

    def version(self, release: Release) -> Version | None:
        """The version that has this role."""
        found: Version | None = getattr(release, self.value)
        return found

    def label(self, release: Release) -> str:
        """The track with its version, as messages print it: ``candidate (v2)``."""
        return f"{self.value} ({self.version(release) or 'none'})"


_is_version = fields.is_a(Version, "Version({})")


@attrs.frozen(kw_only=True)
class Release:
    """Which version takes over from which. It is captured before the first write and never changes.

    ``stable`` serves now and is where a rollback returns to; None is a first deployment.
    ``baseline`` is an optional fresh copy of stable, sized like the candidate, so that old and new
    are compared like with like.
    """

    service: str = attrs.field(validator=fields.is_name)
    stable: Version | None = attrs.field(validator=fields.optional(_is_version))
    candidate: Version = attrs.field(validator=_is_version)
    baseline: Version | None = attrs.field(default=None, validator=fields.optional(_is_version))

    def __attrs_post_init__(self) -> None:
        backends = [
            v.backend for v in (self.stable, self.baseline, self.candidate) if v is not None
        ]
        if len(set(backends)) < len(backends):
            raise StrategyError(
                f"release.candidate.backend: {self.candidate.backend!r} stands for two "
                f"versions of {self.service!r}; "
                "the router could not tell them apart, so give each its own backend"
            )

    @property
    def versions(self) -> dict[Track, Version]:
        """The version of each track that has one, in the order of `Track`."""
        return {track: found for track in Track if (found := track.version(self)) is not None}

    def next(self, version: Version) -> Release:
        """The release that follows when this one was promoted: the candidate is stable now,
        ``version`` comes.
        """
        return Release(service=self.service, stable=self.candidate, candidate=version)

    def reversed(self) -> Release:
        """The way back after a success: the old version returns as the candidate."""
        if self.stable is None:
            raise StrategyError(
                f"release.reversed: {self.service!r} had no stable version to return to"
            )
        return Release(service=self.service, stable=self.candidate, candidate=self.stable)
