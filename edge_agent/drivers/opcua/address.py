"""Where a variable stands in a server: node ids and browse paths as text, with namespaces by URI. Not how they are looked up.

    nsu=urn:plant:line;s=Press1.Power      a node id (OPC 10000-6, 5.1.12); the namespace index is not accepted: it may change when the server starts
    Machines/m:Press1/m:Power              a browse path; `m` is a prefix of the model's or the device's `namespaces`, `&` quotes the next character

A name without a prefix is in the namespace "" of that table, or in OPC UA's own where the table has no "".
"""

import base64
import binascii
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

OPC_UA: Final = "http://opcfoundation.org/UA/"
MAX_TEXT: Final = 4096  # characters of a node id or a path
MAX_STEPS: Final = 64

Identifier: TypeAlias = "int | str | uuid.UUID | bytes"


class AddressFault(ValueError):
    """A text that is no node id or path; the message says what was expected and what was seen."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node id; `identifier` is an int, a string, a GUID or bytes."""

    namespace: str
    identifier: Identifier

    def __str__(self) -> str:
        kind, text = "s", self.identifier
        if isinstance(text, int):
            kind = "i"
        elif isinstance(text, uuid.UUID):
            kind = "g"
        elif isinstance(text, bytes):
            kind, text = "b", base64.b64encode(text).decode("ascii")
        return f"{kind}={text}" if self.namespace == OPC_UA else f"nsu={self.namespace};{kind}={text}"


@dataclass(frozen=True, slots=True)
class PathAddress:
    """A way along hierarchical references: from `start` (None: the Objects folder), by browse names (namespace, name)."""

    start: NodeAddress | None
    steps: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        way = "/".join(f"{{{namespace}}}{name}" for namespace, name in self.steps)
        return way if self.start is None else f"{self.start}/{way}"


Address: TypeAlias = "NodeAddress | PathAddress"


def is_node(text: str) -> bool:
    """Whether a text is written as a node id and not as a path."""
    return text.startswith(("nsu=", "ns=")) or text[:2] in ("i=", "s=", "g=", "b=")


def node(text: str, namespaces: Mapping[str, str]) -> NodeAddress:
    """The node id of a text. Raises AddressFault."""
    if len(text) > MAX_TEXT:
        raise AddressFault(f"expected at most {MAX_TEXT} characters, saw {len(text)}")
    namespace, rest = namespaces.get("", OPC_UA), text
    if text.startswith("nsu="):
        namespace, found, rest = text[4:].partition(";")
        if not found or not namespace:
            raise AddressFault(f"expected nsu=<namespace URI>;<identifier>, saw {text!r}")
    elif text.startswith("ns="):
        raise AddressFault(
            f"expected the namespace's URI (nsu=...), saw its index in {text!r}, which servers may change"
        )
    kind, value = rest[:2], rest[2:]
    identifier: Identifier
    try:
        if kind == "i=":
            identifier = int(value)
            if not 0 <= identifier < 2**32:
                raise ValueError
        elif kind == "s=" and value:
            identifier = value
        elif kind == "g=":
            identifier = uuid.UUID(value)
        elif kind == "b=":
            identifier = base64.b64decode(value, validate=True)
        else:
            raise ValueError
    except (ValueError, binascii.Error) as error:
        raise AddressFault(f"expected i=<number>, s=<text>, g=<GUID> or b=<base64>, saw {rest!r}") from error
    return NodeAddress(namespace, identifier)


def path(text: str, namespaces: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """The steps of a browse path. Raises AddressFault."""
    if len(text) > MAX_TEXT:
        raise AddressFault(f"expected at most {MAX_TEXT} characters, saw {len(text)}")
    steps = tuple(_step(step, namespaces) for step in _split(text, "/"))
    if len(steps) > MAX_STEPS:
        raise AddressFault(f"expected at most {MAX_STEPS} steps, saw {len(steps)}")
    return steps


def _step(text: str, namespaces: Mapping[str, str]) -> tuple[str, str]:
    parts = _split(text, ":")
    prefix = _plain(parts[0]) if len(parts) > 1 else ""
    name = _plain(":".join(parts[1:]) if len(parts) > 1 else text)
    if not name:
        raise AddressFault(f"expected browse names separated by /, saw an empty one beside {text!r}")
    if prefix and prefix not in namespaces:
        known = ", ".join(sorted(key for key in namespaces if key)) or "none"
        raise AddressFault(f"expected a prefix of the namespaces ({known}), saw {prefix!r} (quote a plain colon as &:)")
    return namespaces.get(prefix, OPC_UA), name


def _split(text: str, at: str) -> list[str]:
    """Splits at a character that is not quoted by &; quotes stay."""
    parts, part, quoted = [], "", False
    for character in text:
        if character == at and not quoted:
            parts.append(part)
            part = ""
        else:
            part += character
        quoted = character == "&" and not quoted
    return [*parts, part]


def _plain(text: str) -> str:
    """A name without its quotes."""
    plain, quoted = "", False
    for character in text:
        if character == "&" and not quoted:
            quoted = True
            continue
        plain += character
        quoted = False
    return plain


def located(node_text: str | None, path_text: str | None, root: str, namespaces: Mapping[str, str]) -> Address:
    """Where a row stands: its node id with `{root}` replaced by the device's root, or its path behind that root. Raises AddressFault."""
    if (node_text is None) == (path_text is None):
        raise AddressFault(f"expected either node or path, saw {'neither' if node_text is None else 'both'}")
    if node_text is not None:
        return node(node_text.replace("{root}", root), namespaces)
    assert path_text is not None
    steps = path(path_text.replace("{root}", root), namespaces)
    if not root or "{root}" in path_text:
        return PathAddress(None, steps)
    if is_node(root):
        return PathAddress(node(root, namespaces), steps)
    return PathAddress(None, path(root, namespaces) + steps)
