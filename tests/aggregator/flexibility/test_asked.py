"""What is asked of a facility is checked where it is said."""

import pytest

from aggregator.flexibility.asked import Asked

QUARTER_MS = 900_000


def asked(**changed: object) -> Asked:
    said = {
        "event_id": "e1", "facility": "works", "from_ms": 0, "until_ms": 4 * QUARTER_MS, "target_kw": 50.0, "direction": "down",
        "pay_per_kwh": 1.0, "baseline_kw": (100.0, 110.0),
    }  # fmt: skip
    return Asked(**(said | changed))  # type: ignore[arg-type]


def test_the_last_quarter_of_a_baseline_holds_on() -> None:
    event = asked()
    assert [event.baseline_at(at * QUARTER_MS) for at in range(4)] == [100.0, 110.0, 110.0, 110.0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"until_ms": 0}, "event e1: expected its end after 0, its begin, got 0"),
        ({"baseline_kw": ()}, "event e1: expected a baseline of finite kW, got []"),
        ({"baseline_kw": (float("nan"),)}, "event e1: expected a baseline of finite kW, got [nan]"),
        ({"target_kw": -1.0}, "event e1: expected a target from 0 to 1e6 kW, got -1.0"),
    ],
)
def test_an_event_that_contradicts_itself_is_refused(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        asked(**changed)
    assert str(refused.value) == said
