"""Many edges' worth of batches through a real broker, and when each was acknowledged. A load generator: it reads no meter and keeps no spool.

    python -m benchmarks.load --frames FILE --port 1883 --seconds 10 [--window 64] [--rate BATCHES_PER_S] [--puback]

Batches are signed beforehand and kept in a file (`write_frames`). Each edge has a connection of its own and at most `window` batches
without an answer; with `--rate` they are sent at that many a second over all edges. MQTT 3.1.1 is spoken by hand, QoS 1 both ways: a client
library would take more processor time than the aggregator it is to load. It starts as soon as the aggregator has said that it is online, and
prints one JSON line at the end. With `--puback` the broker's PUBACK is taken for the answer, to load what only receives.
"""

import argparse
import asyncio
import functools
import json
import struct
import time
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.figure import percentile
from benchmarks.live_shape import READINGS
from wire.messages import decode_ack, decode_aggregator_status
from wire.topics import AGGREGATOR_STATUS, edge_topic

WINDOW: Final = 64
CONNECT, CONNACK, PUBLISH, PUBACK, SUBSCRIBE, SUBACK = 0x10, 0x20, 0x30, 0x40, 0x82, 0x90
STARTS_WITHIN_S: Final = 30.0
DRAINS_WITHIN_S: Final = 20.0


class Edge(msgspec.Struct):
    """One edge's topic and its frames in the order of their numbers, from 1."""

    facility: str
    edge: str
    frames: list[bytes]


def write_frames(path: Path, edges: Iterable[Edge]) -> None:
    """Keep what a run needs."""
    path.write_bytes(msgspec.msgpack.encode(list(edges)))


def _packet(kind: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, low = left >> 7, left & 0x7F
        length.append(low | 0x80 if left else low)
        if not left:
            return bytes((kind,)) + bytes(length) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">H", len(raw)) + raw


class _Sender(asyncio.Protocol):
    """One edge's connection."""

    def __init__(self, source: Edge, window: int, online: asyncio.Event, *, by_puback: bool = False) -> None:
        self._source, self._window, self._by_puback = source, window, by_puback
        self._head = _text(edge_topic(source.facility, source.edge, "batch"))
        self._buffer = b""
        self._sent_at = array("d", bytes(8 * (len(source.frames) + 1)))
        self._answered: set[int] = set()
        self._online = online
        self.next_seq = 1
        self.allowed = 0  # the highest number that may be sent now
        self.latencies_ms: list[tuple[float, float]] = []  # (answered at, ms)
        self.fault = ""

    @property
    def open(self) -> int:
        """Batches without an answer."""
        return self.next_seq - 1 - len(self._answered)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        name = f"load-{self._source.facility}-{self._source.edge}"
        transport.write(_packet(CONNECT, _text("MQTT") + bytes((4, 2)) + struct.pack(">H", 60) + _text(name)))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data
        at = 0
        while at + 2 <= len(buffer):
            length, shift, start = 0, 0, at + 1
            while start < len(buffer):
                length |= (buffer[start] & 0x7F) << shift
                shift += 7
                start += 1
                if not buffer[start - 1] & 0x80:
                    break
            else:
                break
            if start + length > len(buffer):
                break
            self._take(buffer[at], buffer[start : start + length])
            at = start + length
        self._buffer = buffer[at:]
        self.send()

    def _take(self, kind: int, body: bytes) -> None:
        if kind == CONNACK:
            topics = (edge_topic(self._source.facility, self._source.edge, "ack"), AGGREGATOR_STATUS)
            self._transport.write(
                _packet(SUBSCRIBE, struct.pack(">H", 1) + b"".join(_text(topic) + b"\x01" for topic in topics))
            )
        elif kind == PUBACK and self._by_puback:
            self._answer(struct.unpack(">H", body[:2])[0], time.perf_counter())
        elif kind == SUBACK and self._by_puback:
            self._online.set()
        elif kind & 0xF0 == PUBLISH:
            length = struct.unpack_from(">H", body)[0]
            topic, rest = body[2 : 2 + length], body[2 + length :]
            if kind & 0x06:
                self._transport.write(_packet(PUBACK, rest[:2]))
                rest = rest[2:]
            self._message(topic.decode(), rest)

    def _message(self, topic: str, payload: bytes) -> None:
        if topic == AGGREGATOR_STATUS:
            if decode_aggregator_status(payload).state == "online":
                self._online.set()
            return
        now, ack = time.perf_counter(), decode_ack(payload)
        if ack.refused or ack.held:
            self.fault = f"{topic}: {ack.refused or ack.held}"
        if ack.have:
            return
        for first, last, _ in ack.committed:
            for seq in range(first, last + 1):
                self._answer(seq, now)

    def _answer(self, seq: int, now: float) -> None:
        if seq not in self._answered:
            self._answered.add(seq)
            self.latencies_ms.append((now, (now - self._sent_at[seq]) * 1000))

    def send(self) -> None:
        """As many as window and rate allow."""
        last = min(self.allowed, len(self._source.frames), len(self._answered) + self._window)
        packets = []
        while self.next_seq <= last:
            seq = self.next_seq
            body = self._head + struct.pack(">H", (seq - 1) % 0xFFFF + 1) + self._source.frames[seq - 1]
            packets.append(_packet(PUBLISH | 2, body))
            self._sent_at[seq] = time.perf_counter()
            self.next_seq = seq + 1
        if packets:
            self._transport.writelines(packets)


