"""The sheet of a safe-state drill: which link was cut, how long each device took to its safe state, signed by the edge. Not the drill (see `edge_agent.limits.drill`).

A signature is Ed25519 over `wattline drill`, a zero byte and the sheet's JSON, keys sorted, no spaces, without `key` and `signature`.
"""

import base64
from typing import Final

import msgspec

from wire.keys import KeyUnusable, PublicKey, SigningKey

_WORDS: Final = b"wattline drill\x00"
MAX_SHEET_BYTES: Final = 1 << 20


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """One device under one cut link. `safe`: its safe state, for people; `within_s`: what it may take; `took_s` None: it did not come there, or could not be seen to."""

    link: str
    name: str
    asset: str
    device: str
    safe: str
    within_s: float
    took_s: float | None
    passed: bool
    note: str = ""


class Sheet(msgspec.Struct, frozen=True, omit_defaults=True):
    """All rows of one drill. `circuit`: sha256 of the circuit that it was held for. `by`: who held it."""

    id: str
    facility: str
    edge: str
    circuit: str
    begun_at_ms: int
    ended_at_ms: int
    rows: list[Row]
    by: str = ""
    key: str = ""
    signature: str = ""

    @property
    def drilled(self) -> frozenset[str]:
        """The assets that came to their safe state in time under every link that was cut: those that firm offers may count on."""
        failed = {row.asset for row in self.rows if not row.passed}
        return frozenset(row.asset for row in self.rows) - failed


class SheetUnusable(ValueError):
    """A sheet that cannot be read, or that nobody has signed so."""


def signed(sheet: Sheet, key: SigningKey) -> Sheet:
    """The same sheet with the edge's signature."""
    signature = base64.b64encode(key.sign(_said(sheet))).decode()
    return msgspec.structs.replace(sheet, key=key.public.to_text(), signature=signature)


def verified(sheet: Sheet, key: PublicKey) -> None:
    """Raises SheetUnusable unless `key` has signed the sheet as it stands."""
    try:
        signature = base64.b64decode(sheet.signature, validate=True)
    except ValueError as error:
        raise SheetUnusable(f"drill {sheet.id}: signature: expected base64, got {sheet.signature[:100]!r}") from error
    if not key.verifies(signature, _said(sheet)):
        raise SheetUnusable(f"drill {sheet.id}: expected the signature of key {key.fingerprint}, got another")


def decoded(raw: bytes) -> Sheet:
    """The sheet of a file; its signature is checked with the key that it names itself. Raises SheetUnusable."""
    if len(raw) > MAX_SHEET_BYTES:
        raise SheetUnusable(f"drill: expected at most {MAX_SHEET_BYTES} bytes, got {len(raw)}")
    try:
        sheet = msgspec.json.decode(raw, type=Sheet)
        key = PublicKey.from_text(sheet.key)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyUnusable) as error:
        raise SheetUnusable(f"drill: {error}") from error
    verified(sheet, key)
    return sheet


def encoded(sheet: Sheet) -> bytes:
    """The file of a sheet."""
    return msgspec.json.format(msgspec.json.encode(sheet), indent=2) + b"\n"


def _said(sheet: Sheet) -> bytes:
    plain = msgspec.to_builtins(msgspec.structs.replace(sheet, key="", signature=""))
    return _WORDS + msgspec.json.encode(plain, order="sorted")
