"""The application layer of M-Bus (EN 13757-3): the header and the data records of a meter's answer. Not frames, not what a model makes of them.

CI 72 (76: high byte first)   identification, maker, version, medium, access number, status, configuration | records
CI 73 (77)                    identification, access number, status, medium and units, counter 1, counter 2
CI 70                         an error of the application
record                        DIF DIFE.. VIF VIFE.. value;   2F fills;   0F and 1F: the maker's own data up to the end, 1F: more follows
"""

from dataclasses import dataclass
from typing import Final

from edge_agent.drivers.mbus import meanings, values
from edge_agent.drivers.mbus.meanings import Meaning
from edge_agent.drivers.mbus.secondary import Secondary, maker_letters
from edge_agent.drivers.mbus.values import Order, Value

_MAX_EXTENSIONS: Final = 10  # EN 13757-3: at most ten DIFE, ten VIFE
_FILLER: Final = 0x2F
# Modes of encryption (EN 13757-7). Old meters put anything into these two bytes, so other modes are read as no encryption at all; records
# that begin with two fillers are open again.
_ENCRYPTED: Final = frozenset({2, 3, 4, 5, 7, 8, 9, 13})
_DECRYPTED: Final = bytes((_FILLER, _FILLER))
_MAKERS_DATA: Final = 0x0F
_MAKERS_DATA_MORE: Final = 0x1F
_PLAIN_TEXT: Final = 0x7C

FUNCTIONS: Final = ("instantaneous", "maximum", "minimum", "error")

CI_ERROR: Final = 0x70
_VARIABLE: Final[dict[int | None, Order]] = {0x72: "little", 0x76: "big"}
_FIXED: Final[dict[int | None, Order]] = {0x73: "little", 0x77: "big"}
_VARIABLE_HEADER: Final = 12
_FIXED_LENGTH: Final = 16

# EN 13757-3, status byte.
APPLICATION_BUSY: Final = 0x01
APPLICATION_ERROR: Final = 0x02
POWER_LOW: Final = 0x04
PERMANENT_ERROR: Final = 0x08
TEMPORARY_ERROR: Final = 0x10

# EN 13757-3, application errors behind CI 70.
ERRORS: Final = {
    0: "unspecified error",
    1: "CI field not implemented",
    2: "buffer too long",
    3: "too many records",
    4: "premature end of a record",
    5: "more than ten DIFE",
    6: "more than ten VIFE",
    7: "reserved",
    8: "application too busy",
    9: "too many readouts",
}


class TelegramFault(ValueError):
    """An answer whose content cannot be read: what was expected and what was seen."""


@dataclass(frozen=True, slots=True)
class Record:
    """One value. `vif`: VIF and VIFEs as sent; `text`: the unit in plain text where the VIF announces one. A record without value has None."""

    function: str
    storage: int
    tariff: int
    subunit: int
    vif: bytes
    meaning: Meaning
    value: Value
    text: str = ""


@dataclass(frozen=True, slots=True)
class Telegram:
    """One answer of a meter. `more`: it has more to say in the next telegram. `makers`: the maker's own bytes at the end."""

    sender: Secondary
    access_number: int
    status: int
    records: tuple[Record, ...]
    more: bool = False
    makers: bytes = b""


def parse(ci: int, data: bytes) -> Telegram:
    """The content of a long frame with this CI. Raises TelegramFault."""
    if ci in _VARIABLE:
        return _variable(data, _VARIABLE[ci])
    if ci in _FIXED:
        return _fixed(data, _FIXED[ci])
    if ci == CI_ERROR:
        code = data[0] if data else 0
        raise TelegramFault(f"expected values, saw application error {code} ({ERRORS.get(code, 'reserved')})")
    raise TelegramFault(f"expected CI 72, 73, 76 or 77, saw {ci:02x}")


