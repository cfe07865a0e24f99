"""Which registers are read together: the figures of the SDM630 map at three baud rates, limits, forbidden ranges, splits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.modbus.coalesce import TCP_COST, Cost, Limits, Request, impossible, plan, serial_cost, split
from edge_agent.drivers.modbus.registers import Field

# 18 floats in 0..79 that OpenEMS reads from an SDM630: voltages, currents, powers, reactive powers, sum of currents, P, Q, f, two energies.
SDM630 = (0, 2, 4, 6, 8, 10, 12, 14, 16, 24, 26, 28, 48, 52, 60, 70, 76, 78)
ADJACENT_ONLY = Cost(1.0, 1000.0)  # a hole never pays


def floats(*addresses: int) -> list[Field]:
    return [Field(f"q{address}", "input", address, "float32") for address in addresses]


def spans(requests: tuple[Request, ...]) -> list[tuple[int, int]]:
    return [(request.start, request.count) for request in requests]


def bus_ms(requests: tuple[Request, ...], cost: Cost) -> int:
    return round(sum(cost.of(request.count) for request in requests))


@pytest.mark.parametrize(("baud", "hole"), [(2400, 12), (9600, 18), (19200, 27)])
def test_the_break_even_hole_on_a_serial_line(baud: int, hole: int) -> None:
    """(8 + 5 + 7) characters and 20 ms against 2 characters a register, 11 bits a character."""
    assert serial_cost(baud).break_even_hole() == hole


@pytest.mark.parametrize(
    ("baud", "single_ms", "adjacent_ms", "merged_ms"),
    [(2400, 2340, 1112, 845), (9600, 855, 383, 226), (19200, 608, 261, 123)],
)
def test_the_sdm630_map_takes_eighteen_seven_or_one_request(
    baud: int, single_ms: int, adjacent_ms: int, merged_ms: int
) -> None:
    cost, fields = serial_cost(baud), floats(*SDM630)
    single = plan(fields, Limits(one_request_per_field=True), cost)
    adjacent = plan(fields, Limits(), ADJACENT_ONLY)
    assert [len(single), len(adjacent)] == [18, 7]
    assert [bus_ms(single, cost), bus_ms(adjacent, cost)] == [single_ms, adjacent_ms]
    one = plan(fields, Limits(), Cost(cost.fixed_ms, 0.0))
    assert [(request.start, request.count) for request in one] == [(0, 80)]
    assert bus_ms(one, cost) == merged_ms


@pytest.mark.parametrize("baud", [9600, 19200])
def test_the_cost_model_itself_finds_the_one_request(baud: int) -> None:
    assert spans(plan(floats(*SDM630), Limits(), serial_cost(baud))) == [(0, 80)]


def test_a_hole_longer_than_break_even_is_stepped_over() -> None:
    assert spans(plan(floats(0, 2 + 18), Limits(), serial_cost(9600))) == [(0, 22)]
    assert spans(plan(floats(0, 2 + 19), Limits(), serial_cost(9600))) == [(0, 2), (21, 2)]


def test_on_tcp_requests_are_filled_up_to_the_limit_of_the_device() -> None:
    assert spans(plan(floats(0, 100, 123), Limits(), TCP_COST)) == [(0, 125)]
    assert spans(plan(floats(0, 100, 124), Limits(), TCP_COST)) == [(0, 2), (100, 26)]


def test_of_two_plans_with_as_many_requests_the_one_with_fewer_registers_is_taken() -> None:
    assert spans(plan(floats(0, 50, 90, 92), Limits(max_registers=60), TCP_COST)) == [(0, 2), (50, 44)]


def test_a_range_that_must_not_be_read_is_never_in_a_hole() -> None:
    assert spans(plan(floats(0, 10), Limits(no_read=((4, 5),)), TCP_COST)) == [(0, 2), (10, 2)]
    assert [field.address for field in impossible(floats(0, 4), Limits(no_read=((4, 5),)))] == [4]
    with pytest.raises(ValueError, match=r"q4: expected registers that one request may read .*, saw 4\.\.5"):
        plan(floats(4), Limits(no_read=((4, 5),)), TCP_COST)


def test_holding_and_input_registers_are_read_apart() -> None:
    fields = [Field("a", "holding", 0, "uint16"), Field("b", "input", 1, "uint16"), Field("c", "holding", 2, "uint16")]
    assert [(request.table, request.start, request.count) for request in plan(fields, Limits(), TCP_COST)] == [
        ("holding", 0, 3),
        ("input", 1, 1),
    ]


def test_a_value_and_its_scale_factor_are_never_parted() -> None:
    fields = [Field("a", "holding", 0, "int16", scale_address=40), Field("b", "holding", 2, "int16", scale_address=41)]
    assert spans(plan(fields, Limits(max_registers=42), TCP_COST)) == [(0, 42)]
    assert spans(plan(fields, Limits(max_registers=41), TCP_COST)) == [(0, 41), (2, 40)]
    assert [field.quantity for field in impossible(fields, Limits(max_registers=40))] == ["a"]


def test_the_holes_of_a_request_are_counted() -> None:
    (request,) = plan([*floats(0, 10), Field("w", "input", 6, "int16", scale_address=7)], Limits(), TCP_COST)
    assert request.holes == 12 - 2 - 2 - 2


def test_a_refused_request_is_split_at_its_longest_hole() -> None:
    (request,) = plan(floats(0, 2, 10, 30), Limits(), TCP_COST)
    left, right = split(request)
    assert spans((left, right)) == [(0, 12), (30, 2)]
    assert spans(split(left)) == [(0, 4), (10, 2)]
    assert spans(split(split(left)[0])) == [(0, 2), (2, 2)]
    assert split(right) == ()


@given(
    st.sets(st.integers(0, 400), min_size=1, max_size=25), st.integers(2, 125), st.sampled_from([1200, 9600, 115200])
)
def test_every_field_is_read_once_and_no_request_is_too_long(addresses: set[int], most: int, baud: int) -> None:
    requests = plan(floats(*(2 * address for address in addresses)), Limits(max_registers=most), serial_cost(baud))
    assert sorted(field.address for request in requests for field in request.fields) == sorted(2 * a for a in addresses)
    for request in requests:
        assert request.count <= most
        assert all(
            request.start <= field.start and field.end <= request.start + request.count for field in request.fields
        )


@given(st.sets(st.integers(0, 60), min_size=2, max_size=9), st.sampled_from([2400, 19200]))
def test_no_cut_is_cheaper_than_the_plan(addresses: set[int], baud: int) -> None:
    """Against every way to cut the fields into consecutive groups."""
    cost, starts = serial_cost(baud), sorted(2 * address for address in addresses)
    cheapest_ms = min(
        sum(cost.of(group[-1] + 2 - group[0]) for group in _cut(starts, mask)) for mask in range(1 << (len(starts) - 1))
    )
    total_ms = sum(cost.of(request.count) for request in plan(floats(*starts), Limits(), cost))
    assert total_ms == pytest.approx(cheapest_ms)


def _cut(starts: list[int], mask: int) -> list[list[int]]:
    groups = [[starts[0]]]
    for index, start in enumerate(starts[1:]):
        if mask >> index & 1:
            groups.append([start])
        else:
            groups[-1].append(start)
    return groups
