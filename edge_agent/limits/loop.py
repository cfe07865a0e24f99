"""The loop: each second, or as soon as a meter has spoken, what every asset of this edge shall take now. Not how a point is written (`edge_agent.hold`).

```
look(block) --> newest readings --+
schedule(frame) --> book ---------+--> states --> wanted --> decide --> follow(device, point, value)
heard(event), link(up) --> lost --+       |
                                          +--> events `control_state`
```
It needs no agent: whoever gives it a clock, calls `look` and `round`, and does what `follow` is told has a loop in virtual time.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from edge_agent.limits.book import ScheduleBook
from edge_agent.limits.decide import carry_out, decide
from edge_agent.limits.kept_branches import KeptBranches
from edge_agent.limits.measure import ASSET, FULL, METER, NO_VEHICLE, Newest
from edge_agent.limits.modes import METER_LOST_MS, Facts, Standing, states
from edge_agent.limits.network import Line, Network
from edge_agent.limits.points import point_value
from edge_agent.limits.shares import TURN_MS, safe_shares
from edge_agent.limits.state import LONG_AGO_MS, AssetState, BranchState, State
from edge_agent.limits.wanted import Vehicle, want
from wire.block import Block
from wire.circuit import LimitSource
from wire.clock import Clock
from wire.command import Result
from wire.keys import PublicKey
from wire.reading import Event
from wire.schedule import Schedule, Wish

log = logging.getLogger(__name__)

Follow = Callable[[str, str, float], None]
KIND: Final = "control_state"
ROUND_S: Final = 1.0
FIRST_MS: Final = 5_000  # after the start; what has not spoken by then is lost
SHORTEST_LOSS_MS: Final = 250  # real: a busy machine's clock that runs faster loses no meter
SHORTEST_S: Final = 0.2  # between two rounds
NOTHING_KW: Final = 0.05  # a charger that draws no more draws nothing
PROFILE_MS: Final = 900_000  # for how long a charger that is lost may go on with its last order


class LimitLoop:
    """Keeps the branches of one edge. `follow` takes the value that a point shall have; it is told every round, so that whoever holds it knows that somebody steers.

    `event` takes audit events, `answer` what becomes of schedules. `state`: a directory for what survives a restart. Without a `key` no frame is taken (`take` is).
    """

    def __init__(
        self,
        network: Network,
        clock: Clock,
        follow: Follow,
        event: Callable[[Event], None],
        answer: Callable[[Result], None] | None = None,
        state: Path | None = None,
        key: PublicKey | None = None,
        topic: str = "",
    ) -> None:
        """Raises OSError where `state` cannot be read."""
        self.network, self._clock, self._follow, self._event, self._answer = network, clock, follow, event, answer
        self.book = ScheduleBook(network, event, state, key, topic)
        kept, lines = network.kept, network.lines
        self.sources = _sources(network)
        wanted: dict[str, set[str]] = {}
        for branch in kept:
            if branch.branch.meter:
                wanted.setdefault(branch.branch.meter, set()).update(METER)
        for line in lines:
            wanted.setdefault(line.asset.device, set()).update(ASSET)
        for _, source in self.sources:
            wanted.setdefault(source.device, set()).add(source.quantity)
        self._newest = Newest(wanted)
        self._needed = [
            *({branch.branch.meter for branch in kept} - {""}),
            *(source.device for _, source in self.sources),
        ]
        self._meters = {branch.branch.meter for branch in kept} - {""}
        self._kept = KeptBranches(network, self._newest, self.sources)
        self.state = State([AssetState() for _ in lines], [BranchState() for _ in kept])
        self._vehicles = [Vehicle() for _ in lines]
        self._lent_kwh = [0.0] * len(lines)
        self._shares: dict[str, float] = {}
        self._shares_turn = -1
        self._lost: dict[str, str] = {}
        self._lost_ms: dict[str, int] = {}
        self._cloud_lost_ms: int | None = None
        self._stood: dict[tuple[str, str], Standing] = {}
        self._last_ms = 0
        self._stays_of: str | None = None
        self._drilling = False
        self._kept_from: set[str] = set()  # devices whose words a drill keeps back
        self._wake = asyncio.Event()
        self._orders_total = 0
        self._values: list[float | None] = [None] * len(lines)
        self._begun_ms = clock()

    # --- from outside, in the event loop

    def look(self, block: Block) -> None:
        """What a device has said."""
        if block.device in self._kept_from:
            return
        if self._newest.look(block, self._clock()) and block.device in self._meters:
            self._wake.set()

    def heard(self, event: Event) -> None:
        """What else has happened: a device is lost or back, a vehicle's session begins."""
        if event.kind == "device_lost":
            self._lost[event.device] = str(event.body.get("reason", ""))[:200] or "its device does not answer"
            self._lost_ms[event.device] = self._clock()
        elif event.kind == "device_back":
            self._lost.pop(event.device, None)
        elif event.kind == "transaction" and event.body.get("phase") in ("started", "ended"):
            for line, asset in zip(self.network.lines, self.state.assets, strict=True):
                if line.asset.device == event.device:
                    asset.pauses, asset.off_ms = 0, LONG_AGO_MS  # another vehicle: nothing of it has been interrupted
            if event.body["phase"] == "ended":
                self._newest.gone(event.device, self._clock())

    def schedule(self, frame: bytes) -> None:
        """A schedule has come on this edge's topic."""
        if self._drilling:
            log.warning("schedule left aside reason=a drill is under way")
            return
        result = self.book.message(frame, self._clock())
        if result is not None and self._answer is not None:
            self._answer(result)
        self._wake.set()

    def take(self, schedule: Schedule) -> str:
        """A schedule of somebody who needs no signature; why it is refused, empty where it is in force."""
        reason = self.book.take(schedule, self._clock())
        self._wake.set()
        return reason

    def link(self, up: bool) -> None:
        """Whether broker and aggregator can be reached. A drill decides that by itself."""
        if not self._drilling:
            self._linked(up)

    def _linked(self, up: bool) -> None:
        if up:
            self._cloud_lost_ms = None
        elif self._cloud_lost_ms is None:
            self._cloud_lost_ms = self._clock()

    # --- a drill (see `edge_agent.limits.drill`)

    def begin_drill(self) -> None:
        """From now on schedules and the link are the drill's."""
        self._drilling = True
        self._linked(True)

    def end_drill(self) -> None:
        """The drill's wishes are over, and what the loop was not told in the meantime it hears again; the next schedule comes within minutes."""
        self._drilling = False
        self.book.forget()
        self._kept_from.clear()
        self._linked(False)

    def keep_from(self, device: str, cut: bool) -> None:
        """What a device says does not come through, or does again."""
        (self._kept_from.add if cut else self._kept_from.discard)(device)

    def cloud_in_drill(self, up: bool) -> None:
        """Broker and aggregator are there, or not."""
        self._linked(up)

    async def run(self) -> None:
        """A round each second and after each word of a meter, until cancelled."""
        while True:
            self._wake.clear()
            try:
                self.round(self._clock())
            except Exception as error:  # noqa: BLE001 - readings go on whatever a round meets, and limits are kept for all that
                self._failed(error, self._clock())
            await self._clock.sleep(SHORTEST_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._clock.real_s(ROUND_S - SHORTEST_S)):
                    await self._wake.wait()

    def figures(self) -> dict[str, Any]:
        """For the status: which rules hold and why, what is in a safe state, which schedule is in force."""
        edge = self._stood.get(("edge", ""))
        amiss = {
            f"{of} {name}".strip(): found.state for (of, name), found in self._stood.items() if found.reason and name
        }
        schedule = self.book.schedule
        return {
            "control": "" if edge is None else edge.state,
            "control_reason": "" if edge is None else edge.reason,
            "control_amiss": amiss,
            "control_orders": self._orders_total,
            "schedule": "" if schedule is None else schedule.id,
            "schedules_refused": self.book.refused,
        }

    def _failed(self, error: Exception, now_ms: int) -> None:
        """A round that could not be worked out: everything at its share, until one can be again."""
        found = Standing("edge", "", "safe", f"{type(error).__name__}: {error}"[:200])
        before = self._stood.get(("edge", ""))
        if before is None or before.state != found.state:
            log.error("round failed, every asset goes to its share", exc_info=error)
            self._tell(found, "" if before is None else before.state, now_ms)
        self._stood["edge", ""] = found
        shares = safe_shares(self.network.circuit, now_ms)
        for index, line in enumerate(self.network.lines):
            order_kw = shares[line.asset.name]
            asset = self.state.assets[index]
            asset.order_kw, asset.ordered_ms = order_kw, now_ms
            value = self._values[index] = point_value(line.asset, order_kw)
            self._follow(line.asset.device, line.asset.point, value)

    # --- a round

    def round(self, now_ms: int) -> None:
        """One round: the states, what is wanted, the orders."""
        since_ms = max(0, min(now_ms - self._last_ms, 10_000)) if self._last_ms else 0
        self._last_ms = now_ms
        stood = self._states(now_ms)
        if now_ms - self._begun_ms < FIRST_MS and not all(map(self._newest.has, self._needed)):
            return  # what limits depend on has not been read for the first time
        planned = stood["edge", ""].state == "plan"
        standing = self.book.standing(now_ms, planned=planned)
        limits = self.book.standing(now_ms, planned=True).limits
        for event in self._kept.tell(self.state, now_ms, stood, limits):
            self._event(event)
        self._assets(now_ms, since_ms, standing.wishes, planned=planned)
        if not planned:
            self._lent_kwh = [0.0] * len(self._lent_kwh)  # there is no plan to come back to
        decision = decide(self.network, self._kept.bounds, self.state, now_ms)
        carry_out(self.network, self.state, decision, now_ms)
        self._orders_total += len(decision.orders)
        for index, order_kw in decision.orders:
            self._values[index] = point_value(self.network.lines[index].asset, order_kw)
        for line, value in zip(self.network.lines, self._values, strict=True):
            if value is not None:
                self._follow(line.asset.device, line.asset.point, value)

    def _states(self, now_ms: int) -> dict[tuple[str, str], Standing]:
        schedule = self.book.schedule
        facts = Facts(
            now_ms,
            None if schedule is None else schedule.issued_at_ms,
            None if schedule is None else schedule.valid_until_ms,
            self._cloud_lost_ms,
            {
                kept.branch.name: self._newest.meter_ms(kept.branch.meter, now_ms)
                for kept in self.network.kept
                if kept.branch.meter
            },
            {name: (self._kept.stated_ms(source), source.heartbeat_s) for name, source in self.sources},
            {line.asset.name: self._lost.get(line.asset.device, "") for line in self.network.lines},
            max(METER_LOST_MS, round(SHORTEST_LOSS_MS * self._clock.speed)),
            self._kept.frozen(now_ms),
        )
        stood = {(found.of, found.name): found for found in states(facts)}
        for key, found in stood.items():
            before = self._stood.get(key)
            if before is None or before.state != found.state:
                self._tell(found, "" if before is None else before.state, now_ms)
        self._stood = stood
        return stood

    def _tell(self, found: Standing, before: str, now_ms: int) -> None:
        if not before and not found.reason:
            return  # as it should be from the start
        log.info("control_state of=%s name=%s state=%s reason=%s", found.of, found.name, found.state, found.reason)
        body = {"of": found.of, "name": found.name, "state": found.state, "before": before, "reason": found.reason}
        self._event(Event(f"{KIND}-{found.of}-{found.name}-{now_ms}", now_ms, "", KIND, body))

    def _assets(self, now_ms: int, since_ms: int, wishes: Mapping[str, Wish], *, planned: bool) -> None:
        schedule = self.book.schedule
        if schedule is not None and schedule.id != self._stays_of:
            self._stays_of = schedule.id
            self._lent_kwh = [0.0] * len(self._lent_kwh)  # the plan knows what the batteries hold
            self._vehicles = [Vehicle(self.book.stay(line.asset.name)) for line in self.network.lines]
        if now_ms // TURN_MS != self._shares_turn:
            self._shares_turn = now_ms // TURN_MS
            self._shares = safe_shares(self.network.circuit, now_ms)
        for index, (line, asset) in enumerate(zip(self.network.lines, self.state.assets, strict=True)):
            device, kind = line.asset.device, line.asset.kind
            asset.drawn_kw = self._newest.value(device, "active_power_kw")
            asset.drawn_ms = self._newest.at_ms(device, "active_power_kw")
            asset.online = device not in self._lost
            safe = any(
                self.state.branches[place].lost and self.network.kept[place].branch.meter for place in line.branches
            )
            share_kw = self._shares[line.asset.name]
            wish = wishes.get(line.asset.name)
            if kind == "charger":
                self._vehicles[index].given_kwh += (asset.drawn_kw or 0.0) * since_ms / 3_600_000
                asset.reserve_kw = max(0.0, share_kw)
                if not asset.online and now_ms - self._lost_ms[device] < PROFILE_MS:
                    asset.reserve_kw = max(asset.reserve_kw, asset.order_kw or 0.0)
            elif kind == "battery" and asset.drawn_kw is not None and asset.order_kw is not None and not safe:
                meant_kw = wish.kw if wish is not None and not wish.cap else 0.0
                self._lent_kwh[index] += (meant_kw - asset.drawn_kw) * since_ms / 3_600_000
            charge_percent = self._newest.value(device, "state_of_charge_percent") if kind == "battery" else None
            want(
                line, asset, wish, self._vehicles[index], now_ms, share_kw if safe else None, charge_percent,
                self._lent_kwh[index] if planned else 0.0,
            )  # fmt: skip
            if kind == "charger":
                self._rest(line, asset, wish)
            if line.step_kw:
                drawn_kw, order_kw = asset.drawn_kw, asset.order_kw
                idle = drawn_kw is not None and order_kw is not None and drawn_kw < order_kw - 2 * line.step_kw
                asset.idle_ms = (asset.idle_ms if asset.idle_ms > 0 else now_ms) if idle else 0

    def _rest(self, line: Line, asset: AssetState, wish: Wish | None) -> None:
        """Where there is no vehicle, more than the least is wanted only once one has come; one that wants nothing now is left its least, so that it may wake."""
        state = self._newest.value(line.asset.device, "operating_state")
        away = state in NO_VEHICLE
        asset.resting = asset.online and abs(asset.drawn_kw or 0.0) <= NOTHING_KW and (away or state == FULL)
        if asset.resting and away:
            asset.target_kw = min(asset.target_kw, line.least_kw)
        elif asset.resting and (wish is None or (wish.kw >= 0 and wish.authority in ("plan", "owner"))):
            asset.target_kw = min(max(asset.target_kw, line.least_kw), asset.high_kw)


def _sources(network: Network) -> list[tuple[str, LimitSource]]:
    """The legal limits of the branches kept here, each with a name of its own."""
    names = {kept.branch.name for kept in network.kept}
    found = [source for source in network.circuit.limit_source if source.branch in names]
    return [(f"{source.branch}-{source.direction}-{number}", source) for number, source in enumerate(found, start=1)]
