"""The page of events, the frozen vectors and the check that all senders' tests use say the same."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from event_bodies import BODIES, faults

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "events.md").read_text(encoding="utf-8")
VECTORS = sorted((ROOT / "tests" / "cases" / "batch_vectors").glob("v1_*.json"))
OF_A_LATER_WRITER = {"provisional_emissions"}


def told() -> list[dict[str, Any]]:
    found = [event for path in VECTORS for event in json.loads(path.read_text())["content"].get("events", [])]
    return [event for event in found if event["kind"] not in OF_A_LATER_WRITER]


@pytest.mark.parametrize("event", told(), ids=lambda event: event["id"])
def test_an_event_of_a_frozen_vector_has_the_body_that_its_kind_has_for_ever(event: dict[str, Any]) -> None:
    assert faults(event["kind"], event["body"]) == []


def test_every_kind_stands_in_a_vector() -> None:
    assert set(BODIES) <= {event["kind"] for event in told()}


def test_every_kind_and_key_stands_on_the_page_and_what_is_always_there_is_bold() -> None:
    for kind, (always, sometimes) in BODIES.items():
        assert f"`{kind}`" in PAGE
        assert [key for key in always if f"**`{key}`**" not in PAGE] == [], kind
        assert [key for key in sometimes if not re.search(rf"`{key}`", PAGE)] == [], kind


@pytest.mark.parametrize(
    ("kind", "body", "fault"),
    [
        ("device_back", {}, "away_s: always there"),
        ("device_back", {"away_s": 1.0, "since": 1}, "since: a key"),
        ("device_back", {"away_s": "1"}, "'1' is not what"),
        ("counter", {"quantity": "q", "change": "reset", "before": {"at_ms": 1, "raw": 2.5}, "after": {"at_ms": 1, "raw": "1"}}, "before"),
        ("of_tomorrow", {}, "a kind that the page does not have"),
        ("pile_notify_event", {"identity": "CP-1", "action": "NotifyEvent"}, "request: always there"),
    ],
)  # fmt: skip
def test_the_check_itself_finds_faults(kind: str, body: dict[str, Any], fault: str) -> None:
    (found,) = faults(kind, body)
    assert fault in found
