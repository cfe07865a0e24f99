"""One charging session as the pile knows it, and the truth about it. Not the messages that tell of it."""

from dataclasses import dataclass
from typing import Any

from device_sim.ocpp.meter_values import Context, Quirk, Reading


@dataclass(slots=True)
class Session:
    """From the closing of the contactor to its last opening. `transaction_id` None: the central system has not given one yet (1.6).

    `trigger` and `end_trigger` are the trigger reasons of 2.x.
    """

    number: int
    id_tag: str
    begin: Reading
    begin_uj: tuple[int, int]
    begun_ms: int
    offline: bool
    trigger: str
    transaction_id: str | None = None
    remote_start_id: int | None = None
    end: Reading | None = None
    end_uj: tuple[int, int] = (0, 0)
    ended_ms: int | None = None
    reason: str | None = None
    end_trigger: str = ""
    seq: int = 0
    state: str = ""
    signed_begin: str | None = None
    signed_end: str | None = None
    cut: Reading | None = None
    cut_uj: tuple[int, int] = (0, 0)

    def truth(self) -> dict[str, Any]:
        """What really happened. `energy_wh` is what the meter showed at the end less what it showed at the begin: what a bill must say."""
        end = self.end
        return {
            "session": self.number,
            "id_tag": self.id_tag,
            "transaction_id": self.transaction_id,
            "begin_ms": self.begin.at_ms,
            "end_ms": None if end is None else end.at_ms,
            "begin_wh": self.begin.import_wh,
            "end_wh": None if end is None else end.import_wh,
            "energy_wh": None if end is None else end.import_wh - self.begin.import_wh,
            "export_wh": None if end is None else end.export_wh - self.begin.export_wh,
            "energy_uj": None if end is None else self.end_uj[0] - self.begin_uj[0],
            "export_uj": None if end is None else self.end_uj[1] - self.begin_uj[1],
            "reason": self.reason,
            "offline": self.offline,
            "signed_begin": self.signed_begin,
            "signed_end": self.signed_end,
        }


def relative_to(session: Session | None, context: Context, quirks: frozenset[Quirk]) -> Reading | None:
    """The reading that in-transaction samples count from, for piles with that quirk; None: the meter's own registers."""
    if session is None or Quirk.SESSION_RELATIVE not in quirks or context in (Context.BEGIN, Context.END):
        return None
    return session.begin
