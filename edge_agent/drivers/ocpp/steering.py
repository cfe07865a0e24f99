"""Steering one connector: what is wanted of it, what the pile has of that, and when it is written again. Not the words of a version.

    write(point, value, hold) --> wanted --> order --> one profile in the pile, read back by GetCompositeSchedule
    tick, twice a minute or so: what has run out is dropped, what is at two thirds of its life is written again

A pile without a transaction takes no TxProfile: what is wanted then waits for one. Without us the pile falls back by itself: the profile
ends with its duration, under it lies the permanent safe one.
"""

import dataclasses
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from edge_agent.drivers.driver import DeviceRefused, DeviceUnreachable, DriverError, Written
from edge_agent.drivers.ocpp import charging, operator_limits, v21
from edge_agent.drivers.ocpp.charging import NOW, SAFE, Pauses, Profile, Unit
from edge_agent.drivers.ocpp.declared import PilePlan
from edge_agent.drivers.ocpp.dialect import text
from edge_agent.drivers.ocpp.frames import Payload
from edge_agent.drivers.ocpp.orders import Order, Wanted, order_of

if TYPE_CHECKING:
    from edge_agent.drivers.ocpp.pile import Pile

_RENEW: Final = (2, 3)  # of a profile's life
_READ_BACK_S: Final = 60
_LOOSE: Final = Decimal("0.05")  # less than a step of 0.1: the same rate


