"""The light signer and verifier against the standard's own examples and against `cryptography`; without it, signing goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from wire import libcrypto
from wire.keys import PublicKey, SigningKey
from wire.libcrypto import Ed25519Signer, Ed25519Verifier, NoLibcrypto

ROOT = Path(__file__).parents[2]

# RFC 8032, section 7.1, tests 2 and 3: seed, public key, message, signature
EXAMPLES = [
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]

pytestmark = pytest.mark.skipif(not libcrypto.signs_as_the_standard_says(), reason="there is no libcrypto 3")


@pytest.mark.parametrize(("seed", "public", "message", "signature"), EXAMPLES)
def test_the_standards_examples_come_out(seed: str, public: str, message: str, signature: str) -> None:
    signer = Ed25519Signer(bytes.fromhex(seed))
    assert signer.public_bytes().hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature


def test_messages_of_any_length_are_signed_as_by_cryptography() -> None:
    for length in (0, 1, 47, 64, 4096, 300_000):
        seed, message = os.urandom(32), os.urandom(length)
        judge = Ed25519PrivateKey.from_private_bytes(seed)
        signer = Ed25519Signer(seed)
        assert signer.public_bytes() == judge.public_key().public_bytes_raw()
        assert signer.sign(message) == judge.sign(message)  # Ed25519 signatures are deterministic


def test_a_message_may_hold_zero_bytes() -> None:
    seed = bytes(range(32))
    signer, judge = Ed25519Signer(seed), Ed25519PrivateKey.from_private_bytes(seed).public_key()
    judge.verify(signer.sign(b"a\x00b"), b"a\x00b")
    assert signer.sign(b"a\x00b") != signer.sign(b"a")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(NoLibcrypto, match=f"takes no Ed25519 key of {length} bytes"):
        Ed25519Signer(bytes(length))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), EXAMPLES)
def test_the_standards_examples_are_found_good_and_with_one_bit_changed_bad(
    seed: str, public: str, message: str, signature: str
) -> None:
    verifier, good, said = Ed25519Verifier(bytes.fromhex(public)), bytes.fromhex(signature), bytes.fromhex(message)
    assert verifier.verifies(good, said)
    for bit in range(512):
        spoilt = (int.from_bytes(good, "big") ^ (1 << bit)).to_bytes(64, "big")
        assert not verifier.verifies(spoilt, said)
    assert not verifier.verifies(good, said + b"\x00")
    assert not verifier.verifies(good[:63], said)
    assert not verifier.verifies(b"", said)
    assert not verifier.verifies(good + b"\x00", said)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_public_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(NoLibcrypto, match=f"takes no Ed25519 public key of {length} bytes"):
        Ed25519Verifier(bytes(length))


def test_a_light_key_judges_as_the_other_does() -> None:
    for length in (0, 1, 100, 70_000):
        key, other, message = SigningKey.generate(), SigningKey.generate(), os.urandom(length)
        light = PublicKey(key.public.raw, light=True)
        for signature in (key.sign(message), other.sign(message), os.urandom(64), bytes(64)):
            assert light.verifies(signature, message) is key.public.verifies(signature, message)
        assert light.verifies(key.sign(message), message)


def test_a_light_key_loads_no_second_openssl() -> None:
    code = """
import sys
from wire.keys import PublicKey, SigningKey
key = SigningKey(bytes(range(32)))
light = PublicKey(key.public.raw, light=True)
assert light.verifies(key.sign(b"text"), b"text") and not light.verifies(key.sign(b"text"), b"test")
print("cryptography.hazmat.bindings._rust" in sys.modules)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert said.stdout.strip() == "False"


def signs_in_a_new_process(before: str) -> dict[str, bool]:
    """Sign and verify in a new interpreter; which of the two libraries were loaded by the signing alone."""
    code = f"""
import sys
from wire import libcrypto
{before}
from wire.keys import SigningKey
key = SigningKey(bytes(range(32)))
signature = key.sign(b"text")
heavy = "cryptography.hazmat.bindings._rust" in sys.modules
assert key.public.verifies(signature, b"text") and not key.public.verifies(signature, b"test")
print(libcrypto.signs_as_the_standard_says(), heavy)
"""
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    return {"light": said[0] == "True", "heavy": said[1] == "True"}


def test_signing_alone_loads_no_second_openssl() -> None:
    assert signs_in_a_new_process("") == {"light": True, "heavy": False}


def test_where_there_is_no_libcrypto_cryptography_signs() -> None:
    assert signs_in_a_new_process("libcrypto._SHARED_LIBRARY = 'libabsent.so'") == {"light": False, "heavy": True}


def test_a_library_that_signs_otherwise_is_not_used() -> None:
    before = "libcrypto._KNOWN_SIGNATURE = bytes(64)"
    assert signs_in_a_new_process(before) == {"light": False, "heavy": True}
