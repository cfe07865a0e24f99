"""What a person's decision makes of a step of the counter. Energies by hand, in displayed kWh."""

import random
from decimal import Decimal
from typing import Any

import pytest

from aggregator.intervals.counter import CounterChange, CounterLine, CounterReading
from aggregator.intervals.decision import Decision, Decisions, Said, Unfit
from aggregator.intervals.meter import MeterSpec
from aggregator.intervals.series import CounterIntervals
from wire.reading import Quality

D = Decimal
METER = MeterSpec("incomer", "gw", rated_power_kw=D(100), quantum_kwh=D("0.1"))  # 2.2 kWh a minute at most


def line_of(*decisions: Decision, values: tuple[str, ...], **line: Any) -> tuple[CounterLine, list[Any]]:
    """Offers one reading a minute; gives the line and (change, before, after, booked) of each event."""
    counter = CounterLine(METER, decisions=Decisions(decisions), **line)
    told = []
    for minute, value in enumerate(values):
        _, events = counter.offer(CounterReading(minute * 60_000, D(value)))
        told += [(e.change.value, str(e.before), str(e.after), e.substituted_kwh) for e in events]
    return counter, told


def line_value(counter: CounterLine) -> Decimal:
    assert counter.last is not None
    return counter.last.line


def test_a_decided_rollover_adds_the_modulus_and_the_line_runs_on() -> None:
    decision = Decision(60_000, Said.ROLLOVER, modulus=D(1000))
    counter, told = line_of(decision, values=("999.0", "0.5", "1.5"))
    assert line_value(counter) == D("1001.5")
    assert told == [("decided", "999.0", "0.5", D("1.5"))]


def test_a_decided_exchange_books_what_both_meters_counted() -> None:
    decision = Decision(60_000, Said.EXCHANGE, old_last=D("500.8"), new_first=D("3.1"))
    counter, told = line_of(decision, values=("500.0", "3.5", "4.5"))
    assert line_value(counter) == D("502.2")  # 500 + 0.8 by the old one, 0.4 and 1 by the new one
    assert told == [("decided", "500.0", "3.5", D("1.2"))]


def test_a_decided_exchange_without_readings_and_a_reset_book_the_power_integral_and_never_the_new_value() -> None:
    for said in (Said.EXCHANGE, Said.RESET):
        counter, _ = line_of(Decision(60_000, said), values=("500.0", "3.5", "4.5"), power=lambda _from, _to: D("0.9"))
        assert line_value(counter) == D("501.9")
        counter, told = line_of(Decision(60_000, said), values=("500.0", "3.5", "4.5"))
        assert line_value(counter) == D("501.0")  # no power is known: nothing
        assert told == [("decided", "500.0", "3.5", None)]


def test_no_change_books_a_step_above_the_rating_and_marks_it() -> None:
    counter, told = line_of(Decision(60_000, Said.NO_CHANGE), values=("500.0", "510.0"))
    assert counter.last is not None
    assert (counter.last.line, counter.last.quality, counter.last.reason) == (D(510), Quality.UNCERTAIN, "decided")
    assert told == [("decided", "500.0", "510.0", D(10))]


def test_a_decided_glitch_ignores_its_readings_and_is_told_once() -> None:
    values = ("500.0", "700.0", "701.0", "702.0", "703.0", "704.0", "505.0")
    counter, told = line_of(Decision(60_000, Said.GLITCH, until_ms=300_000), values=values)
    assert line_value(counter) == D("505.0")
    assert told == [("decided", "500.0", "700.0", None)]


def test_a_glitch_at_the_very_beginning_is_told_of_itself() -> None:
    counter, told = line_of(Decision(0, Said.GLITCH, until_ms=1), values=("9999.0", "500.0", "501.0"))
    assert line_value(counter) == D("501.0")
    assert told == [("decided", "9999.0", "9999.0", None)]