class Steering:
    """One connector of one pile. All its methods are called by one task at a time."""

    def __init__(self, pile: "Pile", plan: PilePlan) -> None:
        self._pile = pile
        self.plan = plan
        self.wanted: dict[str, Wanted] = {}
        self.pauses = Pauses()
        self.operator: list[Payload] = []  # profiles of an operator's back end, as they stand in the pile
        self._allowed = ""  # the transaction whose vehicle was told that energy may flow both ways
        self._placed: Profile | None = None
        self._ends_ms = 0
        self._sent_ms = 0

    @property
    def placed(self) -> Profile | None:
        """The short-lived profile that the pile has of us now."""
        return self._placed if self._pile.now_ms() < self._ends_ms else None

    async def write(self, point: str, value: float | None, hold_s: float) -> Written:
        """See `Controllable.write`."""
        what = f"{self.plan.name}: {point}"
        if point not in self.plan.point_names:
            names = ", ".join(sorted(self.plan.point_names)) or "none"
            raise DeviceRefused(what, "NotSupported", f"expected a point of its model ({names})")
        if value is not None and value < 0 and point != "active_power_setpoint_kw":
            raise DeviceRefused(what, "PropertyConstraintViolation", f"expected 0 or more, saw {value}")
        if not self._pile.connected:
            raise DeviceUnreachable(f"{what}: pile {self.plan.identity} is not connected")
        before = self._as_point(point, None if self.placed is None else self.placed.periods[0][1])
        now_ms = self._pile.now_ms()
        if value is None:
            self.wanted.pop(point, None)
        else:
            self.wanted[point] = Wanted(Decimal(str(value)), now_ms + int(hold_s * 1000))
        try:
            written = await self._apply(point)
        except DriverError:
            if value is not None:
                self.wanted.pop(point, None)
            raise
        return dataclasses.replace(written, before=before)

    async def tick(self) -> None:
        """Drops what has run out, writes again what is due. Raises DriverError."""
        now_ms = self._pile.now_ms()
        gone = [point for point, wanted in self.wanted.items() if wanted.until_ms <= now_ms]
        for point in gone:
            del self.wanted[point]
        if not self._pile.connected:
            return
        if gone or (self.wanted and (self._due(now_ms) or self._waits(now_ms))):
            await self._apply("")

    async def transaction_began(self) -> None:
        """What was wanted before can be written now. Raises DriverError."""
        self.transaction_ended()
        order = self._order()
        self.pauses.offered = order is None or order.setpoint is not None or order.limit > 0
        if self.wanted and self._pile.connected:
            await self._apply("")

    def transaction_ended(self) -> None:
        """The pile has dropped the transaction's profile, and the vehicle's pauses are over."""
        self.pauses = Pauses()
        if self._placed is not None and self._placed.purpose == "TxProfile":
            self._placed = None

    def forget(self) -> None:
        """The pile may have lost what it had: it has booted, or somebody else has cleared it."""
        self._placed = None

    def _due(self, now_ms: int) -> bool:
        placed = self.placed
        if placed is None or now_ms < self._sent_ms:
            return True
        part, whole = _RENEW
        return (now_ms - self._sent_ms) * whole >= (self._ends_ms - self._sent_ms) * part

    def _waits(self, now_ms: int) -> bool:
        """Whether an off-time is over."""
        return self.pauses.since_ms is not None and not self.pauses.held_off(now_ms) and bool(self._order_limit() > 0)

    def _order_limit(self) -> Decimal:
        order = self._order()
        return Decimal(0) if order is None else order.limit

    def unit(self) -> Unit:
        """What the pile's profiles count in: as its model says, else as it says itself, W before A."""
        if self.plan.quirks.rate_unit:
            return self.plan.quirks.rate_unit
        units = self._pile.capabilities.rate_units
        if self.plan.quirks.current == "dc":
            return "W"
        return "A" if units and "W" not in units else "W"

    def _order(self) -> Order | None:
        return order_of(self.wanted, self.unit(), self.plan)

    async def _apply(self, point: str) -> Written:
        """Brings the pile to what is wanted. Raises DriverError."""
        if not self._pile.capabilities.smart_charging:
            raise DeviceRefused(f"{self.plan.name}: {point}", "NotSupported", "the pile has no smart charging")
        order, now_ms = self._order(), self._pile.now_ms()
        if order is None:
            return await self._release(now_ms)
        if not self.plan.connector or self._purpose() == charging.WHOLE:
            return await self._place(point, order, now_ms, None)
        open_now = self._pile.book.open_on(self._pile.identity, self.plan.connector)
        if not open_now and self._purpose() == "TxProfile":
            return Written(True, note="no transaction: nothing flows, and this holds when one begins")
        order = self._with_pauses(order, now_ms) if open_now else order
        return await self._place(point, order, now_ms, open_now[-1].id if open_now else None)

    def _with_pauses(self, order: Order, now_ms: int) -> Order:
        if order.setpoint is not None:
            return order
        held = self.pauses.held_off(now_ms)
        return (
            dataclasses.replace(order, limit=Decimal(0), why=held, held_off=True) if held and order.limit > 0 else order
        )

    def _purpose(self) -> str:
        if self.plan.connector == 0 or (self._pile.relayed and self._pile.connectors == 1):
            return charging.WHOLE  # the pile itself takes the least of it and the operator's
        return self.plan.quirks.profile_purpose

    def _stack_level(self) -> int:
        """Above what an operator has of the same purpose: of one purpose the highest level alone counts. Raises DeviceRefused."""
        own, most = self.plan.quirks.stack_level, self._pile.capabilities.max_stack_level
        if own is None:
            own = most if self._purpose() == "TxProfile" else min(1, most)
        theirs = [operator_limits.level(p) for p in self.operator if operator_limits.purpose(p) == self._purpose()]
        if theirs and max(theirs) >= own:
            own = max(theirs) + 1
            if own > most:
                raise DeviceRefused(
                    self.plan.name, "stack level", f"the operator has the highest one ({most}) of this pile"
                )
        return own

    async def _place(self, point: str, order: Order, now_ms: int, transaction_id: str | None) -> Written:
        until_ms = max(wanted.until_ms for wanted in self.wanted.values())
        life_s = max(1, min(self.plan.profile_s, -(-(until_ms - now_ms) // 1000)))
        profile = Profile(
            id=charging.profile_id(self.plan.connector, NOW),
            purpose=self._purpose(),
            stack_level=self._stack_level(),
            kind=self.plan.quirks.profile_kind,
            unit=order.unit,
            periods=self._periods(order, life_s, now_ms),
            starts_ms=now_ms,
            duration_s=life_s,
            transaction_id=transaction_id if self._purpose() == "TxProfile" else None,
            phases=self.plan.phases if self.plan.quirks.current == "ac" and order.unit == "A" else None,
            setpoint=order.setpoint,
            discharge=order.discharge,
            dynamic=order.setpoint is not None and self._pile.version == "ocpp2.1",
        )
        if order.setpoint is not None and not profile.dynamic:
            raise DeviceRefused(f"{self.plan.name}: {point}", "NotSupported", "set-points need OCPP 2.1")
        note = order.why
        if self._same(profile) and not self._due(now_ms):
            note = note or "unchanged, the pile has it"
        else:
            await self._send(profile)
        self.pauses.note(now_ms, off=order.setpoint is None and order.limit == 0)
        rate = await self._read_back(order.unit)
        after = self._as_point(point, rate if order.setpoint is None else order.setpoint)
        placed = self._placed
        over = (
            order.setpoint is None and rate is not None and placed is not None and rate > placed.periods[0][1] + _LOOSE
        )
        if over:
            return Written(False, after=after, note=f"the pile offers {rate} {order.unit} all the same")
        if rate is None and order.setpoint is None:
            note = note or "accepted, could not be read back"
        return Written(not order.held_off, after=after, note=note)

    def _periods(self, order: Order, life_s: int, now_ms: int) -> tuple[tuple[int, Decimal], ...]:
        """Ours; above an operator's profile of the same purpose the least of both at each time."""
        purpose = self._purpose()
        purposes = (charging.WHOLE,) if purpose == charging.WHOLE else ("TxProfile", "TxDefaultProfile")
        profiles = [profile for profile in self.operator if operator_limits.purpose(profile) in purposes]
        if not profiles or order.setpoint is not None:
            return ((0, order.limit),)
        return operator_limits.least(profiles, purposes, order.limit, order.unit, self.plan, now_ms, life_s)

    def _same(self, profile: Profile) -> bool:
        placed = self.placed
        if placed is None or (
            placed.purpose,
            placed.unit,
            placed.transaction_id,
            placed.dynamic,
            len(placed.periods),
        ) != (
            profile.purpose,
            profile.unit,
            profile.transaction_id,
            profile.dynamic,
            len(profile.periods),
        ):
            return False
        if profile.setpoint is not None:
            return (
                profile.setpoint == placed.setpoint
                and profile.periods == placed.periods
                and profile.discharge == placed.discharge
            )
        band = Decimal(str(self.plan.dead_band_a))
        band = band if profile.unit == "A" else charging.from_amperes(band, "W", self.plan)
        pairs = zip(placed.periods, profile.periods, strict=True)
        return all(
            old[0] == new[0] and abs(old[1] - new[1]) <= band and (old[1] > 0) == (new[1] > 0) for old, new in pairs
        )

    async def _send(self, profile: Profile) -> None:
        dialect, pile = self._pile.dialect, self._pile
        assert dialect is not None
        placed, now_ms = self.placed, pile.now_ms()
        refresh_only = (
            profile.dynamic
            and placed is not None
            and placed.dynamic
            and placed.transaction_id == profile.transaction_id
        )
        if refresh_only and not self._due(now_ms):
            response = await pile.call(*v21.update_dynamic(profile.id, charging.rates(profile)))
            self._accepted("UpdateDynamicSchedule", response)
            self._placed = profile
            return
        if profile.dynamic:
            await self._allow_both_ways(profile.transaction_id)
        free = self.plan.quirks.ram_profiles or profile.dynamic
        lowering = placed is None or profile.periods[0][1] < placed.periods[0][1]
        if not free:
            self._check_budget(now_ms, lowering=lowering)
        response = await pile.call(*dialect.set_profile(self.plan.connector, profile))
        pile.profile_written(free=free)
        self._accepted("SetChargingProfile", response)
        self._placed, self._sent_ms = profile, now_ms
        self._ends_ms = now_ms + 1000 * (profile.duration_s or 0)

    async def _allow_both_ways(self, transaction_id: str | None) -> None:
        """Lets energy flow back, once a transaction: not every one was authorised here, where the answer says so."""
        modes = self._pile.energy_transfer()
        if transaction_id is None or transaction_id == self._allowed or not modes or self._pile.relayed:
            return
        try:
            await self._pile.call(*v21.allow_energy_transfer(transaction_id, modes))
        except DeviceRefused as error:  # the pile may have been told otherwise; the profile's read-back shows it
            self._pile.refused("NotifyAllowedEnergyTransfer", str(error))
        self._allowed = transaction_id

    def _check_budget(self, now_ms: int, *, lowering: bool) -> None:
        budget = self._pile.budget
        if budget.left(now_ms, lowering=lowering) > 0:
            return
        if budget.first_refusal():
            self._pile.alarm("profile_write_budget", {"per_day": budget.per_day, "written_today": budget.today})
        raise DeviceRefused(
            f"{self.plan.name}: SetChargingProfile",
            "budget",
            f"{budget.today} of {budget.per_day} writes are used up today (UTC)",
        )

    def _accepted(self, action: str, response: Payload) -> None:
        status = text(response, "status")
        if status != "Accepted":
            self._placed = None
            raise DeviceRefused(
                f"{self.plan.name}: {action}", status or "no status", "the pile does not take the profile"
            )

    async def _release(self, now_ms: int) -> Written:
        placed = self.placed
        if placed is None:
            return Written(True, note="nothing of ours is in the pile")
        dialect, pile = self._pile.dialect, self._pile
        assert dialect is not None
        response = await pile.call(*dialect.clear_profile(placed.id))
        pile.profile_written(free=self.plan.quirks.ram_profiles or placed.dynamic)
        self._placed = None
        self.pauses.note(now_ms, off=False)
        status = text(response, "status")
        if status not in ("Accepted", "Unknown"):  # Unknown: it has none, as wanted
            return Written(False, note=f"ClearChargingProfile: {status}; it ends by itself at {self._ends_ms} ms")
        return Written(True, note="released")

    async def _read_back(self, unit: Unit) -> Decimal | None:
        """The rate that the pile says it holds now, in `unit`; None where it cannot say."""
        dialect = self._pile.dialect
        if dialect is None or not self._pile.reads_back:
            return None
        try:
            response = await self._pile.call(*dialect.composite(self.plan.connector, _READ_BACK_S, unit))
        except DeviceRefused:
            self._pile.reads_back = False  # asked once per connection: it will not learn it
            return None
        except DeviceUnreachable:
            return None
        schedule = dialect.composite_schedule(response)
        if text(response, "status") != "Accepted" or schedule is None:
            return None
        periods = schedule.get("chargingSchedulePeriod")
        first = periods[0] if isinstance(periods, list) and periods else None
        limit = first.get("limit") if isinstance(first, dict) else None
        if isinstance(limit, bool) or not isinstance(limit, (int, Decimal)):
            return None
        held_unit = text(schedule, "chargingRateUnit") or unit
        if held_unit == unit:
            return Decimal(limit)
        kw = charging.kilowatts(Decimal(limit), held_unit, self.plan)
        return kw * 1000 if unit == "W" else charging.in_unit(kw, unit, self.plan)

    def _as_point(self, point: str, rate: Decimal | None) -> float | None:
        """A rate of the placed unit in a point's unit."""
        if rate is None or not point:
            return None
        unit = self._placed.unit if self._placed is not None else self.unit()
        kw = charging.kilowatts(rate, unit, self.plan)
        return float(charging.in_unit(kw, "A", self.plan)) if point.endswith("_a") else float(kw)

    async def install_safe(self) -> None:
        """The permanent profile for when the link is lost: once per pile and value, not at each boot. Raises DriverError."""
        profile = self.safe_profile()
        dialect = self._pile.dialect
        if profile is None or dialect is None or not self._pile.capabilities.smart_charging:
            return
        if self._pile.has_safe(self.plan.connector, profile):
            return
        self._check_budget(self._pile.now_ms(), lowering=True)
        response = await self._pile.call(*dialect.set_profile(self.plan.connector, profile))
        self._pile.profile_written(free=False)
        self._accepted("SetChargingProfile", response)
        self._pile.note_safe(self.plan.connector, profile)

    def safe_profile(self) -> Profile | None:
        """None where no safe value is configured."""
        unit, plan = self.unit(), self.plan
        if plan.safe_power_kw is not None:
            rate = charging.in_unit(Decimal(str(plan.safe_power_kw)), unit, plan)
        elif plan.safe_current_a is not None:
            rate = charging.from_amperes(Decimal(str(plan.safe_current_a)), unit, plan)
        else:
            return None
        whole = plan.connector == 0 or (self._pile.relayed and self._pile.connectors == 1)
        return Profile(
            id=charging.profile_id(plan.connector, SAFE),
            purpose=charging.WHOLE if whole else "TxDefaultProfile",
            stack_level=0,
            kind="Relative" if not whole else "Absolute",
            unit=unit,
            periods=((0, rate),),
            starts_ms=0 if not whole else self._pile.now_ms(),
            phases=plan.phases if plan.quirks.current == "ac" and unit == "A" else None,
        )
