"""A pile's calls to the operator's back end and its commands to the pile, byte for byte, while we look on. Not the connections.

    back end there:   pile --call--> back end --answer--> noted, in the journal --> pile
    back end away:    pile --call--> answered here as the standard allows, queued --> delivered in order when it is back
    command:          back end --call--> (waits while a call of ours is under way) pile --answer--> back end

The one thing that is ever changed in a message is the transaction id (1.6) of a transaction that began while the back end was away:
the pile knows it by the number that it got here, the back end by its own. Nothing else of the message's bytes is touched.
"""

import asyncio
import contextlib
import json
import logging
import re
from typing import Any, Final

from edge_agent.drivers.driver import DriverError
from edge_agent.drivers.ocpp import frames, operator_limits, v16
from edge_agent.drivers.ocpp.charging import ours
from edge_agent.drivers.ocpp.declared import Bus
from edge_agent.drivers.ocpp.dialect import CallFault, inner, text, whole
from edge_agent.drivers.ocpp.frames import Frame, FrameUnreadable, Kind, Payload
from edge_agent.drivers.ocpp.journal import Journal
from edge_agent.drivers.ocpp.link import Link
from edge_agent.drivers.ocpp.pile import Pile
from edge_agent.drivers.ocpp.upstream import Upstream
from edge_agent.drivers.ocpp.upstream_queue import UpstreamQueue, Waiting

log = logging.getLogger(__name__)

_LOCAL_ONLY: Final = frozenset(
    {"Heartbeat", "Authorize", "DataTransfer", "GetCertificateStatus", "Get15118EVCertificate"}
)
_REFUSALS: Final = 3  # a back end that answers a queued call with an error so often does not want it
_PATIENCE: Final = 3  # times the time-out for an answer of a back end
_TAGS_KEPT: Final = 1_000
_ASKED: Final = 32
_TRANSACTION_ID: Final = re.compile(rb'("transactionId"\s*:\s*)(\d{1,12})(?=\s*[,}])')