def test_what_is_held_when_a_decision_comes_was_a_glitch_before_it() -> None:
    decision = Decision(120_000, Said.EXCHANGE, old_last=D("500.8"), new_first=D("3.1"))
    counter, told = line_of(decision, values=("500.0", "0.0", "3.5", "4.5"))
    assert [change for change, *_ in told] == ["held", "glitch", "decided"]
    assert line_value(counter) == D("502.2")


def test_a_decision_that_does_not_fit_the_readings_leaves_them_to_the_algebra() -> None:
    decision = Decision(60_000, Said.EXCHANGE, old_last=D("499.0"), new_first=D("3.1"))
    counter, told = line_of(decision, values=("500.0", "3.5", "4.5", "5.5", "6.5"))
    assert [change for change, *_ in told] == ["held", "reset"]
    assert line_value(counter) == D("503.0")


def test_without_decisions_and_with_withdrawn_ones_the_algebra_decides() -> None:
    assert not Decisions([Decision(60_000, Said.AUTOMATIC)])
    _, told = line_of(Decision(60_000, Said.AUTOMATIC), values=("500.0", "3.5", "4.5", "5.5", "6.5"))
    assert [change for change, *_ in told] == [CounterChange.HELD, CounterChange.RESET]


def test_the_state_remembers_the_glitch_that_was_told() -> None:
    decisions = Decisions([Decision(60_000, Said.GLITCH, until_ms=300_000)])
    counter, _ = line_of(Decision(60_000, Said.GLITCH, until_ms=300_000), values=("500.0", "700.0"))
    again = CounterLine.from_json(METER, counter.power, counter.to_json())
    again.decisions = decisions
    assert again.offer(CounterReading(120_000, D(701))) == ([], [])


@pytest.mark.parametrize(
    ("keys", "thing"),
    [
        ({"said": Said.ROLLOVER}, "modulus_kwh"),
        ({"said": Said.ROLLOVER, "modulus": D(0)}, "modulus_kwh"),
        ({"said": Said.RESET, "modulus": D(1000)}, "modulus_kwh"),
        ({"said": Said.EXCHANGE, "old_last": D(1)}, "new_first_kwh"),
        ({"said": Said.EXCHANGE, "new_first": D(1)}, "old_last_kwh"),
        ({"said": Said.NO_CHANGE, "new_first": D(1)}, "new_first_kwh"),
        ({"said": Said.GLITCH}, "until_ms"),
        ({"said": Said.GLITCH, "until_ms": 59_999}, "until_ms"),
        ({"said": Said.EXCHANGE, "until_ms": 70_000}, "until_ms"),
    ],
)
def test_keys_that_are_missing_or_do_not_belong_are_named(keys: dict[str, Any], thing: str) -> None:
    with pytest.raises(Unfit, match=f"^{thing}: expected ") as fault:
        Decision(60_000, **keys)
    assert fault.value.thing == thing


@pytest.mark.parametrize(
    ("decision", "thing"),
    [
        (Decision(1, Said.ROLLOVER, modulus=D(500)), "modulus_kwh"),
        (Decision(1, Said.EXCHANGE, old_last=D("499.9"), new_first=D(0)), "old_last_kwh"),
        (Decision(1, Said.EXCHANGE, old_last=D(500), new_first=D("3.6")), "new_first_kwh"),
        (Decision(1, Said.NO_CHANGE), "change"),
    ],
)
def test_readings_that_a_decision_contradicts_are_named(decision: Decision, thing: str) -> None:
    with pytest.raises(Unfit) as fault:
        decision.energy(D("500.0"), D("3.5"))
    assert fault.value.thing == thing


