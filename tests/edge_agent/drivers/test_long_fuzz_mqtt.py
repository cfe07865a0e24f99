"""Spoiled publications for a minute."""

import mqtt_fuzz
import pytest
from spoilt_bytes import bounded, tried

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def test_any_publication_is_a_bounded_value_or_a_fault_for_a_minute() -> None:
    with bounded():
        assert tried(mqtt_fuzz.publication, 60.0, seed=8883) > 5000