class Relay:
    """Between one pile and its operator's back end; lives as long as the pile's connection."""

    def __init__(self, pile: Pile, bus: Bus, journal: Journal, queue: UpstreamQueue) -> None:
        self._pile = pile
        self._journal = journal
        self._queue = queue
        self._bus = bus
        self._link: Link | None = None
        self._upstream: Upstream | None = None
        self._asked: dict[str, asyncio.Future[Frame]] = {}
        self._late: dict[str, Frame] = {}  # calls whose answer is not waited for any more
        self._ids: dict[str, str] = {}  # a transaction's id at the pile -> at the back end
        for known in pile.book.of(pile.identity):  # also ended ones: their stop may still wait for the back end
            if known.alias:
                self._ids[known.id] = known.alias
        pile.may_charge = self._may_charge

    def join(self, link: Link, upstream: Upstream) -> None:
        """The two connections."""
        self._link, self._upstream = link, upstream

    # ---- from the pile

    async def from_pile(self, frame: Frame) -> None:
        """A call of the pile."""
        link, upstream = self._link, self._upstream
        assert link is not None
        assert upstream is not None
        await self._pile.known_within(self._bus.timeout_s)
        if upstream.up and not len(self._queue):
            if frame.kind is Kind.SEND:
                await self._up(frame.raw)
                return
            answer = await self._forwarded(frame)
            if answer is not None:
                if answer.kind is Kind.RESULT:
                    await self._noted(frame, answer.payload)
                await link.send(answer.raw)
                return
            if upstream.up:  # it is slow: its answer is passed on when it comes, and the pile knows how long to wait
                self._late[frame.id] = frame
                if len(self._late) > _ASKED:
                    del self._late[next(iter(self._late))]
                return
        if frame.kind is Kind.CALL:
            await link.send(await self._locally(frame))

    async def _forwarded(self, frame: Frame) -> Frame | None:
        """The back end's answer; None where it was lost, or gives none in time."""
        upstream = self._upstream
        assert upstream is not None
        answer: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        if len(self._asked) >= _ASKED:
            self._asked.clear()
        self._asked[frame.id] = answer
        await self._up(frame.raw)
        lost = asyncio.create_task(upstream.lost.wait())
        either: set[asyncio.Future[Any]] = {answer, lost}
        try:
            await asyncio.wait(either, timeout=_PATIENCE * self._bus.timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            lost.cancel()
            self._asked.pop(frame.id, None)
        return answer.result() if answer.done() else None

    async def _up(self, raw: bytes) -> None:
        if self._upstream is not None and self._upstream.link is not None:
            await self._upstream.link.send(self._renamed(raw, self._ids))

    async def _noted(self, frame: Frame, response: Payload) -> None:
        await self._pile.overheard(frame.action, frame.payload, response)
        if frame.action == "Authorize":
            self._remember_tag(frame, response)

    def _remember_tag(self, frame: Frame, response: Payload) -> None:
        """Tags that the back end accepts may charge while it is away; one that it refuses may not."""
        tag = text(frame.payload, "idTag") or text(inner(frame.payload, "idToken"), "idToken")
        about = inner(response, "idTagInfo") or inner(response, "idTokenInfo")
        known: list[str] = self._journal.get("known_tags", list[str]) or []
        hashed = self._pile.book.keyed(tag)
        wanted = text(about, "status") == "Accepted"
        if not tag or (hashed in known) == wanted:
            return
        known = [*known, hashed][-_TAGS_KEPT:] if wanted else [other for other in known if other != hashed]
        self._journal.put("known_tags", known)

    # ---- while the back end is away

    async def _locally(self, frame: Frame) -> bytes:
        """The answer that is given here; the call itself is queued."""
        pile = self._pile
        assert pile.dialect is not None
        try:
            if not pile.ready and frame.action not in ("BootNotification", "Heartbeat"):
                raise CallFault("InternalError", "not ready yet, try again")
            response = self._response(frame)
            if frame.action not in _LOCAL_ONLY:
                waiting = Waiting(frame.id, frame.action, frame.raw.decode("utf-8"))
                if not self._repeated(frame) and not self._queue.put(waiting):
                    raise CallFault("InternalError", "the queue to the back end is full, keep it")
            pile.dialect.note(pile.told, frame.action, frame.payload, response)
            await self._journal.sync()
        except CallFault as fault:
            return frames.error(frame.id, fault.code, str(fault))
        except OSError as error:
            log.error("journal_not_written pile=%s reason=%s", pile.identity, error)
            return frames.error(frame.id, "InternalError", "could not be kept, try again")
        return frames.result(frame.id, response)

    def _response(self, frame: Frame) -> dict[str, Any]:
        pile = self._pile
        assert pile.dialect is not None
        if frame.action == "DataTransfer":
            return {"status": "Rejected"}
        response = pile.dialect.answer(pile, frame.action, frame.payload)
        if frame.action == "StartTransaction" and pile.version == "ocpp1.6":
            known = self._same_start(frame)
            response["transactionId"] = pile.book.new_local_id() if known is None else int(known)
        return response

    def _same_start(self, frame: Frame) -> str | None:
        known = self._pile.book.same_start(self._pile.identity, v16.start_key(frame.payload))
        return None if known is None or not known.id.isdecimal() else known.id

    def _repeated(self, frame: Frame) -> bool:
        return frame.action == "StartTransaction" and self._same_start(frame) is not None

    def _may_charge(self, id_tag: str) -> bool:
        if self._bus.offline_accept == "all":
            return True
        if id_tag in self._bus.id_tags:
            return True
        known = self._journal.get("known_tags", list[str]) or []
        return self._bus.offline_accept == "known" and self._pile.book.keyed(id_tag) in known

    async def deliver(self) -> None:
        """The queue, in order, each call answered before the next is sent. Until it is empty new calls go behind it."""
        upstream = self._upstream
        assert upstream is not None
        while upstream.up:
            first = self._queue.first()
            if first is None:
                return
            number, waiting = first
            try:
                frame = frames.parse(waiting.raw.encode("utf-8"))
            except FrameUnreadable:
                self._queue.done(number)
                continue
            answer = await self._forwarded(frame)
            if answer is None:
                await asyncio.sleep(self._bus.timeout_s if upstream.up else 0)
                continue
            if answer.kind is Kind.RESULT:
                self._delivered(frame, answer.payload)
            elif self._queue.refused(number) < _REFUSALS:
                await asyncio.sleep(min(1.0, self._bus.timeout_s))
                continue
            else:
                self._pile.told.notice("upstream_refused", {"action": frame.action, "code": answer.code})
            self._queue.done(number)
            with contextlib.suppress(OSError):
                await self._journal.sync()

    def _delivered(self, frame: Frame, response: Payload) -> None:
        number = whole(response, "transactionId")
        local = self._same_start(frame) if frame.action == "StartTransaction" else None
        if local is None or number is None:
            return
        known = self._pile.book.get(self._pile.identity, local)
        if known is not None and known.id != str(number):
            known.alias = str(number)
            self._ids[known.id] = known.alias
            self._pile.book.save(known)

    def _renamed(self, raw: bytes, ids: dict[str, str]) -> bytes:
        """`raw` with transaction ids in another's numbering: those of a map, and nothing else."""
        if not ids or self._pile.version != "ocpp1.6":
            return raw

        def other(found: re.Match[bytes]) -> bytes:
            return found[1] + ids.get(found[2].decode(), found[2].decode()).encode()

        return _TRANSACTION_ID.sub(other, raw)

    # ---- from the back end

    async def from_upstream(self, frame: Frame) -> None:
        """A command of the operator."""
        link, upstream = self._link, self._upstream
        assert link is not None
        assert upstream is not None
        raw = self._renamed(frame.raw, {theirs: local for local, theirs in self._ids.items()})
        if frame.kind is Kind.SEND:
            await link.send(raw)
            return
        try:
            async with link.turn():
                answer = await link.exchange(f"{self._pile.identity}: {frame.action}", frame.id, raw)
        except DriverError as error:
            log.debug("command_unanswered pile=%s action=%s reason=%s", self._pile.identity, frame.action, error)
            return  # the back end knows how long to wait
        if answer.kind is Kind.RESULT:
            self._overheard_command(frame, answer.payload)
        if upstream.link is not None:
            await upstream.link.send(answer.raw)

    async def answer_from_upstream(self, frame: Frame) -> None:
        """An answer of the back end to a call of the pile: to whoever waits for it, else straight on."""
        waiting = self._asked.get(frame.id)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)
        elif self._link is not None:
            call = self._late.pop(frame.id, None)
            if call is not None and frame.kind is Kind.RESULT:
                await self._noted(call, frame.payload)
            await self._link.send(frame.raw)

    async def answer_from_pile(self, frame: Frame) -> None:
        """A late answer of the pile to a command."""
        if self._upstream is not None and self._upstream.link is not None:
            await self._upstream.link.send(frame.raw)

    def _overheard_command(self, frame: Frame, response: Payload) -> None:
        """What the operator has put into the pile, or cleared: ours must stay the least of both."""
        status = text(response, "status")
        if status not in ("Accepted", "Unknown"):
            return
        request = frame.payload
        if frame.action == "SetChargingProfile" and status == "Accepted":
            profile = inner(request, "csChargingProfiles") or inner(request, "chargingProfile")
            number = whole(request, "connectorId") if "connectorId" in request else whole(request, "evseId")
            self._keep(number or 0, {**profile, "noted_at_ms": self._pile.now_ms()})
        elif frame.action == "ClearChargingProfile":
            for steering in self._pile.steerings.values():
                steering.operator = operator_limits.cleared(steering.operator, request)
                steering.forget()  # it may have cleared ours too
            self._save()

    def _keep(self, number: int, profile: dict[str, Any]) -> None:
        if ours(operator_limits.identifier(profile)):
            log.warning("profile_id_taken pile=%s id=%s", self._pile.identity, operator_limits.identifier(profile))
        same = operator_limits.identifier(profile), (operator_limits.purpose(profile), operator_limits.level(profile))
        for at, steering in self._pile.steerings.items():
            if number not in (0, at) and at != 0:
                continue
            others = [
                other
                for other in steering.operator
                if operator_limits.identifier(other) != same[0]
                and (operator_limits.purpose(other), operator_limits.level(other)) != same[1]
            ]
            steering.operator = [*others, profile][-operator_limits.KEPT :]
            steering.forget()
        self._save()

    def _save(self) -> None:
        for number, steering in self._pile.steerings.items():
            texts = [json.dumps(profile, default=float) for profile in steering.operator]
            self._journal.put(f"operator/{self._pile.identity}/{number}", texts)
        self._pile.wake.set()
