"""Who is plugged in, as an aggregator comes to know it: the pile tells of the transaction, the driver says when he leaves and what he needs. Not what is planned."""

import math
from dataclasses import dataclass, field
from typing import Final

from aggregator.flexibility.operation.state import Stay
from aggregator.planning.stays import TAKES_NOTHING
from device_sim.profile import UJ_PER_KWH
from device_sim.visits import Visit
from wattline.trial.gateway import TrialGateway
from wattline.trial.plants import Simulated
from wire.circuit import Circuit
from wire.reading import Event

SLACK_KWH: Final = 0.15  # of a promise: what whole amperes and what was last told may leave out
SLACK_RATIO: Final = 0.02
# Asked for on top of a need: what is less than 6 A for a quarter of an hour a plan may leave out, and a vehicle stops by itself when it has enough.
ASKED_MORE_KWH: Final = 0.3
_EARLIER_MS: Final = 600_000


@dataclass(slots=True)
class Parked:
    """One vehicle's stay. `begin_kwh`: the pile's counters when its transaction began. `announced_kwh`: what was said at plug-in to be lacking."""

    session: str
    device: str
    visit: Visit
    begin_kwh: float
    begin_uj: int
    announced_kwh: float | None = None
    delivered_kwh: float | None = None
    takes_nothing: bool = False
    gone: bool = False

    @property
    def need_kwh(self) -> float:
        """What the driver asked for."""
        return self.visit.need_uj / UJ_PER_KWH

    @property
    def lacking_kwh(self) -> float:
        """What it left without; 0 within the slack of a promise."""
        lacks = self.need_kwh - (self.delivered_kwh or 0.0)
        return lacks if lacks > max(SLACK_KWH, SLACK_RATIO * self.need_kwh) else 0.0

    @property
    def as_announced(self) -> bool:
        """Whether it lacks no more than what was said at plug-in."""
        slack_kwh = max(SLACK_KWH, SLACK_RATIO * self.need_kwh)
        return self.lacking_kwh <= (self.announced_kwh or 0.0) + slack_kwh


def _by_ms(visit: Visit) -> int:
    """When the plan is to be done with a vehicle: what goes slower than planned is made up for in the time that is left."""
    stay_ms = visit.departs_ms - visit.arrives_ms
    return visit.departs_ms - min(_EARLIER_MS, stay_ms // 10) - min(slower_ms(visit), stay_ms // 2)


def slower_ms(visit: Visit) -> int:
    """How much longer the last of its need takes than at full power, as the vehicle itself would say: above its taper the power falls straight towards full.

    Of [from, until) that is width / P ln((C - from) / (C - until)); the last fifth of the width goes at a fifth of the power.
    """
    first_uj = max(visit.taper_uj, visit.target_uj - visit.need_uj)
    if not visit.taper_uj or visit.target_uj <= first_uj:
        return 0
    width_uj = visit.capacity_uj - visit.taper_uj
    last_uj = max(first_uj, min(visit.target_uj, visit.capacity_uj - width_uj // 5))
    falling = (
        width_uj * math.log((visit.capacity_uj - first_uj) / (visit.capacity_uj - last_uj))
        if last_uj > first_uj
        else 0.0
    )
    at_a_fifth = 5 * (visit.target_uj - last_uj)
    return round((falling + at_a_fifth - (visit.target_uj - first_uj)) / visit.max_mw)


@dataclass(slots=True)
class CarPark:
    """All stays of a trial. What a vehicle has got is read from its pile; only at departure the truth is asked, to judge."""

    circuit: Circuit
    simulated: Simulated
    gateway: TrialGateway
    two_way: bool
    known: dict[str, Parked] = field(default_factory=dict)
    _here: list[Parked] = field(default_factory=list)

    def take(self, event: Event) -> bool:
        """An event of the gateway; whether somebody has come or gone, or a vehicle takes nothing more, or again."""
        if event.kind != "transaction":
            return False
        session = f"{event.device}-{event.body['transaction_id']}"[:64]
        if event.body.get("phase") == "updated":
            return self._said(session, event.body.get("state") == TAKES_NOTHING)
        if event.body["phase"] == "ended":
            parked = self.known.get(session)
            if parked is None or parked.gone:
                return False
            parked.gone = True
            return True
        point = self.simulated.point(event.device)
        if session in self.known or point is None or point.visit is None:
            return False
        import_uj, export_uj = point.energies(self.simulated.plant.now_ms)
        begin_wh = event.body.get("meter_start_wh")
        begin_kwh = float(str(begin_wh)) / 1000 if begin_wh is not None else import_uj / UJ_PER_KWH
        begin_kwh -= self._told_kwh(event.device, "export")
        parked = Parked(session, event.device, point.visit, begin_kwh, import_uj - export_uj)
        self.known[session] = parked
        self._here.append(parked)
        return True

    def _said(self, session: str, takes_nothing: bool) -> bool:
        parked = self.known.get(session)
        if parked is None or parked.takes_nothing == takes_nothing:
            return False
        parked.takes_nothing = takes_nothing
        return True

    def judge(self, now_ms: int) -> None:
        """Notes what each vehicle has got that leaves within the next second."""
        for parked in [one for one in self._here if now_ms >= one.visit.departs_ms - 1000]:
            self._here.remove(parked)
            point = self.simulated.point(parked.device)
            assert point is not None
            import_uj, export_uj = point.energies(min(now_ms, parked.visit.departs_ms))
            parked.delivered_kwh = (import_uj - export_uj - parked.begin_uj) / UJ_PER_KWH

    def stays(self, now_ms: int) -> list[Stay]:
        """The vehicles that are here, as far as is known."""
        found = []
        for parked in self.known.values():
            visit = parked.visit
            if parked.gone or visit.departs_ms <= now_ms:
                continue
            net_kwh = self._net_kwh(parked)
            before_kwh = (
                visit.target_uj - visit.need_uj
            ) / UJ_PER_KWH  # what its driver, or its own car, says that it came with
            gives_back = self.two_way and visit.max_discharge_mw > 0 and parked.device in self._bidirectional
            wanted_kwh, capacity_kwh = (
                energy_uj / UJ_PER_KWH + ASKED_MORE_KWH for energy_uj in (visit.target_uj, visit.capacity_uj)
            )
            held_kwh = before_kwh + net_kwh
            if parked.takes_nothing:
                wanted_kwh = capacity_kwh = min(wanted_kwh, held_kwh)
            found.append(
                Stay(
                    parked.session, parked.device, visit.arrives_ms, max(_by_ms(visit), now_ms + 1000), held_kwh, wanted_kwh, capacity_kwh,
                    "declared", gives_back, visit.floor_uj / UJ_PER_KWH,
                )
            )  # fmt: skip
        return found

    @property
    def _bidirectional(self) -> frozenset[str]:
        return frozenset(
            asset.device for asset in self.circuit.asset if asset.kind == "charger" and asset.discharge_kw > 0
        )

    def _net_kwh(self, parked: Parked) -> float:
        """What it has got so far, by the pile's last reading."""
        imported = self.gateway.latest(parked.device, "energy_import_kwh")
        if imported is None:
            return 0.0
        return imported[1] - self._told_kwh(parked.device, "export") - parked.begin_kwh

    def _told_kwh(self, device: str, way: str) -> float:
        told = self.gateway.latest(device, f"energy_{way}_kwh")
        return 0.0 if told is None else told[1]
