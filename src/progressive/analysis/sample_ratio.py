"""The sample-ratio check: is the traffic split as it was asked for?"""

from __future__ import annotations

import math
from typing import ClassVar, Final

import attrs

from progressive.errors import StrategyError
from progressive.model import fields
from progressive.model.actions import Action, Memory
from progressive.model.measurement import Counts, Histogram, Kind, Look, Metric, NoData
from progressive.model.traffic import Track, Traffic
from progressive.stats import sample_ratio

from .contract import Judgement, Tolerance, Verdict, is_flag, is_tolerance, stored_before
from .memory import kept_numbers
from .parameters import Unweighted, is_metric, is_number

__all__ = ["SampleRatio"]

TOLERANCE: Final = Tolerance(in_a_row=1, then=Action.HOLD)


@attrs.frozen(kw_only=True)
class SampleRatio(Unweighted):
    """Hold if the candidate's part of the requests is not the one that its weight asks for:
    ``SampleRatio(ERRORS)``.

    A split that is not as it was asked for (a sample-ratio mismatch) means that the routing is
    broken, or that one track's requests are not all counted; the verdicts of the other checks are
    then not to be trusted.

    * ``metric``: any that counts all requests of both tracks: a ratio, or a latency.
    * ``alpha``: the chance that a right split is ever held, over any number of looks. This is for
      requests that are sent independently of each other: not for sticky sessions, where each
      visitor brings many.

    While a route by header or a mirror sends the candidate more than its weight, only too few
    requests count. It is dormant at 100 %.
    """

    kind: ClassVar[str] = "sample_ratio"
    anytime: ClassVar[bool] = True

    metric: Metric = attrs.field(kw_only=False, validator=is_metric)
    alpha: float = 0.001
    observe: bool = attrs.field(default=False, validator=is_flag)
    tolerance: Tolerance = attrs.field(
        default=TOLERANCE, validator=is_tolerance, metadata=stored_before(TOLERANCE)
    )
    id: str = attrs.field(
        validator=fields.is_name,
        default=attrs.Factory(lambda self: self._default_id(), takes_self=True),
    )

    def __attrs_post_init__(self) -> None:
        problems = []
        if self.metric.kind not in (Kind.RATIO, Kind.LATENCY):
            problems.append(
                f"a {self.metric.kind.value} does not count requests; take a ratio or a latency"
            )
        if not is_number(self.alpha) or not 0 < self.alpha < 1:
            problems.append(
                f"alpha={self.alpha!r} is a probability between 0 and 1; 0.001 is one false "
                "alarm in a thousand rollouts"
            )
        if problems:
            raise StrategyError(
                [f"SampleRatio({self.metric.name}): {problem}" for problem in problems]
            )

    def _default_id(self) -> str:
        is_metric(self, None, self.metric)  # defaults are made before the fields are checked
        return f"{self.metric.name}-split"

    @property
    def required_tracks(self) -> tuple[Track, ...]:
        return (Track.CANDIDATE, Track.STABLE)

    @property
    def measured_tracks(self) -> tuple[Track, ...]:
        return self.required_tracks

    def judge(self, look: Look, memory: Memory, alpha: float) -> tuple[Judgement, Memory]:
        """Return NO_DATA: the traffic of this look is over, and its split is no longer known."""
        return Judgement(verdict=Verdict.NO_DATA, why="the traffic has changed since"), memory

    def judge_in(
        self, traffic: Traffic, look: Look, memory: Memory, alpha: float
    ) -> tuple[Judgement, Memory]:
        """Compare the split of the requests with the weights of ``traffic``."""
        candidate, stable = look.of(Track.CANDIDATE), look.of(Track.STABLE)
        for track, measured in ((Track.CANDIDATE, candidate), (Track.STABLE, stable)):
            if not isinstance(measured, Counts | Histogram):
                why = (
                    "no count of requests on "
                    f"{track.value}{f': {measured.why}' if isinstance(measured, NoData) else ''}"
                )
                return Judgement(
                    verdict=Verdict.NO_DATA,
                    why=why,
                    starved=track is Track.CANDIDATE and stable.sample > 0,
                ), memory
        if not candidate.sample + stable.sample:
            return Judgement(verdict=Verdict.NO_DATA, why="no requests on either track"), memory
        if not traffic.candidate.ppm:
            return Judgement(
                verdict=Verdict.PASS, why="no weight is asked for, only what is routed by header"
            ), memory
        share = traffic.candidate.ppm / (traffic.candidate.ppm + traffic.stable.ppm)
        requests = candidate.sample + stable.sample
        share_seen = candidate.sample / requests
        logs = sample_ratio.update(
            kept_numbers(memory) or sample_ratio.INITIAL,
            trials=candidate.sample,
            control_trials=stable.sample,
            share=share,
            more_allowed=bool(traffic.matches) or bool(traffic.mirror.ppm),
        )
        evidence = sample_ratio.evidence(logs)
        wrong = evidence >= math.log(1 / self.alpha)
        why = (
            f"{'the traffic is not split as asked' if wrong else 'split as asked'}: "
            f"{share_seen * 100:.3g} % of {requests:,} requests in this look, "
            f"{share * 100:.3g} % asked for; "
            f"p = {math.exp(-max(0.0, evidence)):.3g} over all looks"
        )
        numbers = (
            ("share", share_seen),
            ("share_asked", share),
            ("log_evidence", evidence),
            ("alpha", self.alpha),
        )
        return Judgement(
            verdict=Verdict.FAIL if wrong else Verdict.PASS, why=why, numbers=numbers
        ), logs
