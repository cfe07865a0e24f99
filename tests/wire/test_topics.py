"""Topics of the contract: built, read back, and nothing else taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.topics import KINDS, EdgeTopic, all_edges, edge_topic, parse, valid_id

ids = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)


@given(ids, ids, st.sampled_from(KINDS))
def test_a_topic_is_read_back_as_it_was_built(facility: str, edge: str, kind: str) -> None:
    assert parse(edge_topic(facility, edge, kind)) == EdgeTopic(facility, edge, kind)


@given(ids, ids, st.integers(2, 9999))
def test_further_pages_of_a_state_have_topics_of_their_own(facility: str, edge: str, page: int) -> None:
    assert parse(edge_topic(facility, edge, "status", page)) == EdgeTopic(facility, edge, "status", page)


@pytest.mark.parametrize("text", ["", "a" * 65, "a b", "a/b", "a+", "#", "ä", "a\n", "a.b"])
def test_an_id_is_letters_digits_underscore_and_hyphen(text: str) -> None:
    assert not valid_id(text)
    with pytest.raises(ValueError, match="facility id: expected 1 to 64"):
        edge_topic(text, "gw-01", "batch")
    with pytest.raises(ValueError, match="edge id: expected 1 to 64"):
        edge_topic("works", text, "batch")


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "wattline/v1/aggregator/status",
        "wattline/v2/works/gw-01/batch",
        "wattline/v1/works/gw-01",
        "wattline/v1/works/gw-01/other",
        "wattline/v1/works//batch",
        "wattline/v1/works/gw-01/batch/2",
        "wattline/v1/works/gw-01/status/1",
        "wattline/v1/works/gw-01/status/0",
        "wattline/v1/works/gw-01/status/02",
        "wattline/v1/works/gw-01/status/2\u0662",
        "x/wattline/v1/works/gw-01/batch",
    ],
)
def test_what_is_no_edges_topic_is_not_read_as_one(topic: str) -> None:
    assert parse(topic) is None


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="topic kind: expected one of batch"):
        edge_topic("works", "gw-01", "other")
    assert all_edges("ack") == "wattline/v1/+/+/ack"
