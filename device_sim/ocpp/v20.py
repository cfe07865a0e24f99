"""A pile's life in the messages of OCPP 2.0.1 and 2.1: what it sends. How it answers is in `v20_answers`, what happens in `pile`.

Both versions share transactions, states and meter values (OCPP 2.0.1 part 2, chapters B, E, G, J; OCPP 2.1 the same chapters).
"""

import base64
import hashlib
from collections.abc import Callable
from typing import Any, Final

from device_sim.faults import FaultKind
from device_sim.ocpp.dialect import State
from device_sim.ocpp.instants import text_of
from device_sim.ocpp.link import Outgoing, Payload
from device_sim.ocpp.meter_values import Context, Quirk, Reading, as_sent, sampled_values
from device_sim.ocpp.pile import Pile
from device_sim.ocpp.session import Session, relative_to
from device_sim.ocpp.settings import measurands
from device_sim.ocpp.v2x import charging_needs
from device_sim.ocpp.v20_answers import Answers

EVSE: Final = {"id": 1, "connectorId": 1}
_CHARGING_STATES: Final = {
    State.CHARGING: "Charging",
    State.SUSPENDED_EV: "SuspendedEV",
    State.SUSPENDED_EVSE: "SuspendedEVSE",
    State.AVAILABLE: "Idle",
}
_STOP_REASONS: Final = {"UnlockCommand": "Other", "HardReset": "ImmediateReset", "SoftReset": "ImmediateReset"}
_CONTEXT_TRIGGERS: Final = {
    Context.PERIODIC: "MeterValuePeriodic",
    Context.CLOCK: "MeterValueClock",
    Context.TRIGGER: "Trigger",
}


