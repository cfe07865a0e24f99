"""Spoiled publications for two seconds; `test_long_fuzz_mqtt.py` takes a minute."""

import mqtt_fuzz
from spoilt_bytes import bounded, tried


def test_any_publication_is_a_bounded_value_or_a_fault() -> None:
    with bounded():
        assert tried(mqtt_fuzz.publication, 2.0, seed=1883) > 100
