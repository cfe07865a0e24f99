"""Set-points on their way to the edges: numbered, kept, signed, sent, and their answers. Not who decides them, and no schedule of its own.

A command is kept before it is sent and counts as `unanswered` once it has expired without a word from the edge. A later word is taken: the
edge answers when it is back, and tells again whenever the state of a set-point changes.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, Protocol

from aggregator.accounts.record_file import RecordsBusy
from aggregator.command_book import CommandBook, Commanded
from aggregator.ledger import LedgerError
from wire.command import Command, CommandUnreadable, Result, SetPoint, decode_result, seal
from wire.keys import KeyUnusable, SigningKey
from wire.mqtt import MqttError, NotConnected, PublishRefused
from wire.topics import edge_topic

log = logging.getLogger(__name__)

KEY_FILE: Final = "command.sign"
GRACE_MS: Final = 10_000  # after a command's expiry; an edge that took it in time has answered by then
SEND_TIMEOUT_S: Final = 5.0
_RESULTS_AT_ONCE: Final = 1_000  # waiting to be kept; beyond that they are let go, and the edge tells again

Word = Literal["sent", "answered", "unanswered", "not_sent"]


class NotSent(Exception):
    """A command that never left; it is kept with the reason. Asking again makes a new one."""


class UnknownEdge(LookupError):
    """No edge of that name is in the settings."""


class Session(Protocol):
    """What a command is sent with (`wire.mqtt.MqttSession`)."""

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float = 10.0) -> None: ...


class Commands:
    """All commands of one aggregator. `session` gives the connection of the moment, None where there is none."""

    def __init__(
        self,
        book: CommandBook,
        key: SigningKey,
        edges: Iterable[tuple[str, str]],
        clock: Callable[[], int],
        session: Callable[[], Session | None],
    ) -> None:
        self._book = book
        self._key = key
        self._edges = frozenset(edges)
        self._clock = clock
        self._session = session
        self._waiting = 0
        self.unknown_results = 0
        # whose answer a result is that is none to a command
        self.others: Callable[[str, str, Result], bool] = lambda _facility, _edge, _result: False

    @property
    def public_key(self) -> str:
        """What an edge file names under `[aggregator] command_key`."""
        return self._key.public.to_text()

    async def send(
        self, facility: str, edge: str, set_points: Sequence[SetPoint], *, firm: bool, valid_ms: int, asked_by: str
    ) -> Commanded:
        """Number, keep, sign and publish. The edge does not begin with a command that reaches it after `valid_ms`.

        Raises UnknownEdge, CommandUnreadable (no edge would take it; nothing is kept), NotSent, LedgerBusy.
        """
        if (facility, edge) not in self._edges:
            raise UnknownEdge(edge)
        now_ms = self._clock()
        topic = edge_topic(facility, edge, "command")
        command_id = f"sp-{secrets.token_hex(8)}"
        draft = Command(command_id, "draft", 1, now_ms, now_ms + valid_ms, list(set_points), firm)
        seal(draft, topic, self._key)
        command = await asyncio.to_thread(
            self._book.enter, command_id, facility, edge, asked_by, now_ms, now_ms + valid_ms, set_points, firm
        )
        session = self._session()
        try:
            if session is None:
                raise NotConnected("there is no broker")
            await session.publish(topic, seal(command, topic, self._key), timeout_s=SEND_TIMEOUT_S)
        except (NotConnected, PublishRefused) as error:
            await asyncio.to_thread(self._book.not_sent, command_id, str(error))
            raise NotSent(str(error)) from error
        except MqttError as error:  # it may have left: the edge's answer, or its silence, will tell
            log.warning("command without PUBACK id=%s edge=%s reason=%s", command_id, edge, error)
        log.info("command sent id=%s facility=%s edge=%s set_points=%d", command_id, facility, edge, len(set_points))
        return Commanded(command, facility, edge, asked_by)

    def word(self, commanded: Commanded) -> Word:
        """What became of a command as a whole; of its set-points tells its result."""
        if commanded.result is not None:
            return "answered"
        if commanded.not_sent:
            return "not_sent"
        return "unanswered" if self._clock() > commanded.command.expires_at_ms + GRACE_MS else "sent"

    def find(self, facility: str, edge: str, command_id: str) -> Commanded | None:
        """One command. Blocks. Raises UnknownEdge, LedgerBusy."""
        self._known(facility, edge)
        return self._book.find(facility, edge, command_id)

    def recent(self, facility: str, edge: str, limit: int) -> list[Commanded]:
        """The newest commands, newest first. Blocks. Raises UnknownEdge, LedgerBusy."""
        self._known(facility, edge)
        return self._book.recent(facility, edge, limit)

    def _known(self, facility: str, edge: str) -> None:
        if (facility, edge) not in self._edges:
            raise UnknownEdge(edge)

    def result(self, facility: str, edge: str, payload: bytes) -> None:
        """An edge has answered, said in its event loop; it is kept in a thread."""
        if self._waiting >= _RESULTS_AT_ONCE:
            return
        self._waiting += 1
        asyncio.get_running_loop().run_in_executor(None, self._keep, facility, edge, payload).add_done_callback(
            self._kept
        )

    def _kept(self, _done: "asyncio.Future[None]") -> None:
        self._waiting -= 1

    def _keep(self, facility: str, edge: str, payload: bytes) -> None:
        try:
            result = decode_result(payload)
            if not self._book.answer(facility, edge, result, self._clock()) and not self.others(facility, edge, result):
                self.unknown_results += 1  # to a command of another aggregator, or one that came twice
        except CommandUnreadable as error:
            log.warning("result unreadable facility=%s edge=%s reason=%s", facility, edge, error)
        except (LedgerError, RecordsBusy) as error:
            log.error("result not kept facility=%s edge=%s reason=%s", facility, edge, error)


def command_key(path: Path | None, data_directory: Path) -> SigningKey:
    """The key that signs commands: of the file that the settings name, else the one beside the data, made at the first start.

    Raises KeyUnusable, OSError.
    """
    if path is not None:
        return SigningKey.load(path)
    own = data_directory / KEY_FILE
    if not own.exists():
        key = SigningKey.generate()
        try:
            key.save(own)
        except FileExistsError as error:
            raise KeyUnusable(
                f"command key {own}: expected to be alone, another aggregator has just made it"
            ) from error
        log.warning("command key made file=%s public=%s", own, key.public.to_text())
        return key
    return SigningKey.load(own)