class Dialect20:
    """The messages of one pile."""

    def __init__(self, pile: Pile) -> None:
        self._pile = pile
        self._connector = ""
        self._answers = Answers(pile, self)

    def boot(self, reason: str | None = None) -> Outgoing:
        pile = self._pile
        station = {
            "model": f"pile{pile.version.replace('.', '')}",
            "vendorName": "device_sim",
            "serialNumber": pile.options.identity[:25],
            "firmwareVersion": "1.0",
        }
        return Outgoing("BootNotification", {"reason": reason or pile.boot_reason, "chargingStation": station})

    def booted(self) -> None:
        self._connector = ""  # the state is told anew

    def heartbeat(self) -> None:
        self.put("Heartbeat", {})

    def state(self, state: State) -> None:
        connector = {State.AVAILABLE: "Available", State.UNAVAILABLE: "Unavailable"}.get(state, "Occupied")
        if connector != self._connector:
            self._connector = connector
            self.notify_status()
        session = self._pile.session
        charging = self._charging_state(state)
        if session is not None and session.state != charging:
            session.state = charging
            self.event(session, "Updated", "ChargingStateChanged", self._now())

    def notify_status(self) -> None:
        """Tells the connector's state as it is."""
        payload = {"timestamp": text_of(self._now()), "connectorStatus": self._connector or "Available", "evseId": 1}
        self.put("StatusNotification", payload | {"connectorId": 1})

    def _charging_state(self, state: State) -> str:
        return _CHARGING_STATES.get(state, "EVConnected")

    def _now(self) -> int:
        return self._pile.metering.stamp(self._pile.device.plant.now_ms)

    def authorize(self, id_tag: str, answered: Callable[[bool | None], None]) -> None:
        token = {"idToken": self._token(id_tag)}
        self._pile.link.put(Outgoing("Authorize", token, answered=lambda answer: answered(_accepted(answer))))

    def begun(self, session: Session) -> None:
        seen = f"{self._pile.options.identity}:{session.number}:{session.begun_ms}"
        session.transaction_id = hashlib.sha256(seen.encode()).hexdigest()[:32]
        session.state = self._charging_state(self._pile.present_state())
        values = None
        if Quirk.NO_BEGIN not in self._pile.options.quirks:
            wanted = measurands(self._pile.settings.started)
            values = self._meter_value(session.begin, Context.BEGIN, wanted, session, session.signed_begin)
        serial = self._pile.metering.next_serial()
        self.event(
            session,
            "Started",
            session.trigger,
            session.begin.at_ms,
            values,
            with_token=True,
            answered=lambda answer: self._started(session, answer),
            sent=lambda message_id: self._log(serial, session.begin, Context.BEGIN, message_id),
        )
        needs = charging_needs(self._pile)
        if needs is not None:
            self._pile.link.put(Outgoing("NotifyEVChargingNeeds", needs, kept=True))

    def _started(self, session: Session, answer: Payload | None) -> None:
        refused = answer is not None and _accepted(answer) is False
        if refused and self._pile.settings.stop_on_invalid and self._pile.session is session:
            self._pile.end("DeAuthorized", "Deauthorized")

    def sampled(self, session: Session | None, reading: Reading, context: Context) -> None:
        settings = self._pile.settings
        wanted = measurands(settings.aligned if context is Context.CLOCK else settings.sampled)
        values = self._meter_value(reading, context, wanted, session)
        if not values:
            return
        serial = self._pile.metering.next_serial()

        def sent(message_id: str) -> None:
            self._log(serial, reading, context, message_id)

        if session is not None:
            trigger = _CONTEXT_TRIGGERS[context]
            self.event(session, "Updated", trigger, reading.at_ms, values, meter=True, sent=sent)
            return
        payload = {"evseId": 1, "meterValue": values}
        self._pile.link.put(Outgoing("MeterValues", payload, meter=True, sent=sent))

    def ended(self, session: Session) -> None:
        end = session.end
        assert end is not None
        wanted = measurands(self._pile.settings.ended)
        values = []
        if session.signed_begin is not None:
            values += self._meter_value(session.begin, Context.BEGIN, wanted, session, session.signed_begin)
        values += self._meter_value(end, Context.END, wanted, session, session.signed_end)
        session.state = self._charging_state(self._pile.present_state())
        serial = self._pile.metering.next_serial()
        self.event(
            session,
            "Ended",
            session.end_trigger,
            end.at_ms,
            values,
            stopped=_STOP_REASONS.get(session.reason or "Other", session.reason or "Other"),
            sent=lambda message_id: self._log(serial, end, Context.END, message_id),
        )

    def resumed(self, session: Session) -> None:
        trigger = "TxResumed" if self._pile.version == "2.1" else "ChargingStateChanged"
        self.event(session, "Updated", trigger, self._now())

    def carry_out(self, action: str, payload: dict[str, Any]) -> Payload:
        return self._answers.carry_out(action, payload)

    def put(self, action: str, payload: Payload) -> None:
        """Queues a message that an outage may lose."""
        self._pile.link.put(Outgoing(action, payload))

    def event(
        self,
        session: Session,
        kind: str,
        trigger: str,
        at_ms: int,
        values: list[dict[str, Any]] | None = None,
        *,
        with_token: bool = False,
        stopped: str | None = None,
        meter: bool = False,
        answered: Callable[[Payload | None], None] | None = None,
        sent: Callable[[str], None] | None = None,
    ) -> None:
        """Queues a TransactionEvent; they are numbered in the order of what happened and survive an outage."""
        transaction = {"transactionId": session.transaction_id, "chargingState": session.state}
        if stopped is not None:
            transaction["stoppedReason"] = stopped
        if session.remote_start_id is not None and kind == "Started":
            transaction["remoteStartId"] = session.remote_start_id  # type: ignore[assignment]
        found: dict[str, Any] = {
            "eventType": kind,
            "timestamp": text_of(at_ms),
            "triggerReason": trigger,
            "seqNo": session.seq,
            "offline": not self._pile.link.accepted,
            "evse": EVSE,
        }
        session.seq += 1
        if values:
            found["meterValue"] = values
        if with_token:
            found["idToken"] = self._token(session.id_tag)

        def payload() -> Payload:
            wrong = meter and FaultKind.WRONG_UNIT in self._pile.faults()
            told = transaction | ({"transactionId": "of-another-pile"} if wrong else {})
            return found | {"transactionInfo": told}

        self._pile.link.put(Outgoing("TransactionEvent", payload, kept=True, meter=meter, answered=answered, sent=sent))

    def _token(self, id_tag: str) -> dict[str, str]:
        return {"idToken": id_tag, "type": "ISO14443"}

    def _log(self, serial: int, reading: Reading, context: Context, message_id: str) -> None:
        self._pile.metering.log_sent(serial, reading, context, message_id)

    def _meter_value(
        self,
        reading: Reading,
        context: Context,
        wanted: tuple[str, ...],
        session: Session | None,
        signed: str | None = None,
    ) -> list[dict[str, Any]]:
        values = []
        for sampled in sampled_values(reading, wanted, relative_to(session, context, self._pile.options.quirks)):
            value, unit, multiplier = as_sent(sampled, self._pile.options.quirks)
            entry: dict[str, Any] = {"value": value, "measurand": sampled.measurand, "context": context.value}
            if sampled.phase:
                entry["phase"] = sampled.phase
            if sampled.location:
                entry["location"] = sampled.location
            if unit is not None:
                entry["unitOfMeasure"] = {"unit": unit} | ({} if multiplier is None else {"multiplier": multiplier})
            if signed is not None and sampled.energy:
                entry["signedMeterValue"] = self._signed(signed)
                signed = None
            values.append(entry)
        return [{"timestamp": text_of(reading.at_ms), "sampledValue": values}] if values else []

    def _signed(self, text: str) -> dict[str, str]:
        meter = self._pile.meter
        assert meter is not None
        return {
            "signedMeterData": base64.b64encode(text.encode()).decode(),
            "signingMethod": "ECDSA-secp256r1-SHA256",
            "encodingMethod": "OCMF",
            "publicKey": meter.public_key,
        }


def _accepted(answer: Payload | None) -> bool | None:
    """None: no answer; an answer without a word on the token accepts it."""
    if answer is None:
        return None
    told = answer.get("idTokenInfo")
    return True if told is None else bool(told["status"] == "Accepted")
