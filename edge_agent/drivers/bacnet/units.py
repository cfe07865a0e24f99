"""BACnet engineering units and how they become the one unit of a quantity, exactly. Not which object carries which quantity.

Numbers and names: ANSI/ASHRAE 135-2016, clause 21, BACnetEngineeringUnits. Factors: the SI Brochure and NIST SP 811 (2008), appendix B.8;
the British thermal unit is the International Table one, water columns are conventional (9.80665 Pa a millimetre). Therms differ by law
from country to country and are left out.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Final

NO_UNITS: Final = 95


@dataclass(frozen=True, slots=True)
class Conversion:
    """value in our unit = (value x 10^`exponent`) x `times` + `plus`. A power of ten alone keeps the device's digits."""

    exponent: int = 0
    times: Fraction = Fraction(1)
    plus: Fraction = Fraction(0)

    @property
    def exact_digits(self) -> bool:
        """Whether only the decimal point moves."""
        return self.times == 1 and self.plus == 0

    def forth(self, value: float) -> float:
        """From the device's unit to ours."""
        return float(Fraction(value) * Fraction(10) ** self.exponent * self.times + self.plus)

    def back(self, value: float) -> float:
        """From our unit to the device's."""
        ours = (Fraction(value) - self.plus) / self.times
        return float(ours / Fraction(10) ** self.exponent)


_F = Fraction
_BTU_J: Final = _F("1055.05585262")
_FOOT_M: Final = _F("0.3048")
_US_GALLON_M3: Final = _F("0.003785411784")
_UK_GALLON_M3: Final = _F("0.00454609")
_HORSEPOWER_W: Final = 550 * _F("0.45359237") * _F("9.80665") * _FOOT_M
_PSI_PA: Final = _F("0.45359237") * _F("9.80665") / _F("0.0254") ** 2

