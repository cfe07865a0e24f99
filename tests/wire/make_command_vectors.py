"""Writes `tests/cases/command_vectors`: run once per wire version (`python tests/wire/make_command_vectors.py`), never to make a failing test pass.

The key is a fixed test key; the values are chosen by hand. A vector that stands is never written again.
"""

import json
from pathlib import Path

import msgspec

from wire.command import Command, Outcome, Result, SetPoint, State, encode_result, seal
from wire.keys import SigningKey
from wire.topics import edge_topic

VECTORS = Path(__file__).parent.parent / "cases" / "command_vectors"
TOPIC = edge_topic("works", "gw-01", "command")
KEY = SigningKey(bytes(range(32)))
AT_MS = 1_795_248_000_000
QUARTER_MS = 900_000

COMMANDS = {
    "one_set_point": Command(
        "c-1", "dispatch", 1, AT_MS, AT_MS + 10_000, [SetPoint("battery", "power_kw", -20.5, AT_MS, AT_MS + QUARTER_MS)]
    ),
    "release": Command(
        "c-2", "dispatch", 2, AT_MS, AT_MS + 10_000, [SetPoint("battery", "power_kw", None, AT_MS, AT_MS + 1)]
    ),
    "firm_schedule": Command(
        "c-3",
        "operator",
        AT_MS,
        AT_MS,
        AT_MS + 60_000,
        [
            SetPoint("pv", "limit_percent", 60.0, AT_MS + QUARTER_MS, AT_MS + 2 * QUARTER_MS),
            SetPoint("pv", "limit_percent", 30.0, AT_MS + 2 * QUARTER_MS, AT_MS + 3 * QUARTER_MS),
        ],
        firm=True,
    ),
}
RESULTS = {
    "every_state": Result(
        "c-4",
        "dispatch",
        4,
        AT_MS + 5,
        3,
        [
            Outcome(State.ACCEPTED, AT_MS),
            Outcome(State.REFUSED, AT_MS, "expected at most 50 kW, saw 60"),
            Outcome(State.DELIVERED, AT_MS + 4, before=None, after=-20.5),
            Outcome(State.NOT_DELIVERED, AT_MS + 4, "overridden by site at priority 5", 21.0, 21.0),
            Outcome(State.EXPIRED, AT_MS + 5, before=-20.5),
            Outcome(State.REVERTED, AT_MS + 5, "the link was lost for 60 s", before=-20.5),
            Outcome(State.SUPERSEDED, AT_MS + 5, "by command c-9"),
        ],
    ),
    "whole_command_refused": Result("c-5", "dispatch", 5, AT_MS, 1, [], "expired 3000 ms ago"),
}


def write(name: str, vector: dict[str, object]) -> None:
    path = VECTORS / f"{name}.json"
    if path.exists():
        raise FileExistsError(f"{path}: a vector that stands is never written again")
    path.write_text(json.dumps(vector, indent=1) + "\n")


if __name__ == "__main__":
    for name, command in COMMANDS.items():
        content = json.loads(msgspec.json.encode(command))
        frame = seal(command, TOPIC, KEY).hex()
        write(
            f"v1_command_{name}",
            {"topic": TOPIC, "public_key": KEY.public.to_text(), "content": content, "frame": frame},
        )
    for name, result in RESULTS.items():
        raw = encode_result(result)
        write(f"v1_result_{name}", {"content": json.loads(raw), "message": raw.decode()})
