"""The file of a split of nginx: what is written is read, and what a match is taken for. The real
nginx is in ``tests/real/test_nginx.py``.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.releases import THREE, TWO

from progressive import Release, StrategyError, Traffic, Version, percent
from progressive.adapters.split import Split, is_word, weights_of
from progressive.errors import Failure, RouterError
from progressive.model import Marker, Match
from progressive.model.traffic import ALL_STABLE
from progressive.model.units import Percent
from progressive.routers.nginx import Nginx
from progressive.routers.nginx.configuration import given_again, is_used, upstreams_of

HUNDREDTHS = st.integers(0, 10_000)
MATCHES = st.lists(
    st.builds(
        Match,
        name=st.from_regex(r"[a-z][a-z0-9-]{0,6}[a-z0-9]", fullmatch=True),
        value=st.text(min_size=1, max_size=12),
        source=st.sampled_from(["header", "cookie"]),
    ),
    max_size=3,
    unique_by=lambda match: (match.source, match.name),
)


def nginx(**fields: Any) -> Nginx:
    given = {
        "include": "/etc/nginx/split/shop.conf",
        "status": "http://127.0.0.1:8081",
        "variable": "shop",
    }
    return Nginx(**{**given, **fields})


LAYOUTS = [nginx(), nginx(key="$cookie_user", mirror=True)]


@st.composite
def traffics(draw: st.DrawFn) -> Traffic:
    candidate = draw(HUNDREDTHS)
    return Traffic(
        candidate=Percent(candidate * 100),
        baseline=Percent(draw(st.integers(0, 10_000 - candidate)) * 100),
        matches=draw(MATCHES),
        mirror=Percent(draw(HUNDREDTHS) * 100),
    )


MARKERS = st.none() | st.builds(
    Marker,
    generation=st.integers(0, 10**9),
    serial=st.integers(0, 10**9),
    closed=st.booleans(),
    owner=st.sampled_from(["", "r1a2b"]),
)


@given(traffics(), MARKERS, st.sampled_from(LAYOUTS))
def test_what_is_written_is_read(traffic: Traffic, marker: Marker | None, layout: Nginx) -> None:
    split = Split.of(THREE, traffic, marker)
    text = layout._text(split)

    assert layout._parsed(text) == split
    assert split.part(THREE).traffic == traffic
    assert is_word(split.word)
    assert weights_of(split.word) == dict(split.weights)
    assert text.isascii()
    assert text.count("{") - split.plain.count("{") == text.count("}") - split.plain.count("}")


@given(traffics(), st.sampled_from(LAYOUTS), st.data())
def test_what_somebody_changed_is_seen(
    traffic: Traffic, layout: Nginx, data: st.DataObject
) -> None:
    split = Split.of(THREE, traffic, None)
    text = layout._text(split)
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.sampled_from(["", "0", "x", " ", "}"])) + text[at + 1 :]

    assert layout._parsed(changed) in (None, split)
    if changed != text:
        assert layout._parsed(changed) is None or layout._text(split) == changed


@given(MATCHES, st.text(max_size=12))
def test_a_match_means_this_value_and_no_other(matches: list[Match], other: str) -> None:
    """As Python reads the pattern; the real nginx is asked in its own tests."""
    text = LAYOUTS[0]._text(Split.of(THREE, Traffic(matches=matches), None))
    patterns = [each.replace(r"\z", r"\Z").encode() for each in re.findall(r'\{ "~(.*?)" ', text)]

    assert len(patterns) == len(matches)
    for match, pattern in zip(matches, patterns, strict=True):
        for value in (match.value, other):
            sent = value if match.source == "header" else f"a=b; {match.name}={value}; c=d"
            found = re.search(pattern, sent.encode("utf-8", "surrogatepass")) is not None
            if ";" not in value and "=" not in value:
                assert found is (value == match.value)


def test_the_file_of_a_split() -> None:
    traffic = Traffic(
        candidate=percent(1.5),
        baseline=percent(1.5),
        matches=[
            Match(name="x-canary", value="a.b"),
            Match(name="beta", value="1", source="cookie"),
        ],
        mirror=percent(10),
    )
    marker = Marker(generation=3, serial=7, owner="r1")

    assert LAYOUTS[1]._text(Split.of(THREE, traffic, marker)).splitlines()[2:-1] == [
        'map $cookie_user $shop__key { "" $request_id; default $cookie_user; }',
        'split_clients "shop $shop__key" $shop__0 {',
        "    1.50% v2;",
        "    1.50% v3;",
        "    * v1;",
        "}",
        r'map $http_x_canary $shop__1 { "~^a\x2eb\z" v2; default $shop__0; }',
        r'map $http_cookie $shop { "~(?:^|;\x20*)beta=1(?:;|\z)" v2; default $shop__1; }',
        'split_clients "shop mirror $request_id" $shop_mirror {',
        "    10.00% v2;",
        '    * "";',
        "}",
    ]
    assert Split.of(THREE, traffic, marker).word.startswith("3:7:0:r1 v2=15000,v3=15000,v1=")


def test_everything_can_be_copied() -> None:
    lines = LAYOUTS[1]._text(Split.of(TWO, Traffic(mirror=percent(100)), None)).splitlines()
    assert "    * v2;" in lines


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "a relative file": ({"include": "split.conf"}, "no absolute path of a file"),
    "a variable with its $": ({"variable": "$shop"}, "no name of a variable"),
    "a variable beside another": ({"variable": "shop_split"}, "no name of a variable"),
    "a variable that another is made of": ({"variable": "shop__0"}, "no name of a variable"),
    "a key that is text": ({"key": "user"}, r"no variable of nginx, such as '\$request_id'"),
    "a key of two": ({"key": "$a$b"}, "no variable of nginx"),
    "a pid file by number": ({"pid_file": 5}, "no absolute path of a file"),
    "a bare number of seconds": ({"drain": 5}, "drain"),
    "a mirror by name": ({"mirror": "yes"}, "True or False"),
    "no program": ({"nginx": ()}, "nginx"),
}


@pytest.mark.parametrize(("fields", "said"), WRONG.values(), ids=WRONG)
def test_what_is_misconfigured_is_said_at_once(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(StrategyError, match=said):
        nginx(**fields)


REFUSED: dict[str, tuple[str, Traffic, str]] = {
    "a path": ("v2/a", ALL_STABLE, r"candidate .* can be no upstream and no address"),
    "no port": ("v2:a", ALL_STABLE, "can be no upstream"),
    "a finer share": ("v2", Traffic(candidate=Percent(1_050)), "smallest weight, 0.01 %"),
    "a mirror": ("v2", Traffic(mirror=percent(1)), "can't do mirroring"),
    "an underscore": (
        "v2",
        Traffic(matches=[Match(name="x_canary", value="1")]),
        "header 'x_canary': nginx can't tell it",
    ),
    "nothing": (
        "v2",
        Traffic(matches=[Match(name="beta", value="", source="cookie")]),
        "nginx can't tell empty from absent",
    ),
}


@pytest.mark.parametrize(("backend", "traffic", "said"), REFUSED.values(), ids=REFUSED)
def test_what_nginx_can_not_do_is_refused_before_anything_is_asked(
    backend: str, traffic: Traffic, said: str
) -> None:
    release = Release(
        service="shop", stable=Version("1", backend="v1"), candidate=Version("2", backend=backend)
    )
    flow = nginx().applying(release, traffic, Marker(generation=1), None)

    with pytest.raises(RouterError, match=said) as caught:
        next(flow)
    assert caught.value.failure is Failure.PERMANENT


def test_a_first_version_has_everything_from_the_beginning() -> None:
    first = Release(service="shop", stable=None, candidate=Version("1", backend="v1"))
    split = LAYOUTS[0]._parsed(nginx().initial(first))

    assert split is not None
    assert split.weights == (("v1", 1_000_000),)
    assert '"v1\\": 1000000' in nginx().undo(first)


CONFIG = """
# configuration file /etc/nginx/nginx.conf:
# upstream told { }
stream { upstream tcp { server a:1; } server { listen 1; proxy_pass tcp; } }
http {
  upstream v1 { server 10.0.0.1; } upstream "v2" { server 10.0.0.2; keepalive 4; }
  upstream v3{ server 10.0.0.3; }
  map $host $color { v2 green; default blue; }
  log_format plain "$shop $color";
  server {
    location / { add_header X-Version $shop; proxy_pass http://v2; # was http://$shop
    }
  }
}
"""


def test_upstreams_are_those_of_http() -> None:
    assert upstreams_of(CONFIG) == ["v1", "v2", "v3"]
    assert upstreams_of("stream { upstream a { }") == []


@pytest.mark.parametrize(
    ("line", "used"),
    [
        ("", False),
        ("# proxy_pass http://$shop;", False),
        ("return 200 $shop;", False),
        ("proxy_pass http://$shop_split;", False),
        ("proxy_pass http://$shop;", True),
        ("location /x { proxy_pass http://${shop}/y; }", True),
        ("set $target $shop;", True),
        ("map $shop $target { v2 green; default blue; }", True),
        ("grpc_pass grpc://$shop;", True),
    ],
)
def test_a_variable_is_used_where_a_request_goes_by_it(line: str, used: bool) -> None:
    assert is_used(CONFIG.replace("add_header", f"{line}\nadd_header"), "shop") is used


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("", False),
        ("# set $shop v2;", False),
        ("map $shop_key $color2 { default 1; }", False),
        ("set $shopping v2;", False),
        ("set $shop v2;", True),
        ("geo $shop { default v2; }", True),
        ("map $host $shop { default v2; }", True),
        ("map $host ${shop} { default v2; }", True),
        ('split_clients "a$request_id" $shop__0{ * v2; }', True),
        ("map $host $shop__key { default v2; }", True),
        ("map $host $shop_mirror { default v2; }", True),
        ("location / { set $shop_split x; }", True),
    ],
)
def test_who_else_gives_a_variable_is_found(line: str, given: bool) -> None:
    found = given_again(CONFIG.replace("add_header", f"{line}\nadd_header"), "shop")
    assert bool(found) is given
