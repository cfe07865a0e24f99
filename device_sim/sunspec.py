"""SunSpec models 1, 103, 123, 124 and 802: layout and encoding of a chain, and which registers may be written. Not what they do.

Layouts from the SunSpec Alliance's "SunSpec Device Information Model Reference" (models 1, 103, 123, 124, 802), retyped point by point;
`tests/device_sim` holds them against the model files that the alliance publishes with pysunspec2.
"""

from dataclasses import dataclass
from typing import Final

from device_sim.registers import Image

BASE: Final = 40_000
VENDOR_MODEL: Final = 64_900
NOT_IMPLEMENTED: Final = {
    "uint16": 0xFFFF,
    "enum16": 0xFFFF,
    "bitfield16": 0xFFFF,
    "int16": 0x8000,
    "sunssf": 0x8000,
    "uint32": 0xFFFFFFFF,
    "bitfield32": 0xFFFFFFFF,
    "acc32": 0,
    "pad": 0x8000,
}
_SIZES: Final = {"uint32": 2, "bitfield32": 2, "acc32": 2}


def _points(text: str, **types: str) -> tuple[tuple[str, str], ...]:
    """Names in order; those not named in `types` (space-separated names per type) are uint16."""
    by_name = {name: type_ for type_, names in types.items() for name in names.split()}
    return tuple((name, by_name.get(name, "sunssf" if name.endswith("_SF") else "uint16")) for name in text.split())


_MODELS: Final[dict[int, tuple[tuple[str, str], ...]]] = {
    1: (
        ("Mn", "string16"),
        ("Md", "string16"),
        ("Opt", "string8"),
        ("Vr", "string8"),
        ("SN", "string16"),
        ("DA", "uint16"),
        ("Pad", "pad"),
    ),
    103: _points(
        "A AphA AphB AphC A_SF PPVphAB PPVphBC PPVphCA PhVphA PhVphB PhVphC V_SF W W_SF Hz Hz_SF VA VA_SF VAr VAr_SF PF PF_SF WH WH_SF "
        "DCA DCA_SF DCV DCV_SF DCW DCW_SF TmpCab TmpSnk TmpTrns TmpOt Tmp_SF St StVnd Evt1 Evt2 EvtVnd1 EvtVnd2 EvtVnd3 EvtVnd4",
        int16="W VA VAr PF DCW TmpCab TmpSnk TmpTrns TmpOt",
        acc32="WH",
        enum16="St StVnd",
        bitfield32="Evt1 Evt2 EvtVnd1 EvtVnd2 EvtVnd3 EvtVnd4",
    ),
    123: _points(
        "Conn_WinTms Conn_RvrtTms Conn WMaxLimPct WMaxLimPct_WinTms WMaxLimPct_RvrtTms WMaxLimPct_RmpTms WMaxLim_Ena OutPFSet OutPFSet_WinTms "
        "OutPFSet_RvrtTms OutPFSet_RmpTms OutPFSet_Ena VArWMaxPct VArMaxPct VArAvalPct VArPct_WinTms VArPct_RvrtTms VArPct_RmpTms VArPct_Mod "
        "VArPct_Ena WMaxLimPct_SF OutPFSet_SF VArPct_SF",
        enum16="Conn WMaxLim_Ena OutPFSet_Ena VArPct_Mod VArPct_Ena",
        int16="OutPFSet VArWMaxPct VArMaxPct VArAvalPct",
    ),
    124: _points(
        "WChaMax WChaGra WDisChaGra StorCtl_Mod VAChaMax MinRsvPct ChaState StorAval InBatV ChaSt OutWRte InWRte InOutWRte_WinTms "
        "InOutWRte_RvrtTms InOutWRte_RmpTms ChaGriSet WChaMax_SF WChaDisChaGra_SF VAChaMax_SF MinRsvPct_SF ChaState_SF StorAval_SF InBatV_SF "
        "InOutWRte_SF",
        bitfield16="StorCtl_Mod",
        enum16="ChaSt ChaGriSet",
        int16="OutWRte InWRte",
    ),
    802: _points(
        "AHRtg WHRtg WChaRteMax WDisChaRteMax DisChaRte SoCMax SoCMin SocRsvMax SoCRsvMin SoC DoD SoH NCyc ChaSt LocRemCtl Hb CtrlHb AlmRst "
        "Typ State StateVnd WarrDt Evt1 Evt2 EvtVnd1 EvtVnd2 V VMax VMin CellVMax CellVMaxStr CellVMaxMod CellVMin CellVMinStr CellVMinMod "
        "CellVAvg A AChaMax ADisChaMax W ReqInvState ReqW SetOp SetInvState AHRtg_SF WHRtg_SF WChaDisChaMax_SF DisChaRte_SF SoC_SF DoD_SF "
        "SoH_SF V_SF CellV_SF A_SF AMax_SF W_SF",
        uint32="NCyc WarrDt",
        enum16="ChaSt LocRemCtl Typ State StateVnd ReqInvState SetOp SetInvState",
        bitfield32="Evt1 Evt2 EvtVnd1 EvtVnd2",
        int16="A W ReqW",
    ),
    VENDOR_MODEL: (("Serial", "uint32"),),
}
# Writable points that are simulated; other writable points of the model take a write and change nothing.
_WRITABLE: Final[dict[int, frozenset[str]]] = {
    123: frozenset(name for name, type_ in _MODELS[123] if type_ != "sunssf"),
    124: frozenset(
        [
            "WChaMax",
            "WChaGra",
            "WDisChaGra",
            "StorCtl_Mod",
            "VAChaMax",
            "MinRsvPct",
            "OutWRte",
            "InWRte",
            "InOutWRte_WinTms",
            "InOutWRte_RvrtTms",
            "InOutWRte_RmpTms",
            "ChaGriSet",
        ]
    ),
}


