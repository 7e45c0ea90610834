"""flagd and OpenFeature: writes the file of one flag, by which your own code chooses a version.

For what no proxy stands before: workers, queues, schedulers, a version of an algorithm. The file is
one of flagd's; what reads it is flagd itself, or the providers of OpenFeature in the language that
the code is in, without a server. In Python (the package ``openfeature-provider-flagd``)::

    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType
    from openfeature.evaluation_context import EvaluationContext

    api.set_provider_and_wait(
        FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path="/etc/shop.json")
    )
    version = api.get_client().get_string_value(
        "shop", "v1", EvaluationContext(targeting_key=job.customer)
    )

The versions' ``backend`` are the values of the flag.
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, Final

import attrs

from progressive.adapters import local
from progressive.adapters.flow import Client
from progressive.adapters.local import Asked, LocalClient, LocalFlow
from progressive.adapters.split import Split
from progressive.adapters.split_file import FileSplit, Loaded, SplitFile
from progressive.errors import RouterError
from progressive.model import fields
from progressive.model.router_state import Capabilities
from progressive.model.units import Percent, seconds

__all__ = ["Flagd"]

SCHEMA: Final = "https://flagd.dev/schema/v0/flags.json"


@attrs.frozen(kw_only=True)
class Flagd(SplitFile):
    """One ``flag`` of one ``file`` of flagd, which this router writes as a whole.

    Weights down to 0.0001 % are shares of the targeting keys: all that has one key has one version,
    and a key that has the candidate keeps it while its weight grows. What comes without a targeting
    key has stable, until the candidate has everything. Header and cookie routes are attributes of
    the evaluation context with that name and exactly that value.

    Nobody tells who has read the file. ``lag``: how long the slowest reader takes to see a change;
    nothing is verified before, and a way back takes as long. (Tried with
    ``openfeature-provider-flagd`` 0.6.)
    """

    file: str = attrs.field(validator=local.is_path)
    flag: str = attrs.field(validator=fields.is_name)
    lag: timedelta = attrs.field(
        default=seconds(5), converter=fields.whole_ms, validator=fields.is_span
    )
    capabilities = Capabilities(
        smallest_weight=Percent(1),
        baseline=True,
        matches=True,
        affinity=True,
        marker=True,
        compare_and_set=True,
    )
    """Weights of any size for up to three versions, routes by attributes, affinity (who has a
    targeting key stays, for as long as it is the same), a marker, and writes that compare.
    """
    _client: Client[Asked, object] = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(
            lambda self: LocalClient(self.file, RouterError, "flagd"), takes_self=True
        ),
    )

    @property
    def _file(self) -> str:
        return self.file

    @property
    def _patience(self) -> float:
        return 0.0

    def _lingers(self, found: FileSplit) -> bool:
        return found.age < self.lag.total_seconds()

    def _text(self, split: Split) -> str:
        shares = {"fractional": [[name, ppm] for name, ppm in split.weights]}
        targeting: dict[str, Any] = shares
        if split.matches:
            asked = [{"===": [{"var": each.name}, each.value]} for each in split.matches]
            targeting = {"if": [{"or": asked}, split.to, shares]}
        names = dict.fromkeys([*(name for name, _ in split.weights), split.to])
        flag = {
            "state": "ENABLED",
            "variants": {name: name for name in names},
            "defaultVariant": split.weights[-1][0],
            "targeting": targeting,
            "metadata": {"split": split.word, "plan": split.plain},
        }
        return json.dumps({"$schema": SCHEMA, "flags": {self.flag: flag}}, indent=2) + "\n"

    def _words(self, text: str) -> tuple[str, str]:
        carried = json.loads(text)["flags"][self.flag]["metadata"]
        return carried["plan"], carried["split"]

    def _ask_loaded(self, text: str | None) -> LocalFlow[Loaded]:
        yield from ()
        split = None if text is None else self._parsed(text)
        return Loaded(word="" if split is None else split.word)
