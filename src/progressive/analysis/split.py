"""Do the requests that were asked for reach the candidate? Its own numbers can't show those that
don't: refused connections, ejected instances, a proxy's own answers.
"""

from __future__ import annotations

import math
from typing import Final

import attrs

from progressive.model.measurement import Counts, Histogram, Look, Measurement, NoData
from progressive.model.traffic import Track, Traffic
from progressive.model.units import MILLION
from progressive.stats.sample_ratio import CLUMP, LEAST, shortfall

from .contract import Judgement, Verdict

__all__ = ["Split", "missed_after"]

SHORT: Final = 0.001
"""The chance below which a shortfall is no chance. It takes several looks in a row to matter."""

HALF: Final = 0.5
"""Of a larger share only as many requests as stable's are asked for: beyond it, those that stable
gets beside the router would count many times.
"""

KNOWN: Final = 5
"""Expected clumps of the candidate from which on its requests can be said to arrive."""


@attrs.frozen
class Split:
    """The requests of both tracks since it was last decided whether the candidate's arrive, and
    what that decision was.
    """

    candidate: int = 0
    stable: int = 0
    missing: bool = False

    def after(self, look: Look, traffic: Traffic) -> tuple[Split, Judgement | None]:
        """Return the split after one more look, taken in ``traffic``, and the judgement of what is
        missing; None if nothing is.

        A look that does not count the requests of both tracks changes nothing.
        """
        candidate, stable = _requests(look, Track.CANDIDATE), _requests(look, Track.STABLE)
        own, other = traffic.candidate.ppm, MILLION - traffic.candidate.ppm - traffic.baseline.ppm
        if candidate is None or not stable or not (own and other):
            return self, None
        candidate, stable = self.candidate + candidate, self.stable + stable
        share = min(own / (own + other), HALF)
        expected = share / (1 - share) * stable
        missing = self.missing
        if candidate >= LEAST * expected:
            if expected >= KNOWN * CLUMP:
                return Split(), None
            after = Split(candidate, stable, missing)
        elif shortfall(candidate, stable, share) < SHORT:
            after, missing = Split(missing=True), True
        else:
            after = Split(candidate, stable, missing)
        if not missing:
            return after, None
        return after, _judgement(candidate, round(expected), look.of(Track.CANDIDATE))


def missed_after(share: float) -> int:
    """Return how many requests to the service it takes until a candidate that gets none of its
    ``share`` (between 0 and 1, exclusive) is known to miss them.
    """
    known = min(share, HALF)
    least = known * LEAST
    return math.ceil(math.log(SHORT) / math.log1p(-least / (least + 1 - known))) * CLUMP


def _requests(look: Look, track: Track) -> int | None:
    measured = look.of(track)
    if isinstance(measured, NoData):
        return 0
    return measured.sample if isinstance(measured, Counts | Histogram) else None


def _judgement(candidate: int, expected: int, latest: Measurement) -> Judgement:
    causes = "refused connections, ejected instances, a proxy's own answers?"
    causes = latest.why if isinstance(latest, NoData) else causes
    return Judgement(
        verdict=Verdict.MISSING,
        why=f"{candidate:,} of about {expected:,} requests reached the candidate: {causes}",
        numbers=(("requests", float(candidate)), ("requests_asked", float(expected))),
    )
