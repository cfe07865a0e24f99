"""Brings answers to commands up: the newest of each command, until the broker has taken it. Not what they say (`set_point_record`)."""

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from wire.command import Result, encode_result
from wire.mqtt import MqttError, MqttSession

log = logging.getLogger(__name__)

WAITING_MOST: Final = 128  # commands whose newest answer waits
_PAUSE_S: Final = 1.0  # real, after an answer that did not go


class ResultPost:
    """One edge's way up for answers. What waits is told anew when the link comes back, so nothing here survives a restart."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._waiting: OrderedDict[str, Result] = OrderedDict()
        self._wake = asyncio.Event()

    def put(self, result: Result) -> None:
        """Send this answer in place of an older one to the same command."""
        self._waiting[result.id] = result
        while len(self._waiting) > WAITING_MOST:
            self._waiting.popitem(last=False)
        self._wake.set()

    @property
    def idle(self) -> bool:
        """Whether all has gone up."""
        return not self._waiting

    async def run(self, session: MqttSession) -> None:
        """Send for ever; cancel to stop."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                if not session.connected or not await self._send(session):
                    await asyncio.sleep(_PAUSE_S)

    async def _send(self, session: MqttSession) -> bool:
        command_id, result = next(iter(self._waiting.items()))
        try:
            await session.publish(self._topic, encode_result(result))
        except MqttError as error:
            log.warning("answer not sent command=%s reason=%s", command_id, error)
            return False
        if self._waiting.get(command_id) is result:
            del self._waiting[command_id]
        return True