# number: (name, dimension, factor to the dimension's first unit, what is added after it)
_UNITS: Final[dict[int, tuple[str, str, Fraction, Fraction]]] = {
    number: (name, dimension, _F(factor), _F(plus))
    for number, name, dimension, factor, plus in (
        (132, "milliwatts", "W", "1/1000", 0),
        (47, "watts", "W", 1, 0),
        (48, "kilowatts", "W", 1000, 0),
        (49, "megawatts", "W", 1_000_000, 0),
        (247, "joules-per-hours", "W", "1/3600", 0),
        (50, "btus-per-hour", "W", _BTU_J / 3600, 0),
        (157, "kilo-btus-per-hour", "W", 1000 * _BTU_J / 3600, 0),
        (52, "tons-refrigeration", "W", 12_000 * _BTU_J / 3600, 0),
        (51, "horsepower", "W", _HORSEPOWER_W, 0),
        (11, "volt-amperes-reactive", "var", 1, 0),
        (12, "kilovolt-amperes-reactive", "var", 1000, 0),
        (13, "megavolt-amperes-reactive", "var", 1_000_000, 0),
        (8, "volt-amperes", "VA", 1, 0),
        (9, "kilovolt-amperes", "VA", 1000, 0),
        (10, "megavolt-amperes", "VA", 1_000_000, 0),
        (16, "joules", "J", 1, 0),
        (17, "kilojoules", "J", 1000, 0),
        (126, "megajoules", "J", 1_000_000, 0),
        (18, "watt-hours", "J", 3600, 0),
        (19, "kilowatt-hours", "J", 3_600_000, 0),
        (146, "megawatt-hours", "J", 3_600_000_000, 0),
        (20, "btus", "J", _BTU_J, 0),
        (147, "kilo-btus", "J", 1000 * _BTU_J, 0),
        (148, "mega-btus", "J", 1_000_000 * _BTU_J, 0),
        (22, "ton-hours", "J", 12_000 * _BTU_J, 0),
        (203, "watt-hours-reactive", "varh", 1, 0),
        (204, "kilowatt-hours-reactive", "varh", 1000, 0),
        (205, "megawatt-hours-reactive", "varh", 1_000_000, 0),
        (242, "volt-ampere-hours-reactive", "varh", 1, 0),
        (243, "kilovolt-ampere-hours-reactive", "varh", 1000, 0),
        (244, "megavolt-ampere-hours-reactive", "varh", 1_000_000, 0),
        (239, "volt-ampere-hours", "VAh", 1, 0),
        (240, "kilovolt-ampere-hours", "VAh", 1000, 0),
        (241, "megavolt-ampere-hours", "VAh", 1_000_000, 0),
        (124, "millivolts", "V", "1/1000", 0),
        (5, "volts", "V", 1, 0),
        (6, "kilovolts", "V", 1000, 0),
        (7, "megavolts", "V", 1_000_000, 0),
        (2, "milliamperes", "A", "1/1000", 0),
        (3, "amperes", "A", 1, 0),
        (27, "hertz", "Hz", 1, 0),
        (129, "kilohertz", "Hz", 1000, 0),
        (130, "megahertz", "Hz", 1_000_000, 0),
        (NO_UNITS, "no-units", "1", 1, 0),
        (15, "power-factor", "1", 1, 0),
        (98, "percent", "1", "1/100", 0),
        (207, "per-mille", "1", "1/1000", 0),
        (29, "percent-relative-humidity", "1", "1/100", 0),
        (96, "parts-per-million", "1", "1/1000000", 0),
        (97, "parts-per-billion", "1", "1/1000000000", 0),
        (62, "degrees-celsius", "K", 1, "273.15"),
        (63, "degrees-kelvin", "K", 1, 0),
        (64, "degrees-fahrenheit", "K", "5/9", "45967/180"),
        (80, "cubic-meters", "m3", 1, 0),
        (82, "liters", "m3", "1/1000", 0),
        (197, "milliliters", "m3", "1/1000000", 0),
        (79, "cubic-feet", "m3", _FOOT_M**3, 0),
        (83, "us-gallons", "m3", _US_GALLON_M3, 0),
        (81, "imperial-gallons", "m3", _UK_GALLON_M3, 0),
        (85, "cubic-meters-per-second", "m3/s", 1, 0),
        (165, "cubic-meters-per-minute", "m3/s", "1/60", 0),
        (135, "cubic-meters-per-hour", "m3/s", "1/3600", 0),
        (249, "cubic-meters-per-day", "m3/s", "1/86400", 0),
        (87, "liters-per-second", "m3/s", "1/1000", 0),
        (88, "liters-per-minute", "m3/s", "1/60000", 0),
        (136, "liters-per-hour", "m3/s", "1/3600000", 0),
        (198, "milliliters-per-second", "m3/s", "1/1000000", 0),
        (142, "cubic-feet-per-second", "m3/s", _FOOT_M**3, 0),
        (84, "cubic-feet-per-minute", "m3/s", _FOOT_M**3 / 60, 0),
        (191, "cubic-feet-per-hour", "m3/s", _FOOT_M**3 / 3600, 0),
        (248, "cubic-feet-per-day", "m3/s", _FOOT_M**3 / 86_400, 0),
        (89, "us-gallons-per-minute", "m3/s", _US_GALLON_M3 / 60, 0),
        (192, "us-gallons-per-hour", "m3/s", _US_GALLON_M3 / 3600, 0),
        (86, "imperial-gallons-per-minute", "m3/s", _UK_GALLON_M3 / 60, 0),
        (53, "pascals", "Pa", 1, 0),
        (54, "kilopascals", "Pa", 1000, 0),
        (133, "hectopascals", "Pa", 100, 0),
        (134, "millibars", "Pa", 100, 0),
        (55, "bars", "Pa", 100_000, 0),
        (56, "pounds-force-per-square-inch", "Pa", _PSI_PA, 0),
        (206, "millimeters-of-water", "Pa", "9.80665", 0),
        (57, "centimeters-of-water", "Pa", "98.0665", 0),
        (58, "inches-of-water", "Pa", _F("25.4") * _F("9.80665"), 0),
        (35, "watts-per-square-meter", "W/m2", 1, 0),
        (37, "luxes", "lx", 1, 0),
        (38, "foot-candles", "lx", 1 / _FOOT_M**2, 0),
        (74, "meters-per-second", "m/s", 1, 0),
        (163, "meters-per-minute", "m/s", "1/60", 0),
        (164, "meters-per-hour", "m/s", "1/3600", 0),
        (75, "kilometers-per-hour", "m/s", "5/18", 0),
        (76, "feet-per-second", "m/s", _FOOT_M, 0),
        (77, "feet-per-minute", "m/s", _FOOT_M / 60, 0),
        (78, "miles-per-hour", "m/s", 5280 * _FOOT_M / 3600, 0),
        (90, "degrees-angular", "deg", 1, 0),
        (104, "revolutions-per-minute", "rpm", 1, 0),
        (159, "milliseconds", "s", "1/1000", 0),
        (73, "seconds", "s", 1, 0),
        (72, "minutes", "s", 60, 0),
        (71, "hours", "s", 3600, 0),
        (70, "days", "s", 86_400, 0),
    )
}
NUMBERS: Final[dict[str, int]] = {name: number for number, (name, *_) in _UNITS.items()}

