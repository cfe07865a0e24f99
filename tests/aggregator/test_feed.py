"""The live feed: deltas that rebuild the state, one ring for all, resuming, conflation, alarms at once, an orderly end."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aggregator.feed import Feed, FeedFull, Frame, changes


def merged(state: dict[str, Any], delta: dict[str, Any]) -> dict[str, Any]:
    """What the page does with a delta, written anew from the contract."""
    out = dict(state)
    for key, value in delta.items():
        if value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = merged(out[key], value) if isinstance(out.get(key), dict) else value
        else:
            out[key] = value
    return out


def events(chunk: bytes) -> list[tuple[str, str, Any]]:
    """(event, id, data) of a chunk of the stream; comments and `retry` left out."""
    found = []
    for block in chunk.decode().strip().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            found.append((lines.get("event", ""), lines.get("id", ""), json.loads(lines["data"])))
    return found


class Plant:
    """A state that counts its frames."""

    def __init__(self) -> None:
        self.frames = 0
        self.state: Frame = {"t": 0, "flow": {"grid": 1.0, "pv": -2.0}, "alarms": []}

    def frame(self, _: str) -> Frame:
        self.frames += 1
        return json.loads(json.dumps(self.state))  # type: ignore[no-any-return]


@pytest.fixture
def plant() -> Plant:
    return Plant()


@pytest.fixture
def feed(plant: Plant) -> Feed:
    return Feed(plant.frame, viewers_max=3)


async def take(stream: AsyncIterator[bytes]) -> list[tuple[str, str, Any]]:
    return events(await asyncio.wait_for(anext(stream), 5))


def tick(feed: Feed, plant: Plant, count: int, **changed: Any) -> None:
    plant.state = {**plant.state, "t": count, **changed}
    feed.tick(count)


@pytest.mark.parametrize(
    ("old", "new", "delta"),
    [
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": {"x": 1, "y": 2}}, {"a": {"x": 1, "y": 3, "z": 4}}, {"a": {"y": 3, "z": 4}}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": None}}),
        ({"a": [1, 2]}, {"a": [1]}, {"a": [1]}),
        ({"a": {"x": 1}}, {"a": 5}, {"a": 5}),
    ],
)
def test_a_delta_holds_only_what_changed_and_rebuilds_the_new_state(old: Frame, new: Frame, delta: Frame) -> None:
    assert changes(old, new) == delta
    assert merged(old, delta) == new


async def test_a_viewer_gets_everything_first_and_then_what_changed(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 1, None)
    ((kind, _, state),) = await take(stream)
    assert (kind, state) == ("snapshot", plant.state)
    tick(feed, plant, 1, flow={"grid": 5.0, "pv": -2.0})
    ((kind, _, delta),) = await take(stream)
    assert (kind, delta) == ("delta", {"t": 1, "flow": {"grid": 5.0}})
    assert merged(state, delta) == plant.state


async def test_a_value_that_went_missing_is_deleted_not_kept(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 1, None)
    await take(stream)
    tick(feed, plant, 1, flow={"grid": 5.0})
    ((_, _, delta),) = await take(stream)
    assert delta["flow"] == {"grid": 5.0, "pv": None}


async def test_all_viewers_of_a_tick_share_one_frame_and_the_same_bytes(feed: Feed, plant: Plant) -> None:
    streams = [feed.enter("works", 1, None) for _ in range(3)]
    for stream in streams:
        await take(stream)
    before = plant.frames
    tick(feed, plant, 1)
    chunks = [await asyncio.wait_for(anext(stream), 5) for stream in streams]
    assert plant.frames == before + 1
    assert all(chunk is chunks[0] or chunk == chunks[0] for chunk in chunks)


async def test_a_viewer_that_comes_back_gets_exactly_what_it_missed(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 1, None)
    ((_, mark, _),) = await take(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    for count in range(1, 5):
        tick(feed, plant, count)
    found = await take(feed.enter("works", 1, mark))
    assert [(kind, data["t"]) for kind, _, data in found] == [("delta", 1), ("delta", 2), ("delta", 3), ("delta", 4)]


@pytest.mark.parametrize(
    "mark", ["", "other-3", "{boot}-99", "{boot}-x", "{boot}-", "{boot}--1", "{boot}-" + "9" * 40, "\u0663"]
)
async def test_a_mark_that_is_not_of_this_ring_gives_a_snapshot(feed: Feed, plant: Plant, mark: str) -> None:
    ((_, own, _),) = await take(feed.enter("works", 1, None))
    tick(feed, plant, 1)
    ((kind, _, _),) = await take(feed.enter("works", 1, mark.replace("{boot}", own.rpartition("-")[0])))
    assert kind == "snapshot"


async def test_a_viewer_more_than_five_ticks_behind_gets_one_snapshot(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 1, None)
    await take(stream)
    for count in range(1, 6):
        tick(feed, plant, count)
    assert len(await take(stream)) == 5
    for count in range(6, 12):
        tick(feed, plant, count)
    ((kind, _, state),) = await take(stream)
    assert (kind, state["t"]) == ("snapshot", 11)
    assert feed.conflated == 1


async def test_an_alarm_travels_at_once_and_none_is_merged_with_another(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 1, None)
    await take(stream)
    for state in ("unack", "rtn", "unack"):
        feed.alarm("works", {"id": "A-1", "st": state})
    assert [(kind, data["st"]) for kind, _, data in await take(stream)] == [
        ("alarm", "unack"),
        ("alarm", "rtn"),
        ("alarm", "unack"),
    ]


async def test_many_alarms_in_one_tick_are_no_reason_to_conflate(feed: Feed) -> None:
    stream = feed.enter("works", 1, None)
    await take(stream)
    for number in range(12):
        feed.alarm("works", {"id": f"A-{number}", "st": "unack"})
    assert len(await take(stream)) == 12


async def test_a_viewer_that_joins_after_an_alarm_sees_it_before_the_next_tick(feed: Feed) -> None:
    await take(feed.enter("works", 1, None))
    feed.alarm("works", {"id": "A-1", "st": "unack"})
    ((_, _, state),) = await take(feed.enter("works", 1, None))
    assert state["alarms"] == [{"id": "A-1", "st": "unack"}]
    feed.alarm("works", {"id": "A-1", "st": "normal"})
    ((_, _, state),) = await take(feed.enter("works", 1, None))
    assert state["alarms"] == []


async def test_a_slower_rate_has_a_ring_of_its_own(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 5, None)
    await take(stream)
    for count in range(1, 11):
        tick(feed, plant, count)
    assert [data["t"] for _, _, data in await take(stream)] == [5, 10]


async def test_a_full_server_refuses_before_it_sends_anything(feed: Feed) -> None:
    streams = [feed.enter("works", 1, None) for _ in range(3)]
    for stream in streams:
        await take(stream)
    with pytest.raises(FeedFull, match="at most 3"):
        feed.enter("works", 1, None)
    await streams[0].aclose()  # type: ignore[attr-defined]
    await take(feed.enter("works", 1, None))
    assert feed.refused == 1


async def test_closing_ends_every_stream_with_bye(feed: Feed) -> None:
    stream = feed.enter("works", 1, None)
    await take(stream)
    waiting = asyncio.create_task(take(stream))
    await asyncio.sleep(0)
    feed.close()
    assert await waiting == [("bye", "", {"reason": "shutdown"})]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    assert feed.viewers == 0


async def test_a_ring_that_nobody_watches_is_dropped_and_its_numbers_are_never_reused(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 1, None)
    ((_, mark, _),) = await take(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    for count in range(1, 70):
        tick(feed, plant, count)
    before = plant.frames
    tick(feed, plant, 70)
    assert plant.frames == before, "nobody watches, nothing is computed"
    ((kind, _, _),) = await take(feed.enter("works", 1, mark))
    assert kind == "snapshot"


async def test_memory_does_not_grow_with_what_a_slow_viewer_has_not_read(feed: Feed, plant: Plant) -> None:
    stream = feed.enter("works", 1, None)
    await take(stream)
    for count in range(1, 500):
        tick(feed, plant, count)
    (ring,) = feed._rings.values()
    assert len(ring.events) == 60


async def test_the_feed_ticks_by_itself(plant: Plant) -> None:
    feed = Feed(plant.frame, tick_s=0.02)
    running = asyncio.create_task(feed.run())
    stream = feed.enter("works", 1, None)
    await take(stream)
    plant.state = {**plant.state, "t": 7}
    assert (await take(stream))[0][2]["t"] == 7
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
