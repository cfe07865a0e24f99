"""Random and damaged bytes for the codecs of meters on serial lines, drivers and simulators alike. What must hold is said where it is checked."""

import random
import time
from collections.abc import Callable

from device_sim import cjt188 as sim_cjt188
from device_sim.dlt645 import frames as sim_dlt645
from edge_agent import meter
from edge_agent.drivers.cjt188 import frame as cjt188
from edge_agent.drivers.cjt188.layout import Mismatch as LayoutMismatch
from edge_agent.drivers.declared import Bus, Device
from edge_agent.drivers.dlt645 import frame as dlt645
from edge_agent.drivers.dlt645.questions import Mismatch
from edge_agent.drivers.table import declared

PROTOCOLS = ("dlt645", "cjt188")
LONGEST = 300


def fuzz(protocol: str, seed: int, seconds: float) -> int:
    """How many inputs were tried; an AssertionError or any other names the seed and the number of the input."""
    chance, end_s, tried = random.Random(seed), time.monotonic() + seconds, 0
    one: Callable[[random.Random], None] = _dlt645 if protocol == "dlt645" else _cjt188
    while time.monotonic() < end_s:
        try:
            one(chance)
        except Exception as error:
            raise AssertionError(f"{protocol}: seed {seed}, input {tried}: {error!r}") from error
        tried += 1
    return tried


def _noise(chance: random.Random, whole: bytes) -> bytes:
    """Bytes at random, rich in the codec's own marks, or a whole frame with a few bytes changed, cut, doubled or put in."""
    kind = chance.random()
    if kind < 0.3:
        marks = bytes((0x68, 0x16, 0xFE, 0x91, 0x81, 0x33, 0xFF, 0x00))
        return bytes(
            chance.choice(marks) if chance.random() < 0.6 else chance.randrange(256)
            for _ in range(chance.randrange(LONGEST))
        )
    raw = bytearray(whole)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(raw)) if raw else 0
        match chance.randrange(4):
            case 0 if raw:
                raw[at] = chance.randrange(256)
            case 1:
                del raw[at : at + chance.randrange(8)]
            case 2:
                raw[at:at] = raw[at : at + chance.randrange(8)]
            case 3:
                raw[at:at] = chance.randbytes(chance.randrange(8))
    return bytes(raw)


def _dlt645(chance: random.Random) -> None:
    sent = dlt645.Frame(
        f"{chance.randrange(10**12):012d}", chance.randrange(256), chance.randbytes(chance.randrange(201))
    )
    received = _noise(chance, dlt645.build(sent, chance.randrange(5)))
    seen = dlt645.scan(received)
    assert 0 <= seen.used <= len(received)
    if seen.frame is not None:
        assert len(seen.frame.data) <= dlt645.LONGEST_DATA
        if seen.frame.address.isdecimal():  # others are no meter's
            assert dlt645.build(seen.frame, 0) in received
        question = chance.choice(_QUESTIONS)
        try:
            block = question.decode("m", seen.frame.data[4:], 1)
        except Mismatch:
            pass
        else:
            assert len(block.columns) == len(question.items)
    request, used = sim_dlt645.split(received)
    assert 0 <= used <= len(received)
    if request is not None:
        sim_dlt645.hear(request)


def _cjt188(chance: random.Random) -> None:
    sent = cjt188.Frame(
        chance.choice((0x10, 0x20, 0x30)),
        f"{chance.randrange(10**14):014d}",
        chance.choice((0x01, 0x81, 0xC1)),
        chance.randbytes(chance.randrange(101)),
    )
    received = _noise(chance, cjt188.build(sent, chance.randrange(5)))
    seen = cjt188.scan(received)
    assert 0 <= seen.used <= len(received)
    if seen.frame is not None:
        assert len(seen.frame.data) <= cjt188.LONGEST_DATA
        assert cjt188.build(seen.frame, 0) in received
        layout = chance.choice(_LAYOUTS)
        try:
            block = layout.decode("m", seen.frame.data[3:], 1)
        except LayoutMismatch:
            pass
        else:
            assert len(block.columns) == len(layout.fields)
    request, used = sim_cjt188.split(received)
    assert 0 <= used <= len(received)
    if request is not None:
        assert len(request) >= 13


def _planned(protocol: str, model: str) -> object:
    spoken = declared(protocol)
    bus: Bus = spoken.bus(name="b", protocol=protocol, device=[], serial="/dev/null")  # type: ignore[call-arg]
    device: Device = spoken.device(name="m", model=model, address="1")  # type: ignore[call-arg]
    return spoken.plan(bus, device, meter.load(model))


_QUESTIONS = _planned("dlt645", "dlt645_three_phase").questions  # type: ignore[attr-defined]
_LAYOUTS = [_planned("cjt188", name).layout for name in ("cjt188_cold_water", "cjt188_heat", "jy_heat_meter")]  # type: ignore[attr-defined]
