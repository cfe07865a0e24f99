"""What the program itself emits, per facility and per million readings, netted beside the savings on record. Not how its use is measured (see `own_use`).

Energy x factor is the same exact sum of products, with the same registry and resolution, as of any meter; the rate per million readings is the
registered formula of ISO/IEC 21031 (`emissions.formulas.software`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Final

from aggregator.accounts.compile import REGISTRY_NAME, Accounts, CannotCompile
from aggregator.accounts.line import Counts
from aggregator.emissions.amounts import EXACT
from aggregator.emissions.factors import FactorTable
from aggregator.emissions.formulas.software import HOURS_PER_YEAR, software_intensity
from aggregator.emissions.formulas.worked import Worked
from aggregator.emissions.intensity import GridIntensities
from aggregator.emissions.place import Place
from aggregator.emissions.profiles import profile
from aggregator.emissions.recorded import electricity_pack, own_factors
from aggregator.emissions.registry import Registry
from aggregator.emissions.resolution import Resolution, resolve
from aggregator.facility import Facility
from aggregator.footprint.own_jobs import WorkDone, work_done
from aggregator.footprint.own_machine import OwnMachine, decoded
from aggregator.footprint.own_savings import claimed_kg
from aggregator.footprint.own_use import GatewaySpan, OwnRecords, OwnSpan

MILLION: Final = 1_000_000
NO_POWER: Final = "the settings say not what the machine draws: [footprint] idle_w, core_w, power_source, hardware"
NO_SAVINGS: Final = "none recorded"
_ZERO: Final = Decimal(0)
_KEPT: Final = Decimal("1e-15")

# (place, at_ms) -> the factor there and then
Resolve = Callable[[Place, int], Resolution]


@dataclass(frozen=True, slots=True)
class FacilityShare:
    """A facility's share of the aggregator (by readings), and its gateways. kg CO2e; None: no figure, never 0.

    `net_kg` = saved - own; negative where the program emits more than is on record as saved.
    """

    facility: str
    readings: int
    share_percent: Decimal | None
    aggregator_kg: Decimal | None
    gateways: int
    gateway_kwh: Decimal | None
    gateway_kg: Decimal | None
    own_kg: Decimal | None
    saved_kg: Decimal | None
    net_kg: Decimal | None


@dataclass(frozen=True, slots=True)
class OwnFootprint:
    """Of spans that began in [from_ms, to_ms). `g_per_million`: g CO2e per 10^6 readings stored, the gateways and the machine's making included.

    `hardware`, `power_source` and `factors` say what it holds for. `why`: what is missing, where there is no figure.
    """

    from_ms: int
    to_ms: int
    spans: int
    real_s: Decimal
    cpu_s: Decimal
    readings: int
    received_bytes: int
    store_bytes: int
    hardware: str
    power_source: str
    factors: tuple[str, ...]
    energy_kwh: Decimal | None
    running_kg: Decimal | None
    embodied_kg: Decimal | None
    gateway_kwh: Decimal | None
    gateway_kg: Decimal | None
    own_kg: Decimal | None
    g_per_million: Decimal | None
    worked: Worked | None
    facilities: tuple[FacilityShare, ...]
    work: tuple[WorkDone, ...] = ()
    why: str = ""

    @property
    def cpu_s_per_million(self) -> Decimal | None:
        return None if not self.readings else self.cpu_s * MILLION / self.readings

    @property
    def received_bytes_per_reading(self) -> Decimal | None:
        return None if not self.readings else Decimal(self.received_bytes) / self.readings


def own_footprint(accounts: Accounts, records: OwnRecords, from_ms: int, to_ms: int) -> OwnFootprint:
    """The footprint of a span, from what is on record. Raises RecordsBusy, RegistryRefused, sqlite3.Error, LedgerError, RecordsUnusable."""
    spans, gateways = records.spans(from_ms, to_ms), records.gateways(from_ms, to_ms)
    jobs = records.jobs(from_ms, to_ms)
    with _resolving(accounts) as (resolved, places):
        running = [_running(span, resolved) for span in spans]
        by_gateway = [_gateway(each, places.get(each.facility), resolved) for each in gateways]
        work = work_done(jobs, resolved)
    return replace(_compiled(accounts, (from_ms, to_ms), running, by_gateway), work=work)


@dataclass(frozen=True, slots=True)
class _Running:
    span: OwnSpan
    machine: OwnMachine | None
    kwh: Decimal | None
    kg: Decimal | None
    embodied_kg: Decimal | None
    factor: str
    why: str


@dataclass(frozen=True, slots=True)
class _Gateway:
    span: GatewaySpan
    kg: Decimal | None
    factor: str


def _running(span: OwnSpan, resolved: Resolve) -> _Running:
    machine = decoded(span.machine)
    if machine is None:
        return _Running(span, None, None, None, None, "", NO_POWER)
    kwh = machine.energy_kwh(span.real_s, span.cpu_s, span.store_bytes)
    found = resolved(machine.factor_place(), span.from_ms)
    embodied = None
    if machine.embodied_kg is not None and machine.life_years:
        life_s = machine.life_years * HOURS_PER_YEAR * 3600
        share = machine.share_percent / 100
        embodied = (machine.embodied_kg * share * span.real_s / life_s).quantize(_KEPT)
    kg = None if found.kg_per_kwh is None else EXACT.multiply(kwh, found.kg_per_kwh)
    return _Running(span, machine, kwh, kg, embodied, _told(found), found.reason)


def _gateway(span: GatewaySpan, place: Place | None, resolved: Resolve) -> _Gateway:
    found = None if place is None else resolved(place, span.from_ms)
    if found is None or found.kg_per_kwh is None or span.energy_kwh is None:
        return _Gateway(span, None, "")
    return _Gateway(span, EXACT.multiply(span.energy_kwh, found.kg_per_kwh), _told(found))


def _compiled(
    accounts: Accounts, asked: tuple[int, int], running: Sequence[_Running], gateways: Sequence[_Gateway]
) -> OwnFootprint:
    machines = [each.machine for each in running if each.machine is not None]
    readings: dict[str, int] = dict.fromkeys(accounts.facilities, 0)
    for each in running:
        for facility, count in each.span.readings.items():
            readings[facility] = readings.get(facility, 0) + count
    total = sum(readings.values())
    running_kg, embodied_kg = _whole([each.kg for each in running]), _some([each.embodied_kg for each in running])
    gateway_kg = _some([each.kg for each in gateways])
    own_kg = None if running_kg is None else running_kg + (embodied_kg or _ZERO) + (gateway_kg or _ZERO)
    factors = [*(each.factor for each in running), *(each.factor for each in gateways)]
    energy_kwh = _whole([each.kwh for each in running])
    aggregator_kg = None if running_kg is None else running_kg + (embodied_kg or _ZERO)
    return OwnFootprint(
        *asked,
        spans=len(running),
        real_s=sum((each.span.real_s for each in running), _ZERO),
        cpu_s=sum((each.span.cpu_s for each in running), _ZERO),
        readings=total,
        received_bytes=sum(sum(each.span.received_bytes.values()) for each in running),
        store_bytes=running[-1].span.store_bytes if running else 0,
        hardware="; ".join(dict.fromkeys(machine.hardware for machine in machines)),
        power_source="; ".join(dict.fromkeys(machine.power_source for machine in machines)),
        factors=tuple(dict.fromkeys(told for told in factors if told)),
        energy_kwh=energy_kwh,
        running_kg=running_kg,
        embodied_kg=embodied_kg,
        gateway_kwh=_some([each.span.energy_kwh for each in gateways]),
        gateway_kg=gateway_kg,
        own_kg=own_kg,
        g_per_million=None if own_kg is None or not total else (own_kg * 1000 * MILLION / total).quantize(_KEPT),
        worked=_worked(running, energy_kwh, running_kg, total),
        facilities=tuple(
            _share(accounts, asked, facility, count, total, aggregator_kg, gateways)
            for facility, count in sorted(readings.items())
        ),
        why="; ".join(dict.fromkeys(each.why for each in running if each.why))
        or ("" if running else "nothing is on record"),
    )


def _worked(
    running: Sequence[_Running], energy_kwh: Decimal | None, running_kg: Decimal | None, readings: int
) -> Worked | None:
    """The aggregator's rate per million readings, step by step; of one machine, and where it has used anything."""
    kinds = {each.span.machine for each in running}
    machine = running[0].machine if len(kinds) == 1 else None
    if machine is None or not energy_kwh or running_kg is None or not readings:
        return None
    real_s = sum((each.span.real_s for each in running), _ZERO)
    return software_intensity(
        Fraction(energy_kwh),
        Fraction(running_kg) / Fraction(energy_kwh),
        Fraction(machine.embodied_kg or 0) * Fraction(machine.share_percent) / 100,
        Fraction(machine.life_years or 1),
        Fraction(real_s) / 3600,
        Fraction(readings, MILLION),
    )


