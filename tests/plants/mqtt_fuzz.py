"""Spoiled publications for the payload reader and the driver's bookkeeping, seeded. What must hold is asserted here."""

import json
import random
from pathlib import Path
from typing import Any

from spoilt_bytes import spoilt

from edge_agent import meter
from edge_agent.drivers.mqtt import declared
from edge_agent.drivers.mqtt.declared import Device
from edge_agent.drivers.mqtt.payload import MAX_PAYLOAD, PayloadFault, at, instant_ms, parsed, value_of
from wire.reading import Quality

FRAMES = Path(__file__).parents[1] / "frames"


def _shipped() -> dict[str, list[tuple[str, bytes]]]:
    """Topics and payloads of the golden publications, by model."""
    found: dict[str, list[tuple[str, bytes]]] = {}
    for name in meter.shipped():
        if meter.load(name).protocol != "mqtt":
            continue
        for path in (FRAMES / name).glob("*.json"):
            messages = json.loads(path.read_text())["messages"]
            found.setdefault(name, []).extend((topic, str(payload).encode()) for topic, payload, *_ in messages)
    return found


GOLDEN = _shipped()
ODD = (
    b"", b"nan", b"NaN", b"-Infinity", b"1e999", b"9" * 300, b"-", b"true", b"null", b"[" * 3000, b'{"a":' * 3000, b'"\\ud800"', b"\xff\xfe", b"0x10",
    b"1_0", b"\xd9\xa1", b'{"ENERGY":{"Power":1e400}}', b'{"Time":"9999-12-31T23:59:59.999999+00:00"}', b'{"Time":"0001-01-01T00:00:00"}',
)  # fmt: skip


def publication(chance: random.Random) -> None:
    """One payload: a tree or a PayloadFault; each item of the model is a bounded number, or none with a reason."""
    model_name = chance.choice(list(GOLDEN))
    topic, good = chance.choice(GOLDEN[model_name])
    raw = chance.choice(ODD) if chance.random() < 0.1 else spoilt(good, chance)
    model: Any = meter.load(model_name)
    plan = declared.plan(None, Device(name="d", model=model_name, topic="t", time_zone="UTC"), model)
    del topic
    try:
        tree = parsed(raw)
    except PayloadFault:
        return
    assert len(raw) <= MAX_PAYLOAD
    if plan.time:
        stamp_ms = instant_ms(at(tree, plan.time), chance.choice(("", "UTC", "Europe/Berlin")))
        assert stamp_ms is None or isinstance(stamp_ms, int)
    for _, items in plan.topics:
        for item in items:
            value, exponent, quality = value_of(item, at(tree, item.steps), chance.choice((0, -3, -12)))
            assert (value is None) == (quality[0] == int(Quality.BAD))
            if isinstance(value, int):
                assert exponent is not None
                assert abs(value) < 2**63
                assert -12 <= exponent <= 400
