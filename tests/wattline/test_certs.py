"""The words of `wattline certs` as a person types them."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wattline import certs, certs_options
from wattline.authority import DAY_MS
from wattline.broker_acl import acl, edge_of
from wire.keys import SigningKey

NOON_MS = 1_750_000_000_000  # 2025-06-15T15:06:40Z

Say = Callable[..., int]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Runs `wattline certs WORDS` in a folder of the test, `after_days` after noon."""

    def run(words: str, after_days: int = 0) -> int:
        parser = argparse.ArgumentParser(prog="wattline certs")
        certs_options.add_arguments(parser)
        word, *rest = words.split()
        return certs.run(
            parser.parse_args([word, "--directory", str(tmp_path / "certs"), *rest]),
            lambda: NOON_MS + after_days * DAY_MS,
        )

    return run


def test_from_nothing_to_a_gateway_in_four_commands(
    say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ("init", "broker --host 127.0.0.1", "aggregator", "edge works gw-01"):
        assert say(words) == 0
    said = capsys.readouterr().out
    public = (tmp_path / "certs/edges/works.gw-01/gw-01.sign.pub").read_text().strip()
    assert f'public_key = "{public}"' in said
    command_key = SigningKey.load(tmp_path / "certs/aggregator/command.sign").public.to_text()
    assert said.count(f'command_key = "{command_key}"') == 2, "told with the aggregator and with each gateway"
    assert not (tmp_path / "certs/edges/works.gw-01/command.sign").exists()
    assert "PRIVATE" not in said


def test_the_list_shows_ends_and_revocations(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("init", "broker --host b --days 30", "edge works gw-01", "edge works gw-02", "revoke works.gw-02"):
        say(words)
    capsys.readouterr()
    assert say("list", after_days=31) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "ca authority 2035-06-13 3619 days left",
        "broker broker 2025-07-15 ENDED",
        "works.gw-01 edge 2030-06-14 1794 days left",
        "works.gw-02 edge 2030-06-14 revoked 2025-06-15",
    ]


def test_the_list_is_json_for_a_program(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    say("init")
    say("broker --host b --days 30")
    capsys.readouterr()
    say("list --json", after_days=10)
    assert json.loads(capsys.readouterr().out)[1] == {
        "name": "broker",
        "role": "broker",
        "ends": "2025-07-15",
        "days_left": 20,
        "revoked": False,
        "hosts": ["b"],
    }


@pytest.mark.parametrize(("after_days", "status"), [(0, 0), (9, 0), (11, 1), (40, 1)])
def test_a_certificate_that_ends_soon_or_has_ended_gives_exit_status_1(say: Say, after_days: int, status: int) -> None:
    say("init")
    say("broker --host b --days 30")
    assert say("list --ends-within 20", after_days) == status


def test_a_revoked_certificate_that_ends_is_no_news(say: Say) -> None:
    for words in ("init", "edge works gw-01 --days 30", "revoke works.gw-01"):
        say(words)
    assert say("list --ends-within 60") == 0


def test_a_renewed_certificate_is_good_again(say: Say) -> None:
    for words in ("init", "broker --host b --days 30"):
        say(words)
    assert say("renew broker --days 90", after_days=29) == 0
    assert say("list --ends-within 20", after_days=40) == 0


@pytest.mark.parametrize("words", ["aggregator", "renew aggregator", "list", "acl"])
def test_without_an_authority_each_word_says_how_to_make_one(
    say: Say, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert say(words) == 2
    assert "wattline certs init" in capsys.readouterr().err


def test_a_second_time_is_refused_with_one_line(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    say("init")
    say("edge works gw-01")
    capsys.readouterr()
    assert say("edge works gw-01") == 2
    error = capsys.readouterr().err
    assert error.startswith("wattline certs: ")
    assert error.count("\n") == 1
    assert "wattline certs renew works.gw-01" in error


@pytest.mark.parametrize(
    "words", ["edge works gw-01 --days 0", "edge works gw-01 --days ten", "broker", "edge works", "sign"]
)
def test_bad_use_ends_with_status_2(say: Say, words: str) -> None:
    say("init")
    with pytest.raises(SystemExit) as ended:
        say(words)
    assert ended.value.code == 2


def test_the_help_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="wattline certs")
    certs_options.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "wattline certs edge works gw-01" in capsys.readouterr().out


# ---- the access list


def test_the_access_list_names_each_edges_own_topics_and_no_others() -> None:
    text = acl(["works.gw-01"])
    edge = text.split("user works.gw-01\n")[1]
    assert edge.splitlines() == [
        "topic write wattline/v1/works/gw-01/batch",
        "topic write wattline/v1/works/gw-01/status",
        "topic write wattline/v1/works/gw-01/result",
        "topic write wattline/v1/works/gw-01/status/+",
        "topic read wattline/v1/works/gw-01/ack",
        "topic read wattline/v1/works/gw-01/command",
        "topic read wattline/v1/works/gw-01/factors",
        "topic read wattline/v1/works/gw-01/schedule",
        "topic read wattline/v1/aggregator/status",
    ]
    aggregator = text.split("user aggregator\n")[1].split("\n\n")[0]
    assert "topic write wattline/v1/+/+/ack" in aggregator
    assert "write wattline/v1/+/+/batch" not in aggregator


def test_the_access_list_holds_good_edges_and_the_named_ones(say: Say, tmp_path: Path) -> None:
    for words in ("init", "edge works gw-01", "edge works gw-02", "edge mill gw-01", "revoke works.gw-02"):
        say(words)
    assert say(f"acl --edge works.old-board --output {tmp_path / 'wattline.acl'}") == 0
    users = [
        line.removeprefix("user ")
        for line in (tmp_path / "wattline.acl").read_text().splitlines()
        if line.startswith("user ")
    ]
    assert users == ["aggregator", "mill.gw-01", "works.gw-01", "works.old-board"]


@pytest.mark.parametrize("edge", ["works", "works.", "works.gw.01", "wo+ks.gw", "aggregator", "works.#"])
def test_the_access_list_takes_no_wildcard_and_no_other_name(
    say: Say, edge: str, capsys: pytest.CaptureFixture[str]
) -> None:
    say("init")
    capsys.readouterr()
    assert say(f"acl --edge {edge}") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "expected" in printed.err


def test_a_revoked_edge_cannot_be_let_in_by_hand(say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ("init", "edge works gw-01", "revoke works.gw-01"):
        say(words)
    assert say("acl --edge works.gw-01") == 2
    assert "it is revoked" in capsys.readouterr().err


def test_a_user_name_reads_back_as_facility_and_edge() -> None:
    assert edge_of("works.gw-01") == ("works", "gw-01")
