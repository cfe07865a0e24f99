"""The service parameters byte by byte: examples of the standard's annex F, and bacpypes3 as a second opinion on everything else."""

import contextlib
import struct
from fractions import Fraction
from typing import Any

import pytest
from bacpypes3 import apdu as library
from bacpypes3.basetypes import (
    EngineeringUnits,
    ErrorType,
    PropertyReference,
    PropertyValue,
    ReadAccessResult,
    ReadAccessResultElement,
    ReadAccessResultElementChoice,
    ReadAccessSpecification,
)
from bacpypes3.constructeddata import Any as Anything
from bacpypes3.primitivedata import (
    BitString,
    Boolean,
    CharacterString,
    Date,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    OctetString,
    Real,
    Time,
    Unsigned,
)
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.bacnet import services, units
from edge_agent.drivers.bacnet.services import Malformed, Value

OBJECTS = st.tuples(st.integers(0, 1023), st.integers(0, 4_194_303))


def content(apdu: Any) -> bytes:
    return bytes(apdu.encode().pduData)


def primitives() -> Any:
    real = st.floats(width=32, allow_nan=False)
    return st.one_of(
        st.just(Null(())).map(lambda value: (value, Value(services.NULL, None))),
        st.booleans().map(lambda value: (Boolean(value), Value(services.BOOLEAN, value))),
        st.integers(0, 2**32 - 1).map(lambda value: (Unsigned(value), Value(services.UNSIGNED, value))),
        st.integers(-(2**31), 2**31 - 1).map(lambda value: (Integer(value), Value(services.INTEGER, value))),
        real.map(lambda value: (Real(value), Value(services.REAL, value))),
        st.floats(allow_nan=False).map(lambda value: (Double(value), Value(services.DOUBLE, value))),
        st.integers(0, 2**16).map(lambda value: (Enumerated(value), Value(services.ENUMERATED, value))),
        st.binary(max_size=300).map(lambda value: (OctetString(value), Value(services.OCTETS, value))),
        st.text(max_size=80).map(lambda value: (CharacterString(value), Value(services.TEXT, value))),
        st.lists(st.integers(0, 1), max_size=20).map(lambda v: (BitString(v), Value(services.BITS, tuple(v)))),
        OBJECTS.map(lambda value: (ObjectIdentifier(value), Value(services.OBJECT, value))),
        st.just((Date((126, 11, 21, 6)), Value(services.DATE, (126, 11, 21, 6)))),
        st.just((Time((13, 5, 0, 0)), Value(services.TIME, (13, 5, 0, 0)))),
    )


@given(st.lists(primitives(), max_size=6))
def test_values_that_the_library_encodes_are_read_back(pairs: list[tuple[Any, Value]]) -> None:
    encoded = b"".join(bytes(value.encode().encode().pduData) for value, _ in pairs)
    assert services.values(encoded) == tuple(expected for _, expected in pairs)


@given(OBJECTS, st.integers(0, 600), st.none() | st.integers(0, 70_000))
def test_a_read_request_is_the_librarys(object_id: tuple[int, int], prop: int, index: int | None) -> None:
    request = library.ReadPropertyRequest(objectIdentifier=object_id, propertyIdentifier=prop)
    if index is not None:
        request.propertyArrayIndex = index
    assert services.read_property(object_id, prop, index) == content(request)


@given(st.lists(st.tuples(OBJECTS, st.lists(st.integers(0, 600), min_size=1, max_size=4)), min_size=1, max_size=8))
def test_a_request_for_several_properties_is_the_librarys(wanted: list[tuple[tuple[int, int], list[int]]]) -> None:
    request = library.ReadPropertyMultipleRequest(
        listOfReadAccessSpecs=[
            ReadAccessSpecification(
                objectIdentifier=object_id,
                listOfPropertyReferences=[PropertyReference(propertyIdentifier=prop) for prop in properties],
            )
            for object_id, properties in wanted
        ]
    )
    ours = services.read_property_multiple((o, [(prop, None) for prop in properties]) for o, properties in wanted)
    assert ours == content(request)


