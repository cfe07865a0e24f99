"""One simulated charging pile: vehicles come, sessions begin and end, meters are read, limits are obeyed. Not one version's messages (`v16`, `v20`).

Everything has a time on the plant's clock; the bus moves the plant from one due instant to the next, so that energies and times belong together.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from device_sim.answer_log import AnswerLog
from device_sim.charging_points import ChargingPoint, Happening, Note, Steering
from device_sim.device import Device
from device_sim.faults import Fault, FaultKind
from device_sim.ocpp.charging_profiles import Profile, Profiles, steering
from device_sim.ocpp.dialect import Dialect, State
from device_sim.ocpp.link import Link, Outgoing, Payload
from device_sim.ocpp.meter_values import Context
from device_sim.ocpp.metering import NEVER, Metering
from device_sim.ocpp.options import PileOptions, Start
from device_sim.ocpp.schemas import Schemas
from device_sim.ocpp.session import Session
from device_sim.ocpp.settings import Settings
from device_sim.ocpp.signed_meter import SignedMeter
from device_sim.plant import Node

log = logging.getLogger(__name__)

_KEPT_SESSIONS: Final = 10_000
_REBOOT_MS: Final = 3_000


@dataclass(frozen=True, slots=True)
class RemoteStart:
    """A start that waits for its vehicle."""

    id_tag: str
    until_ms: int
    remote_start_id: int | None = None


@dataclass
class Pile:
    """One pile with one connector at one point."""

    device: Device
    point: ChargingPoint
    options: PileOptions
    settings: Settings
    clock: Callable[[], int]
    log: AnswerLog
    schemas: Schemas
    link: Link = field(init=False)
    dialect: Dialect = field(init=False)
    metering: Metering = field(init=False)
    profiles: Profiles = field(init=False)
    meter: SignedMeter | None = field(init=False)
    session: Session | None = None
    sessions: list[Session] = field(default_factory=list)
    state: State = State.AVAILABLE
    operative: bool = True
    local_list: dict[str, bool] = field(default_factory=dict)
    list_version: int = 0
    remote: RemoteStart | None = None
    remote_profile: Profile | None = None
    boot_reason: str = "PowerUp"
    reboot_when_idle: bool = False
    boots: int = 0
    settings_written: int = 0
    _chance: random.Random = field(init=False)
    _counted: int = 0
    _refused_visit: object = None
    _asking: str | None = None
    _steering: Steering = field(default_factory=Steering)
    _down_until_ms: int | None = None
    _reboot_asked: tuple[int, str] | None = None
    _heartbeat_ms: int = NEVER
    _profile_ms: int = NEVER
    _told: State | None = None
    _later: list[tuple[int, Callable[[], None]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.metering = Metering(self.device, self.point, self.settings, self.log)
        self.profiles = Profiles(self.options.most_profiles, self.options.ram_profiles)
        self.meter = SignedMeter(f"METER-{self.device.name}"[:25]) if self.options.signed else None
        self._chance = random.Random(f"{self.options.seed}:{self.device.name}")
        self.point.by_itself = False
        self.point.closed = False

    # What the link asks (`Ends`).

    @property
    def attempts(self) -> int:
        return max(1, self.settings.attempts)

    @property
    def retry_s(self) -> float:
        return float(self.settings.retry_s)

    @property
    def ping_s(self) -> float:
        return float(self.settings.ping_s)

    @property
    def password(self) -> str:
        return self.settings.password

    def faults(self) -> Mapping[FaultKind, Fault]:
        return self.metering.faults()

    def boot(self) -> Outgoing:
        return self.dialect.boot()

    def booted(self, answer: Payload) -> float:
        """Takes over the interval that the central system gives; see `Ends`."""
        interval = answer.get("interval")
        if answer.get("status") != "Accepted":
            return float(interval) if isinstance(interval, int) and 0 < interval < 86_400 else 1.0
        if isinstance(interval, int) and 0 < interval < 86_400:
            self.settings.heartbeat_s = interval
        self.link.accepted = True
        self.profiles.online(self.device.plant.now_ms)
        self._told = None
        self._heartbeat_ms = self.clock() + 1000 * max(1, self.settings.heartbeat_s)
        self.dialect.booted()
        if self.point.visit is not None and self.session is None:
            self.want_session()
        return 0

    def disconnected(self) -> None:
        """An answer to an authorisation will not come any more, and some profiles hold for a while only."""
        self._asking = None
        self.profiles.offline(self.device.plant.now_ms)
        self._obey(self.device.plant.now_ms)

    @property
    def version(self) -> str:
        """Of the protocol."""
        return self.schemas.version

    def violation(self, action: str, payload: Payload, response: bool) -> tuple[str, str] | None:
        """Why a payload cannot be: an error code and its text."""
        if not self.schemas.knows(action):
            return "NotImplemented", f"{action[:60]} is no action of OCPP {self.version}"
        wrong = self.schemas.violation(action, payload, response=response)
        return None if wrong is None else (wrong.code, wrong.text)

    def carry_out(self, action: str, payload: dict[str, Any]) -> Payload:
        """Answers a call of the central system at the present instant."""
        self.step(self._advance())
        answer = self.dialect.carry_out(action, payload)
        self.step(self.device.plant.now_ms)
        return answer

    # The pile's own time.

    def due_ms(self) -> int:
        """The next instant at which this pile has something to do."""
        now = self.device.plant.now_ms
        if self._down_until_ms is not None:
            return self._down_until_ms
        if self.point.notes:
            return now
        waits = [self.metering.due_ms(), self._heartbeat_ms, self._profile_ms]
        waits += [at_ms for at_ms, _ in self._later]
        if self.point.until_ms > now:
            waits.append(self.point.until_ms)
        if self.remote is not None:
            waits.append(self.remote.until_ms)
        if self._reboot_asked is not None:
            waits.append(self._reboot_asked[0])
        return min(waits)

    def step(self, now_ms: int) -> None:
        """Does what is due at an instant at which the plant stands."""
        self.device.plant.flow(Node.EV)  # settles the point
        self._follow_reboots(now_ms)
        while self.point.notes:
            note = self.point.notes.popleft()
            if note.what is Happening.ARRIVED:
                self._arrived()
            else:
                self._departed(note)
        if self._down_until_ms is not None:
            return
        if self.remote is not None and now_ms >= self.remote.until_ms:
            self.remote = None
        for context in self.metering.due(now_ms):
            if self.session is not None or context is Context.CLOCK:
                self.dialect.sampled(self.session, self.metering.reading(now_ms), context)
        if now_ms >= self._heartbeat_ms:
            self._heartbeat_ms = now_ms + 1000 * max(1, self.settings.heartbeat_s)
            if not self.link.backlog:
                self.dialect.heartbeat()
        while self._later and self._later[0][0] <= now_ms:
            self._later.pop(0)[1]()
        self._obey(now_ms)
        self._tell_state()

    def do_later(self, delay_s: float, deed: Callable[[], None]) -> None:
        """Does something when the plant's clock has gone on by so much; a reboot forgets it."""
        self._later.append((self.device.plant.now_ms + round(1000 * delay_s), deed))
        self._later.sort(key=lambda entry: entry[0])

    def forget(self, deed: Callable[[], None]) -> None:
        """What was to be done later is not; harmless where it is done or forgotten already."""
        self._later = [entry for entry in self._later if entry[1] is not deed]

    def _advance(self) -> int:
        self.device.plant.advance(self.clock())
        return self.device.plant.now_ms

    # Sessions.

    def _arrived(self) -> None:
        self._refused_visit = None
        if self._down_until_ms is None:
            self.want_session()

    def want_session(self) -> None:
        """A vehicle may be plugged in: who may start?"""
        visit = self.point.visit
        if visit is None or self.session is not None or not self.operative or self._refused_visit is visit:
            return
        if self.remote is not None:
            remote, self.remote = self.remote, None
            self.begin(remote.id_tag, "RemoteStart", remote.remote_start_id)
        elif self.options.start is Start.FREE:
            self.begin(visit.id_tag, "CablePluggedIn")
        elif self.options.start is Start.AUTHORIZE:
            self._authorize(visit.id_tag)

    def forget_refusal(self) -> None:
        """A vehicle that was served or refused may start once more."""
        self._refused_visit = None

    def _authorize(self, id_tag: str) -> None:
        known = self.local_list.get(id_tag) if self.settings.local_list else None
        if known is not None and (self.settings.local_pre_authorize or not self.link.accepted):
            self._authorized(id_tag, known)
        elif self.link.accepted:
            if self._asking != id_tag:
                self._asking = id_tag
                self.dialect.authorize(id_tag, lambda accepted: self._authorization_came(id_tag, accepted))
        elif self.settings.offline_for_unknown:
            self._authorized(id_tag, True)

    def _authorization_came(self, id_tag: str, accepted: bool | None) -> None:
        if self._asking == id_tag:
            self._asking = None
        self._advance()
        visit = self.point.visit
        if visit is None or visit.id_tag != id_tag or self.session is not None:
            return
        if accepted is None:  # no answer: as good as offline
            accepted = self.settings.offline_for_unknown
        self._authorized(id_tag, accepted)
        self._tell_state()

    def _authorized(self, id_tag: str, accepted: bool) -> None:
        if accepted:
            self.begin(id_tag, "Authorized")
        else:
            self._refused_visit = self.point.visit

    def begin(self, id_tag: str, trigger: str, remote_start_id: int | None = None) -> None:
        """Closes the contactor and opens a session, at the plant's present instant."""
        plant = self.device.plant
        now = plant.now_ms
        self.point.close(True, now)
        self._counted += 1
        session = Session(
            self._counted,
            id_tag,
            self.metering.reading(now),
            self.point.energies(now),
            now,
            not self.link.accepted,
            trigger,
            remote_start_id=remote_start_id,
        )
        if self.meter is not None:
            session.signed_begin = self.meter.text(session.begin.at_ms, session.begin.import_wh, "B", id_tag)
        self.session = session
        self.sessions.append(session)
        del self.sessions[:-_KEPT_SESSIONS]
        self.metering.session_begins(now)
        self._obey(now, at_once=True)  # the first current that is offered is within the limits of the session
        plant.disturb()
        plant.flow(Node.EV)
        self.dialect.begun(session)
        profile, self.remote_profile = self.remote_profile, None
        if trigger == "RemoteStart" and profile is not None:
            self.profiles.install(replace(profile, transaction=session.transaction_id, arrived_ms=now))
            self._obey(now)

    def end(self, reason: str, trigger: str, note: Note | None = None) -> None:
        """Opens the contactor and closes the session: now, or as of a departure that was noted."""
        session = self.session
        if session is None:
            return
        plant = self.device.plant
        if session.cut is not None:  # the power went before: the meter has stood since
            session.end, session.end_uj, session.ended_ms = session.cut, session.cut_uj, session.cut.at_ms
        else:
            at_ms = plant.now_ms if note is None else note.at_ms
            energies = self.point.energies(plant.now_ms) if note is None else (note.import_uj, note.export_uj)
            session.end, session.end_uj, session.ended_ms = self.metering.reading(at_ms, energies), energies, at_ms
        session.reason, session.end_trigger = reason, trigger
        if self.meter is not None:
            session.signed_end = self.meter.text(session.end.at_ms, session.end.import_wh, "E", session.id_tag)
        self.session = None
        self.metering.session_ends()
        self._refused_visit = self.point.visit  # who was served starts anew only by a new plug or from afar
        self.profiles.end_transaction()
        if note is None:
            self.point.close(False, plant.now_ms)
            plant.disturb()
            plant.flow(Node.EV)
        self.dialect.ended(session)
        if self.reboot_when_idle:
            self.reboot_when_idle = False
            self.ask_reboot("ScheduledReset")

    def _departed(self, note: Note) -> None:
        if self._down_until_ms is None:
            self.end("EVDisconnected", "EVDeparted", note)
        self._refused_visit = None

    # Limits.

    def _obey(self, now_ms: int, *, at_once: bool = False) -> None:
        """Hands the limits in force to the point, after the pile's own delay or at once."""
        session = self.session
        transaction = session.transaction_id if session is not None else None
        in_force, until = self.profiles.in_force(now_ms, session.begun_ms if session is not None else None, transaction)
        self._profile_ms = until
        visit = self.point.visit
        wanted = steering(in_force, min(self.point.phases, visit.phases if visit is not None else 3))
        if wanted != self._steering:
            self._steering = wanted
            delay_ms = round(1000 * self._chance.uniform(*self.options.delay_s))
            self.point.steer(wanted, now_ms if at_once else now_ms + delay_ms)
            self.device.plant.disturb()
            self.device.plant.flow(Node.EV)

    # States.

    def _tell_state(self) -> None:
        self.state = state = self.present_state()
        if state is not self._told:
            self._told = state
            self.dialect.state(state)

    def present_state(self) -> State:
        """What the connector is doing now."""
        point = self.point
        if self.session is not None:
            if point.power_mw != 0:
                return State.CHARGING
            steered = point.offered_mw() == 0 or (point.steering.set_point_mw == 0)
            return State.SUSPENDED_EVSE if steered else State.SUSPENDED_EV
        if not self.operative:
            return State.UNAVAILABLE
        if point.visit is None:
            return State.AVAILABLE
        served = self.sessions and self.sessions[-1].ended_ms is not None and self._refused_visit is point.visit
        return State.FINISHING if served else State.PREPARING

    # Reboots.

    def ask_reboot(self, reason: str) -> None:
        """Reboots right after the answer to the call that asked for it."""
        self._reboot_asked = (self.device.plant.now_ms + 200, reason)

    def _follow_reboots(self, now_ms: int) -> None:
        if FaultKind.REBOOT in self.faults():
            self._reboot_asked = None
            if self._down_until_ms is None:
                self._go_down("PowerUp")
            self._down_until_ms = now_ms + 100  # looked at again until the fault is over
        elif self._down_until_ms is not None and now_ms >= self._down_until_ms:
            self._come_up()
        elif self._reboot_asked is not None and now_ms >= self._reboot_asked[0]:
            reason, self._reboot_asked = self._reboot_asked[1], None
            self._go_down(reason)
            self._down_until_ms = now_ms + _REBOOT_MS

    def _go_down(self, reason: str) -> None:
        now = self.device.plant.now_ms
        session = self.session
        if session is not None:
            session.cut, session.cut_uj = self.metering.reading(now), self.point.energies(now)
        self.point.close(False, now)
        self.device.plant.disturb()
        self.device.plant.flow(Node.EV)
        self.boot_reason = reason
        self._later.clear()
        self.link.hold(True)

    def _come_up(self) -> None:
        self._down_until_ms = None
        self.boots += 1
        self.profiles.reboot()
        self.remote = None
        session, visit = self.session, self.point.visit
        if session is not None:
            if self.options.resumes and visit is not None and visit.id_tag == session.id_tag:
                session.cut = None
                self.point.close(True, self.device.plant.now_ms)
                self.device.plant.disturb()
                self.dialect.resumed(session)
            else:
                self.end("PowerLoss", "AbnormalCondition")
        self._refused_visit = None
        self._steering = Steering()
        self.point.steer(self._steering, self.device.plant.now_ms)
        self.device.plant.disturb()
        self.link.hold(False)
        self.want_session()
