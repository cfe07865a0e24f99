"""What was asked of this edge and what became of it: an answer per command, told upwards, and an audit event per change. Decides nothing.

Answers are told whenever they change; events go the way of all events, through the spool, and are what is kept for good.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from edge_agent.control_state import Held
from edge_agent.steer import Planned
from wire.command import FINAL, MAX_REASON, Command, Outcome, Result, State
from wire.reading import Event, Json

log = logging.getLogger(__name__)

ANSWERS_MOST: Final = 64
REFUSED_MOST: Final = 1_000
KIND: Final = "set_point"
_REVISIONS_LOST: Final = 1_000  # an answer may have been told so often since it was last kept


class Record:
    """The answers of the newest commands. `answer` is told each change, `event` each audit."""

    def __init__(
        self, clock: Callable[[], int], event: Callable[[Event], None], answer: Callable[[Result], None]
    ) -> None:
        self._clock, self._event, self._answer = clock, event, answer
        self._results: OrderedDict[str, Result] = OrderedDict()
        self._commands: dict[str, Command] = {}
        self._refused: OrderedDict[str, None] = OrderedDict()  # events of refusals that have been told

    def restore(self, kept: Iterable[Result], held: Iterable[Held], reason: str) -> None:
        """The answers of an earlier run. What had not been delivered never will be; what is held changes when it is released."""
        held_of = {(entry.command, entry.index) for entry in held}
        at_ms = self._clock()
        for result in kept:
            outcomes = [
                Outcome(State.NOT_DELIVERED, at_ms, reason)
                if outcome.state is State.ACCEPTED and (result.id, index) not in held_of
                else outcome
                for index, outcome in enumerate(result.outcomes)
            ]
            revision = result.revision + _REVISIONS_LOST
            self._results[result.id] = msgspec.structs.replace(result, outcomes=outcomes, revision=revision)

    def find(self, command: Command) -> Result | None:
        """The answer that this very command has had."""
        result = self._results.get(command.id)
        return result if result is not None and result.counter == command.counter else None

    def kept(self) -> list[Result]:
        """All answers, oldest first."""
        return list(self._results.values())

    def tell(self, result: Result) -> None:
        """Tell an answer again."""
        self._answer(result)

    def tell_all(self) -> None:
        """Tell every answer again: whoever is above may have missed some."""
        for result in self._results.values():
            self._answer(result)

    def refuse(self, command: Command, reason: str) -> None:
        """A command is refused as a whole. That is told, not kept: an id that comes again is judged again."""
        log.warning("command refused id=%s issuer=%s reason=%s", command.id, command.issuer, reason)
        at_ms = self._clock()
        name = f"{KIND}-{command.id}-refused"
        if name not in self._refused:  # whoever repeats an old command fills no spool
            self._refused[name] = None
            if len(self._refused) > REFUSED_MOST:
                self._refused.popitem(last=False)
            self._event(Event(name, at_ms, "", KIND, {**_head(command), "state": "refused", "reason": reason}))
        self._answer(Result(command.id, command.issuer, command.counter, at_ms, 1, [], reason[:MAX_REASON]))

    def take(self, command: Command, faults: Sequence[str]) -> None:
        """A command is taken; `faults` says per set-point why it is refused, empty where it is accepted."""
        at_ms = self._clock()
        self._commands[command.id] = command
        outcomes = []
        for index, (wanted, fault) in enumerate(zip(command.set_points, faults, strict=True)):
            outcomes.append(Outcome(State.REFUSED if fault else State.ACCEPTED, at_ms, fault[:MAX_REASON]))
            self._audit(command.id, index, wanted.device, wanted.point, outcomes[-1].state.value, outcomes[-1])
        self._results[command.id] = Result(command.id, command.issuer, command.counter, at_ms, 1, outcomes)
        while len(self._results) > ANSWERS_MOST:
            self._forget_one()

    def change(
        self,
        place: tuple[str, str],
        planned: Planned,
        state: State,
        reason: str,
        before: float | None,
        after: float | None,
    ) -> None:
        """A set-point has another state."""
        at_ms = self._clock()
        outcome = Outcome(state, at_ms, reason, before, after)
        result = self._results.get(planned.command)
        if result is not None and planned.index < len(result.outcomes):
            outcomes = [*result.outcomes]
            outcomes[planned.index] = outcome
            result = msgspec.structs.replace(result, at_ms=at_ms, outcomes=outcomes, revision=result.revision + 1)
            self._results[planned.command] = result
            self._answer(result)
        if state is not State.ACCEPTED:
            self._audit(planned.command, planned.index, *place, state.value, outcome)

    def local(self, device: str, point: str, reason: str) -> None:
        """A point that this gateway steers by itself cannot be written, or can again (no reason)."""
        at_ms, state = self._clock(), "not_delivered" if reason else "delivered"
        log.log(
            logging.WARNING if reason else logging.INFO,
            "held point %s device=%s point=%s reason=%s",
            state,
            device,
            point,
            reason,
        )
        body: dict[str, Json] = {"state": state, "reason": reason[:MAX_REASON], "point": point}
        self._event(Event(f"{KIND}-limits-{device}-{point}-{at_ms}-{state}", at_ms, device, KIND, body))

    def forged(self, count: int, reason: str) -> None:
        """So many commands have come that the pinned key has not signed."""
        at_ms = self._clock()
        log.error("forged command ignored count=%d reason=%s", count, reason)
        self._event(
            Event(f"{KIND}-forged-{at_ms}", at_ms, "", KIND, {"state": "forged", "count": count, "reason": reason})
        )

    def _forget_one(self) -> None:
        """The oldest answer that no longer changes goes, else the oldest."""
        done = (name for name, result in self._results.items() if all(o.state in FINAL for o in result.outcomes))
        name = next(done, next(iter(self._results)))
        del self._results[name]
        self._commands.pop(name, None)

    def _audit(self, command_id: str, index: int, device: str, point: str, state: str, outcome: Outcome) -> None:
        command = self._commands.get(command_id)
        body: dict[str, Json] = {"command": command_id} if command is None else _head(command)
        body |= {
            "index": index,
            "point": point,
            "state": state,
            "reason": outcome.reason,
            "before": outcome.before,
            "after": outcome.after,
        }
        if command is not None:
            wanted = command.set_points[index]
            body |= {"value": wanted.value, "from_ms": wanted.from_ms, "expires_at_ms": wanted.expires_at_ms}
        log.info(
            "set_point %s device=%s point=%s command=%s reason=%s", state, device, point, command_id, outcome.reason
        )
        self._event(Event(f"{KIND}-{command_id}-{index}-{state}", outcome.at_ms, device, KIND, body))


def _head(command: Command) -> dict[str, Json]:
    return {"command": command.id, "issuer": command.issuer, "counter": command.counter, "firm": command.firm}