# unit of wire.quantities: (dimension, factor to the dimension's first unit, what is added after it)
_OURS: Final[dict[str, tuple[str, Fraction, Fraction]]] = {
    unit: (dimension, _F(factor), _F(plus))
    for unit, dimension, factor, plus in (
        ("kW", "W", 1000, 0),
        ("W", "W", 1, 0),
        ("kvar", "var", 1000, 0),
        ("kVA", "VA", 1000, 0),
        ("kWh", "J", 3_600_000, 0),
        ("kvarh", "varh", 1000, 0),
        ("kVAh", "VAh", 1000, 0),
        ("V", "V", 1, 0),
        ("A", "A", 1, 0),
        ("Hz", "Hz", 1, 0),
        ("1", "1", 1, 0),
        ("%", "1", "1/100", 0),
        ("ppm", "1", "1/1000000", 0),
        ("degC", "K", 1, "273.15"),
        ("m3", "m3", 1, 0),
        ("Nm3", "m3", 1, 0),  # BACnet has no unit for normal volumes
        ("L", "m3", "1/1000", 0),
        ("m3/h", "m3/s", "1/3600", 0),
        ("L/h", "m3/s", "1/3600000", 0),
        ("kPa", "Pa", 1000, 0),
        ("hPa", "Pa", 100, 0),
        ("Pa", "Pa", 1, 0),
        ("W/m2", "W/m2", 1, 0),
        ("lx", "lx", 1, 0),
        ("m/s", "m/s", 1, 0),
        ("deg", "deg", 1, 0),
        ("rpm", "rpm", 1, 0),
        ("h", "s", 3600, 0),
        ("s", "s", 1, 0),
    )
}


def name(number: int) -> str:
    """The standard's name of a unit."""
    return _UNITS[number][0] if number in _UNITS else f"unit {number}"


def convertible_to(unit: str) -> list[str]:
    """The names of the units that become `unit` (of wire.quantities)."""
    return sorted(_UNITS[number][0] for number in _UNITS if conversion(number, unit) is not None)


@lru_cache(maxsize=512)
def conversion(number: int, unit: str) -> Conversion | None:
    """From BACnet unit `number` to `unit` of wire.quantities; None where they measure different things, or either is unknown.

    "no-units" becomes only "1": an object that does not say whether it means 0.5 or 50 is not guessed at.
    """
    theirs, ours = _UNITS.get(number), _OURS.get(unit)
    if theirs is None or ours is None or theirs[1] != ours[0] or (number == NO_UNITS and unit != "1"):
        return None
    times = theirs[2] / ours[1]
    plus = (theirs[3] - ours[2]) / ours[1]
    for exponent in range(-12, 13):
        if times == Fraction(10) ** exponent:
            return Conversion(exponent, Fraction(1), plus)
    return Conversion(0, times, plus)