def told_story(seed: int) -> tuple[list[Decimal], list[Decision], list[Decimal]]:
    """Two hours of a counter that does everything: display by minute, what people said of it, and the energy really drawn until then."""
    chance = random.Random(seed)
    shown, drawn, decisions = [D(500)], [D(0)], []
    glitch_left, true = 0, D(500)
    for minute in range(1, 121):
        step, at_ms = D(chance.randint(5, 15)) / 10, minute * 60_000
        what = chance.choice(list(Said)) if shown[-1] == true and chance.random() < 0.1 else Said.AUTOMATIC
        if glitch_left:
            glitch_left -= 1
            true += step
        elif what is Said.GLITCH:
            glitch_left = chance.randint(0, 6)
            decisions.append(Decision(at_ms, what, until_ms=at_ms + glitch_left * 60_000))
            true += step
            shown.append(D(chance.randint(0, 9000)))
            drawn.append(drawn[-1] + step)
            continue
        elif what is Said.ROLLOVER:
            modulus = true + D("0.2")
            true = step - D("0.2")
            decisions.append(Decision(at_ms, what, modulus=modulus))
        elif what is Said.EXCHANGE:
            last, first = true + D("0.3"), D(chance.randint(0, 8000)) / 10
            true = first + step - D("0.3")
            decisions.append(Decision(at_ms, what, old_last=last, new_first=first))
        elif what is Said.RESET:
            true, step = D(chance.randint(0, 8000)) / 10, D(0)  # nothing is booked: no power is known
            decisions.append(Decision(at_ms, what))
        elif what is Said.NO_CHANGE:
            step = D(50)
            true += step
            decisions.append(Decision(at_ms, what))
        else:
            true += step
        spoilt = decisions and decisions[-1].covers(at_ms)
        shown.append(D(chance.randint(0, 9000)) if spoilt else true)
        drawn.append(drawn[-1] + step)
    return shown, decisions, drawn


def test_intervals_add_up_to_what_the_counter_counted_under_the_decisions() -> None:
    meter = MeterSpec("incomer", "gw", rated_power_kw=D(100), quantum_kwh=D("0.001"))
    used = set()
    for seed in range(150):
        shown, decisions, drawn = told_story(seed)
        used |= {decision.said for decision in decisions}
        engine = CounterIntervals(meter, 900_000)
        engine.counter.decisions = Decisions(decisions)
        settled = engine.offer(CounterReading(minute * 60_000, value) for minute, value in enumerate(shown))
        assert engine.counter.last is not None
        assert engine.counter.last.line - 500 == drawn[engine.counter.last.at_ms // 60_000], seed
        stood = {boundary.at_ms: boundary for boundary in settled.boundaries}
        for interval in settled.intervals:
            start, end = stood[interval.start_ms], stood[interval.end_ms]
            assert interval.energy_kwh == end.value - start.value, seed
            if start.how == end.how == "reading":
                assert interval.energy_kwh == drawn[end.at_ms // 60_000] - drawn[start.at_ms // 60_000], seed
        # Each reset lies in a span of whole intervals without a figure; where there is none, all have one.
        resets = [decision.at_ms for decision in decisions if decision.said is Said.RESET]
        assert all(any(a <= at_ms <= b for a, b in settled.unknown) for at_ms in resets), seed
        whole = {interval.start_ms for interval in settled.intervals}
        null = {start_ms for a, b in settled.unknown for start_ms in range(a, b, 900_000)}
        assert not whole & null, seed
        assert len(whole | null) >= 7  # the last boundary waits where a glitch covers it
        assert resets or not null, seed
        assert {event.change for event in settled.events} <= {CounterChange.DECIDED}, seed
    assert used == set(Said) - {Said.AUTOMATIC}


def test_a_decided_reset_at_a_boundary_leaves_what_was_counted_where_it_was() -> None:
    # 1000, then 2000 after the reset at 00:15, then 2010: nobody knows the first quarter, the meter counted 10 in the second.
    intervals = CounterIntervals(METER, 900_000)
    intervals.counter.decisions = Decisions([Decision(900_000, Said.RESET)])
    shown = [(0, "1000"), (900_000, "2000"), (1_800_000, "2010"), (2_700_000, "2020")]
    settled = intervals.offer(CounterReading(at_ms, D(value)) for at_ms, value in shown)
    found = [(i.energy_kwh, i.grade.quality, i.grade.reason) for i in settled.intervals]
    assert found == [(D(10), Quality.GOOD, ""), (D(10), Quality.GOOD, "")]
    assert [i.start_ms for i in settled.intervals] == [900_000, 1_800_000]
    assert settled.unknown == [(0, 900_000)]
