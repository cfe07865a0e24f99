"""A plan on its way to an edge: what each asset shall do when, under which limits, for whom. Not how an edge keeps it (see `edge_agent.limits`).

The frame is `wire.sealed`: "WLS", "wattline schedule", under the key that signs commands, on `.../schedule`, never retained: the edge keeps the newest on disk. It takes the
place of the one with a lower number. After `valid_until_ms` it is nothing: the edge then goes by its own rules. The answer is a `Result` with the schedule's id on
`.../result`, with a reason where it is refused. A key that an edge does not know makes a schedule unreadable: it could be a condition.
"""

from typing import Final, Literal

import msgspec

from wire.keys import PublicKey, SigningKey
from wire.sealed import Frame
from wire.topics import valid_id

MAX_SCHEDULE_BYTES: Final = 256 << 10
MAX_ROWS: Final = 20_000  # wishes, limits and stays together
LONGEST_MS: Final = 8 * 86_400_000
_LATEST_MS: Final = 2**53
_MOST_KW: Final = 1e9

# The order in which they decide; above all of them stand the circuit's own limits and what the devices themselves allow.
Authority = Literal["legal", "override", "event", "plan", "owner"]
AUTHORITIES: Final[tuple[Authority, ...]] = ("legal", "override", "event", "plan", "owner")


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The power of an asset over [from_ms, until_ms) (UTC), kW at its AC side, load sign: charging positive. Of two for one time the higher authority's counts.

    `cap`: it may take less but not more (a charger's limit); else it is a set-point. `reason`: an override's, for people.
    """

    asset: str
    kw: float
    from_ms: int
    until_ms: int
    authority: Authority = "plan"
    cap: bool = False
    reason: str = ""


class BranchLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a branch may take (`import_kw`) and give (`export_kw`) over [from_ms, until_ms), beside its own limits. None: not said.

    `window_s` 0: at each instant; else the mean over each window of that length since 1970 (a demand window): an instant may lie above it.
    """

    branch: str
    from_ms: int
    until_ms: int
    import_kw: float | None = None
    export_kw: float | None = None
    authority: Authority = "plan"
    window_s: int = 0


class Stay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A vehicle at a charger, so that the edge can go on without a plan: until when it stays and what it still needs at the time of issue, kWh (AC).

    `gives_back`: its owner and the negotiated service allow discharging, and it has more than its reserve.
    """

    asset: str
    departs_ms: int
    need_kwh: float
    session: str = ""
    gives_back: bool = False


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one edge shall do. `number` rises with each schedule of an issuer. `circuit`: sha256 of the circuit that it was made for."""

    id: str
    issuer: str
    number: int
    issued_at_ms: int
    valid_until_ms: int
    circuit: str
    wishes: list[Wish] = []
    limits: list[BranchLimit] = []
    stays: list[Stay] = []


class ScheduleUnreadable(ValueError):
    """A schedule that breaks the contract; the message says where, what was expected and what was seen."""


class ScheduleForged(ValueError):
    """Not signed with the pinned key. Never answered."""


def seal(schedule: Schedule, topic: str, key: SigningKey) -> bytes:
    """The frame for the edge that `topic` names. Raises ScheduleUnreadable for what no edge would take."""
    _check(schedule)
    return _FRAME.seal(msgspec.json.encode(schedule), topic, key, f"schedule {schedule.id}")


def unseal(frame: bytes, topic: str, key: PublicKey) -> Schedule:
    """The schedule of a frame that came on `topic`; its signature is checked before anything is read. Raises ScheduleForged, ScheduleUnreadable."""
    raw = _FRAME.unseal(frame, topic, key)
    try:
        schedule = _SCHEDULES.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ScheduleUnreadable(f"schedule: {error}") from error
    _check(schedule)
    return schedule


_FRAME: Final = Frame("schedule", b"WLS", b"wattline schedule", MAX_SCHEDULE_BYTES, ScheduleUnreadable, ScheduleForged)
_SCHEDULES: Final = msgspec.json.Decoder(Schedule)


def _check(schedule: Schedule) -> None:
    for name, text in (("id", schedule.id), ("issuer", schedule.issuer)):
        _check_id(name, text)
    if not 0 < schedule.number < _LATEST_MS:
        raise ScheduleUnreadable(f"number: expected 1 to 2^53, got {schedule.number}")
    if not 0 <= schedule.issued_at_ms < schedule.valid_until_ms <= schedule.issued_at_ms + LONGEST_MS:
        raise ScheduleUnreadable(
            f"valid_until_ms: expected 1 to {LONGEST_MS} ms after issued_at_ms ({schedule.issued_at_ms}), got {schedule.valid_until_ms}"
        )
    rows = len(schedule.wishes) + len(schedule.limits) + len(schedule.stays)
    if rows > MAX_ROWS:
        raise ScheduleUnreadable(f"schedule: expected at most {MAX_ROWS} wishes, limits and stays, got {rows}")
    for index, wish in enumerate(schedule.wishes):
        _check_id(f"wishes[{index}].asset", wish.asset)
        _check_span(f"wishes[{index}]", wish.from_ms, wish.until_ms)
        _check_kw(f"wishes[{index}].kw", wish.kw, -_MOST_KW)
        if len(wish.reason) > 300:
            raise ScheduleUnreadable(f"wishes[{index}].reason: expected at most 300 characters, got {len(wish.reason)}")
    for index, limit in enumerate(schedule.limits):
        _check_id(f"limits[{index}].branch", limit.branch)
        _check_span(f"limits[{index}]", limit.from_ms, limit.until_ms)
        for name, value in (("import_kw", limit.import_kw), ("export_kw", limit.export_kw)):
            if value is not None:
                _check_kw(f"limits[{index}].{name}", value, 0.0)  # a limit below 0 would be an order to discharge
        if not 0 <= limit.window_s <= 86_400:
            raise ScheduleUnreadable(f"limits[{index}].window_s: expected 0 to 86400, got {limit.window_s}")
    for index, stay in enumerate(schedule.stays):
        _check_id(f"stays[{index}].asset", stay.asset)
        _check_kw(f"stays[{index}].need_kwh", stay.need_kwh, 0.0)
        if not 0 <= stay.departs_ms < _LATEST_MS:
            raise ScheduleUnreadable(f"stays[{index}].departs_ms: expected 0 to 2^53 ms, got {stay.departs_ms}")


def _check_id(where: str, text: str) -> None:
    if not valid_id(text):
        raise ScheduleUnreadable(f"{where}: expected 1 to 64 of A-Z a-z 0-9 _ -, got {text[:80]!r}")


def _check_span(where: str, from_ms: int, until_ms: int) -> None:
    if not 0 <= from_ms < until_ms < _LATEST_MS:
        raise ScheduleUnreadable(f"{where}.until_ms: expected after from_ms ({from_ms}) and below 2^53, got {until_ms}")


def _check_kw(where: str, kw: float, least_kw: float) -> None:
    if not least_kw <= kw <= _MOST_KW:
        raise ScheduleUnreadable(f"{where}: expected {least_kw:g} to {_MOST_KW:g}, got {kw}")
