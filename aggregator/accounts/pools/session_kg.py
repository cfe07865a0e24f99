"""What charging sessions carry: kg, g/kWh and how much of the energy that stands for. Not the sessions (see `aggregator.sessions`), and no bill.

The energy is the session's own; when it flowed is told by the meter's intervals, or, where it has none, by time alone. Energy without a figure
is left out of g/kWh and counted in the coverage. What a vehicle gives back leaves its session with what the pool carries.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from aggregator.accounts.compile import Accounts, Span
from aggregator.accounts.period import Period
from aggregator.accounts.pools.maker import PoolMaker
from aggregator.accounts.pools.parcel import KG_QUANTUM, KWH_QUANTUM, NOTHING, ZERO, Parcel, share, uncovered
from aggregator.accounts.pools.site_days import IMPORT, Interval, Site, total
from aggregator.accounts.pools.walk import PoolRun, parcel_of
from aggregator.accounts.pools.watch import plug_in_of
from aggregator.accounts.tree.slots import Slot, slots_of
from aggregator.emissions.amounts import EXACT
from aggregator.sessions import Session

_WH: Final = Decimal(1000)
_G_PER_KG: Final = Decimal(1000)


@dataclass(frozen=True, slots=True)
class SessionKg:
    """One session under `profile`. `kg`: of what was charged, less what was given back; None: no figure. `g_per_kwh`: of the `covered_percent` of the
    charged energy that has a figure. `avoided_kg` is marginal, None without a marginal series or without anything given back.

    `shape`: by the meter's intervals, or by time alone.
    """

    profile: str
    shape: Literal["metered", "even"]
    kg: Decimal | None = None
    g_per_kwh: Decimal | None = None
    covered_percent: Decimal | None = None
    given_back_kwh: Decimal = ZERO
    given_back_kg: Decimal | None = None
    avoided_kg: Decimal | None = None


def session_kgs(
    accounts: Accounts, facility: str, profile: str, sessions: Sequence[Session], as_of_ms: int | None = None
) -> dict[Session, SessionKg]:
    """All that are given must be there, also those that share a meter with one that is asked for. Raises what a statement raises."""
    known = [
        session for session in sessions if session.started_at_ms is not None and _end_ms(session) > session.first_ms
    ]
    if not known:
        return {}
    named, rules = accounts.facility(facility), accounts.profile(profile)
    step_ms = named.interval_ms
    from_ms = min(session.first_ms for session in known) // step_ms * step_ms
    to_ms = -(-max(_end_ms(session) for session in known) // step_ms) * step_ms
    span = Span(from_ms, to_ms, accounts.clock() if as_of_ms is None else as_of_ms)
    with accounts.opened(named, rules, span) as (period, makers):
        maker = next(maker for maker in makers if isinstance(maker, PoolMaker))
        with maker.run(period, [plug_in_of(session) for session in known]) as run:
            return _Shares(period, run, known).all()


def _end_ms(session: Session) -> int:
    return session.told_at_ms if session.ended_at_ms is None else session.ended_at_ms


class _Shares:
    """The walk of the sessions' span, and who had which part of each interval."""

    def __init__(self, period: Period, run: PoolRun, sessions: Sequence[Session]) -> None:
        self.period, self.run, self.sessions = period, run, sessions
        self.step_ms = run.site.interval_ms
        self.intervals: dict[int, tuple[Interval, Interval]] = {}
        if _has_sources(run.site):
            for day, caused in run.days():
                pairs = zip(day.intervals, caused.intervals, strict=True)
                self.intervals |= {one.start_ms: (one, other) for one, other in pairs}
        self.there_ms: defaultdict[tuple[str, int], int] = defaultdict(int)
        for session in sessions:
            for at_ms, ms in self._spans(session):
                self.there_ms[session.device, at_ms] += ms
        self.slots: dict[str, Mapping[int, Slot]] = {}

    def all(self) -> dict[Session, SessionKg]:
        return {session: self._of(session) for session in self.sessions}

    def _spans(self, session: Session) -> Iterable[tuple[int, int]]:
        """(start of the interval, ms of the session in it)."""
        for at_ms in range(session.first_ms // self.step_ms * self.step_ms, _end_ms(session), self.step_ms):
            yield at_ms, min(at_ms + self.step_ms, _end_ms(session)) - max(at_ms, session.first_ms)

    def _of(self, session: Session) -> SessionKg:
        slots, spans = self._slots(session.device), list(self._spans(session))
        whole_kwh = None if session.energy_wh is None else session.energy_wh / _WH
        metered = session.device in self.run.site.vehicles and any(at_ms in slots for at_ms, _ in spans)
        if metered:
            parts = [self._part(session, at_ms, ms, slots[at_ms].incoming) for at_ms, ms in spans if at_ms in slots]
            charged = _stretched(total(parts), whole_kwh, complete=len(parts) == len(spans))
        elif whole_kwh is None:
            return SessionKg(self.period.profile.name, "even")
        else:
            charged = self._even(whole_kwh, spans)
        back, avoided_kg = self._given_back(session, spans) if metered else (NOTHING, None)
        kg = charged.known_kg
        return SessionKg(
            profile=self.period.profile.name,
            shape="metered" if metered else "even",
            kg=None if kg is None else EXACT.subtract(kg, back.kg),
            g_per_kwh=None if charged.kg_per_kwh is None else charged.kg_per_kwh * _G_PER_KG,
            covered_percent=charged.covered_percent,
            given_back_kwh=back.kwh,
            given_back_kg=back.known_kg if back.kwh else None,
            avoided_kg=avoided_kg,
        )

    def _slots(self, device: str) -> Mapping[int, Slot]:
        if device not in self.slots:
            rows = self.run.rows(device, IMPORT, self.period.from_ms, self.period.to_ms)
            span = self.period.from_ms, self.period.to_ms
            self.slots[device] = slots_of(lambda _device, _quantity: rows, device, (IMPORT, ""), self.step_ms, *span)
        return self.slots[device]

    def _part(self, session: Session, at_ms: int, ms: int, kwh: Decimal) -> Parcel:
        """The session's part of what its meter charged in an interval: by the time that each session was there."""
        if not _has_sources(self.run.site):  # then all there is comes from the grid
            charged = parcel_of(self.run.average, at_ms, at_ms + self.step_ms, kwh)
        elif at_ms in self.intervals:
            charged = self.intervals[at_ms][0].solved.charged[session.device]
        else:
            charged = uncovered(kwh)
        return _portion(charged, ms, self.there_ms[session.device, at_ms])

    def _even(self, whole_kwh: Decimal, spans: Sequence[tuple[int, int]]) -> Parcel:
        """By time alone, at what reached the site's loads."""
        all_ms, left_kwh, charged = sum(ms for _, ms in spans), whole_kwh, NOTHING
        for number, (at_ms, ms) in enumerate(spans, start=1):
            kwh = min(left_kwh, share(whole_kwh, Decimal(ms), Decimal(all_ms), KWH_QUANTUM))
            kwh = left_kwh if number == len(spans) else kwh
            left_kwh = EXACT.subtract(left_kwh, kwh)
            if not _has_sources(self.run.site):
                charged += parcel_of(self.run.average, at_ms, at_ms + self.step_ms, kwh)
                continue
            solved = self.intervals[at_ms][0].solved if at_ms in self.intervals else None
            charged += uncovered(kwh) if solved is None else _resized(solved.reached, kwh)
        return charged

    def _given_back(self, session: Session, spans: Sequence[tuple[int, int]]) -> tuple[Parcel, Decimal | None]:
        """What the vehicle gave, and marginal kg: what that displaced less what its charge caused."""
        back, displaced_kg, caused_kg, covered_kwh = NOTHING, ZERO, ZERO, ZERO
        for at_ms, ms in spans:
            if at_ms not in self.intervals or session.device not in self.run.site.cells:
                continue
            average, marginal = self.intervals[at_ms]
            there_ms = self.there_ms[session.device, at_ms]
            back += _portion(average.solved.delivered[session.device], ms, there_ms)
            given = _portion(marginal.solved.delivered[session.device], ms, there_ms)
            displaced = self.run.marginal(at_ms, at_ms + self.step_ms, given.covered_kwh)
            if displaced.covered_kwh:
                covered_kwh = EXACT.add(covered_kwh, displaced.covered_kwh)
                displaced_kg, caused_kg = EXACT.add(displaced_kg, displaced.kg), EXACT.add(caused_kg, given.kg)
        return back, EXACT.subtract(displaced_kg, caused_kg) if covered_kwh else None


def _has_sources(site: Site) -> bool:
    """Whether anything but the grid gives energy there."""
    return bool(site.pv or site.storage or site.cells)


def _portion(parcel: Parcel, part_ms: int, whole_ms: int) -> Parcel:
    if part_ms >= whole_ms:
        return parcel
    return parcel.take(min(parcel.kwh, share(parcel.kwh, Decimal(part_ms), Decimal(whole_ms), KWH_QUANTUM)))[0]


def _resized(parcel: Parcel, kwh: Decimal) -> Parcel:
    """Other kWh of the same mixture; of nothing: without a figure."""
    if not parcel.kwh:
        return uncovered(kwh)
    return Parcel(
        kwh,
        share(parcel.kg, kwh, parcel.kwh, KG_QUANTUM),
        min(kwh, share(parcel.uncovered_kwh, kwh, parcel.kwh, KWH_QUANTUM)),
    )


def _stretched(charged: Parcel, whole_kwh: Decimal | None, *, complete: bool) -> Parcel:
    """The intervals' mixture as the session's own energy. Where intervals are missing, what they do not show has no figure."""
    if whole_kwh is None:
        return charged
    if complete or charged.kwh >= whole_kwh:
        return _resized(charged, whole_kwh)
    return charged + uncovered(EXACT.subtract(whole_kwh, charged.kwh))
