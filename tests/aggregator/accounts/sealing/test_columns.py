"""Sealed columns against single rows: random energies, factors, days and grades give the same sums, digit for digit."""

from collections.abc import Callable, Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.accounts.line import Counts
from aggregator.accounts.metered import lines_of
from aggregator.accounts.period import Period
from aggregator.accounts.sealing.columns import Piece, Spans, pieces_of_columns, pieces_of_rows
from aggregator.accounts.sealing.file import Chunk, SealedFiles, SealedFileUnusable, SealedRow, split, write_file
from aggregator.accounts.statement import Statement, line_order
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.profiles import profile
from aggregator.emissions.resolution import Resolution
from aggregator.facility import Facility, MeterSpec, Role
from aggregator.intervals.boundaries import GOOD, Grade
from aggregator.ledger import IntervalRow
from wire.reading import Quality

D = Decimal
HOUR_MS = 3_600_000
QUARTER_MS = 900_000
T0 = 1_774_738_800_000  # 2026-03-28T23:00Z: the first of two days, the second of 23 hours, in Berlin
BERLIN = ZoneInfo("Europe/Berlin")
GRADES = (GOOD, Grade(Quality.SUBSTITUTED, "counter-diff"), Grade(Quality.SUBSTITUTED, "it's"))


def resolution(from_ms: int, to_ms: int, kg_per_kwh: Decimal | None) -> Resolution:
    known = kg_per_kwh is not None
    return Resolution(
        "works",
        "zone" if known else "none",
        kg_per_kwh,
        "elec" if known else "",
        int(known),
        "DE",
        None,
        "a document",
        (),
        (),
        from_ms,
        to_ms,
    )


METER = MeterSpec("incomer", "gw", D(1000), Role.MAIN)
WORKS = Facility("works", "Europe/Berlin", meters=(METER,))


def stated(pieces: Iterable[Piece], resolve: Callable[[int], Resolution]) -> bytes:
    """The statement's bytes."""
    period = Period(WORKS, profile("OPS"), T0, T0 + 2**30, 0, lambda *_: (), resolve)
    lines = sorted(lines_of(period, METER, pieces, Counts.SCOPE_2), key=line_order)
    return Statement("works", "OPS", T0, T0 + 2**30, 0, tuple(lines)).encoded()


def in_memory(rows: list[IntervalRow]) -> Chunk:
    """As a file would give them."""
    parts = [split(str(row.energy_kwh)) for row in rows]
    grades = sorted({(row.grade, row.final) for row in rows}, key=repr)
    return Chunk(
        "incomer",
        "energy_import_kwh",
        np.array([row.start_ms for row in rows]),
        np.array([row.end_ms for row in rows]),
        np.array([part[0] if part else 0 for part in parts], np.int64),
        np.array([part[1] if part else 0 for part in parts], np.int8),
        np.array([grades.index((row.grade, row.final)) for row in rows], np.uint8),
        grades,
        {place: row.energy_kwh for place, (row, part) in enumerate(zip(rows, parts, strict=True)) if part is None},
    )


def sealed(rows: list[IntervalRow]) -> Chunk:
    with TemporaryDirectory() as directory, closing(SealedFiles()) as files:
        path = Path(directory) / "a.parquet"
        return files.chunks(path, write_file(path, [sealed_row(row) for row in rows]))["incomer", "energy_import_kwh"]


def sealed_row(row: IntervalRow) -> SealedRow:
    return SealedRow(
        row.device, row.quantity, row.start_ms, row.end_ms, str(row.energy_kwh), int(row.grade.quality), row.grade.reason,
        "final" if row.final else "provisional", row.source, row.version,
    )  # fmt: skip


energies = st.one_of(
    st.decimals(min_value=-(10**6), max_value=10**6, places=3),
    st.decimals(min_value=0, max_value=10**4, allow_nan=False, allow_infinity=False, places=9),
    st.sampled_from(
        [
            D("0E-9"),
            D("-0.00"),
            D("1E+2"),
            D("9223372036854775807"),
            D("-9223372036854775807"),
            D("0.1234567890123456789012"),
        ]
    ),
)


@st.composite
def intervals(draw: st.DrawFn) -> list[IntervalRow]:
    """Quarter hours in order, some missing, some longer than they ought to be so that they reach over midnight or a factor's end."""
    rows, start_ms = list[IntervalRow](), T0
    for _ in range(draw(st.integers(1, 40))):
        start_ms += QUARTER_MS * draw(st.sampled_from([0, 0, 0, 1, 10]))
        end_ms = start_ms + QUARTER_MS * draw(st.sampled_from([1, 1, 1, 1, 2, 7]))
        energy, grade, final = draw(energies), draw(st.sampled_from(GRADES)), draw(st.booleans())
        rows.append(
            IntervalRow("works", "incomer", "energy_import_kwh", start_ms, end_ms, energy, grade, final, "measured")
        )
        start_ms = end_ms
    return rows


