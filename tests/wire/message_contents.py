"""Answers and states as JSON trees, written by hand, for the vectors of version 1: whose they are, what is sent, keys that no reader of it knows."""

from typing import Any

AT = 1_795_248_000_000
SHA = "ab" * 32
DEVICE = {"name": "incomer", "protocol": "modbus_tcp", "model": "meter", "state": "online", "last_answer_ms": AT - 40}

MESSAGES: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "ack_committed": ("ack", {"store": "s-1", "epoch": "e-1", "committed": [[1, 5, SHA], [7, 7, "cd" * 32]]}, []),
    "ack_refused": (
        "ack",
        {
            "store": "s-1",
            "epoch": "e-1",
            "refused": [{"seq": 6, "sha256": SHA, "reason": "shapes[0].exp: expected -18 to 18, got 19"}],
        },
        [],
    ),
    "ack_held": (
        "ack",
        {
            "store": "s-1",
            "epoch": "e-1",
            "held": [
                {"seq": 8, "reason": "batch: signed with key 00ff, which is not accepted for this edge"},
                {"seq": 18_446_744_073_709_551_615, "reason": "the store is down"},
            ],
        },
        [],
    ),
    "ack_have": ("ack", {"store": "s-1", "epoch": "e-1", "committed": [[1, 4096, SHA]], "have": True}, []),
    "ack_have_nothing_of_a_new_epoch": ("ack", {"store": "s-1", "epoch": "e-2", "have": True}, []),
    "ack_of_everything_at_once": (
        "ack",
        {
            "store": "s-1",
            "epoch": "e-1",
            "committed": [[9, 9, SHA]],
            "refused": [{"seq": 10, "sha256": "cd" * 32, "reason": "no"}],
            "held": [{"seq": 11, "reason": "later"}],
        },
        [],
    ),
    "ack_extended_by_a_later_writer": (
        "ack",
        {
            "store": "s-1",
            "epoch": "e-1",
            "committed": [[9, 9, SHA]],
            "held": [{"seq": 11, "reason": "later", "after_ms": 5000}],
            "tree_size": 4711,
        },
        ["tree_size", "held.after_ms"],
    ),
    "aggregator_status_online": ("aggregator_status", {"store": "s-1", "state": "online", "at_ms": AT}, []),
    "aggregator_status_offline": ("aggregator_status", {"store": "s-1", "state": "offline", "at_ms": 0}, []),
    "aggregator_status_extended_by_a_later_writer": (
        "aggregator_status",
        {"store": "s-1", "state": "online", "at_ms": AT, "version": "9.0"},
        ["version"],
    ),
    "edge_status_online": (
        "edge_status",
        {
            "state": "online",
            "version": "1.0.0",
            "at_ms": AT,
            "epoch": "e-1",
            "oldest_seq": 5,
            "next_seq": 42,
            "spool_batches": 37,
            "spool_bytes": 81_920,
            "public_key": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
            "store": "s-1",
            "gaps": 2,
            "refused": 1,
            "held": 3,
            "figures": {"sealed_readings": 1000, "points_held": 1},
            "devices": [
                DEVICE,
                {"name": "pv", "protocol": "modbus_tcp", "state": "lost", "reason": "no answer within 1 s"},
            ],
            "pages": 2,
        },
        [],
    ),
    "edge_status_second_page": (
        "edge_status",
        {
            "state": "online",
            "at_ms": AT,
            "epoch": "e-1",
            "next_seq": 42,
            "devices": [{"name": "heat", "protocol": "mbus"}],
            "page": 2,
            "pages": 2,
        },
        [],
    ),
    "edge_status_of_the_will": (
        "edge_status",
        {"state": "offline", "reason": "lost", "version": "1.0.0", "epoch": "e-1", "next_seq": 42, "store": "s-1"},
        [],
    ),
    "edge_status_extended_by_a_later_writer": (
        "edge_status",
        {"state": "online", "epoch": "e-1", "understands": ["schedule"], "devices": [{**DEVICE, "maker": "Example"}]},
        ["understands", "devices.maker"],
    ),
    "result_extended_by_a_later_writer": (
        "result",
        {
            "id": "c-4",
            "issuer": "dispatch",
            "counter": 4,
            "at_ms": AT,
            "revision": 3,
            "outcomes": [{"state": "delivered", "at_ms": AT, "after": -20.5, "measured": -20.1}],
            "measured_at_ms": AT,
        },
        ["measured_at_ms", "outcomes.measured"],
    ),
}

# A command of a later version: signed with the pinned key, and with a condition that an edge of version 1 cannot know.
UNFIT = {
    "id": "c-10",
    "issuer": "dispatch",
    "counter": 10,
    "issued_at_ms": AT,
    "expires_at_ms": AT + 10_000,
    "set_points": [
        {
            "device": "battery",
            "point": "power_kw",
            "value": -20.5,
            "from_ms": AT,
            "expires_at_ms": AT + 900_000,
            "only_above_soc": 30,
        }
    ],
}
