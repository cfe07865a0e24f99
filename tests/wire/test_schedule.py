"""Schedules reach the edge that they are for, whole and signed, or not at all."""

import msgspec
import pytest

from wire.keys import SigningKey
from wire.schedule import BranchLimit, Schedule, ScheduleForged, ScheduleUnreadable, Stay, Wish, seal, unseal
from wire.topics import edge_topic, parse

TOPIC = edge_topic("works", "gw", "schedule")
NOW = 1_795_248_000_000
SCHEDULE = Schedule(
    "plan-1", "store-1", 7, NOW, NOW + 3_600_000, "ab" * 32,
    [Wish("battery", -20.5, NOW, NOW + 900_000), Wish("pile", 11.0, NOW, NOW + 900_000, "override", cap=True, reason="a visitor")],
    [BranchLimit("transformer", NOW, NOW + 900_000, import_kw=300.0, authority="legal")],
    [Stay("pile", NOW + 7_200_000, 22.5, "s-1", gives_back=True)],
)  # fmt: skip


def test_what_was_sealed_is_what_comes_out() -> None:
    key = SigningKey.generate()
    assert unseal(seal(SCHEDULE, TOPIC, key), TOPIC, key.public) == SCHEDULE
    assert parse(TOPIC) is not None


def test_another_edge_another_key_and_any_changed_byte_are_forged() -> None:
    key, frame = SigningKey.generate(), b""
    frame = seal(SCHEDULE, TOPIC, key)
    with pytest.raises(ScheduleForged):
        unseal(frame, edge_topic("works", "other", "schedule"), key.public)
    with pytest.raises(ScheduleForged):
        unseal(frame, TOPIC, SigningKey.generate().public)
    for at in (6, 14, 78, len(frame) - 1):
        changed = bytearray(frame)
        changed[at] ^= 1
        with pytest.raises(ScheduleForged):
            unseal(bytes(changed), TOPIC, key.public)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"number": 0}, "number: expected 1 to 2"),
        ({"valid_until_ms": NOW}, "valid_until_ms: expected 1 to"),
        ({"wishes": [Wish("two words", 1, 0, 1)]}, "wishes.0..asset: expected 1 to 64"),
        ({"wishes": [Wish("a", float("nan"), 0, 1)]}, "wishes.0..kw: expected"),
        ({"wishes": [Wish("a", 1, 5, 5)]}, "wishes.0..until_ms: expected after from_ms"),
        ({"limits": [BranchLimit("a", 0, 1, import_kw=-4.0)]}, "limits.0..import_kw: expected 0 to"),
        ({"stays": [Stay("a", 0, -1.0)]}, "stays.0..need_kwh: expected 0"),
    ],
)
def test_what_no_edge_would_take_is_not_sealed(change: dict[str, object], said: str) -> None:
    with pytest.raises(ScheduleUnreadable, match=said):
        seal(msgspec.structs.replace(SCHEDULE, **change), TOPIC, SigningKey.generate())


def test_a_key_that_the_edge_does_not_know_makes_it_unreadable() -> None:
    from wire import schedule as contract

    key = SigningKey.generate()
    raw = msgspec.json.encode({**msgspec.to_builtins(SCHEDULE), "unless": "it rains"})
    with pytest.raises(ScheduleUnreadable, match="unless"):
        unseal(contract._FRAME.seal(raw, TOPIC, key), TOPIC, key.public)
