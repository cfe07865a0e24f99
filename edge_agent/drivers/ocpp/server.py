"""The listener that piles connect to: who may, in which version, one connection per identity. Not what they then say.

request --> identity known? --no--> 404      proof fits? --no--> 401      version in common? --no--> closed after the handshake
        --> an earlier connection of the identity is closed --> link runs until either side ends it
"""

import asyncio
import contextlib
import logging
import ssl
from collections import defaultdict
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from edge_agent.drivers.driver import BusUnreachable, DriverError, Gateway
from edge_agent.drivers.ocpp import security, upstream
from edge_agent.drivers.ocpp.declared import VERSIONS, Bus
from edge_agent.drivers.ocpp.frames import MAX_BYTES, Frame
from edge_agent.drivers.ocpp.journal import Journal
from edge_agent.drivers.ocpp.link import Link
from edge_agent.drivers.ocpp.pile import Pile
from edge_agent.drivers.ocpp.relay import Relay
from edge_agent.drivers.ocpp.transactions import Book
from edge_agent.drivers.ocpp.upstream import Address, Upstream, UpstreamAway, UpstreamRefused
from edge_agent.drivers.ocpp.upstream_queue import UpstreamQueue

log = logging.getLogger(__name__)
quiet = logging.getLogger(f"{__name__}.websocket")
quiet.setLevel(logging.CRITICAL)  # it writes a traceback for each probe of a port scanner

_PING_S: Final = 30.0
_STRANGERS: Final = 1_000  # identities that were refused and said; more are only counted
_BOOT_S: Final = 1.0  # a pile that has booted says so first
_STEER_S: Final = 1.0