async def run(
    edges: Sequence[Edge], port: int, seconds: float, window: int, batches_per_s: float, *, by_puback: bool = False
) -> dict[str, Any]:
    """Send for `seconds`, wait for the last answers; what was answered when."""
    loop, online = asyncio.get_running_loop(), asyncio.Event()
    senders: list[_Sender] = []
    for edge in edges:
        sender = _Sender(edge, window, online, by_puback=by_puback)
        await loop.create_connection(functools.partial(_itself, sender), "127.0.0.1", port)
        senders.append(sender)
    async with asyncio.timeout(STARTS_WITHIN_S):
        await online.wait()
    begun, cpu = time.perf_counter(), time.process_time()
    while (passed := time.perf_counter() - begun) < seconds:
        share = len(edges[0].frames) if not batches_per_s else int(passed * batches_per_s / len(senders)) + 1
        for sender in senders:
            sender.allowed = share
            sender.send()
        if all(sender.next_seq > len(edge.frames) for sender, edge in zip(senders, edges, strict=True)):
            break
        await asyncio.sleep(0.002 if batches_per_s else 0.05)
    ended, cpu_s = time.perf_counter(), time.process_time() - cpu
    for sender in senders:
        sender.allowed = 0
    deadline = time.perf_counter() + DRAINS_WITHIN_S
    while any(sender.open for sender in senders) and time.perf_counter() < deadline:  # noqa: ASYNC110 - of several senders
        await asyncio.sleep(0.02)
    return _outcome(senders, begun, ended, cpu_s)


def _itself(sender: _Sender) -> _Sender:
    return sender


def _outcome(senders: Sequence[_Sender], begun: float, ended: float, cpu_s: float) -> dict[str, Any]:
    """Rate and latency of the stretch from a quarter to its end: before, series are new and caches are cold."""
    first = begun + (ended - begun) / 4
    answered = [entry for sender in senders for entry in sender.latencies_ms]
    counted = [latency for at, latency in answered if first <= at <= ended]
    if not counted:  # so short a run that it is all one stretch
        first, counted = begun, [latency for _, latency in answered]
    sent = sum(sender.next_seq - 1 for sender in senders)
    return {
        "sent": sent,
        "answered": len(answered),
        "fault": next((sender.fault for sender in senders if sender.fault), ""),
        "batches_per_s": len(counted) / (ended - first),
        "p50_ms": percentile(counted, 0.5) if counted else None,
        "p99_ms": percentile(counted, 0.99) if counted else None,
        "cpu_ns_per_reading": cpu_s * 1e9 / max(1, sent * READINGS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--window", type=int, default=WINDOW)
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--puback", action="store_true")
    options = parser.parse_args()
    edges = msgspec.msgpack.decode(options.frames.read_bytes(), type=list[Edge])
    outcome = run(edges, options.port, options.seconds, options.window, options.rate, by_puback=options.puback)
    print(json.dumps(asyncio.run(outcome)), flush=True)


if __name__ == "__main__":
    main()