def sender(ci: int | None, data: bytes) -> Secondary | None:
    """Who sent the content of a long frame; None where it does not say so."""
    if ci in _VARIABLE and len(data) >= _VARIABLE_HEADER:
        return _variable_sender(data, _VARIABLE[ci])
    if ci in _FIXED and len(data) == _FIXED_LENGTH:
        return _fixed_sender(data, _FIXED[ci])
    return None


def _variable(data: bytes, order: Order) -> Telegram:
    if len(data) < _VARIABLE_HEADER:
        raise TelegramFault(f"expected a header of {_VARIABLE_HEADER} bytes, saw {len(data)}")
    configuration = int.from_bytes(data[10:12], order)
    mode, blocks = configuration >> 8 & 0x1F, configuration >> 4 & 0x0F
    if mode in _ENCRYPTED and blocks and data[_VARIABLE_HEADER : _VARIABLE_HEADER + 2] != _DECRYPTED:
        raise TelegramFault(f"expected open records, saw encryption mode {mode}")
    records, more, makers = parse_records(data[_VARIABLE_HEADER:], order)
    return Telegram(_variable_sender(data, order), data[8], data[9], records, more, makers)


def _variable_sender(data: bytes, order: Order) -> Secondary:
    maker = maker_letters(int.from_bytes(data[4:6], order) & 0x7FFF)
    return Secondary(_digits(data[:4], order), maker, data[6], data[7])


def _digits(raw: bytes, order: Order) -> str:
    return (raw[::-1] if order == "little" else raw).hex().upper()


def parse_records(data: bytes, order: Order = "little") -> tuple[tuple[Record, ...], bool, bytes]:
    """The records, whether more follow in another telegram, and the maker's own data at the end. Raises TelegramFault."""
    records: list[Record] = []
    cursor = _Cursor(data)
    while cursor.left:
        dif = cursor.byte("DIF")
        if dif == _FILLER:
            continue
        if dif in (_MAKERS_DATA, _MAKERS_DATA_MORE):
            return tuple(records), dif == _MAKERS_DATA_MORE, cursor.rest()
        if dif & 0x0F == 0x0F:  # 3F to 7F: reserved and "global readout", which answers do not have
            raise TelegramFault(f"expected a data record, saw DIF {dif:02x}")
        records.append(_record(cursor, dif, order))
    return tuple(records), False, b""


