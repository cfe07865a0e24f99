"""Messages of OCPP-J: the examples of the specification, and what is no message."""

from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.drivers.ocpp import frames, schemas
from edge_agent.drivers.ocpp.frames import Frame, FrameUnreadable, Kind


def test_the_example_of_a_call_in_the_specification() -> None:
    raw = b'[2,"19223201","BootNotification",{"chargePointVendor":"VendorX","chargePointModel":"SingleSocketCharger"}]'
    frame = frames.parse(raw)
    assert (frame.kind, frame.id, frame.action, frame.raw) == (Kind.CALL, "19223201", "BootNotification", raw)
    assert frame.payload == {"chargePointVendor": "VendorX", "chargePointModel": "SingleSocketCharger"}


def test_the_example_of_a_result_and_of_an_error() -> None:
    assert frames.parse(b'[3,"19223201",{"status":"Accepted"}]').payload == {"status": "Accepted"}
    error = frames.parse(b'[4,"162376037","NotSupported","SetDisplayMessageRequest not implemented",{}]')
    assert (error.kind, error.code, error.description) == (
        Kind.ERROR,
        "NotSupported",
        "SetDisplayMessageRequest not implemented",
    )


def test_numbers_keep_their_digits_in_both_directions() -> None:
    frame = frames.parse(b'[2,"1","A",{"limit":11.10,"wh":18446744073709551615}]')
    assert str(frame.payload["limit"]) == "11.10"
    assert frame.payload["wh"] == 2**64 - 1
    assert frames.call("1", "A", {"limit": Decimal("11.1"), "zero": Decimal("0.0"), "big": Decimal("1E+3")}) == (
        b'[2,"1","A",{"limit":11.1,"zero":0,"big":1000}]'
    )


def test_a_send_of_21_is_a_call_that_nobody_answers() -> None:
    assert frames.parse(b'[6,"1","NotifyPeriodicEventStream",{}]').kind is Kind.SEND


def test_a_call_without_its_empty_payload_is_read() -> None:
    assert frames.parse(b'[2,"1","Heartbeat"]') == Frame(Kind.CALL, "1", "Heartbeat", {}, raw=b'[2,"1","Heartbeat"]')


@pytest.mark.parametrize(
    ("raw", "call_id"),
    [
        (b"", ""),
        (b'[2,"1","Heartbeat",{', ""),
        (b'{"a":1}', ""),
        (b"[]", ""),
        (b'[2,1,"Heartbeat",{}]', ""),
        (b'[2,"","Heartbeat",{}]', ""),
        (b'[9,"1","Heartbeat",{}]', "1"),
        (b'[true,"1","Heartbeat",{}]', "1"),
        (b'[2,"1",7,{}]', "1"),
        (b'[2,"1","Heartbeat",[]]', "1"),
        (b'[3,"1",5]', "1"),
        (b'[2,"1","A",{"x":NaN}]', ""),
        (b'[2,"1","A",{"x":1e999999999}]', ""),
        (b'[2,"1","A",{"x":' + b"9" * 5000 + b"}]", ""),
        (b"[" * 100_000, ""),
        (b'[2,"1","A",{"x":"\xff"}]', ""),
        (b'[2,"' + b"i" * 100 + b'","A",{}]', ""),
        (b" " * (1 << 21), ""),
    ],
)
def test_what_is_no_message_says_so_and_keeps_the_id_where_there_is_one(raw: bytes, call_id: str) -> None:
    with pytest.raises(FrameUnreadable) as fault:
        frames.parse(raw)
    assert fault.value.id == call_id
    assert len(str(fault.value)) < 250


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0123456789ne.-"A', max_size=40).map(str.encode))
@example(b'[2,"1","A",{"x":1E-400}]')
def test_any_bytes_are_a_message_or_refused(raw: bytes) -> None:
    try:
        frame = frames.parse(raw)
    except FrameUnreadable:
        return
    assert frame.raw == raw


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2013-02-01T20:53:32Z", 1359752012000),
        ("2013-02-01T20:53:32.486Z", 1359752012486),
        ("2013-02-01T20:53:32.4861239Z", 1359752012486),
        ("2013-02-01T22:53:32+02:00", 1359752012000),
        ("2013-02-01T20:53:32", 1359752012000),
        ("yesterday", None),
        ("", None),
        (7, None),
        ("9999-12-31T23:59:59Z" * 3, None),
    ],
)
def test_instants_are_read_as_piles_write_them(text: object, at_ms: int | None) -> None:
    assert frames.instant(text) == at_ms


def test_an_instant_is_written_in_utc_with_milliseconds() -> None:
    assert frames.stamp(1359752012486) == "2013-02-01T20:53:32.486Z"


def test_actions_of_21_are_known_and_not_those_of_201() -> None:
    assert schemas.knows("ocpp2.1", "NotifyAllowedEnergyTransfer")
    assert not schemas.knows("ocpp2.0.1", "NotifyAllowedEnergyTransfer")
    assert not schemas.knows("ocpp1.6", "TransactionEvent")
    assert not schemas.knows("ocpp2.1", "../v16/schemas/Heartbeat")


def test_a_limit_must_be_a_multiple_of_a_tenth_in_16() -> None:
    def payload(limit: str) -> dict[str, object]:
        schedule = {"chargingRateUnit": "W", "chargingSchedulePeriod": [{"startPeriod": 0, "limit": Decimal(limit)}]}
        profile = {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": schedule,
        }
        return {"connectorId": 1, "csChargingProfiles": profile}

    assert schemas.fault("ocpp1.6", "SetChargingProfile", payload("5000.5"), is_call=True) == ""
    assert "5000.55" in schemas.fault("ocpp1.6", "SetChargingProfile", payload("5000.55"), is_call=True)
