"""Credentials are kept out of what is shown, in every form in which a system may echo them."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.rules import rule

from progressive.adapters.veil import SHORTEST, veiled

SECRET = 'p4ss word/"+ö&<'
FORMS = {
    "as it is": SECRET,
    "in lower case": SECRET.lower(),
    "in capitals": SECRET.upper(),
    "quoted": quote(SECRET),
    "quoted whole": quote(SECRET, safe=""),
    "in a query": quote_plus(SECRET),
    "quoted in lower case": quote(SECRET, safe="").lower(),
    "escaped for JSON": json.dumps(SECRET)[1:-1],
    "escaped for JSON, not ASCII": json.dumps(SECRET, ensure_ascii=False)[1:-1],
    "escaped for JSON, slashes too": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "in base64": base64.b64encode(SECRET.encode()).decode(),
    "in base64 for URLs": base64.urlsafe_b64encode(SECRET.encode()).decode().rstrip("="),
}


@rule("R37")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_veiled_in_every_form(form: str) -> None:
    assert veiled(f"refused: <{form}> is wrong", [SECRET]) == "refused: <***> is wrong"


@given(before=st.binary(max_size=7), secret=st.text("abcdefXYZ019-_.", min_size=12))
def test_in_base64_with_something_before_it_nothing_of_it_can_be_read(
    before: bytes, secret: str
) -> None:
    shown = veiled(base64.b64encode(before + secret.encode()).decode(), [secret])
    left = shown.replace("***", "")

    assert "***" in shown
    assert len(left) <= len(before) * 4 / 3 + 8


@given(st.text(), st.lists(st.text(max_size=SHORTEST - 1)))
def test_short_ones_would_blot_out_half_of_the_words(text: str, secrets: list[str]) -> None:
    assert veiled(text, secrets) == text


def test_of_two_the_longer_one_goes_first() -> None:
    assert veiled("Bearer token-1", ["token-1", "Bearer token-1"]) == "***"
