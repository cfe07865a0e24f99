"""The MQTT topics of the contract. Not who may use them (see `deploy/mosquitto`)."""

import re
from typing import Final, NamedTuple

PREFIX: Final = "wattline/v1"
AGGREGATOR_STATUS: Final = f"{PREFIX}/aggregator/status"
ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
KINDS: Final = ("batch", "ack", "status", "command", "result", "factors", "schedule")


class EdgeTopic(NamedTuple):
    """A topic of one edge: `kind` is one of KINDS; `page` is 1 but for the further pages of a long status."""

    facility: str
    edge: str
    kind: str
    page: int = 1


def valid_id(text: str) -> bool:
    """Whether `text` may name a facility, an edge or a device."""
    return ID.fullmatch(text) is not None


def edge_topic(facility: str, edge: str, kind: str, page: int = 1) -> str:
    """`wattline/v1/{facility}/{edge}/{kind}`; ValueError when an id holds anything but letters, digits, `_` and `-`."""
    for name, text in (("facility", facility), ("edge", edge)):
        if not valid_id(text):
            raise ValueError(f"{name} id: expected 1 to 64 of A-Z a-z 0-9 _ -, got {text!r}")
    if kind not in KINDS:
        raise ValueError(f"topic kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    topic = f"{PREFIX}/{facility}/{edge}/{kind}"
    return topic if page == 1 else f"{topic}/{page}"


def all_edges(kind: str) -> str:
    """The subscription for one kind of every edge."""
    return f"{PREFIX}/+/+/{kind}"


def parse(topic: str) -> EdgeTopic | None:
    """The parts of an edge's topic, or None where `topic` is not one."""
    parts = topic.split("/")
    if len(parts) not in {5, 6} or "/".join(parts[:2]) != PREFIX or parts[4] not in KINDS:
        return None
    if not (valid_id(parts[2]) and valid_id(parts[3])):
        return None
    if len(parts) == 5:
        return EdgeTopic(parts[2], parts[3], parts[4])
    if parts[4] != "status" or not re.fullmatch(r"[1-9][0-9]{0,3}", parts[5]) or parts[5] == "1":
        return None
    return EdgeTopic(parts[2], parts[3], parts[4], int(parts[5]))
