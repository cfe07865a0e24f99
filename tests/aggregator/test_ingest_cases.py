"""Every fault of tests/cases/batch through the running ingest, followed by a good batch: one message, one answer, and nothing else stops."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty_batch import SEALED_MS, SEQ, TOPIC, Case, cases, good_content

from aggregator.ingest import Ingest
from aggregator.stores.duckdb_store import DuckDBStore
from aggregator.stores.store import SeriesKey
from aggregator.trust import Trust, TrustedEdge
from wire.keys import SigningKey
from wire.messages import Ack

KEY = SigningKey.generate()
POWER = SeriesKey("works", "gw-01", "incomer", "active_power_kw")


class Desk:
    """One ingest for all cases; each begins with an empty pile of answers and figures of its own."""

    def __init__(self, directory: Path) -> None:
        self.store = DuckDBStore(directory / "store.duckdb", memory_limit="256MB")
        self.answers: list[Ack] = []
        self.begin()

    def begin(self) -> None:
        trust = Trust([TrustedEdge("works", "gw-01", (KEY.public,))])
        self.ingest = Ingest(
            self.store, "store-1", trust, lambda: SEALED_MS, lambda _facility, _edge, ack: self.answers.append(ack), tick_s=0.001
        )  # fmt: skip
        self.answers.clear()

    def send(self, frame: bytes) -> list[Ack]:
        before = len(self.answers)
        assert self.ingest.offer(TOPIC, frame)
        assert self.ingest.drain(10)
        return self.answers[before:]

    def counted(self) -> dict[str, int]:
        """What has been counted as a fault, without the zeros."""
        figures = self.ingest.figures()
        names = ("unreadable", "forged", "refused", "held", "conflicts", "overflowed")
        counts = {name: getattr(figures, name) for name in names} | figures.left_out
        return {name: count for name, count in counts.items() if count}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    made = Desk(tmp_path_factory.mktemp("ingest"))
    yield made
    made.store.close()


def kind_of(ack: Ack) -> str:
    return "committed" if ack.committed else "refused" if ack.refused else "held" if ack.held else "have"


def numbers(ack: Ack) -> list[int]:
    return [last for _, last, _ in ack.committed] + [one.seq for one in (*ack.refused, *ack.held)]


def good_frame(case: Case, number: int) -> bytes:
    """A good batch that no other case has sent."""
    content = good_content() | {"seq": 1, "epoch": f"after-{number}"}
    content["blocks"][0] |= {"at_ms": [SEALED_MS - 1000 * (number + 1)]}
    return Case(case.name, "", "reads", "committed", {}, content, None, {}, {}).frame_of(KEY)


@pytest.mark.parametrize(("number", "case"), list(enumerate(cases())), ids=[case.name for case in cases()])
def test_a_faulty_batch_is_answered_counted_said_once_and_costs_nothing_else(
    desk: Desk, number: int, case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    desk.begin()
    with desk.ingest, caplog.at_level(logging.DEBUG):
        acks = desk.send(case.frame_of(KEY, f"case-{number}"))
        assert [kind_of(ack) for ack in acks] == ([] if case.answer == "none" else [case.answer])
        assert [number for ack in acks for number in numbers(ack)] == [SEQ] * len(acks)
        assert desk.counted() == case.counted
        assert [case.expect in record.getMessage() for record in caplog.records].count(True) == 1, caplog.text
        assert [record for record in caplog.records if record.exc_info] == []
        stored = len(desk.store.history(POWER, 0, 2 * SEALED_MS))
        (ack,) = desk.send(good_frame(case, number))
        assert (kind_of(ack), ack.epoch) == ("committed", f"after-{number}")
        assert len(desk.store.history(POWER, 0, 2 * SEALED_MS)) == stored + 1
        assert desk.counted() == case.counted
