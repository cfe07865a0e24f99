"""Processes of the demo: none is left behind by a signal that comes while it is being started."""

import signal

import pytest

from wattline.parts import undisturbed


class Told(Exception):
    """What the handler raises, as the demo's does."""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_the_child_has_a_name(number: signal.Signals) -> None:
    def raises(_number: int, _frame: object) -> None:
        raise Told

    before = signal.signal(number, raises)
    steps = []

    def start() -> None:
        with undisturbed():
            signal.raise_signal(number)
            steps.append("named")

    try:
        with pytest.raises(Told):
            start()
        assert steps == ["named"]
        assert signal.getsignal(number) is raises
    finally:
        signal.signal(number, before)
