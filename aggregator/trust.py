"""Which keys an edge's batches may be signed with. Never learns a key by itself."""

from collections.abc import Iterable
from dataclasses import dataclass

from wire.keys import PublicKey


@dataclass(frozen=True, slots=True)
class TrustedEdge:
    """One edge of the settings: its keys, or that it may send unsigned (its figures then read "not proven")."""

    facility: str
    edge: str
    keys: tuple[PublicKey, ...] = ()
    accept_unsigned: bool = False


class Trust:
    """Looked up by several threads."""

    def __init__(self, edges: Iterable[TrustedEdge]) -> None:
        self._keys: dict[tuple[str, str], dict[bytes, PublicKey]] = {}
        self._unsigned: set[tuple[str, str]] = set()
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