def size(type_: str) -> int:
    """Registers that a point of this type takes."""
    return int(type_.removeprefix("string")) if type_.startswith("string") else _SIZES.get(type_, 1)


@dataclass(frozen=True, slots=True)
class Placed:
    """One model in a chain: `points` gives each point's address and type."""

    model: int
    address: int
    length: int
    points: dict[str, tuple[int, str]]


class Chain:
    """A SunSpec map at 40000: 'SunS', the models in order, end marker 0xFFFF with length 0."""

    def __init__(self, *models: int) -> None:
        self.models: list[Placed] = []
        address = BASE + 2
        for model in models:
            points, offset = {}, address + 2
            for name, type_ in _MODELS[model]:
                points[name] = (offset, type_)
                offset += size(type_)
            self.models.append(Placed(model, address, offset - address - 2, points))
            address = offset
        self.end = address
        self.serial_addresses = tuple(
            placed.points["Serial"][0] for placed in self.models if placed.model == VENDOR_MODEL
        )
        self.writable = {
            address: name
            for placed in self.models
            for name, (address, _) in placed.points.items()
            if name in _WRITABLE.get(placed.model, frozenset())
        }

    def image(self, values: dict[int, dict[str, int | str]]) -> Image:
        """Encodes raw values per model and point; a point without a value reads as not implemented."""
        image = Image(((BASE, self.end + 2 - BASE),))
        image.text(BASE, "SunS", 2)
        for placed in self.models:
            image.uint16(placed.address, placed.model)
            image.uint16(placed.address + 1, placed.length)
            given = values.get(placed.model, {})
            assert given.keys() <= placed.points.keys(), f"model {placed.model}: {given.keys() - placed.points.keys()}"
            for name, (address, type_) in placed.points.items():
                _encode(image, address, type_, given.get(name))
        image.uint16(self.end, 0xFFFF)
        image.uint16(self.end + 1, 0)
        return image


def _encode(image: Image, address: int, type_: str, value: int | str | None) -> None:
    if type_.startswith("string"):
        image.text(address, str(value or ""), size(type_))
    elif value is None:
        if size(type_) == 2:
            image.uint32(address, NOT_IMPLEMENTED[type_])
        else:
            image.uint16(address, NOT_IMPLEMENTED[type_])
    elif size(type_) == 2:
        image.uint32(address, int(value))
    elif type_ == "int16":
        image.int16(address, int(value))
    else:
        image.uint16(address, int(value))


def scale_exponent(largest: float, limit: int = 32_767) -> int:
    """The smallest power of ten >= 0 with which a value up to 1.2 x `largest` fits a register."""
    exponent = 0
    while 1.2 * largest > limit * 10**exponent:
        exponent += 1
    return exponent
