"""The connection of one pile's relay to the operator's back end: asked for as the pile asks us, renewed while the pile is there. Not what passes."""

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI
from websockets.typing import Subprotocol

from edge_agent.drivers.ocpp import frames
from edge_agent.drivers.ocpp.frames import Frame
from edge_agent.drivers.ocpp.link import Link

log = logging.getLogger(__name__)
quiet = logging.getLogger(f"{__name__}.websocket")
quiet.setLevel(logging.CRITICAL)  # it writes whole messages and a traceback per lost connection

_FIRST_S: Final = 0.25  # between attempts, doubled
_LAST_S: Final = 60.0


class UpstreamRefused(Exception):
    """The back end will not have this pile: `status` is its HTTP answer."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the operator's back end answered {status}")
        self.status = status


class UpstreamAway(Exception):
    """No connection could be made."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the back end is and how to prove who asks."""

    url: str
    context: ssl.SSLContext | None
    timeout_s: float

    def of(self, identity: str) -> str:
        """The address for one pile."""
        return f"{self.url.rstrip('/')}/{quote(identity, safe='')}"


async def open_connection(
    address: Address, identity: str, versions: Sequence[str], authorization: str | None
) -> ClientConnection:
    """A connection in one of `versions`. Raises UpstreamRefused, UpstreamAway."""
    headers = {} if authorization is None else {"Authorization": authorization}
    try:
        async with asyncio.timeout(address.timeout_s):
            return await connect(
                address.of(identity),
                subprotocols=[Subprotocol(version) for version in versions],
                additional_headers=headers,
                ssl=address.context,
                max_size=frames.MAX_BYTES,
                max_queue=16,
                compression=None,
                ping_interval=30,
                ping_timeout=30,
                close_timeout=2,
                logger=quiet,
                user_agent_header=None,
                proxy=None,
            )
    except InvalidStatus as error:
        raise UpstreamRefused(error.response.status_code) from error
    except (OSError, TimeoutError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise UpstreamAway(f"{address.of(identity)}: {type(error).__name__}: {error}") from error


class Upstream:
    """One pile's way up. `on_call` and `on_answer` as for a link; `on_up` runs each time it is there."""

    def __init__(
        self,
        address: Address,
        identity: str,
        version: str,
        authorization: str | None,
        on_call: Callable[[Frame], Awaitable[None]],
        on_answer: Callable[[Frame], Awaitable[None]],
        on_up: Callable[[], Coroutine[None, None, None]],
    ) -> None:
        self._address = address
        self._identity = identity
        self._version = version
        self._authorization = authorization
        self._on_call = on_call
        self._on_answer = on_answer
        self._on_up = on_up
        self.link: Link | None = None
        self.lost = asyncio.Event()  # set whenever there is no connection
        self.lost.set()

    @property
    def up(self) -> bool:
        """Whether messages can be passed on."""
        return self.link is not None and not self.link.closed

    async def run(self, first: ClientConnection | None) -> None:
        """Keeps a connection, beginning with `first`, until cancelled. Raises UpstreamRefused where another version is wanted now."""
        connection, wait_s, said = first, _FIRST_S, False
        while True:
            if connection is None:
                try:
                    connection = await open_connection(
                        self._address, self._identity, [self._version], self._authorization
                    )
                except (UpstreamAway, UpstreamRefused) as error:
                    if not said:
                        log.warning("upstream_away pile=%s reason=%s", self._identity, error)
                        said = True
                    await asyncio.sleep(wait_s * (0.75 + 0.5 * random.random()))
                    wait_s = min(2 * wait_s, _LAST_S)
                    continue
            if connection.subprotocol != self._version:
                await connection.close()
                raise UpstreamRefused(426)
            if said:
                log.info("upstream_back pile=%s", self._identity)
            wait_s, said = _FIRST_S, False
            await self._live(connection)
            connection = None

    async def _live(self, connection: ClientConnection) -> None:
        name = f"{self._identity} upstream"
        link = Link(name, self._version, connection, self._address.timeout_s, self._on_call, self._on_answer)
        self.link = link
        self.lost.clear()
        upward = asyncio.create_task(self._on_up(), name=f"queue of {self._identity}")
        try:
            await link.run()
        finally:
            self.lost.set()
            upward.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await upward
            await link.close()
