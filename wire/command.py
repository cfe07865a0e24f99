"""Set-points on their way down and the answers to them: signed commands on `.../command`, JSON on `.../result`. Not who may write what (the edge file).

The frame is `wire.sealed`: "WLC", "wattline command". Whoever repeats a command meets the counter, whoever
keeps one back its expiry. An edge refuses a command with a key that it does not know: what it means could be a condition. A result carries no signature: what is kept for good is the `set_point` events of the edge's signed batches.
"""

from enum import StrEnum
from typing import Final

import msgspec

from wire.keys import PublicKey, SigningKey
from wire.sealed import Frame
from wire.topics import valid_id

MAX_COMMAND_BYTES: Final = 64 << 10
MAX_RESULT_BYTES: Final = 256 << 10
MAX_SET_POINTS: Final = 256  # of one command: a day of quarter-hours and as much again
MAX_REASON: Final = 300  # characters
LONGEST_MS: Final = 8 * 86_400_000  # a set-point lasts no longer, nor is it told earlier: a week-ahead schedule
_LATEST_MS: Final = 2**53
_MAX_VALUE: Final = 1e12


class SetPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that a point of a device shall hold over [from_ms, expires_at_ms), UTC ms; then it reverts by itself.

    `value` is in the unit that the point declares, load sign; None lets go of the point at `from_ms`.
    """

    device: str
    point: str
    value: float | None
    from_ms: int
    expires_at_ms: int


class Command(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Set-points of one issuer. `counter` rises with each of an issuer's commands; after `expires_at_ms` (UTC) it is not begun.

    `firm`: limits and firm offers, for which only points count that fall back without the agent.
    """

    id: str
    issuer: str
    counter: int
    issued_at_ms: int
    expires_at_ms: int
    set_points: list[SetPoint]
    firm: bool = False


class State(StrEnum):
    """What became of a set-point. `accepted` and `delivered` can still change, the others are final.

    accepted -> delivered -> expired | reverted | superseded
             -> not_delivered | superseded
    refused
    """

    ACCEPTED = "accepted"  # will be written when its time comes
    REFUSED = "refused"  # will never be written
    DELIVERED = "delivered"  # written, and read back
    NOT_DELIVERED = "not_delivered"  # could not be written in its time, or something else decides at the device
    EXPIRED = "expired"  # its time is over, the point was let go of
    REVERTED = "reverted"  # taken back before its time
    SUPERSEDED = "superseded"  # a later command took its place


FINAL: Final = frozenset(State) - {State.ACCEPTED, State.DELIVERED}


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """One set-point as it stands: `before` and `after` are what the device said, in the point's unit; None: nothing in force, or not known."""

    state: State
    at_ms: int
    reason: str = ""
    before: float | None = None
    after: float | None = None


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """All set-points of a command as they stand at `at_ms`, in the command's order. A higher `revision` replaces a lower one.

    With a `reason` the whole command was refused.
    """

    id: str
    issuer: str
    counter: int
    at_ms: int
    revision: int
    outcomes: list[Outcome]
    reason: str = ""


class CommandUnreadable(ValueError):
    """A command or a result that breaks the contract; the message says where, what was expected and what was seen."""


class CommandUnfit(CommandUnreadable):
    """A command that the pinned key has signed and that this edge cannot obey, such as one of a later version: refused as a whole.

    `named` is its id, issuer and counter.
    """

    def __init__(self, message: str, named: "Named") -> None:
        super().__init__(message)
        self.named = named


class Named(msgspec.Struct, frozen=True):
    """What a command says it is; the rest may be unreadable."""

    id: str
    issuer: str
    counter: int


class CommandForged(ValueError):
    """Not signed with the pinned key. Never answered: the answer would go to whoever forged it."""


def seal(command: Command, topic: str, key: SigningKey) -> bytes:
    """The frame of a command for the edge that `topic` names. Raises CommandUnreadable for what no edge would take."""
    _check(command)
    return _FRAME.seal(msgspec.json.encode(command), topic, key, f"command {command.id}")


def unseal(frame: bytes, topic: str, key: PublicKey) -> Command:
    """The command of a frame that came on `topic`; its signature is checked before anything else is read.

    Raises CommandForged, CommandUnreadable (CommandUnfit where it can be named in an answer).
    """
    raw = _FRAME.unseal(frame, topic, key)
    try:
        command = _COMMANDS.decode(raw)
        _check(command)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, CommandUnreadable) as error:
        named = _named(raw)
        if named is None:
            raise CommandUnreadable(f"command: {error}") from error
        raise CommandUnfit(f"command: {error}", named) from error
    return command


