"""Registers as quantities: types, word order, exact digits, scale factors, sentinels and ranges, with words packed by hand."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.drivers.modbus.registers import TYPES, Decoder, Field, Mismatch, shortest_float32
from wire.block import Block, Value, scaled
from wire.reading import REASON_CODES, Quality

ABSENT = (int(Quality.BAD), REASON_CODES["not-implemented"])
OUTSIDE = (int(Quality.BAD), REASON_CODES["out-of-range"])


def decode(data: bytes, *fields: Field) -> Block:
    return Decoder(fields, 0, len(data) // 2).decode("meter", data, 1000)


def value_of(block: Block, column: int = 0) -> Value:
    return block.columns[column][0]


@pytest.mark.parametrize(
    ("kind", "data", "value"),
    [
        ("uint16", b"\xff\xfe", 65534),
        ("int16", b"\xff\xfe", -2),
        ("uint32", b"\x00\x01\xe2\x40", 123456),
        ("int32", b"\xff\xff\xff\xff", -1),
        ("uint64", b"\x00\x00\x00\x00\x00\x01\xe2\x40", 123456),
        ("int64", b"\xff\xff\xff\xff\xff\xff\xff\xfe", -2),
        ("acc32", b"\x00\x00\x00\x07", 7),
        ("float32", b"\x43\x66\x33\x33", 230.2),
        ("float64", b"\x40\x6c\xc6\x66\x66\x66\x66\x66", 230.2),
    ],
)
def test_each_type_reads_its_bytes_high_word_first(kind: str, data: bytes, value: float) -> None:
    assert value_of(decode(data, Field("voltage_l1_v", "input", 0, kind))) == value


def test_low_word_first_is_how_carlo_gavazzi_sends_230_1_volts() -> None:
    """EM300 protocol 2.1: INT32, low word first, Volt x 10: 2301 = 0x000008FD comes as 08FD 0000."""
    block = decode(b"\x08\xfd\x00\x00", Field("voltage_l1_v", "input", 0, "int32", exponent=-1, low_word_first=True))
    assert value_of(block) == 2301
    assert scaled(value_of(block), block.shape.exponents[0]) == 230.1


def test_both_word_orders_may_stand_in_one_answer() -> None:
    block = decode(
        b"\x00\x00\x08\xfd\x08\xfd\x00\x00\x12\x34",
        Field("voltage_l1_v", "input", 0, "uint32"),
        Field("voltage_l2_v", "input", 2, "uint32", low_word_first=True),
        Field("voltage_l3_v", "input", 4, "uint16"),
    )
    assert [column[0] for column in block.columns] == [2301, 2301, 0x1234]


def test_holes_and_overlaps_do_not_shift_what_follows() -> None:
    block = decode(
        bytes(range(16)),
        Field("voltage_l1_v", "input", 1, "uint16"),
        Field("voltage_l2_v", "input", 1, "uint32"),
        Field("voltage_l3_v", "input", 6, "uint16"),
    )
    assert [column[0] for column in block.columns] == [0x0203, 0x02030405, 0x0C0D]


def test_an_integer_counter_keeps_its_digits() -> None:
    """A PM5560 counts Wh in 64 bits: 9007199254740.993 kWh has more digits than a float holds, the integer keeps them."""
    block = decode((2**53 + 1).to_bytes(8, "big"), Field("energy_import_kwh", "holding", 0, "int64", exponent=-3))
    assert block.columns == ((9007199254740993,),)
    assert block.shape.exponents == (-3,)


def test_a_meter_value_is_the_shortest_decimal_that_names_it() -> None:
    block = decode(struct.pack(">f", 12345.6), Field("active_power_kw", "input", 0, "float32", exponent=-3))
    assert repr(value_of(block)) == "12.3456"


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_the_shortest_decimal_gives_the_same_four_bytes_again(value: float) -> None:
    assert struct.pack(">f", shortest_float32(value)) == struct.pack(">f", value)


@given(
    st.floats(width=32, allow_nan=False, allow_infinity=False).filter(lambda value: abs(value) > 1e-30),
    st.integers(-6, 3),
)
def test_scaling_a_float_moves_the_point_and_nothing_else(value: float, exponent: int) -> None:
    assert shortest_float32(value, exponent) == pytest.approx(value * 10.0**exponent, rel=1e-7)


def test_not_a_number_is_no_value_and_never_zero() -> None:
    block = decode(struct.pack(">f", math.nan), Field("voltage_l1_v", "input", 0, "float32"))
    assert block.columns == ((None,),)
    assert block.quality == (ABSENT,)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("int32", b"\x7f\xff\xff\xff"),
        ("uint32", b"\xff\xff\xff\xff"),
        ("int64", b"\x80" + bytes(7)),
        ("acc32", bytes(4)),
    ],
)
def test_a_sentinel_is_no_value(kind: str, data: bytes) -> None:
    absent = (0x7FFF_FFFF,) if kind == "int32" else (TYPES[kind].absent if kind != "int64" else -(2**63),)
    block = decode(data, Field("energy_import_kwh", "holding", 0, kind, absent=absent))  # type: ignore[arg-type]
    assert block.columns == ((None,),)
    assert block.quality == (ABSENT,)


def test_only_the_column_that_is_wrong_loses_its_value() -> None:
    block = decode(
        struct.pack(">ff", 1e9, 229.0),
        Field("voltage_l1_v", "input", 0, "float32", low=0, high=1e6),
        Field("voltage_l2_v", "input", 2, "float32", low=0, high=1e6),
    )
    assert block.columns == ((None,), (229.0,))
    assert block.quality == (OUTSIDE, (0, 0))


def test_infinity_is_out_of_every_range() -> None:
    block = decode(struct.pack(">f", math.inf), Field("voltage_l1_v", "input", 0, "float32", low=0, high=1e6))
    assert block.quality == (OUTSIDE,)


def test_the_range_of_an_integer_is_in_the_unit_of_its_quantity() -> None:
    field = Field("frequency_hz", "input", 0, "uint16", exponent=-2, low=0, high=500)
    assert value_of(decode(b"\x13\x88", field)) == 5000  # 50.00 Hz
    assert decode(b"\xc3\x51", field).quality == (OUTSIDE,)  # 500.01 Hz


def test_generation_is_negative_in_the_load_sign_and_zero_has_no_sign() -> None:
    inverter = Field("active_power_kw", "holding", 0, "int16", exponent=-3, sign=-1)
    assert value_of(decode(b"\x03\xe8", inverter)) == -1000
    silent = decode(struct.pack(">f", 0.0), Field("active_power_kw", "holding", 0, "float32", sign=-1))
    assert math.copysign(1.0, value_of(silent) or 0.0) == 1.0


def test_a_scale_factor_in_the_same_answer_sets_the_power_of_ten() -> None:
    """SunSpec W = 1234, W_SF = 1: 12,340 W generated, -12.34 kW in the load sign."""
    watts = Field("active_power_kw", "holding", 0, "int16", exponent=-3, sign=-1, scale_address=1)
    block = decode(b"\x04\xd2\x00\x01", watts)
    assert block.shape.exponents == (-2,)
    assert scaled(value_of(block), -2) == -12.34


def test_a_scale_factor_that_moves_moves_the_shape_of_the_block() -> None:
    watts = Field("active_power_kw", "holding", 0, "int16", exponent=-3, scale_address=1)
    decoder = Decoder([watts], 0, 2)
    assert decoder.decode("pv", b"\x04\xd2\x00\x01", 1).shape.exponents == (-2,)
    assert decoder.decode("pv", b"\x04\xd2\xff\xff", 2).shape.exponents == (-4,)
    assert decoder.decode("pv", b"\x04\xd2\x00\x01", 3).shape is decoder.decode("pv", b"\x04\xd2\x00\x01", 4).shape


@pytest.mark.parametrize("factor", [b"\x80\x00", b"\x00\x0b", b"\xff\xf5"], ids=["not implemented", "11", "-11"])
def test_a_scale_factor_out_of_bounds_gives_no_value(factor: bytes) -> None:
    block = decode(b"\x04\xd2" + factor, Field("active_power_kw", "holding", 0, "int16", scale_address=1))
    assert block.columns == ((None,),)
    assert block.quality == (ABSENT,)


def test_a_check_register_that_does_not_hold_what_was_expected_refuses_the_answer() -> None:
    check = Field("", "holding", 0, "uint16", expect=103)
    decode(b"\x00\x67\x00\x01", check, Field("operating_state", "holding", 1, "uint16"))
    with pytest.raises(Mismatch, match="register 0: expected 103, saw 101"):
        decode(b"\x00\x65\x00\x01", check, Field("operating_state", "holding", 1, "uint16"))
