"""The other end of an agent: takes its batches from the broker, checks them and acknowledges, as fast as they come. It stores nothing."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from benchmarks.processes import NotThere
from wire import topics
from wire.batch import unseal
from wire.keys import PublicKey
from wire.messages import Ack, AggregatorStatus, encode
from wire.mqtt import Broker, MqttSession, Tls

STORE: Final = "benchmark"
_CONNECTS_WITHIN_S: Final = 20.0


class Acknowledger:
    """`with Acknowledger(...)`: an event loop in a thread. `readings` and `frame_bytes` count what came in sound batches."""

    def __init__(self, port: int, folder: Path, key: PublicKey, clock: Callable[[], int]) -> None:
        tls = Tls(folder / "ca.pem", folder / "aggregator.pem", folder / "aggregator.key")
        self._broker = Broker("127.0.0.1", port, tls)
        self._key, self._clock = key, clock
        self.readings = self.batches = self.frame_bytes = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_CONNECTS_WITHIN_S):
            raise NotThere(f"the broker did not take the aggregator's connection within {_CONNECTS_WITHIN_S:g} s")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_CONNECTS_WITHIN_S)

    async def _run(self) -> None:
        session = MqttSession(
            self._broker, "aggregator", subscriptions=[topics.all_edges("batch")], on_message=self._message
        )
        self._session, self._loop, self._stop = session, asyncio.get_running_loop(), asyncio.Event()
        async with session:
            await session.wait_connected(_CONNECTS_WITHIN_S)
            status = AggregatorStatus(STORE, "online", self._clock())
            await session.publish(topics.AGGREGATOR_STATUS, encode(status), retain=True)
            self._ready.set()
            await self._stop.wait()

    def _message(self, topic: str, payload: bytes, _retained: bool) -> None:
        batch = unseal(payload, topic, lambda _: self._key)
        content = batch.content
        self.batches += 1
        self.frame_bytes += len(payload)
        shapes = content.shapes
        self.readings += sum(len(block.at_ms) * len(shapes[block.shape].quantities) for block in content.blocks)
        ack = Ack(STORE, content.epoch, committed=[(content.seq, content.seq, batch.sha256)])
        self._session.post(topics.edge_topic(content.facility, content.edge, "ack"), encode(ack))