def _named(raw: bytes) -> Named | None:
    try:
        named = _NAMES.decode(raw)
        _check_names(named.id, named.issuer, named.counter)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, CommandUnreadable):
        return None
    return named


def encode_result(result: Result) -> bytes:
    """The JSON bytes of a result."""
    return msgspec.json.encode(result)


def decode_result(raw: bytes) -> Result:
    """Raises CommandUnreadable."""
    if len(raw) > MAX_RESULT_BYTES:
        raise CommandUnreadable(f"result: expected at most {MAX_RESULT_BYTES} bytes, got {len(raw)}")
    try:
        result = _RESULTS.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CommandUnreadable(f"result: {error}") from error
    _check_names(result.id, result.issuer, result.counter)
    if not 0 < result.revision < _LATEST_MS:
        raise CommandUnreadable(f"result.revision: expected 1 to 2^53, got {result.revision}")
    _check_instant("result.at_ms", result.at_ms)
    if len(result.outcomes) > MAX_SET_POINTS:
        raise CommandUnreadable(f"result.outcomes: expected at most {MAX_SET_POINTS}, got {len(result.outcomes)}")
    for index, outcome in enumerate(result.outcomes):
        where = f"result.outcomes[{index}]"
        _check_instant(f"{where}.at_ms", outcome.at_ms)
        for name, value in (("before", outcome.before), ("after", outcome.after)):
            _check_value(f"{where}.{name}", value)
        if len(outcome.reason) > MAX_REASON:
            raise CommandUnreadable(
                f"{where}.reason: expected at most {MAX_REASON} characters, got {len(outcome.reason)}"
            )
    return result


_FRAME: Final = Frame("command", b"WLC", b"wattline command", MAX_COMMAND_BYTES, CommandUnreadable, CommandForged)
_COMMANDS: Final = msgspec.json.Decoder(Command)
_NAMES: Final = msgspec.json.Decoder(Named)
_RESULTS: Final = msgspec.json.Decoder(Result)


def _check(command: Command) -> None:
    _check_names(command.id, command.issuer, command.counter)
    _check_instant("issued_at_ms", command.issued_at_ms)
    _check_instant("expires_at_ms", command.expires_at_ms)
    if not 1 <= len(command.set_points) <= MAX_SET_POINTS:
        raise CommandUnreadable(f"set_points: expected 1 to {MAX_SET_POINTS}, got {len(command.set_points)}")
    ends: dict[tuple[str, str], int] = {}
    for index, wanted in enumerate(command.set_points):
        where = f"set_points[{index}]"
        for name, text in (("device", wanted.device), ("point", wanted.point)):
            if not valid_id(text):
                raise CommandUnreadable(f"{where}.{name}: expected 1 to 64 of A-Z a-z 0-9 _ -, got {text[:80]!r}")
        _check_value(f"{where}.value", wanted.value)
        _check_instant(f"{where}.from_ms", wanted.from_ms)
        if not wanted.from_ms < wanted.expires_at_ms <= wanted.from_ms + LONGEST_MS:
            raise CommandUnreadable(
                f"{where}.expires_at_ms: expected 1 to {LONGEST_MS} ms after from_ms ({wanted.from_ms}), got {wanted.expires_at_ms}"
            )
        if wanted.from_ms < ends.get((wanted.device, wanted.point), 0):
            raise CommandUnreadable(
                f"{where}.from_ms: expected set-points of one point in their order and none over another, got {wanted.from_ms}"
            )
        ends[wanted.device, wanted.point] = wanted.expires_at_ms


def _check_names(command_id: str, issuer: str, counter: int) -> None:
    for name, text in (("id", command_id), ("issuer", issuer)):
        if not valid_id(text):
            raise CommandUnreadable(f"{name}: expected 1 to 64 of A-Z a-z 0-9 _ -, got {text[:80]!r}")
    if not 0 < counter < _LATEST_MS:
        raise CommandUnreadable(f"counter: expected 1 to 2^53, got {counter}")


def _check_instant(where: str, at_ms: int) -> None:
    if not 0 <= at_ms < _LATEST_MS:
        raise CommandUnreadable(f"{where}: expected 0 to 2^53 ms, got {at_ms}")


def _check_value(where: str, value: float | None) -> None:
    if value is not None and not -_MAX_VALUE <= value <= _MAX_VALUE:
        raise CommandUnreadable(f"{where}: expected a number from -1e12 to 1e12, got {value}")