def _share(
    accounts: Accounts,
    asked: tuple[int, int],
    facility: str,
    readings: int,
    total: int,
    aggregator_kg: Decimal | None,
    gateways: Sequence[_Gateway],
) -> FacilityShare:
    own = [each for each in gateways if each.span.facility == facility]
    kg = _some([each.kg for each in own])
    share = None if not total else Decimal(readings) / total
    part = None if aggregator_kg is None or share is None else (aggregator_kg * share).quantize(_KEPT)
    whole = None if part is None else part + (kg or _ZERO)
    saved = _saved_kg(accounts, facility, *asked) if facility in accounts.facilities else None
    return FacilityShare(
        facility,
        readings,
        None if share is None else share * 100,
        part,
        len({(each.span.edge, each.span.device) for each in own}),
        _some([each.span.energy_kwh for each in own]),
        kg,
        whole,
        saved,
        None if saved is None or whole is None else saved - whole,
    )


def _saved_kg(accounts: Accounts, facility: str, from_ms: int, to_ms: int) -> Decimal | None:
    """What is on record as saved: avoided emissions of the statement, and claims that a second person has approved. None: nothing is."""
    step_ms = accounts.facilities[facility].interval_ms
    try:
        made = accounts.statement(facility, "GHGP-LB", from_ms // step_ms * step_ms, to_ms // step_ms * step_ms)
        avoided = made.kg(Counts.AVOIDED)
    except CannotCompile:  # a span of no interval
        avoided = None
    claimed = claimed_kg(accounts.data_directory, accounts.facilities[facility], from_ms, to_ms)
    return None if avoided is None and claimed is None else (avoided or _ZERO) + (claimed or _ZERO)


@contextmanager
def _resolving(accounts: Accounts) -> Iterator[tuple[Resolve, Mapping[str, Place]]]:
    """The registry's factors as known now, and where each facility's electricity comes from."""
    path: Path | str = accounts.data_directory / REGISTRY_NAME
    path = path if Path(path).exists() else ":memory:"
    now_ms = accounts.clock()
    with Registry(path) as registry, GridIntensities(path) as hours:
        entries = registry.entries(now_ms)
        table = FactorTable.from_pack(electricity_pack(entries))

        def own(facility: Facility) -> Place:
            factors = (*own_factors(entries, facility.id), *facility.overrides)
            return replace(facility, overrides=factors).factor_place()

        def resolved(place: Place, at_ms: int) -> Resolution:
            return resolve(table, place, at_ms, now_ms, profile("OPS"), hours.at)

        yield resolved, {facility.id: own(facility) for facility in accounts.facilities.values()}


def _told(found: Resolution) -> str:
    if found.kg_per_kwh is None:
        return ""
    return f"{found.kg_per_kwh} kg/kWh, {found.region or 'own'} {found.data_year or ''} ({found.source})".replace(
        "  ", " "
    )


def _whole(values: Sequence[Decimal | None]) -> Decimal | None:
    """The sum where every value is known, and there is one."""
    return None if not values or None in values else _some(values)


def _some(values: Sequence[Decimal | None]) -> Decimal | None:
    """The sum of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    total = _ZERO
    for value in known:
        total = EXACT.add(total, value)
    return total if known else None
