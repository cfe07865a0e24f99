"""What an event came to, of given loads: direction, rebound. Figures by hand."""

from datetime import date, timedelta

import numpy as np
import pytest

from aggregator.flexibility.baseline import Event, preset
from aggregator.flexibility.response import Question, outcome
from aggregator.flexibility.settlement import Terms

DAY = date(2026, 6, 17)


def loads(during: float, after: float) -> dict[date, np.ndarray]:  # type: ignore[type-arg]
    """Hours of 100 kW on eleven workdays; on the last one, from 14:00 to 15:00 and in the four hours after, what is given."""
    days = [DAY - timedelta(days=back) for back in range(20) if (DAY - timedelta(days=back)).weekday() < 5]
    made = {day: np.full(24, 100.0) for day in days}
    made[DAY][14] = during
    made[DAY][15:19] = after
    return made


def question(rules: str, direction: str = "down") -> Question:
    return Question(Event(DAY, 14, 15), preset(rules), 1.0, 40.0, Terms(1.0, 0.5), direction)  # type: ignore[arg-type]


@pytest.mark.parametrize("rules", ["quarter_before", "last_five"])
def test_the_rebound_is_what_lies_above_the_baseline_of_before_the_event(rules: str) -> None:
    """130 against 100 kW for four hours, whether the baseline is of other days or of the time before the event."""
    rule = question(rules)
    if rules == "quarter_before":  # a window of one of these intervals
        rule = Question(rule.event, type(rule.rules)("hour before", 0, window_h=1.0, gap_h=0.0), 1.0, 40.0, rule.terms)
    found = outcome(loads(50.0, 130.0), rule)
    assert found.settled.delivered_kwh.tolist() == [50]
    assert found.settled.rebound_kwh == pytest.approx(120)


def test_upwards_more_import_is_delivered_and_what_is_taken_less_afterwards_is_the_rebound() -> None:
    """130 against 100 kW: 30 of 40 kWh at 1, and 10 that lack at 0.5; 90 instead of 100 for four hours."""
    settled = outcome(loads(130.0, 90.0), question("last_five", "up")).settled
    assert (settled.delivered_kwh.tolist(), settled.response_ratio) == ([30], pytest.approx(0.75))
    assert (settled.money, settled.rebound_kwh) == (pytest.approx(25), pytest.approx(40))
