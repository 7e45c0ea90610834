"""Strict JSON of deliveries, for outboxes."""

from __future__ import annotations

from typing import Final, cast

from progressive.model.delivery import Delivery
from progressive.plan.step import Kinds

from .schema import Codec
from .strict_json import parsed, text_of

__all__ = ["dumps_delivery", "loads_delivery"]

_NO_KINDS: Final = Kinds()


def dumps_delivery(delivery: Delivery) -> str:
    """Write a delivery as JSON."""
    return text_of(Codec.of(_NO_KINDS).dump(Delivery, delivery))


def loads_delivery(text: str | bytes) -> Delivery:
    """Read a delivery. Raises `StateError` with the path of the first mistake."""
    return cast(Delivery, Codec.of(_NO_KINDS).load(Delivery, parsed(text)))