@given(
    st.lists(
        st.tuples(OBJECTS, st.integers(0, 600), st.none() | st.integers(0, 300), st.none() | primitives()),
        min_size=1,
        max_size=8,
    )
)
def test_an_answer_of_several_properties_is_taken_apart(
    said: list[tuple[tuple[int, int], int, int | None, tuple[Any, Value] | None]],
) -> None:
    answer = library.ReadPropertyMultipleACK(
        listOfReadAccessResults=[
            ReadAccessResult(
                objectIdentifier=object_id,
                listOfResults=[
                    ReadAccessResultElement(
                        propertyIdentifier=prop,
                        propertyArrayIndex=index,
                        readResult=ReadAccessResultElementChoice(
                            propertyAccessError=ErrorType(errorClass="property", errorCode="unknown-property")
                        )
                        if value is None
                        else ReadAccessResultElementChoice(propertyValue=Anything(value[0])),
                    )
                ],
            )
            for object_id, prop, index, value in said
        ]
    )
    found = services.read_property_multiple_ack(content(answer))
    assert [(one.object, one.property, one.at_index) for one in found] == [(o, p, i) for o, p, i, _ in said]
    for one, (_, _, _, value) in zip(found, said, strict=True):
        if value is None:
            assert one.error == (2, 32)
        else:
            assert services.values(one.encoded) == (value[1],)


@given(OBJECTS, OBJECTS, st.integers(0, 2**22), st.integers(0, 2**31), st.floats(width=32, allow_nan=False))
def test_a_notification_of_the_library_is_taken_apart(
    device: tuple[int, int], object_id: tuple[int, int], process: int, remaining_s: int, value: float
) -> None:
    told = library.UnconfirmedCOVNotificationRequest(
        subscriberProcessIdentifier=process,
        initiatingDeviceIdentifier=device,
        monitoredObjectIdentifier=object_id,
        timeRemaining=remaining_s,
        listOfValues=[
            PropertyValue(propertyIdentifier="presentValue", value=Anything(Real(value))),
            PropertyValue(propertyIdentifier="statusFlags", value=Anything(BitString([0, 1, 0, 0]))),
        ],
    )
    found = services.notification(content(told))
    assert (found.process, found.device, found.object, found.remaining_s) == (process, device, object_id, remaining_s)
    assert services.values(found.values[85]) == (Value(services.REAL, value),)
    assert services.values(found.values[111]) == (Value(services.BITS, (0, 1, 0, 0)),)


@given(OBJECTS, st.integers(0, 2**22), st.booleans(), st.integers(1, 2**31))
def test_a_subscription_is_the_librarys(
    object_id: tuple[int, int], process: int, confirmed: bool, lifetime_s: int
) -> None:
    request = library.SubscribeCOVRequest(
        subscriberProcessIdentifier=process,
        monitoredObjectIdentifier=object_id,
        issueConfirmedNotifications=confirmed,
        lifetime=lifetime_s,
    )
    assert services.subscribe_cov(process, object_id, confirmed, lifetime_s) == content(request)
    end = library.SubscribeCOVRequest(subscriberProcessIdentifier=process, monitoredObjectIdentifier=object_id)
    assert services.unsubscribe_cov(process, object_id) == content(end)


@given(OBJECTS, st.floats(width=32, allow_nan=False), st.integers(1, 16))
def test_a_write_is_the_librarys(object_id: tuple[int, int], value: float, priority: int) -> None:
    for encoded, theirs in (
        (services.encoded(services.REAL, value), Real(value)),
        (services.encoded(services.NULL, None), Null(())),
        (services.encoded(services.UNSIGNED, priority), Unsigned(priority)),
        (services.encoded(services.INTEGER, -priority), Integer(-priority)),
        (services.encoded(services.ENUMERATED, 1), Enumerated(1)),
        (services.encoded(services.DOUBLE, value), Double(value)),
    ):
        request = library.WritePropertyRequest(
            objectIdentifier=object_id, propertyIdentifier="presentValue", propertyValue=theirs, priority=priority
        )
        assert services.write_property(object_id, 85, encoded, priority) == content(request)


def test_a_write_of_a_property_with_an_increment_is_laid_out_as_the_standard_says() -> None:
    # 13.15.1: [0] process 1, [1] analog-input 10, [2] confirmed, [3] 60 s, [4] property 85, [5] increment 1.0
    assert services.subscribe_cov_property(1, (0, 10), True, 60, 85, struct.pack(">f", 1.0)) == bytes.fromhex(
        "0901 1c0000000a 2901 393c 4e 0955 4f 5c3f800000".replace(" ", "")
    )


def test_the_standards_example_of_a_read_is_ours() -> None:
    # ANSI/ASHRAE 135-2016, F.3.5: ReadProperty of present-value of analog-input 5, answered 72.3
    assert services.read_property((0, 5), 85) == bytes.fromhex("0c000000051955")
    found = services.read_property_ack(bytes.fromhex("0c00000005195 53e444290999a3f".replace(" ", "")))
    assert (found.object, found.property, found.at_index) == ((0, 5), 85, None)
    ((tag, value),) = services.values(found.encoded)
    assert tag == services.REAL
    assert value == pytest.approx(72.3, rel=1e-6)


