"""One reader for every file of rows: columns by name, faults by line."""

import pytest

from aggregator.emissions.csv_table import ColumnMissing, TableRefused, Torn, cells, decimal_cell, table


def rows(text: str) -> list[tuple[int, tuple[str, ...] | Torn]]:
    return list(cells(text.splitlines(keepends=True), "f.csv", ("b", "a"), optional=("c",)))


def test_cells_come_in_the_order_asked_for_and_a_column_that_is_not_there_is_empty() -> None:
    assert rows("a,x,b\n1,2,3\n") == [(2, ("3", "1", ""))]
    assert rows("a,b,c\n1,2,3\n") == [(2, ("2", "1", "3"))]


def test_comments_and_empty_lines_are_passed_over_and_the_line_is_that_of_the_file() -> None:
    assert rows("# by hand\na,b\n\n# later\n1,2\n") == [(5, ("2", "1", ""))]


def test_a_row_of_another_width_is_told_and_the_next_one_is_read() -> None:
    (_, torn), good = rows("a,b\n1\n3,4\n")
    assert str(torn) == "row: expected 2 columns, got 1"
    assert good == (3, ("4", "3", ""))


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ColumnMissing, match=r"f.csv: expected a column 'b', got 'a', 'x'"):
        rows("a,x\n")


def test_every_fault_of_a_file_is_told_at_once_and_nothing_is_kept() -> None:
    with pytest.raises(TableRefused) as refused:
        table(["n\n", "1\n", "two\n", "3,3\n"], "f.csv", ("n",), lambda row: decimal_cell(row, "n"))
    assert refused.value.faults == [
        "f.csv:3: n: expected a decimal number such as 42.652, got 'two'",
        "f.csv:4: row: expected 1 columns, got 2",
    ]


def test_an_open_quote_is_a_fault_of_the_file() -> None:
    with pytest.raises(TableRefused, match=r"f.csv: expected CSV in UTF-8"):
        table(['n\n"1\n'], "f.csv", ("n",), dict)