@settings(max_examples=150, deadline=None)
@given(
    intervals(),
    st.lists(st.one_of(st.none(), st.decimals(0, 2, places=4), st.decimals(0, 2, places=7)), min_size=1, max_size=4),
    st.integers(1, 9),
)
def test_columns_and_rows_give_the_same_digits(
    rows: list[IntervalRow], factors: list[Decimal | None], step: int
) -> None:
    step_ms = step * 1_234_567

    def resolve(at_ms: int) -> Resolution:
        place = (at_ms - T0) // step_ms
        return resolution(T0 + place * step_ms, T0 + (place + 1) * step_ms, factors[place % len(factors)])

    spans = Spans(T0, rows[-1].start_ms + 1, BERLIN, resolve)
    of_rows = stated(pieces_of_rows(rows, resolve), resolve)
    assert stated(pieces_of_columns(in_memory(rows), spans, resolve), resolve) == of_rows


def test_a_sealed_file_gives_back_every_digit_and_grade() -> None:
    energies = [D("12.340"), D("-0.5"), D("0E-9"), D("1E+2"), D("-0.00"), D("0.1234567890123456789012"), D(2**63)]
    rows = [
        IntervalRow(
            "works", "incomer", "energy_import_kwh", T0 + n, T0 + n + 1, kwh, GRADES[n % 3], n % 2 == 0, "measured"
        )
        for n, kwh in enumerate(energies)
    ]
    chunk = sealed(rows)
    assert [str(chunk.energy_kwh(n)) for n in range(len(rows))] == [
        "12.340", "-0.5", "0E-9", "1E+2", "-0.00", "0.1234567890123456789012", "9223372036854775808",
    ]  # fmt: skip
    assert [chunk.grades[code] for code in chunk.graded] == [(row.grade, row.final) for row in rows]
    assert (chunk.start_ms.tolist(), chunk.end_ms.tolist()) == (
        [row.start_ms for row in rows],
        [row.end_ms for row in rows],
    )


def test_only_rows_that_begin_within_the_spans_count() -> None:
    """By hand: of four quarter hours of 1, 2, 4 and 8 kWh the middle two are asked for."""
    rows = [
        IntervalRow(
            "works",
            "incomer",
            "energy_import_kwh",
            T0 + n * QUARTER_MS,
            T0 + (n + 1) * QUARTER_MS,
            D(2**n),
            GOOD,
            True,
            "measured",
        )
        for n in range(4)
    ]
    forever = resolution(0, 2**60, D("0.5"))
    (piece,) = pieces_of_columns(
        sealed(rows), Spans(T0 + QUARTER_MS, T0 + 3 * QUARTER_MS, BERLIN, lambda _: forever), lambda _: forever
    )
    assert (piece.kwh, piece.intervals, piece.start_ms, piece.end_ms) == (D(6), 2, T0 + QUARTER_MS, T0 + 3 * QUARTER_MS)


def test_sums_beyond_63_bits_are_exact() -> None:
    """Python's integers as the peer: 100 times the largest 63-bit mantissa, with three digits."""
    largest = D(2**63 - 1).scaleb(-3)
    rows = [
        IntervalRow(
            "works",
            "incomer",
            "energy_import_kwh",
            T0 + n * QUARTER_MS // 4,
            T0 + n * QUARTER_MS // 4 + 1,
            largest,
            GOOD,
            True,
            "measured",
        )
        for n in range(100)
    ]
    forever = resolution(0, 2**60, None)
    (piece,) = pieces_of_columns(
        sealed(rows), Spans(T0, T0 + 24 * HOUR_MS, BERLIN, lambda _: forever), lambda _: forever
    )
    assert int(piece.kwh.scaleb(3, EXACT)) == 100 * (2**63 - 1)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("12.340", (12340, 3)), ("-0.5", (-5, 1)), ("0E-9", (0, 9)), ("1E-9", (1, 9)), ("7", (7, 0)), ("1E+2", None), ("-0.00", None),
        ("9223372036854775808", None), ("0.1234567890123456789", None), ("NaN", None),
    ],
)  # fmt: skip
def test_an_energy_is_a_whole_number_and_its_digits(text: str, parts: tuple[int, int] | None) -> None:
    assert split(text) == parts


def test_a_changed_byte_in_a_sealed_file_is_found_and_the_file_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    row = IntervalRow("works", "incomer", "energy_import_kwh", T0, T0 + QUARTER_MS, D("1.5"), GOOD, True, "measured")
    sha256 = write_file(path, [sealed_row(row)])
    with pytest.raises(FileExistsError, match=r"a\.parquet"):
        write_file(path, [sealed_row(row)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with closing(SealedFiles()) as files, pytest.raises(SealedFileUnusable, match=r"a\.parquet: expected SHA-256"):
        files.chunks(path, sha256)
