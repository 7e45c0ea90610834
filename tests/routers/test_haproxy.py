"""HAProxy's adapters without HAProxy: the flows are fed by hand, with answers as the real one gave
them (2.8) and odd ones.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule

from progressive.adapters.flow import Malformed, feed
from progressive.adapters.lines import Line
from progressive.errors import ConflictError, Failure, RouterError, StrategyError
from progressive.model.release import Release, Version
from progressive.model.router_state import Marker, Served
from progressive.model.traffic import Traffic
from progressive.model.units import Percent, hours, percent
from progressive.routers.haproxy import HAProxy, HAProxyWeights
from progressive.routers.haproxy.by_weights import _in_order, _weights

RELEASE = Release(
    service="shop", stable=Version("1", backend="v1"), candidate=Version("2", backend="v2")
)
MARKER = Marker(generation=3, serial=17)
MAP = HAProxy(socket="/run/haproxy/admin.sock", map="/etc/haproxy/split.map")
WEIGHTS = HAProxyWeights(socket="127.0.0.1:9999", backend="app")


class FakeMap:
    """What the runtime socket does with the commands of `HAProxy`; as it answers, without the empty
    line at the end.
    """

    def __init__(self, entry: str = "v1:0:v2") -> None:
        self.entries = {"cart": "a:5:b", "shop": entry}
        self.backends = ["v1", "v2", "app"]
        self.lines: list[str] = []
        self.beside = ""

    def __call__(self, line: Line) -> str:
        self.lines.append(line.text)
        match line.text.split():
            case ["show", "map", name]:
                assert name == MAP.map
                return "\n".join(
                    f"0x55d0{n:08x} {key} {value}"
                    for n, (key, value) in enumerate(self.entries.items())
                )
            case ["show", "backend"]:
                return "\n".join(["# name", *self.backends])
            case ["set", "map", _, key, value]:
                assert line.write and line.silent
                self.entries[key] = self.beside or value
                return ""
        raise AssertionError(line.text)

    @property
    def writes(self) -> list[str]:
        return [line for line in self.lines if line.startswith("set")]


def read(answer: Callable[[Line], str], release: Release = RELEASE) -> Served:
    return feed(MAP.reading(release), answer)


def apply(
    answer: Callable[[Line], str], share: float, marker: Marker = MARKER, expect: str | None = None
) -> Served:
    return feed(MAP.applying(RELEASE, Traffic(candidate=percent(share)), marker, expect), answer)


# --------------------------------------------------------------------------------------- by map


def test_one_command_writes_shares_and_marker() -> None:
    fake = FakeMap()
    served = apply(fake, 5)

    assert fake.writes == ["set map /etc/haproxy/split.map shop v1:50000:v2:3:17:0"]
    assert (served.traffic, served.marker) == (Traffic(candidate=percent(5)), MARKER)
    assert served.version == "v1:50000:v2:3:17:0"
    assert fake.entries["cart"] == "a:5:b"


@pytest.mark.parametrize(
    ("entry", "candidate", "elsewhere"),
    [
        ("v1:0:v2", 0, 0),
        ("v1:1000000:v2", 100, 0),
        ("v2:0:v2", 100, 0),
        ("v2:250000:v1", 75, 0),
        ("v1:250000:old", 0, 25),
        ("old:250000:v2", 25, 75),
        ("old:0:older", 0, 100),
    ],
)
def test_an_entry_says_who_gets_what_whoever_wrote_it(
    entry: str, candidate: float, elsewhere: float
) -> None:
    served = read(FakeMap(entry))

    assert (served.traffic.candidate, served.unattributed) == (
        percent(candidate),
        percent(elsewhere),
    )
    assert served.marker is None


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "maintenance",
        "v1",
        "v1:0",
        "v1::v2",
        "v1:x:v2",
        "v1:-1:v2",
        "v1:1000001:v2",
        "v1:0:v2:3",
        "v1:0:v2:3:17",
        "v1:0:v2:3:17:2",
        "v1:0:v2:03:17:0",
        "v1:0:v2:3:17:0:9",
        "v1:0:v2 # ours",
        "v1:٣:v2",
        ":0:v2",
        "v1:0:",
    ],
)
def test_a_strangers_text_is_a_clear_error_with_the_line_that_mends_it(entry: str) -> None:
    fake = FakeMap(entry)

    with pytest.raises(
        RouterError,
        match=r"split\.map has .* for shop: (it is not stable:millionths|.* is no marker)",
    ) as caught:
        apply(fake, 5)
    assert caught.value.failure is Failure.PERMANENT
    assert "`set map /etc/haproxy/split.map shop v1:0:v2` mends it" in str(caught.value)
    assert fake.writes == []


def test_an_entry_that_is_missing_is_named_with_the_line_to_add() -> None:
    fake = FakeMap()
    del fake.entries["shop"]

    with pytest.raises(
        RouterError, match=r"split\.map has no entry for it; add the line 'shop v1:0:v2' to it"
    ):
        read(fake)


@pytest.mark.parametrize(
    "answer",
    [
        "Unknown map identifier. Please use #<id> or <file>.",
        "Permission denied",
        "0x55d0 shop v1:0:v2\nwhat?",
        "<html>",
        "0x1",
    ],
)
def test_what_is_no_map_is_said_in_the_systems_words(answer: str) -> None:
    with pytest.raises(RouterError, match=r"HAProxy: show map /etc/haproxy/split\.map: ") as caught:
        read(lambda _: answer)

    assert answer.splitlines()[0] in str(caught.value)
    assert caught.value.failure is Failure.PERMANENT


def test_of_an_entry_that_stands_twice_the_first_rules() -> None:
    served = read(lambda _: "0x1 shop v1:10000:v2\n0x2 shop v1:990000:v2")

    assert served.traffic.candidate == percent(1)


def test_a_backend_that_is_missing_stops_a_raise_and_a_preflight_but_no_way_back() -> None:
    fake = FakeMap("v1:500000:v2")
    fake.backends.remove("v2")

    for share in (50, 60):
        with pytest.raises(
            RouterError, match=r"candidate \(2\) is backend 'v2', but HAProxy has only v1, app"
        ):
            apply(fake, share)
    assert fake.writes == []
    assert apply(fake, 0).shows(Traffic())


def test_a_strangers_marker_that_stands_there_after_the_write_is_a_conflict() -> None:
    fake = FakeMap()
    fake.beside = "v1:900000:v2:4:0:0"

    with pytest.raises(ConflictError, match="stands there now"):
        apply(fake, 5)


@rule("R5")
def test_a_strangers_text_after_the_write_is_unknown() -> None:
    fake = FakeMap()
    fake.beside = "maintenance"

    with pytest.raises(RouterError, match="mends it; a write was sent before") as caught:
        apply(fake, 5)
    assert caught.value.failure is Failure.UNKNOWN


def test_a_first_deployment_has_one_backend() -> None:
    fake = FakeMap("v2:0:v2")
    first = attrs.evolve(RELEASE, stable=None)
    everything = Traffic(candidate=percent(100))

    assert feed(MAP.applying(first, everything, MARKER, None), fake).shows(everything)
    assert fake.entries["shop"] == "v2:1000000:v2:3:17:0"


@pytest.mark.parametrize("name", ["v1;shutdown", "v 1", "v1\n", "v\\1", "v1'", "$(v1)", ""])
def test_a_name_that_no_command_can_carry_is_no_name_of_a_version_at_all(name: str) -> None:
    with pytest.raises(StrategyError):
        Version("1", backend=name)
    with pytest.raises(StrategyError, match=r"HAProxy\.map"):
        HAProxy(socket="/run/x", map=f"/etc/{name};")
    with pytest.raises(StrategyError, match=r"HAProxyWeights\.backend"):
        HAProxyWeights(socket="/run/x", backend=f"{name};")


@rule("R42")
def test_a_sign_that_parts_names_is_refused_before_anything_is_sent() -> None:
    colon = attrs.evolve(RELEASE, candidate=Version("2", backend="v2:blue"))
    slash = attrs.evolve(RELEASE, candidate=Version("2", backend="v2/blue"))
    nothing: list[Line] = []

    for router, release in ((MAP, colon), (WEIGHTS, slash)):
        with pytest.raises(RouterError, match="parts names here") as caught:
            feed(
                router.applying(release, Traffic(), MARKER, None),
                lambda line: str(nothing.append(line)),
            )
        assert caught.value.failure is Failure.PERMANENT
        with pytest.raises(RouterError, match="parts names here"):
            router.undo(release)
    assert nothing == []


def test_the_line_to_type_has_no_more_than_it_needs() -> None:
    by_tcp = HAProxy(socket="[::1]:9999", map="/etc/haproxy/split.map")

    assert MAP.undo(RELEASE).startswith(
        "echo 'show map /etc/haproxy/split.map' | socat - UNIX-CONNECT:/run/haproxy/admin.sock"
    )
    assert "socat - 'TCP:[::1]:9999'" in by_tcp.undo(RELEASE)
    assert (
        WEIGHTS.undo(RELEASE)
        == "echo 'set weight app/v1 1; set weight app/v2 0' | socat - TCP:127.0.0.1:9999"
    )


# ------------------------------------------------------------------------------------- by weights


class FakeWeights:
    """What the runtime socket does with the commands of `HAProxyWeights`."""

    def __init__(self, *, algorithm: str = "roundrobin", **weights: int) -> None:
        self.weights = weights or {"v1": 1, "v2": 0}
        self.status = dict.fromkeys(self.weights, "no check")
        self.backup: set[str] = set()
        self.refused: dict[str, str] = {}
        self.algorithm = algorithm
        self.lines: list[str] = []

    def __call__(self, line: Line) -> str:
        if line.text == "show stat app 6 -1":
            rows = [
                f"app,{name},{self.status[name]},{weight},{0 if name in self.backup else 1},,"
                for name, weight in self.weights.items()
            ]
            return "\n".join(
                [
                    "# pxname,svname,status,uweight,act,algo,",
                    *rows,
                    f"app,BACKEND,UP,1,1,{self.algorithm},",
                ]
            )
        assert line.write
        self.lines.append(line.text)
        answers = []
        for command in line.text.split("; "):
            word, what, target, weight = command.split()
            assert (word, what) == ("set", "weight")
            name = target.removeprefix("app/")
            answers.append(self.refused.get(name, ""))
            if name not in self.refused:
                self.weights[name] = int(weight)
        return "".join(f"{answer}\n" for answer in answers).rstrip("\n")


def weigh(
    fake: FakeWeights, share: float, marker: Marker = MARKER, expect: str | None = None
) -> Served:
    return feed(WEIGHTS.applying(RELEASE, Traffic(candidate=percent(share)), marker, expect), fake)


@pytest.mark.parametrize(
    ("share", "pair"),
    [
        (0, (1, 0)),
        (0.5, (199, 1)),
        (1, (99, 1)),
        (5, (19, 1)),
        (33.5, (133, 67)),
        (50, (1, 1)),
        (99.5, (1, 199)),
        (100, (0, 1)),
    ],
)
@rule("R12")
def test_the_smallest_weights_that_give_the_share_exactly(
    share: float, pair: tuple[int, int]
) -> None:
    fake = FakeWeights()
    served = weigh(fake, share)

    assert (fake.weights["v1"], fake.weights["v2"]) == pair
    assert served.shows(Traffic(candidate=percent(share)))
    assert served.marker is None
    assert served.version == f"v1={pair[0]} v2={pair[1]}"


@given(st.integers(0, 200))
def test_every_multiple_of_half_a_percent_has_a_pair(halves: int) -> None:
    stable, candidate = _weights(RELEASE, Traffic(candidate=Percent(halves * 5_000))).values()

    assert Fraction(candidate, stable + candidate) == Fraction(halves, 200)
    assert max(stable, candidate) <= 200


@given(*[st.integers(0, 256) for _ in range(4)])
@rule("R1")
def test_between_two_commands_the_candidate_has_no_more_than_before_or_after(
    old_stable: int, old: int, new_stable: int, new: int
) -> None:
    if not (old_stable + old and new_stable + new):
        return
    now = {"v1": old_stable, "v2": old}
    before = Fraction(old, old_stable + old)
    after = Fraction(new, new_stable + new)

    for name, weight in _in_order(now, {"v1": new_stable, "v2": new}):
        now[name] = weight
        assert sum(now.values()) > 0
        assert Fraction(now["v2"], sum(now.values())) <= max(before, after)
    assert now == {"v1": new_stable, "v2": new}


def test_what_rises_is_written_first() -> None:
    fake = FakeWeights(v1=1, v2=19)
    weigh(fake, 5)

    assert fake.lines == ["set weight app/v1 19; set weight app/v2 1"]


@pytest.mark.parametrize(
    ("refused", "failure"),
    [
        (["v1", "v2"], Failure.PERMANENT),
        (["v1"], Failure.UNKNOWN),
        (["v2"], Failure.UNKNOWN),
    ],
)
@rule("R5")
def test_a_write_that_was_refused_in_part_is_unknown(refused: list[str], failure: Failure) -> None:
    fake = FakeWeights(v1=1, v2=0)
    fake.refused = dict.fromkeys(refused, "Permission denied")

    with pytest.raises(RouterError, match="Permission denied") as caught:
        weigh(fake, 5)
    assert caught.value.failure is failure


def test_what_is_right_already_is_written_again() -> None:
    """A claim that changes nothing has to prove that it can write; and an abort writes."""
    fake = FakeWeights(v1=19, v2=1)
    weigh(fake, 5)

    assert fake.lines == ["set weight app/v2 1; set weight app/v1 19"]


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (
            0.3,
            r"from 1 to 256 give exactly 0\.3 %; the nearest is 0\.3891 % \(256 to 1\)",
        ),
        (99.9, r"give exactly 99\.9 %; the nearest is 99\.6108 % \(1 to 256\)"),
        (33.3333, r"the nearest is 33\.3333 % \(2 to 1\)"),
        (0.4, "not a multiple of the router's smallest weight, 0.5 %"),
    ],
)
@rule("R12")
def test_a_share_that_no_two_weights_give_is_refused_with_the_nearest(
    share: float, said: str
) -> None:
    fake = FakeWeights()

    with pytest.raises(RouterError, match=said) as caught:
        weigh(fake, share)
    assert caught.value.failure is Failure.PERMANENT
    assert fake.lines == []


@pytest.mark.parametrize(
    "algorithm", ["leastconn", "unknown", "source", "uri", "static-rr", "first", ""]
)
def test_an_algorithm_that_keeps_no_share_stops_a_raise_and_a_preflight_but_no_way_back(
    algorithm: str,
) -> None:
    fake = FakeWeights(algorithm=algorithm, v1=1, v2=1)

    for share in (50, 60):
        with pytest.raises(
            RouterError, match="needs level admin" if not algorithm else "keeps no share"
        ):
            weigh(fake, share)
    assert fake.lines == []
    assert weigh(fake, 0).shows(Traffic())


def test_servers_of_neither_version_keep_a_rollout_from_starting() -> None:
    """They may be more servers of stable, which would be missed."""
    fake = FakeWeights(v1=1, v2=0, old=2)

    for share in (0, 5):
        with pytest.raises(
            RouterError, match="old of backend app take requests and are neither version's"
        ):
            weigh(fake, share)
    assert fake.lines == []
    assert feed(WEIGHTS.reading(RELEASE), fake).unattributed.ppm == 666_667


@rule("R11")
def test_a_candidate_that_is_not_there_any_more_stops_a_raise_but_no_way_back() -> None:
    fake = FakeWeights(v1=1, old=3)

    with pytest.raises(RouterError, match=r"candidate \(2\) is server 'v2', but .* only v1, old"):
        weigh(fake, 5)
    assert fake.lines == []
    fake.weights["old"] = 0
    with pytest.raises(RouterError, match="is server 'v2'"):
        weigh(fake, 0)
    fake.weights["old"] = 3
    assert weigh(fake, 0, attrs.evolve(MARKER, closed=True)).shows(Traffic())
    assert fake.lines == ["set weight app/v1 1; set weight app/old 0"]


def test_without_stable_there_is_nothing_to_go_back_to() -> None:
    fake = FakeWeights(v2=1)

    assert not feed(WEIGHTS.reading(RELEASE), fake).converged
    with pytest.raises(RouterError, match="v1 is not in backend app"):
        weigh(fake, 0)
    assert fake.lines == []


def test_a_way_back_takes_theirs_too() -> None:
    fake = FakeWeights(v1=1, v2=1, old=2)

    assert weigh(fake, 0).shows(Traffic())
    assert fake.lines[0].endswith("; set weight app/old 0")


@pytest.mark.parametrize(
    "status",
    ["MAINT", "MAINT (via app/v1)", "DOWN", "DOWN 1/2", "DRAIN", "NOLB", "MAINT(resolution)"],
)
def test_a_server_that_takes_no_requests_counts_as_nothing(status: str) -> None:
    fake = FakeWeights(v1=1, v2=1)
    fake.status["v2"] = status

    assert feed(WEIGHTS.reading(RELEASE), fake).traffic == Traffic()


@pytest.mark.parametrize("status", ["UP", "UP 1/3", "no check"])
def test_a_server_that_takes_requests_counts(status: str) -> None:
    fake = FakeWeights(v1=1, v2=1)
    fake.status["v2"] = status

    assert feed(WEIGHTS.reading(RELEASE), fake).traffic.candidate == percent(50)


def test_a_backup_gets_nothing_while_others_are_up() -> None:
    fake = FakeWeights(v1=1, v2=1)
    fake.backup.add("v2")

    assert feed(WEIGHTS.reading(RELEASE), fake).traffic == Traffic()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ["app,v1,UP,many,1,,", "app,BACKEND,UP,1,1,roundrobin,"],
        ["app,v1,UP,1,1,,"],
        ["app,v1", "app,BACKEND,UP,1,1,roundrobin,"],
        ["app,BACKEND"],
    ],
)
def test_a_table_with_a_row_or_a_column_missing_makes_no_sense(rows: list[str]) -> None:
    answer = "\n".join(["# pxname,svname,status,uweight,act,algo,", *rows])

    with pytest.raises(Malformed, match=r"show stat (lacks a column or a row|is cut off)"):
        feed(WEIGHTS.reading(RELEASE), lambda _: answer)


@pytest.mark.parametrize("answer", ["No such proxy.", "Permission denied", "", "<html>"])
def test_what_is_no_table_is_said_in_the_systems_words(answer: str) -> None:
    with pytest.raises(RouterError, match=f"HAProxy: show stat app: {answer}"):
        feed(WEIGHTS.reading(RELEASE), lambda _: answer)


def test_a_drift_between_read_and_write_is_a_conflict() -> None:
    fake = FakeWeights()
    before = feed(WEIGHTS.reading(RELEASE), fake)
    fake.weights["v2"] = 7

    with pytest.raises(ConflictError, match=r"HAProxy backend app: .* read again"):
        weigh(fake, 5, expect=before.version)
    assert fake.lines == []


# ----------------------------------------------------------------------------------- users who stay


@pytest.mark.parametrize(
    ("marker", "entry"),
    [
        (Marker(generation=3, serial=2, owner="r0f"), "v1:50000:v2:3:2:0:r0f:3600"),
        (Marker(generation=3, serial=2), "v1:50000:v2:3:2:0::3600"),
    ],
)
def test_the_seconds_stand_behind_the_marker(marker: Marker, entry: str) -> None:
    fake = FakeMap()
    asked = Traffic(candidate=percent(5), sticky=hours(1))
    stays = attrs.evolve(MAP, affinity=True)

    served = feed(stays.applying(RELEASE, asked, marker, None), fake)

    assert fake.entries["shop"] == entry
    assert served.shows(asked)
    assert served.marker == marker


def test_without_the_lines_in_its_configuration_it_keeps_nobody() -> None:
    asked = Traffic(candidate=percent(5), sticky=hours(1))

    with pytest.raises(RouterError, match="the router can't do session affinity"):
        feed(MAP.applying(RELEASE, asked, MARKER, None), FakeMap())


@pytest.mark.parametrize("seconds", ["0", "-1", "x", "01", ""])
def test_what_is_no_number_of_seconds_is_said(seconds: str) -> None:
    with pytest.raises(RouterError, match="no number of seconds for which users stay"):
        read(FakeMap(f"v1:0:v2:3:2:0:r0f:{seconds}"))
