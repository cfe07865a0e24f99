"""Answers and states: what is written is read, what is none is refused with one sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.messages import (
    MAX_STATUS_BYTES,
    Ack,
    AggregatorStatus,
    DeviceState,
    EdgeStatus,
    Held,
    MessageUnreadable,
    Refused,
    decode_ack,
    decode_aggregator_status,
    decode_edge_status,
    encode,
)

SHA256 = "ab" * 32


def test_an_answer_comes_out_as_it_went_in() -> None:
    ack = Ack("s", "e", [(1, 5, SHA256), (7, 7, SHA256)], [Refused(6, SHA256, "why")], [Held(8, "later")], have=True)
    assert decode_ack(encode(ack)) == ack


def test_states_come_out_as_they_went_in() -> None:
    edge = EdgeStatus("online", epoch="e", next_seq=7, devices=[DeviceState("incomer", state="lost", reason="silent")])
    assert decode_edge_status(encode(edge)) == edge
    assert decode_aggregator_status(encode(AggregatorStatus("s", "offline"))) == AggregatorStatus("s", "offline")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{}",
        b'{"store":"s"}',
        b'{"store":"s","epoch":1}',
        b'{"store":"s","epoch":"e","committed":[[1,2]]}',
        b'{"store":"s","epoch":"e","committed":[["1","2",""]]}',
        b"[" * 100_000,
        b" " * (MAX_STATUS_BYTES + 1),
        b"\xff",
    ],
)
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(MessageUnreadable, match="ack: "):
        decode_ack(raw)


def test_a_state_is_online_or_offline() -> None:
    with pytest.raises(MessageUnreadable, match="aggregator status"):
        decode_aggregator_status(b'{"store":"s","state":"asleep"}')


def test_what_a_later_writer_adds_is_passed_over() -> None:
    raw = b'{"store":"s","epoch":"e","more":1,"held":[{"seq":3,"reason":"r","after_ms":5}],"refused":[{"seq":4,"sha256":"","reason":"r","x":[]}]}'
    assert decode_ack(raw) == Ack("s", "e", refused=[Refused(4, "", "r")], held=[Held(3, "r")])
    later = b'{"store":"s","state":"online","at_ms":1,"x":{}}'
    assert decode_aggregator_status(later) == AggregatorStatus("s", "online", 1)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    for decode in (decode_ack, decode_aggregator_status, decode_edge_status):
        try:
            decode(raw)
        except MessageUnreadable:
            continue