class _Cursor:
    """Takes bytes from the front; every shortage is a fault that says of what."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def take(self, count: int, what: str) -> bytes:
        if count > self.left:
            raise TelegramFault(f"expected {count} bytes of a record's {what}, saw {self.left}")
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def rest(self) -> bytes:
        return self.take(self.left, "end")


def _record(cursor: _Cursor, dif: int, order: Order) -> Record:
    storage, tariff, subunit = dif >> 6 & 1, 0, 0
    more, count = dif & 0x80, 0
    while more:
        if count == _MAX_EXTENSIONS:
            raise TelegramFault(f"expected at most {_MAX_EXTENSIONS} DIFE, saw more")
        dife = cursor.byte("DIFE")
        storage |= (dife & 0x0F) << (1 + 4 * count)
        tariff |= (dife >> 4 & 3) << (2 * count)
        subunit |= (dife >> 6 & 1) << count
        more, count = dife & 0x80, count + 1
    vif, text = _vif(cursor, order)
    field = dif & 0x0F
    value = _value(cursor, field, vif, order)
    return Record(FUNCTIONS[dif >> 4 & 3], storage, tariff, subunit, vif, meanings.meaning(vif), value, text)


def _vif(cursor: _Cursor, order: Order) -> tuple[bytes, str]:
    """VIF with VIFEs, and the text of a plain-text VIF, which stands between the VIF and its VIFEs."""
    vif, text = bytearray((cursor.byte("VIF"),)), ""
    if vif[0] & 0x7F == _PLAIN_TEXT:
        characters = cursor.take(cursor.byte("length of a unit"), "unit")
        text = (characters[::-1] if order == "little" else characters).decode("latin-1")
    while vif[-1] & 0x80:
        if len(vif) > _MAX_EXTENSIONS:
            raise TelegramFault(f"expected at most {_MAX_EXTENSIONS} VIFE, saw more")
        vif.append(cursor.byte("VIFE"))
    return bytes(vif), text


def _value(cursor: _Cursor, field: int, vif: bytes, order: Order) -> Value:
    if size := values.INTEGER_SIZES.get(field):
        raw = cursor.take(size, "value")
        if meanings.is_time(vif):
            return _time(raw, order)
        return values.unsigned(raw, order) if meanings.is_code(vif) else values.integer(raw, order)
    if size := values.BCD_SIZES.get(field):
        return values.bcd(cursor.take(size, "value"), order)
    if field == values.REAL:
        return values.real(cursor.take(4, "value"), order)
    if field == values.VARIABLE:
        lvar = cursor.byte("length of variable data")
        try:
            size = values.variable_size(lvar)
        except values.ValueFault as error:
            raise TelegramFault(str(error)) from error
        return values.variable(lvar, cursor.take(size, "variable data"), order)
    return None  # no data, or a selection for readout


def _time(raw: bytes, order: Order) -> Value:
    if len(raw) == 2:
        return values.date(raw, order)
    if len(raw) == 3:
        return values.time_of_day(raw, order)
    return values.date_time(raw, order) if len(raw) in (4, 6) else None


# Fixed structure: six bits of unit per counter (M-Bus documentation 4.8, table of units; EN 13757-3, fixed data structure).
_FIXED_UNITS: Final[dict[int, Meaning]] = {
    **{0x02 + step: Meaning("energy", "Wh", step) for step in range(9)},
    **{0x0B + step: Meaning("energy", "J", 3 + step) for step in range(9)},
    **{0x14 + step: Meaning("power", "W", step) for step in range(9)},
    **{0x1D + step: Meaning("power", "J/h", 3 + step) for step in range(9)},
    **{0x26 + step: Meaning("volume", "m3", step - 6) for step in range(9)},
    **{0x2F + step: Meaning("volume_flow", "m3/h", step - 6) for step in range(9)},
    0x38: Meaning("temperature", "degC", -3),
    0x39: Meaning("heat_cost_units"),
    0x3F: Meaning("dimensionless"),
}
_AS_FIRST_STORED: Final = 0x3E  # "the same as counter 1, but historic"
_BINARY: Final = 0x01
_STORED: Final = 0x02
_FIXED_MEDIA: Final = {  # the two times two bits of the medium, in the numbers of the variable structure
    **{number: number for number in range(10)},
    0xA: 0x03,
    0xB: 0x04,
    0xC: 0x06,
    0xD: 0x07,
    0xE: 0x08,
}


def _fixed(data: bytes, order: Order) -> Telegram:
    if len(data) != _FIXED_LENGTH:
        raise TelegramFault(f"expected {_FIXED_LENGTH} bytes of fixed structure, saw {len(data)}")
    status, first, second = data[5], data[6], data[7]
    read = values.integer if status & _BINARY else values.bcd
    storage = 1 if status & _STORED else 0
    one = _FIXED_UNITS.get(first & 0x3F, meanings.UNKNOWN)
    historic = second & 0x3F == _AS_FIRST_STORED
    other = one if historic else _FIXED_UNITS.get(second & 0x3F, meanings.UNKNOWN)
    records = (
        Record(FUNCTIONS[0], storage, 0, 0, bytes((first & 0x3F,)), one, read(data[8:12], order)),
        Record(
            FUNCTIONS[0], 1 if historic else storage, 0, 0, bytes((second & 0x3F,)), other, read(data[12:16], order)
        ),
    )
    return Telegram(_fixed_sender(data, order), data[4], status & ~(_BINARY | _STORED), records)


def _fixed_sender(data: bytes, order: Order) -> Secondary:
    medium = (data[6] >> 6) | (data[7] >> 6) << 2
    return Secondary(_digits(data[:4], order), None, None, _FIXED_MEDIA.get(medium, 0x0F))
