"""What a later writer adds to a batch: it is named and passed over, and what is known reads the same, wherever it stands and whatever it is."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import content as wire_content
from wire.content import ContentUnreadable, decode_extended

VECTORS = Path(__file__).parent.parent / "cases" / "batch_vectors"
CONTENTS = [
    json.loads((VECTORS / f"v1_{name}.json").read_text())["content"]
    for name in ("every_quality", "counters_with_missing_values", "gaps_of_every_kind", "transactions")
]
PLACES = ("", "clock", "gaps", "shapes", "blocks", "events")
ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def as_bytes(content: dict[str, Any]) -> bytes:
    return json.dumps(content).encode()


def extended(content: dict[str, Any], place: str, key: str, value: object) -> tuple[dict[str, Any], list[str]]:
    """A copy with `key` in every object at `place`, and the names under which a reader finds it there."""
    copy = json.loads(as_bytes(content))
    inner = copy if not place else copy.get(place, [])
    objects = inner if isinstance(inner, list) else [inner]
    for entry in objects:
        entry[key] = value
    return copy, [f"{place}.{key}" if place else key] if objects else []


@given(st.sampled_from(CONTENTS), st.sampled_from(PLACES), st.text("new_", min_size=4, max_size=9), ANY_JSON)
def test_an_unknown_key_changes_nothing_that_is_known(
    content: dict[str, Any], place: str, key: str, value: object
) -> None:
    longer, names = extended(content, place, key, value)
    plain, none = decode_extended(as_bytes(content))
    assert decode_extended(as_bytes(longer)) == (plain, tuple(names))
    assert none == ()


def test_a_hundred_new_keys_are_not_all_named() -> None:
    content = {**CONTENTS[0], **{f"new_{number}": number for number in range(100)}}
    _, names = decode_extended(as_bytes(content))
    assert names == tuple(f"new_{number}" for number in range(16))


def test_a_long_key_is_named_by_its_beginning() -> None:
    _, names = decode_extended(as_bytes({**CONTENTS[0], "x" * 5000: 1}))
    assert names == ("x" * 64,)


@pytest.mark.parametrize(
    ("change", "expect"),
    [
        ({"seq": 0}, "seq: expected 1"),
        ({"seq": "7"}, "seq"),
        ({"clock": {}}, "missing required field `synced`"),
        ({"class": "news"}, "Invalid enum value 'news'"),
        ({"blocks": [{"device": "pv", "shape": 9, "at_ms": [1], "row": [1, 2]}]}, "blocks[0].shape"),
        ({"gaps": [3]}, "gaps[0]"),
    ],
)
def test_a_new_key_excuses_no_fault(change: dict[str, Any], expect: str) -> None:
    with pytest.raises(ContentUnreadable) as refused:
        decode_extended(as_bytes({**CONTENTS[0], "new_key": 1, **change}))
    assert expect in str(refused.value)


def test_a_key_in_the_body_of_an_event_belongs_to_the_event() -> None:
    body = {"kg": "1.5", "new_key": {"deep": [1, None]}}
    content = {**CONTENTS[3], "events": [{"id": "n", "at_ms": 1, "kind": "of_tomorrow", "body": body}]}
    read, names = decode_extended(as_bytes(content))
    assert (read.events[0].kind, read.events[0].body, names) == ("of_tomorrow", body, ())
    assert wire_content.decode(wire_content.encode(read)) == read
