"""What of commands must survive a restart: counters, which points are not in their safe state, the last answers. One small file, replaced whole."""

import logging
from pathlib import Path
from typing import Final

import msgspec

from edge_agent import checked_file
from wire.command import Result

log = logging.getLogger(__name__)

FILE: Final = "control.json"
ANSWERS_KEPT: Final = 16
OUTCOMES_KEPT: Final = 512  # over all answers


class Held(msgspec.Struct, frozen=True):
    """A point that may hold a value of ours. `command` and `index` name the set-point that it is of."""

    device: str
    point: str
    safe: float | None
    command: str
    index: int


class ControlState(msgspec.Struct):
    """`counters`: the highest counter taken per issuer. `answers`: newest last."""

    counters: dict[str, int] = {}
    held: list[Held] = []
    answers: list[Result] = []


def load(directory: Path | None) -> ControlState:
    """What `save` kept; nothing at a first start. A damaged file is set aside and said: its counters are lost, expiry still guards."""
    if directory is None:
        return ControlState()
    path = directory / FILE
    try:
        return checked_file.read(path, ControlState)
    except FileNotFoundError:
        return ControlState()
    except checked_file.FileDamaged as error:
        log.error("control state damaged, set aside file=%s reason=%s", path, error)
        path.replace(path.with_suffix(".damaged"))
        return ControlState()


def save(directory: Path | None, state: ControlState) -> None:
    """Keep `state` with as many of its newest answers as have room. Raises OSError."""
    if directory is None:
        return
    answers: list[Result] = []
    outcomes = 0
    for answer in reversed(state.answers[-ANSWERS_KEPT:]):
        outcomes += len(answer.outcomes)
        if answers and outcomes > OUTCOMES_KEPT:
            break
        answers.append(answer)
    checked_file.write(directory / FILE, ControlState(state.counters, state.held, answers[::-1]))
