"""Keys: files for their owner only, ids from the public key, one clear sentence for what is none."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from wire.keys import KeyUnusable, PublicKey, SigningKey


def test_a_saved_key_signs_as_before_and_is_its_owners_only(tmp_path: Path) -> None:
    key = SigningKey.generate()
    key.save(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    loaded = SigningKey.load(tmp_path / "key")
    assert loaded.public == key.public
    assert key.public.verifies(loaded.sign(b"text"), b"text")
    assert not key.public.verifies(loaded.sign(b"text"), b"test")
    assert not SigningKey.generate().public.verifies(loaded.sign(b"text"), b"text")


def test_a_key_is_never_replaced(tmp_path: Path) -> None:
    SigningKey.generate().save(tmp_path / "key")
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(FileExistsError):
        SigningKey.generate().save(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before


def test_the_id_is_the_first_8_bytes_of_the_hash_and_the_text_is_base64() -> None:
    public = SigningKey.generate().public
    assert public.key_id == hashlib.sha256(public.raw).digest()[:8]
    assert public.fingerprint == f"ed25519:{public.key_id.hex()}"
    assert PublicKey.from_text(f" {public.to_text()}\n") == public


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!", "ü" * 44, "A" * 44])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(KeyUnusable, match="expected the base64 of 32 bytes"):
        PublicKey.from_text(text)


def test_files_that_hold_no_usable_key_are_refused_by_name(tmp_path: Path) -> None:
    pem = (Encoding.PEM, PrivateFormat.PKCS8)
    files = {
        "absent": None,
        "rubbish": b"rubbish",
        "curve": ec.generate_private_key(ec.SECP256R1()).private_bytes(*pem, NoEncryption()),
        "exchange": x25519.X25519PrivateKey.generate().private_bytes(*pem, NoEncryption()),
        "locked": ec.generate_private_key(ec.SECP256R1()).private_bytes(*pem, BestAvailableEncryption(b"secret")),
    }
    for name, raw in files.items():
        if raw is not None:
            (tmp_path / name).write_bytes(raw)
        with pytest.raises(KeyUnusable, match=f"{name}: expected"):
            SigningKey.load(tmp_path / name)


def test_the_key_of_the_standards_example_is_read(tmp_path: Path) -> None:
    # RFC 8410, section 10.3, first example, and the public key of section 10.1
    (tmp_path / "key").write_text(
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n"
    )
    assert SigningKey.load(tmp_path / "key").public.to_text() == "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="


def test_other_programs_read_a_saved_key_and_theirs_are_read(tmp_path: Path) -> None:
    key = SigningKey.generate()
    key.save(tmp_path / "ours")
    theirs = load_pem_private_key((tmp_path / "ours").read_bytes(), None)
    assert isinstance(theirs, ed25519.Ed25519PrivateKey)
    assert theirs.public_key().public_bytes_raw() == key.public.raw
    pem = theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, text in (
        ("theirs", pem),
        ("with a remark", b"of gw-01\n" + pem),
        ("from windows", pem.replace(b"\n", b"\r\n")),
    ):
        (tmp_path / name).write_bytes(text)
        assert SigningKey.load(tmp_path / name).public == key.public, name


def test_the_public_half_is_not_taken_for_a_key(tmp_path: Path) -> None:
    public = ed25519.Ed25519PrivateKey.generate().public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "public").write_bytes(pem.replace(b"PUBLIC", b"PRIVATE"))
    with pytest.raises(KeyUnusable, match="public: expected an unencrypted PKCS#8 PEM file"):
        SigningKey.load(tmp_path / "public")
