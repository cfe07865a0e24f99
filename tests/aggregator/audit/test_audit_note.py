"""Signed notes against a note of somebody else, and what must not pass for one."""

import pytest

from aggregator.audit.note import Checkpoint, NoteUnproven, Verifier, opened, sign
from wire.keys import KeyUnusable, PublicKey, SigningKey

# golang.org/x/mod, sumdb/note/example_test.go (BSD-3): key, text and signature
VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE = (
    TEXT
    + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = SigningKey(bytes(range(32)))
OURS = Verifier("wattline/store-1", KEY.public)


def test_a_note_signed_by_another_program_is_opened() -> None:
    verifier = Verifier.from_text(VERIFIER)
    assert verifier.to_text() == VERIFIER
    assert opened(NOTE.encode(), verifier) == TEXT


def test_no_byte_of_a_note_can_be_changed() -> None:
    """Each byte with its lowest bit turned, but for those of signatures' names, which are then another's."""
    verifier, note = Verifier.from_text(VERIFIER), NOTE.encode()
    for at in range(len(note)):
        changed = note[:at] + bytes([note[at] ^ 1]) + note[at + 1 :]
        with pytest.raises(NoteUnproven):
            opened(changed, verifier)


def test_signatures_of_others_are_passed_over_and_one_of_ours_is_needed() -> None:
    text = Checkpoint(OURS.name, 2, bytes(32)).to_text()
    ours = sign(text, OURS.name, KEY)
    witness = sign(text, "witness", SigningKey.generate()).rpartition("\n\n")[2]
    assert opened((ours + witness).encode(), OURS) == text
    with pytest.raises(NoteUnproven, match="there is none"):
        opened(f"{text}\n{witness}".encode(), OURS)


def test_a_checkpoint_is_three_lines_as_the_specification_shows_them() -> None:
    """The example of c2sp.org/tlog-checkpoint."""
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    found = Checkpoint.from_text(text)
    assert (found.origin, found.size, found.root[:2].hex()) == ("example.com/behind-the-sofa", 20852163, "0ac5")
    assert found.to_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "origin\n1\n",
        "origin\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "origin\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "origin\n1\nCsUYapGGPo4=\n",
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(NoteUnproven):
        Checkpoint.from_text(text)


@pytest.mark.parametrize("text", ["", "a+b", VERIFIER.replace("c74f", "c74e"), VERIFIER.replace("ARpc", "Arpc")])
def test_what_is_no_key_of_a_log_is_refused(text: str) -> None:
    with pytest.raises(KeyUnusable):
        Verifier.from_text(text)


def test_the_key_of_a_log_survives_its_text() -> None:
    assert Verifier.from_text(OURS.to_text()) == OURS
    assert Verifier(OURS.name, PublicKey(bytes(32))) != OURS
