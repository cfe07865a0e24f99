"""Whatever bytes arrive as a request: one answer within the standard's length, the next serial, and a plant that goes on."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from device_sim.device import Device
from device_sim.modbus.answers import answer as answer_of
from device_sim.plan import Site
from device_sim.site import SITES, load_site

AT_MS = 1_520_175_600_000
SITE: Site = load_site(SITES / "demo.toml")
ADDRESSES = st.sampled_from([0, 1, 44, 72, 75, 801, 2999, 3059, 3203, 40000, 40002, 40070, 40122, 40127, 40131, 65535])
LIKELY = st.builds(
    lambda address, count, rest: address.to_bytes(2, "big") + count.to_bytes(2, "big") + rest,
    ADDRESSES,
    st.integers(0, 130),
    st.binary(max_size=20),
)


def _devices() -> list[Device]:
    return [device for plan in SITE.plants for _, device in plan.build_devices(plan.build(AT_MS))]


@settings(max_examples=150, deadline=None)
@given(requests=st.lists(st.tuples(st.integers(0, 127), LIKELY | st.binary(max_size=252)), max_size=12))
def test_any_request_gets_one_short_answer_and_the_next_serial(requests: list[tuple[int, bytes]]) -> None:
    for device in _devices():
        for number, (function, content) in enumerate(requests, 1):
            answer = answer_of(device, function, content, AT_MS + number * 1000)
            assert answer.serial == number
            assert 2 <= len(answer.pdu) <= 253
            assert answer.pdu[0] & 0x7F == function
            if answer.pdu[0] & 0x80:
                assert answer.pdu[1] in (1, 2, 3)
                assert not answer.carried
            elif function in (3, 4):
                assert len(answer.pdu) == 2 + 2 * answer.count == 2 + answer.pdu[1]


@settings(max_examples=60, deadline=None)
@given(
    writes=st.lists(
        st.tuples(st.integers(40122, 40151), st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=20)), max_size=10
    )
)
def test_whatever_is_written_the_powers_still_balance_within_limits(writes: list[tuple[int, list[int]]]) -> None:
    (plan, _) = SITE.plants
    plant = plan.build(AT_MS + 12 * 3_600_000)
    devices: dict[str, Any] = {device.name: device for _, device in plan.build_devices(plant)}
    now = plant.now_ms
    for address, words in writes:
        content = address.to_bytes(2, "big") + len(words).to_bytes(2, "big") + bytes((2 * len(words),))
        content += b"".join(word.to_bytes(2, "big") for word in words)
        for name in ("pv", "battery"):
            answer_of(devices[name], 16, content, now)
        now += 61_000
        plant.advance(now)
        flows = {node.value: plant.flow(node).active_mw for node in plant.tallies}
        assert flows["grid"] == flows["load"] + flows["ev"] + flows["pv"] + flows["battery"]
        assert -250_000_000 <= flows["pv"] <= 0
        assert -150_000_000 <= flows["battery"] <= 150_000_000
        assert plant.battery is not None
        assert plant.battery.floor <= plant.battery.stored <= plant.battery.full
