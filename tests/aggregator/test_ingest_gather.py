"""Columns gathered in bulk must say what the wire's slow path says, reading by reading."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.gather import Gatherer
from aggregator.stores.series_table import SeriesTable
from aggregator.stores.store import SeriesKey
from wire.block import Block, Shape, Value
from wire.content import ClockJson, Content, blocks, pack
from wire.reading import REASON_CODES

NOW = 1_760_000_000_000
NAMES = ("active_power_kw", "voltage_v", "current_a", "energy_import_kwh", "state_of_charge_percent")

Seen = dict[tuple[SeriesKey, int], tuple[float | None, int, int]]


def content(*given_blocks: Block, edge: str = "gw-01") -> Content:
    shapes, packed = pack(given_blocks)
    return Content("works", edge, "e1", 1, "", NOW, "gauge", ClockJson(True), shapes=shapes, blocks=packed)


def gathered(contents: list[Content]) -> tuple[Seen, int]:
    table = SeriesTable()
    rows = Gatherer(table.ids).gather(contents, NOW).rows
    columns = (rows.at_ms.tolist(), rows.value.tolist(), rows.quality.tolist(), rows.reason.tolist())
    keys = table.keys(rows.series.tolist())
    seen: Seen = {}
    for key, at_ms, value, quality, reason in zip(keys, *columns, strict=True):
        seen[key, at_ms] = (None if math.isnan(value) else value, quality, reason)
    return seen, len(rows)


def expected(contents: list[Content]) -> tuple[Seen, int]:
    seen: Seen = {}
    count = 0
    for one in contents:
        for block in blocks(one):
            for reading in block.readings():
                key = SeriesKey(one.facility, one.edge, reading.device, reading.quantity)
                seen[key, reading.at_ms] = (reading.value, int(reading.quality), REASON_CODES[reading.reason])
                count += 1
    return seen, count


@st.composite
def some_block(draw: st.DrawFn) -> Block:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    exponents = draw(st.lists(st.one_of(st.none(), st.integers(-6, 3)), min_size=len(names), max_size=len(names)))
    steps = draw(st.lists(st.integers(1, 5_000), min_size=1, max_size=4))
    at_ms = tuple(int(at) for at in np.cumsum([NOW - 50_000, *steps[1:]]))
    floats = st.floats(-1e9, 1e9).map(lambda value: round(value, 4))
    columns: list[tuple[Value, ...]] = []
    for exponent in exponents:
        values: st.SearchStrategy[Value] = st.none() | (floats if exponent is None else st.integers(-(2**40), 2**40))
        columns.append(tuple(draw(st.lists(values, min_size=len(at_ms), max_size=len(at_ms)))))
    pairs = st.tuples(st.integers(0, 3), st.integers(0, 5))
    quality = tuple(draw(st.one_of(st.just([]), st.lists(pairs, min_size=len(names), max_size=len(names)))))
    device = draw(st.sampled_from(("incomer", "pv", "battery")))
    return Block(device, Shape(tuple(names), tuple(exponents)), at_ms, tuple(columns), quality)


@settings(max_examples=150, deadline=None)
@given(st.lists(some_block(), max_size=4, unique_by=lambda block: (block.device, block.shape.quantities)))
def test_bulk_columns_say_what_single_readings_say(given_blocks: list[Block]) -> None:
    contents = [content(*given_blocks), content(*given_blocks, edge="gw-02")]
    assert gathered(contents)[1] == expected(contents)[1]
    for key, (value, quality, reason) in expected(contents)[0].items():
        seen = gathered(contents)[0][key]
        assert seen[1:] == (quality, reason)
        assert seen[0] == value if value is None else seen[0] == pytest.approx(value, rel=1e-12)


def test_a_meters_own_digits_survive_the_bulk_path() -> None:
    digits = [-1, 7, 12345, 999_999_999_999, 2**53]
    block = Block(
        "incomer", Shape(("energy_import_kwh",), (-3,)), tuple(NOW - 10 + i for i in range(5)), (tuple(digits),)
    )
    seen, _ = gathered([content(block)])
    key = SeriesKey("works", "gw-01", "incomer", "energy_import_kwh")
    assert [seen[key, NOW - 10 + i][0] for i in range(5)] == [-0.001, 0.007, 12.345, 999999999.999, 9007199254740.992]


def test_an_integer_beyond_any_float_is_left_out_alone() -> None:
    block = Block("incomer", Shape(("active_power_kw", "voltage_v"), (-3, None)), (NOW,), ((10**400,), (230.0,)))
    result = Gatherer(SeriesTable().ids).gather([content(block)], NOW)
    assert (result.rows.value.tolist(), result.left_out) == ([230.0], {"not_finite": 1})


def test_nothing_gives_no_rows() -> None:
    result = Gatherer(SeriesTable().ids).gather([content(), content()], NOW)
    assert (len(result.rows), result.readings) == (0, [0, 0])
