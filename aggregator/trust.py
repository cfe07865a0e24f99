"""Which keys an edge's batches may be signed with. Never learns a key by itself, unless it was told to (a demonstration)."""

from collections.abc import Iterable
from dataclasses import dataclass

from wire.keys import KeyUnusable, PublicKey


@dataclass(frozen=True, slots=True)
class TrustedEdge:
    """One edge of the settings: its keys, or that it may send unsigned (its figures then read "not proven")."""

    facility: str
    edge: str
    keys: tuple[PublicKey, ...] = ()
    accept_unsigned: bool = False


class Trust:
    """Looked up by several threads. With `accept_new_keys` the first key that an edge's status states is taken: demonstration only."""

    def __init__(self, edges: Iterable[TrustedEdge], *, accept_new_keys: bool = False) -> None:
        self._keys: dict[tuple[str, str], dict[bytes, PublicKey]] = {}
        self._unsigned: set[tuple[str, str]] = set()
        self._accept_new_keys = accept_new_keys
        for edge in edges:
            name = (edge.facility, edge.edge)
            self._keys.setdefault(name, {}).update({key.key_id: key for key in edge.keys})
            if edge.accept_unsigned:
                self._unsigned.add(name)

    def key(self, facility: str, edge: str, key_id: bytes) -> PublicKey | None:
        """The accepted key with this id."""
        return self._keys.get((facility, edge), {}).get(key_id)

    def accepts_unsigned(self, facility: str, edge: str) -> bool:
        """Whether this edge may send batches without a signature."""
        return (facility, edge) in self._unsigned

    def edges(self) -> list[tuple[str, str]]:
        """(facility, edge) of all that are listed."""
        return sorted(self._keys)

    def offered(self, facility: str, edge: str, public_key: str) -> None:
        """A key that an edge states about itself; ignored but in a demonstration, and there only the first of each edge."""
        if not self._accept_new_keys or self._keys.get((facility, edge)):
            return
        try:
            key = PublicKey.from_text(public_key)
        except KeyUnusable:
            return
        self._keys[facility, edge] = {key.key_id: key}
