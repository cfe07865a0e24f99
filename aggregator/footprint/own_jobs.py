"""Heavy work that the aggregator has done, with what it emitted and what it would have emitted when it was due. Not when it runs (see `clean_hours`)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from aggregator.emissions.amounts import EXACT
from aggregator.emissions.place import Place
from aggregator.emissions.resolution import Resolution
from aggregator.footprint.own_machine import decoded


@dataclass(frozen=True, slots=True)
class OwnJob:
    """`work` was due at `due_ms` and begun at `begun_ms`. `machine`: as `OwnMachine.encoded`."""

    work: str
    due_ms: int
    begun_ms: int
    cpu_s: Decimal
    machine: str


@dataclass(frozen=True, slots=True)
class WorkDone:
    """One kind of work in a span. `g_when_due`, `g`: of its busy cores, by the factors of the hours in which it was due and in which it ran.

    None where the machine's power or a factor is not known.
    """

    work: str
    times: int
    waited: int
    cpu_s: Decimal
    energy_kwh: Decimal | None
    g_when_due: Decimal | None
    g: Decimal | None


def work_done(jobs: Sequence[OwnJob], resolved: Callable[[Place, int], Resolution]) -> tuple[WorkDone, ...]:
    """By kind of work, in order of name."""
    return tuple(
        _sum(work, [job for job in jobs if job.work == work], resolved) for work in sorted({job.work for job in jobs})
    )


def _sum(work: str, jobs: Sequence[OwnJob], resolved: Callable[[Place, int], Resolution]) -> WorkDone:
    each = [_grams(job, resolved) for job in jobs]
    known = [found for found in each if found is not None]
    whole = len(known) == len(each)
    kwh, due, run = (sum((found[at] for found in known), Decimal(0)) if whole else None for at in range(3))
    waited = sum(job.begun_ms - job.due_ms >= 3_600_000 for job in jobs)
    return WorkDone(work, len(jobs), waited, sum((job.cpu_s for job in jobs), Decimal(0)), kwh, due, run)


def _grams(job: OwnJob, resolved: Callable[[Place, int], Resolution]) -> tuple[Decimal, Decimal, Decimal] | None:
    machine = decoded(job.machine)
    if machine is None:
        return None
    kwh = machine.busy_kwh(job.cpu_s)
    factors = [resolved(machine.factor_place(), at_ms).kg_per_kwh for at_ms in (job.due_ms, job.begun_ms)]
    if factors[0] is None or factors[1] is None:
        return None
    due, run = (EXACT.multiply(EXACT.multiply(kwh, factor), Decimal(1000)) for factor in factors if factor is not None)
    return kwh, due, run
