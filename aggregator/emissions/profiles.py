"""What a way of accounting lets a factor be: its signal, the places and the years that may give it. Not the search itself (see `resolution`)."""

import tomllib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Final

LEVELS: Final = ("province", "grid", "national")


@dataclass(frozen=True, slots=True)
class Profile:
    """`needs_notice`: without a place level from the reporting year's notice there is no figure. `notice` names it. `matching` of instruments: annual, hourly.

    `gwp`: the set of potentials; `combustion_gases`: which gases of burning count."""

    name: str
    method: str
    signal: str
    levels: tuple[str, ...]
    years: tuple[str, ...]
    needs_notice: bool = False
    notice: str = ""
    hourly: bool = False
    matching: str = "annual"
    gwp: str = "ar6"
    combustion_gases: tuple[str, ...] = ("CO2", "CH4", "N2O")
    restated_by_factors: bool = True  # else a published total keeps the factors that were known when it was made

    def noticed(self, level: str, notice: str) -> "Profile":
        """The profile once the year's notice is entered. Raises ValueError."""
        if level not in LEVELS:
            raise ValueError(f"place level: expected one of {', '.join(LEVELS)}, got {level!r}")
        if not notice.strip():
            raise ValueError("notice: expected which document names the place level, got none")
        return replace(self, levels=(level,), needs_notice=False, notice=notice)


@cache
def profiles() -> dict[str, Profile]:
    """The profiles that come with the program, by name."""
    text = resources.files("aggregator.emissions").joinpath("packs/profiles.toml").read_text(encoding="utf-8")
    return {
        name: Profile(
            name,
            row["method"],
            row["signal"],
            tuple(row["levels"]),
            tuple(row["years"]),
            row.get("notice", False),
            hourly=row.get("hourly", False),
            matching=row.get("matching", "annual"),
            gwp=row.get("gwp", "ar6"),
            combustion_gases=tuple(row.get("combustion_gases", ("CO2", "CH4", "N2O"))),
            restated_by_factors=row.get("restated_by_factors", True),
        )
        for name, row in tomllib.loads(text).items()
    }


def profile(name: str) -> Profile:
    """A profile. Raises ValueError."""
    if name not in profiles():
        raise ValueError(f"profile: expected one of {', '.join(profiles())}, got {name!r}")
    return profiles()[name]
