"""A signed factor pack on its way down: what an edge needs to state provisional kg by itself, retained on `.../factors`. Not the sums (see `edge_agent.carbon`).

The frame is `wire.sealed`: "WLF", "wattline factors", under the key that signs commands. A pack takes the place of one with a lower number only; an edge keeps the
frame as it came and checks the signature again when it starts. A key that a reader does not know makes the pack unreadable: it could be a condition.
"""

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from wire.keys import PublicKey, SigningKey
from wire.sealed import Frame
from wire.topics import valid_id

MAX_PACK_BYTES: Final = 128 << 10
MAX_FACTORS: Final = 512
MAX_METERS: Final = 256
_LATEST_MS: Final = 2**53


class Factor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The factor throughout [from_ms, to_ms) (UTC). `kg_per_kwh`: a decimal as text; None: there is none, and `reason` says why."""

    from_ms: int
    to_ms: int
    kg_per_kwh: str | None
    id: str = ""
    version: int = 0
    region: str = ""
    data_year: int | None = None
    source: str = ""
    marks: list[str] = []
    reason: str = ""


class Multiplier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From `from_ms` (UTC) on, one kWh on the display is `factor` kWh in the line (a decimal as text)."""

    from_ms: int
    factor: str


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A device whose counter counts: `count_kwh` is its display's last digit (a decimal as text), "" where the finest digit seen stands for it."""

    device: str
    multipliers: list[Multiplier]
    quantity: str = "energy_import_kwh"
    count_kwh: str = ""


class FactorPack(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Factors in order of time, none over another. `number` rises with each pack of an edge; `interval_ms` is the length of its intervals."""

    number: int
    issued_at_ms: int
    profile: str
    interval_ms: int
    meters: list[Meter]
    factors: list[Factor]


class PackUnreadable(ValueError):
    """A pack that breaks the contract; the message says where, what was expected and what was seen."""


class PackForged(ValueError):
    """Not signed with the pinned key."""


def seal(pack: FactorPack, topic: str, key: SigningKey) -> bytes:
    """The frame of a pack for the edge that `topic` names. Raises PackUnreadable for what no edge would take."""
    _check(pack)
    return _FRAME.seal(msgspec.json.encode(pack), topic, key)


def unseal(frame: bytes, topic: str, key: PublicKey) -> FactorPack:
    """The pack of a frame that came on `topic`; its signature is checked before anything else is read. Raises PackForged, PackUnreadable."""
    raw = _FRAME.unseal(frame, topic, key)
    try:
        pack = _PACKS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PackUnreadable(f"factor pack: {error}") from error
    _check(pack)
    return pack


_FRAME: Final = Frame("factor pack", b"WLF", b"wattline factors", MAX_PACK_BYTES, PackUnreadable, PackForged)
_PACKS: Final = msgspec.json.Decoder(FactorPack)


def _check(pack: FactorPack) -> None:
    for name, value in (("number", pack.number), ("interval_ms", pack.interval_ms)):
        if not 0 < value < _LATEST_MS:
            raise PackUnreadable(f"{name}: expected 1 to 2^53, got {value}")
    _check_instant("issued_at_ms", pack.issued_at_ms)
    if len(pack.meters) > MAX_METERS or len(pack.factors) > MAX_FACTORS:
        raise PackUnreadable(
            f"factor pack: expected at most {MAX_METERS} meters and {MAX_FACTORS} factors, got {len(pack.meters)} and {len(pack.factors)}"
        )
    end_ms = 0
    for index, factor in enumerate(pack.factors):
        _check_instant(f"factors[{index}].from_ms", factor.from_ms)
        _check_instant(f"factors[{index}].to_ms", factor.to_ms)
        if not end_ms <= factor.from_ms < factor.to_ms:
            raise PackUnreadable(
                f"factors[{index}].from_ms: expected factors in order and none over another, got {factor.from_ms} to {factor.to_ms}"
            )
        end_ms = factor.to_ms
        if factor.kg_per_kwh is not None:
            _check_decimal(f"factors[{index}].kg_per_kwh", factor.kg_per_kwh)
    for index, meter in enumerate(pack.meters):
        if not valid_id(meter.device):
            raise PackUnreadable(
                f"meters[{index}].device: expected 1 to 64 of A-Z a-z 0-9 _ -, got {meter.device[:80]!r}"
            )
        starts = [multiplier.from_ms for multiplier in meter.multipliers]
        if not starts or starts != sorted(set(starts)):
            raise PackUnreadable(
                f"meters[{index}].multipliers: expected at least one, each later than the one before, got {starts[:5]}"
            )
        for multiplier in meter.multipliers:
            _check_instant(f"meters[{index}].multipliers.from_ms", multiplier.from_ms)
            _check_decimal(f"meters[{index}].multipliers.factor", multiplier.factor)
        if meter.count_kwh:
            _check_decimal(f"meters[{index}].count_kwh", meter.count_kwh)


def _check_instant(where: str, at_ms: int) -> None:
    if not 0 <= at_ms < _LATEST_MS:
        raise PackUnreadable(f"{where}: expected 0 to 2^53 ms, got {at_ms}")


def _check_decimal(where: str, text: str) -> None:
    """A finite decimal of at most 30 characters."""
    try:
        finite = len(text) <= 30 and Decimal(text).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        raise PackUnreadable(f"{where}: expected a decimal number, got {text[:40]!r}")