def test_the_standards_example_of_several_reads_is_taken_apart() -> None:
    # F.3.7, example 1: present-value and reliability of analog-input 16: 72.3, no-fault-detected
    assert services.read_property_multiple([((0, 16), [(85, None), (103, None)])]) == bytes.fromhex(
        "0c000000101e095509671f"
    )
    found = services.read_property_multiple_ack(bytes.fromhex("0c000000101e29554e444290999a4f29674e91004f1f"))
    assert [(one.property, services.values(one.encoded)[0].tag) for one in found] == [
        (85, services.REAL),
        (103, services.ENUMERATED),
    ]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "0c0000",
        "0c000000101e2955",
        "0c000000101e29554e4442",
        "0c000000101e29554e444290999a4f",
        "1c000000101f",
        "ff" * 9,
    ],
)
def test_half_an_answer_is_malformed_and_nothing_worse(broken: str) -> None:
    if broken == "":
        assert services.read_property_multiple_ack(b"") == []
        return
    with pytest.raises(Malformed):
        services.read_property_multiple_ack(bytes.fromhex(broken))


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_malformed(data: bytes) -> None:
    for decode in (
        services.values,
        services.read_property_ack,
        services.read_property_multiple_ack,
        services.notification,
        services.error_of,
    ):
        with contextlib.suppress(Malformed):
            decode(data)


def test_an_error_says_its_class_and_code() -> None:
    assert services.error_of(bytes.fromhex("9101911f")) == (1, 31)  # F.1.1: object, unknown-object


# ---- units


def test_every_unit_has_the_number_and_the_name_that_the_standard_gives_it() -> None:
    for name, number in units.NUMBERS.items():
        assert str(EngineeringUnits(number)) == name


@pytest.mark.parametrize(
    ("theirs", "value", "unit", "ours"),
    [
        ("watts", "1500", "kW", "1.5"),
        ("megawatts", "1.25", "kW", "1250"),
        ("watt-hours", "123456", "kWh", "123.456"),
        ("megawatt-hours", "0.5", "kWh", "500"),
        ("megajoules", "3.6", "kWh", "1"),
        ("degrees-fahrenheit", "212", "degC", "100"),
        ("degrees-fahrenheit", "-40", "degC", "-40"),
        ("degrees-kelvin", "273.15", "degC", "0"),
        ("liters-per-second", "1", "m3/h", "3.6"),
        ("cubic-feet-per-minute", "1", "m3/h", "1.69901079552"),  # 60 x 0.3048^3
        ("liters", "250", "m3", "0.25"),
        ("tons-refrigeration", "1", "kW", "3.51685284207"),  # 12,000 Btu(IT)/h
        ("btus-per-hour", "3412.14163312794", "kW", "1"),
        ("pounds-force-per-square-inch", "1", "kPa", "6.89475729317"),
        ("inches-of-water", "1", "Pa", "249.08891"),
        ("bars", "1.01325", "kPa", "101.325"),
        ("percent", "45", "1", "0.45"),
        ("power-factor", "0.95", "1", "0.95"),
        ("percent-relative-humidity", "55", "%", "55"),
        ("foot-candles", "1", "lx", "10.7639104167"),
        ("milliamperes", "20", "A", "0.02"),
        ("kilovolts", "10", "V", "10000"),
        ("hectopascals", "1013.25", "hPa", "1013.25"),
        ("kilovolt-ampere-hours-reactive", "7", "kvarh", "7"),
    ],
)
def test_a_unit_becomes_ours_exactly(theirs: str, value: str, unit: str, ours: str) -> None:
    found = units.conversion(units.NUMBERS[theirs], unit)
    assert found is not None
    exact = Fraction(value) * Fraction(10) ** found.exponent * found.times + found.plus
    assert float(exact) == pytest.approx(float(ours), rel=1e-11)
    assert found.back(float(exact)) == pytest.approx(float(value), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("theirs", "unit"),
    [("kilowatts", "kWh"), ("degrees-celsius", "kW"), ("volt-amperes", "kW"), ("no-units", "%"), ("no-units", "kW")],
)
def test_what_measures_something_else_is_not_converted(theirs: str, unit: str) -> None:
    assert units.conversion(units.NUMBERS[theirs], unit) is None


def test_an_unknown_unit_is_not_converted() -> None:
    assert units.conversion(47_900, "kW") is None
    assert units.name(47_900) == "unit 47900"
