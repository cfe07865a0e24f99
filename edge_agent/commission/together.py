"""Whether the meters behind an incomer measure less than it does. Which meter is behind which is said by `incomer` in the edge file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.commission.finding import Finding, Sample, Values
from edge_agent.drivers.declared import Device

_TOLERANCE: Final = 0.05  # two meters of class 1 and their transformers, at the worst
_FLOOR_KW: Final = 0.1


@dataclass(frozen=True, slots=True)
class Balance:
    """The mean powers of an incomer and of the meters behind it; `rest_kw` is what nobody measures. `missing`: meters without a power."""

    incomer: str
    incomer_kw: float
    subs_kw: float
    rest_kw: float
    subs: tuple[str, ...]
    missing: tuple[str, ...]


def balances(devices: Sequence[Device], seen: Mapping[str, Values]) -> list[Balance]:
    """One for each incomer that was read."""
    found = []
    for incomer in dict.fromkeys(device.incomer for device in devices if device.incomer):
        behind = [device.name for device in devices if device.incomer == incomer]
        own = _power(seen.get(incomer, {}))
        powers = {name: _power(seen.get(name, {})) for name in behind}
        known = {name: _mean(samples) for name, samples in powers.items() if samples}
        if not own or not known:
            continue
        total_kw = _mean(own)
        missing = tuple(name for name in behind if name not in known)
        subs_kw = sum(known.values())
        found.append(Balance(incomer, total_kw, subs_kw, total_kw - subs_kw, tuple(known), missing))
    return found


def against_incomers(devices: Sequence[Device], seen: Mapping[str, Values]) -> Iterator[Finding]:
    """Incomers that measure less than what is behind them, over the observed time."""
    for balance in balances(devices, seen):
        moved_kw = sum(_spread(_power(seen[name])) for name in (balance.incomer, *balance.subs))
        if -balance.rest_kw <= _FLOOR_KW + _TOLERANCE * abs(balance.incomer_kw) + moved_kw:
            continue
        yield Finding(
            balance.incomer,
            "active_power_kw",
            "sub_meters",
            f"{balance.incomer_kw:.3f} kW",
            f"at least the sum of the meters behind it, {balance.subs_kw:.3f} kW ({', '.join(balance.subs)})",
            _cause(balance),
            "compare the ratios of the incomer and of the largest sub-meter, or take away an `incomer` key that is wrong",
        )


def _cause(balance: Balance) -> str:
    if balance.incomer_kw and balance.subs_kw / balance.incomer_kw < 0:
        return "the incomer's or the sub-meters' direction is turned round, or a source behind the incomer is not in the list"
    return "a wrong transformer ratio of the incomer or of a sub-meter, a meter listed behind the wrong incomer, or a source that is not in the list"


def _power(values: Values) -> Sequence[Sample]:
    return values.get("active_power_kw", ())


def _mean(samples: Sequence[Sample]) -> float:
    return sum(sample.value for sample in samples) / len(samples)


def _spread(samples: Sequence[Sample]) -> float:
    """How far the power moved while it was observed: meters are not read in the same instant."""
    values = [sample.value for sample in samples]
    return max(values) - min(values)
