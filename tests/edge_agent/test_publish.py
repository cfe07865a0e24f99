"""Delivery through a real mosquitto to an aggregator that is played by the test."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent.publish import FRESH, WINDOW, Pauses, Publisher
from wire.batch import Batch, unseal
from wire.messages import Ack, AggregatorStatus, Held, Refused, encode
from wire.mqtt import Broker, MqttError, MqttSession
from wire.topics import AGGREGATOR_STATUS, all_edges, edge_topic

FAST = Pauses(have_s=0.1, held_min_s=0.1, held_max_s=0.4, refused_s=0.2)


async def until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


def in_loop(take: Callable[[str, bytes], None]) -> Callable[[str, bytes, bool], None]:
    """`take` called in the event loop for what comes in the network's thread."""
    loop = asyncio.get_running_loop()

    def message(topic: str, payload: bytes, _retained: bool) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(take, topic, payload)

    return message


class Aggregator:
    """Keeps what it receives; answers every batch while `answering`, in the way that `answer` says."""

    def __init__(self, port: int, store: str = "store-1", answering: bool = True) -> None:
        self.store = store
        self.answering = answering
        self.received: list[Batch] = []
        self.topics: list[str] = []
        self.answer: Callable[[Batch], Ack] = self.commit
        self.copies = 1
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._status = b""
        self.session = MqttSession(
            Broker("127.0.0.1", port),
            f"aggregator-{store}",
            subscriptions=[all_edges("batch")],
            on_message=in_loop(self._take),
            on_connected=lambda: self._start(self._repeat()),
        )

    def _start(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def __aenter__(self) -> "Aggregator":
        await self.session.__aenter__()
        await self.session.wait_connected(10)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in list(self._tasks):
            task.cancel()
        await self.session.__aexit__(*exc)

    def _take(self, topic: str, payload: bytes) -> None:
        batch = unseal(payload, topic, lambda _: None, accept_unsigned=True)
        self.received.append(batch)
        self.topics.append(topic)
        if self.answering:
            for _ in range(self.copies):
                self._start(self.say(self.answer(batch), topic.removesuffix("batch") + "ack"))

    async def _repeat(self) -> None:
        """A restarted broker has forgotten the retained state."""
        if self._status:
            with contextlib.suppress(MqttError):
                await self.session.publish(AGGREGATOR_STATUS, self._status, retain=True)

    def commit(self, batch: Batch) -> Ack:
        return Ack(self.store, batch.content.epoch, [(batch.content.seq, batch.content.seq, batch.sha256)])

    def commit_all(self, have: bool = False) -> list[Ack]:
        """Everything received, an answer per epoch."""
        epochs = dict.fromkeys(batch.content.epoch for batch in self.received)
        return [
            Ack(
                self.store,
                epoch,
                [(b.content.seq, b.content.seq, b.sha256) for b in self.received if b.content.epoch == epoch],
                have=have,
            )
            for epoch in epochs
        ]

    async def say(self, ack: Ack, topic: str = edge_topic("works", "gw-01", "ack")) -> None:
        with contextlib.suppress(MqttError):
            await self.session.publish(topic, encode(ack), timeout_s=5)

    async def online(self, state: Any = "online") -> None:
        self._status = encode(AggregatorStatus(self.store, state))
        await self.session.publish(AGGREGATOR_STATUS, self._status, retain=True)

    def numbers(self, epoch: str = "") -> list[int]:
        """In order of arrival, each once."""
        return list(dict.fromkeys(b.content.seq for b in self.received if epoch in {"", b.content.epoch}))


@contextlib.asynccontextmanager
async def publishing(desk: Any, port: int, **options: Any) -> AsyncIterator[Publisher]:
    """A publisher at work on the desk's spool."""
    publisher = Publisher(desk.spool, **{"backlog_per_s": 10_000, "pauses": FAST, **options})
    session = MqttSession(
        Broker("127.0.0.1", port),
        "edge",
        subscriptions=publisher.subscriptions(),
        on_message=in_loop(publisher.message),
        on_lost=publisher.lost_connection,
    )
    async with session:
        await session.wait_connected(10)
        task = asyncio.create_task(publisher.run(session))
        try:
            yield publisher
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def rounds(publisher: Publisher, count: int = 5) -> None:
    """Let the publisher look `count` times whether there is something to send."""
    for _ in range(count):
        publisher._wake.set()
        await until(lambda: not publisher._wake.is_set())


def committed(desk: Any, epoch: str = "") -> list[tuple[int, int]]:
    return list(desk.spool.epochs[epoch or desk.epoch].committed)


async def test_live_batches_are_sent_in_order_and_leave_when_they_are_committed(desk: Any, mosquitto: Any) -> None:
    async with Aggregator(mosquitto.port) as aggregator, publishing(desk, mosquitto.port) as publisher:
        await aggregator.online()
        for seq in range(1, 31):
            desk.gauge()
            publisher.sealed(desk.flush())
            await until(lambda seq=seq: len(aggregator.received) >= seq)  # type: ignore[misc]
        await until(lambda: publisher.idle)
    assert aggregator.numbers() == list(range(1, 31))
    assert committed(desk) == [(1, 30)]
    assert publisher.sent_total == 30
    assert desk.spool.store == "store-1"


async def test_nothing_is_sent_while_the_aggregator_is_offline(desk: Any, mosquitto: Any) -> None:
    desk.gauges(3)
    async with Aggregator(mosquitto.port) as aggregator, publishing(desk, mosquitto.port) as publisher:
        await rounds(publisher)
        await aggregator.online("offline")
        await until(lambda: desk.spool.store == "store-1")
        desk.gauge()
        publisher.sealed(desk.flush())
        await rounds(publisher)
        assert publisher.sent_total == 0
        await aggregator.online()
        await until(lambda: publisher.idle)
        await aggregator.online("offline")
        await until(lambda: not publisher.online)
        desk.gauge()
        publisher.sealed(desk.flush())
        await rounds(publisher)
        assert publisher.sent_total == 4
    assert sorted(aggregator.numbers()) == [1, 2, 3, 4]


async def test_after_an_outage_the_newest_come_first_and_live_batches_overtake_the_backlog(
    desk: Any, mosquitto: Any
) -> None:
    desk.gauges(200)
    async with (
        Aggregator(mosquitto.port) as aggregator,
        publishing(desk, mosquitto.port, backlog_per_s=100) as publisher,
    ):
        await aggregator.online()
        await until(lambda: len(aggregator.received) >= 100)
        before = len(aggregator.received)
        desk.gauge()
        publisher.sealed(desk.flush())
        await until(lambda: 201 in aggregator.numbers())
        overtaken = aggregator.numbers().index(201)
        await until(lambda: publisher.idle)
    backlog = [seq for seq in aggregator.numbers() if seq != 201]
    assert backlog == list(range(200, 0, -1))
    assert overtaken - before < WINDOW
    assert committed(desk) == [(1, 201)]


async def test_at_most_64_batches_are_unanswered_and_live_ones_find_a_place(desk: Any, mosquitto: Any) -> None:
    desk.gauges(150)
    async with (
        Aggregator(mosquitto.port, answering=False) as aggregator,
        publishing(desk, mosquitto.port) as publisher,
    ):
        await aggregator.online()
        await until(lambda: len(aggregator.received) == WINDOW - FRESH)
        for more in range(1, FRESH + 4):
            desk.gauge()
            publisher.sealed(desk.flush())
            await rounds(publisher, 2)
            await until(lambda more=more: len(aggregator.received) >= WINDOW - FRESH + min(more, FRESH))  # type: ignore[misc]
        await rounds(publisher)
        assert len(aggregator.received) == WINDOW == publisher.sent_total
        aggregator.answering = True
        for ack in aggregator.commit_all():
            await aggregator.say(ack)
        await until(lambda: publisher.idle)
    assert committed(desk) == [(1, 150 + FRESH + 3)]
    assert len(aggregator.received) == 150 + FRESH + 3


async def test_what_is_not_answered_in_time_is_sent_again(desk: Any, mosquitto: Any) -> None:
    desk.gauges(5)
    async with (
        Aggregator(mosquitto.port, answering=False) as aggregator,
        publishing(desk, mosquitto.port, answer_timeout_s=0.2) as publisher,
    ):
        await aggregator.online()
        await until(lambda: len(aggregator.received) >= 10)
        aggregator.answering = True
        await until(lambda: publisher.idle)
    assert publisher.resent_total >= 5
    assert len({batch.sha256 for batch in aggregator.received}) == 5  # the same bytes each time
    assert committed(desk) == [(1, 5)]


async def test_answers_that_come_three_times_do_no_harm(desk: Any, mosquitto: Any) -> None:
    desk.gauges(100)
    async with Aggregator(mosquitto.port) as aggregator, publishing(desk, mosquitto.port) as publisher:
        aggregator.copies = 3
        await aggregator.online()
        await until(lambda: publisher.idle)
    assert committed(desk) == [(1, 100)]
    assert len(aggregator.received) == 100


async def test_held_batches_pause_sending_longer_each_time_until_one_is_committed(desk: Any, mosquitto: Any) -> None:
    desk.gauges(3)
    times: list[float] = []
    async with Aggregator(mosquitto.port) as aggregator, publishing(desk, mosquitto.port) as publisher:

        def held(batch: Batch) -> Ack:
            if batch.content.seq == 3:
                times.append(asyncio.get_running_loop().time())
            if len(times) > 3:
                return aggregator.commit(batch)
            return Ack("store-1", batch.content.epoch, held=[Held(batch.content.seq, "store down")])

        aggregator.answer = held
        await aggregator.online()
        await until(lambda: publisher.idle)
    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert publisher.held_total >= 3
    assert pauses[0] >= 0.08  # 0.1 s, less the fifth of chance
    assert pauses[2] >= 0.32  # 0.4 s, the same
    assert committed(desk) == [(1, 3)]


@pytest.mark.parametrize("after", [20, 120])
async def test_a_broker_killed_in_between_loses_nothing(desk: Any, mosquitto: Any, after: int) -> None:
    desk.gauges(250)
    async with Aggregator(mosquitto.port) as aggregator, publishing(desk, mosquitto.port) as publisher:
        await aggregator.online()
        await until(lambda: len(aggregator.received) >= after)
        mosquitto.kill()
        await until(lambda: not publisher.online)
        for _ in range(5):
            desk.gauge()
            publisher.sealed(desk.flush())
        mosquitto.start()
        await until(lambda: publisher.idle)
    assert committed(desk) == [(1, 255)]
    assert sorted(aggregator.numbers()) == list(range(1, 256))
    assert len({batch.sha256 for batch in aggregator.received}) == 255


async def test_another_store_is_neither_sent_to_nor_obeyed(desk: Any, mosquitto: Any) -> None:
    desk.gauges(3)
    desk.spool.pin_store("store-1")
    async with Aggregator(mosquitto.port, store="store-2") as aggregator, publishing(desk, mosquitto.port) as publisher:
        await aggregator.online()
        await aggregator.say(Ack("store-2", desk.epoch, [(1, 3, desk.sha256(3))]))
        await aggregator.say(Ack("store-2", desk.epoch, refused=[Refused(1, desk.sha256(1), "ha")]))
        await aggregator.say(Ack("store-2", desk.epoch, [(1, 9, "0" * 64)]))
        await until(lambda: publisher.foreign_store == "store-2")
        await rounds(publisher)
        assert publisher.sent_total == 0
    assert desk.waiting() == [1, 2, 3]
    assert len(desk.spool.epochs) == 1
    assert desk.spool.store == "store-1"


@pytest.mark.parametrize(("last", "sha256"), [(9, None), (2, "0" * 64)])
async def test_an_answer_for_a_batch_never_written_begins_an_epoch_and_all_is_delivered(
    desk: Any, mosquitto: Any, last: int, sha256: str | None
) -> None:
    desk.gauges(3)
    former = desk.epoch
    async with (
        Aggregator(mosquitto.port, answering=False) as aggregator,
        publishing(desk, mosquitto.port, answer_timeout_s=0.3) as publisher,
    ):
        await aggregator.online()
        await until(lambda: len(aggregator.received) >= 3)
        await aggregator.say(Ack("store-1", former, [(1, last, sha256 or desk.sha256(3))]))
        await until(lambda: desk.epoch != former)
        aggregator.answering = True
        desk.gauge()
        publisher.sealed(desk.flush())
        await until(lambda: publisher.idle)
    assert committed(desk, former) == [(1, 3)]
    assert committed(desk) == [(1, 1)]
    (first,) = [batch for batch in aggregator.received if batch.content.epoch == desk.epoch]
    assert [(gap.kind, gap.epoch, gap.last_seq) for gap in first.content.gaps] == [("new_spool", former, 3)]


async def test_batches_of_a_former_name_go_out_under_their_own_topic(
    desk_of: Any, tmp_path: Path, mosquitto: Any
) -> None:
    old = desk_of(tmp_path / "spool", facility="works")
    old.gauges(3)
    desk = desk_of(tmp_path / "spool", facility="park")
    desk.gauges(2)
    async with Aggregator(mosquitto.port) as aggregator, publishing(desk, mosquitto.port) as publisher:
        await aggregator.online()
        await until(lambda: publisher.idle)
    assert {
        (topic, batch.content.facility) for topic, batch in zip(aggregator.topics, aggregator.received, strict=True)
    } == {
        ("wattline/v1/works/gw-01/batch", "works"),
        ("wattline/v1/park/gw-01/batch", "park"),
    }
    assert committed(desk, old.epoch) == [(1, 3)]
    assert committed(desk) == [(1, 2)]


async def test_a_have_saves_the_backlog_and_brings_back_what_is_lacking(desk: Any, mosquitto: Any) -> None:
    desk.gauges(100)
    desk.spool.acknowledge(desk.committed((1, 10)))
    patient = Pauses(have_s=60)
    async with (
        Aggregator(mosquitto.port) as aggregator,
        publishing(desk, mosquitto.port, pauses=patient) as publisher,
    ):
        await aggregator.online()
        await until(lambda: len(aggregator.received) == FRESH)  # live ones do not wait for it
        await rounds(publisher)
        assert len(aggregator.received) == FRESH
        await aggregator.say(desk.committed((6, 90), have=True))
        await until(lambda: publisher.idle)
    assert aggregator.numbers() == [*range(100, 90, -1), 5, 4, 3, 2, 1]
    assert committed(desk) == [(1, 100)]


async def test_a_refused_batch_is_not_sent_again_and_its_gap_is(desk: Any, mosquitto: Any) -> None:
    desk.gauges(3)
    async with Aggregator(mosquitto.port) as aggregator, publishing(desk, mosquitto.port) as publisher:

        def refuse_two(batch: Batch) -> Ack:
            if batch.content.seq != 2:
                return aggregator.commit(batch)
            return Ack("store-1", batch.content.epoch, refused=[Refused(2, batch.sha256, "unreadable")])

        aggregator.answer = refuse_two
        await aggregator.online()
        await until(lambda: publisher.idle)
        publisher.sealed(desk.flush())
        await until(lambda: publisher.idle)
    assert aggregator.numbers().count(2) == 1
    assert [(gap.kind, gap.first_seq) for gap in aggregator.received[-1].content.gaps] == [("refused", 2)]


async def test_a_broker_that_refuses_batches_loses_none(desk: Any, make_mosquitto: Any, tmp_path: Path) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic read #\ntopic write {AGGREGATOR_STATUS}\n")
    acl.chmod(0o644)
    broker = make_mosquitto(f"acl_file {acl}")
    desk.gauges(2)
    async with Aggregator(broker.port) as aggregator, publishing(desk, broker.port) as publisher:
        await aggregator.online()
        await until(lambda: publisher.sent_total >= 4)  # again after the pause
        assert desk.waiting() == [1, 2]
    assert aggregator.received == []


async def test_a_publisher_that_is_just_woken_can_be_stopped(desk: Any, mosquitto: Any) -> None:
    async with publishing(desk, mosquitto.port) as publisher:
        for _ in range(20):
            task = asyncio.create_task(publisher.run(publisher._session))  # type: ignore[arg-type]
            await asyncio.sleep(0)
            publisher._wake.set()
            await asyncio.sleep(0)
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=5)
            assert done


async def test_what_is_no_message_is_not_obeyed(desk: Any) -> None:
    desk.gauges(1)
    publisher = Publisher(desk.spool)
    for payload in (b"", b"{}", b"\xff\xfe", b"[" * 10_000, b'{"store":"s","epoch":"e","committed":[[1]]}'):
        publisher.message("wattline/v1/works/gw-01/ack", payload)
        publisher.message(AGGREGATOR_STATUS, payload)
    publisher.message(AGGREGATOR_STATUS, encode(AggregatorStatus("", "online")))
    assert not publisher.online
    assert desk.spool.store == ""
    assert desk.waiting() == [1]