class Listener:
    """All piles of one bus."""

    def __init__(self, bus: Bus, gateway: Gateway) -> None:
        self._bus = bus
        directory = gateway.state
        self.journal = Journal(None if directory is None else Path(directory) / f"ocpp-{bus.name}.journal")
        self.book = Book(self.journal, bus.hide_id_tags)
        expected: dict[str, dict[int, str]] = defaultdict(dict)
        for device in bus.device:
            expected[device.identity][device.connector] = device.name
        self.piles = {
            identity: Pile(identity, bus, gateway, self.book, self.journal, names)
            for identity, names in expected.items()
        }
        self.refused = 0
        self._queues: dict[str, UpstreamQueue] = {}
        self._passwords: dict[str, tuple[bytes, bytes]] = {}
        self._strangers: set[str] = set()
        self._upward: dict[ServerConnection, ClientConnection | None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: Server | None = None
        self._address: Address | None = None

    @property
    def port(self) -> int:
        """What it listens on, 0 before `start`."""
        if self._server is None:
            return 0
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def start(self) -> None:
        """Opens the port. Raises BusUnreachable."""
        bus = self._bus
        try:
            context = self._contexts()
            self._server = await serve(
                self._handle,
                bus.host,
                bus.port,
                ssl=context,
                process_request=self._judge,
                select_subprotocol=self._choose,
                compression=None,
                max_size=MAX_BYTES,
                max_queue=16,
                open_timeout=bus.timeout_s + 5,
                ping_interval=_PING_S,
                ping_timeout=_PING_S,
                close_timeout=2,
                server_header=None,
                logger=quiet,
            )
        except (OSError, ssl.SSLError, security.PasswordsFaulty) as error:
            raise BusUnreachable(f"bus {bus.name}: cannot listen on {bus.host}:{bus.port}: {error}") from error
        log.info("ocpp_listens bus=%s port=%s profile=%s role=%s", bus.name, self.port, bus.security_profile, bus.role)
        for pile in self.piles.values():
            task = asyncio.create_task(self._steer(pile), name=f"steering of {pile.identity}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _contexts(self) -> ssl.SSLContext | None:
        bus = self._bus
        if bus.passwords is not None:
            self._passwords = security.passwords(Path(bus.passwords))
        if bus.upstream is not None:
            towards = None
            if bus.upstream.startswith("wss://"):
                towards = security.client_context(bus.upstream_ca, bus.upstream_certificate, bus.upstream_key)
            self._address = Address(bus.upstream, towards, bus.timeout_s)
        if bus.security_profile < 2 or bus.certificate is None or bus.key is None:
            return None
        return security.server_context(bus.certificate, bus.key, bus.client_ca if bus.security_profile == 3 else None)

    async def close(self) -> None:
        """Ends all connections and tasks."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._server.wait_closed()
        with contextlib.suppress(OSError):
            await self.journal.sync()

    # ---- the handshake

    async def _judge(self, connection: ServerConnection, request: Request) -> Response | None:
        identity = security.identity_of(request.path)
        pile = None if identity is None else self.piles.get(identity)
        if pile is None:
            who = str(identity or request.path)[:60]
            return self._refuse(connection, HTTPStatus.NOT_FOUND, who, "not in the edge file")
        authorization = request.headers.get("Authorization")
        if self._bus.role == "local_controller":
            response = await self._judge_upstream(connection, request, pile, authorization)
            if response is not None:
                return response
        if await self._proven(connection, pile.identity, authorization):
            return None
        await self._drop_upward(connection)
        response = self._refuse(connection, HTTPStatus.UNAUTHORIZED, pile.identity, "its proof does not fit")
        if self._bus.security_profile < 3:
            response.headers["WWW-Authenticate"] = 'Basic realm="ocpp"'
        return response

    def _refuse(self, connection: ServerConnection, status: HTTPStatus, who: str, why: str) -> Response:
        self.refused += 1
        self._say(f"{who} {status}", "pile_refused", who, why)
        return connection.respond(status, f"{why}\n")

    def _say(self, key: str, what: str, who: str, why: str) -> None:
        """Once per stranger and reason."""
        if key not in self._strangers and len(self._strangers) < _STRANGERS:
            self._strangers.add(key)
            log.warning("%s bus=%s identity=%r reason=%s", what, self._bus.name, who, why)

    async def _proven(self, connection: ServerConnection, identity: str, authorization: str | None) -> bool:
        profile = self._bus.security_profile
        if profile == 3:
            return security.certificate_fits(connection.transport.get_extra_info("peercert"), identity)
        if profile == 0:
            return True
        if self._bus.passwords is None:
            return self._remembered(connection, identity, authorization)
        return await asyncio.to_thread(security.password_fits, self._passwords, identity, authorization)

    def _remembered(self, connection: ServerConnection, identity: str, authorization: str | None) -> bool:
        """Without a password file the back end decides; while it is away, what it accepted last."""
        key, proof = f"proof/{identity}", self.book.keyed(authorization or "")
        if self._upward.get(connection) is not None:
            self.journal.put(key, proof)
            return True
        return bool(self.journal.get(key, str) == proof)

    async def _judge_upstream(
        self, connection: ServerConnection, request: Request, pile: Pile, authorization: str | None
    ) -> Response | None:
        """Asks the back end as the pile asks us: what it refuses is refused."""
        assert self._address is not None
        headers = request.headers.get_all("Sec-WebSocket-Protocol")
        versions = self._common([word.strip() for header in headers for word in header.split(",")])
        if not versions:
            return None
        up = None
        try:
            up = await upstream.open_connection(self._address, pile.identity, versions, authorization)
        except UpstreamRefused as error:
            known = {401: HTTPStatus.UNAUTHORIZED, 403: HTTPStatus.FORBIDDEN, 404: HTTPStatus.NOT_FOUND}
            if error.status in known:
                return self._refuse(connection, known[error.status], pile.identity, str(error))
        except UpstreamAway as error:
            log.warning("upstream_away pile=%s reason=%s", pile.identity, error)
        self._upward[connection] = up
        return None

    async def _drop_upward(self, connection: ServerConnection) -> None:
        up = self._upward.pop(connection, None)
        if up is not None:
            await up.close()

    def _common(self, offered: Sequence[str]) -> list[str]:
        return [version for version in VERSIONS if version in offered and version in self._bus.versions]

    def _choose(self, connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """The best version that both hold; behind a relay the one that the back end has chosen."""
        common = self._common(offered)
        up = self._upward.get(connection)
        if up is not None and up.subprotocol in common:
            return up.subprotocol
        return Subprotocol(common[0]) if common else None

    # ---- a connection

    async def _handle(self, connection: ServerConnection) -> None:
        request = connection.request
        identity = None if request is None else security.identity_of(request.path)
        pile = self.piles.get(identity or "")
        if request is None or pile is None or connection.subprotocol is None:
            who = str(identity)[:60]
            self._say(f"{who} version", "version_refused", who, f"expected one of {', '.join(self._bus.versions)}")
            await self._drop_upward(connection)
            await connection.close(1002, "no version of OCPP in common")
            return
        if pile.link is not None and not pile.link.closed:
            log.info("pile_connects_anew pile=%s", pile.identity)
            await pile.link.close(1000, "replaced by a newer connection")
        if self._bus.role == "local_controller":
            await self._relay(pile, connection, request.headers.get("Authorization"))
        else:
            await self._serve(pile, connection)

    def _link(self, pile: Pile, connection: ServerConnection, relay: Relay | None) -> Link:
        link: Link

        async def on_call(frame: Frame) -> None:
            if relay is not None:
                await relay.from_pile(frame)
                return
            answer = await pile.answered(frame)
            if answer is not None:
                await link.send(answer)

        version = str(connection.subprotocol)
        on_answer = None if relay is None else relay.answer_from_pile
        link = Link(pile.identity, version, connection, self._bus.timeout_s, on_call, on_answer, pile.record)
        pile.attach(link)
        log.info("pile_connected pile=%s version=%s", pile.identity, version)
        return link

    async def _serve(self, pile: Pile, connection: ServerConnection) -> None:
        link = self._link(pile, connection, None)
        await self._until_closed(pile, link, [asyncio.create_task(self._set_up(pile, link))])

    async def _relay(self, pile: Pile, connection: ServerConnection, authorization: str | None) -> None:
        assert self._address is not None
        up = self._upward.pop(connection, None)
        queue = self._queues.get(pile.identity)
        if queue is None:
            queue = UpstreamQueue(self.journal, pile.identity, self._bus.upstream_queue)
            self._queues[pile.identity] = queue
        relay = Relay(pile, self._bus, self.journal, queue)
        link = self._link(pile, connection, relay)
        way = Upstream(
            self._address,
            pile.identity,
            link.version,
            authorization,
            relay.from_upstream,
            relay.answer_from_upstream,
            relay.deliver,
        )
        relay.join(link, way)
        tasks = [
            asyncio.create_task(self._set_up(pile, link)),
            asyncio.create_task(self._upstream(way, up, link)),
        ]
        await self._until_closed(pile, link, tasks)

    @staticmethod
    async def _until_closed(pile: Pile, link: Link, tasks: list[asyncio.Task[None]]) -> None:
        try:
            await link.run()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            log.info("pile_disconnected pile=%s", pile.identity)

    @staticmethod
    async def _upstream(way: Upstream, first: ClientConnection | None, link: Link) -> None:
        try:
            await way.run(first)
        except UpstreamRefused:
            await link.close(1012, "the back end wants another version")

    @staticmethod
    async def _set_up(pile: Pile, link: Link) -> None:
        """Once per boot, or per connection of a pile that we know nothing of: find out, set up, ask how it is."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_BOOT_S):
                await pile.booted.wait()
        await pile.all_known.wait()
        while True:
            try:
                if pile.booted.is_set() or not pile.capabilities.known:
                    pile.booted.clear()
                    await pile.set_up()
            except DriverError as error:
                if not link.closed:
                    log.warning("pile_not_set_up pile=%s reason=%s", pile.identity, error)
            await pile.booted.wait()

    @staticmethod
    async def _steer(pile: Pile) -> None:
        """Renews and drops what is wanted of a pile; sleeps while nothing is."""
        said = ""
        while True:
            wanted = any(steering.wanted for steering in pile.steerings.values())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STEER_S if wanted else None):
                    await pile.wake.wait()
            pile.wake.clear()
            if not pile.connected:
                continue
            try:
                await pile.steer()
                said = ""
            except DriverError as error:
                if said != type(error).__name__:
                    log.warning("steering_failed pile=%s reason=%s", pile.identity, error)
                    said = type(error).__name__
