"""Who may connect: passwords (profiles 1 and 2), certificates (2 and 3) and the identity in the address. Not what a pile may then do.

Profile 0: no proof, for a closed network of one's own. 1: HTTP Basic. 2: TLS and Basic. 3: TLS with client certificates whose common
name, or a DNS name, is the identity. Source: OCPP 2.0.1 Part 2, chapter A.1.3; OCPP 1.6 Security Whitepaper, edition 2, section 2.

The password file has a line per pile, `identity:salt$key` in hex; `python -m edge_agent.drivers.ocpp.security CP-07` asks for a
password and prints the line.
"""

import base64
import binascii
import getpass
import hashlib
import hmac
import secrets
import ssl
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

MAX_IDENTITY: Final = 48  # OCPP 2.0.1 Part 2: identifierString[48]; 1.6 names no length
_COST: Final = {"n": 1 << 12, "r": 8, "p": 1}  # scrypt, 4 MiB and some 10 ms: OCPP passwords are long and random
_MAX_PASSWORD: Final = 256
_FORBIDDEN: Final = frozenset('\\/?#%<>"{}^`| \t\r\n')


def valid_identity(identity: str) -> bool:
    """Whether a text can be a pile's identity in an address and in file names."""
    return (
        0 < len(identity) <= MAX_IDENTITY
        and identity.isascii()
        and identity.isprintable()
        and not _FORBIDDEN & set(identity)
        and not set(identity) <= {"."}
    )


def identity_of(path: str) -> str | None:
    """The identity in a request's path, its last part; None where there is none."""
    last = unquote(path.partition("?")[0].rstrip("/").rpartition("/")[2])
    return last if valid_identity(last) else None


def password_line(identity: str, password: str) -> str:
    """The line of a password file."""
    salt = secrets.token_bytes(16)
    return f"{identity}:{salt.hex()}${_key(password.encode('utf-8'), salt).hex()}"


def _key(password: bytes, salt: bytes) -> bytes:
    return hashlib.scrypt(password, salt=salt, **_COST)


class PasswordsFaulty(ValueError):
    """A password file that cannot be used; the message names the line."""


def passwords(path: Path) -> dict[str, tuple[bytes, bytes]]:
    """Salt and key by identity. Raises PasswordsFaulty."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PasswordsFaulty(f"{path}: {error}") from error
    known: dict[str, tuple[bytes, bytes]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        identity, _, rest = line.rpartition(":")
        salt, _, key = rest.partition("$")
        try:
            pair = bytes.fromhex(salt), bytes.fromhex(key)
        except ValueError:
            pair = b"", b""
        if not valid_identity(identity) or not all(pair):
            raise PasswordsFaulty(
                f"{path}: line {number}: expected identity:salt$key, both in hex, saw {line[:12]!r}..."
            )
        known[identity] = pair
    return known


def basic(header: str | None) -> tuple[str, bytes] | None:
    """Name and password in an Authorization header, None where there is none that can be read."""
    if header is None or len(header) > 1024:
        return None
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
        return (name.decode("utf-8"), password) if colon and len(password) <= _MAX_PASSWORD else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def password_fits(known: Mapping[str, tuple[bytes, bytes]], identity: str, header: str | None) -> bool:
    """Whether the header proves `identity`. Takes some 10 ms, also where the identity is not in the file."""
    given = basic(header)
    salt, key = known.get(identity, (b"none", b""))
    name, password = given or ("", b"")
    fits = hmac.compare_digest(_key(password, salt), key)
    return fits and given is not None and name == identity


def certificate_fits(certificate: Mapping[str, Any] | None, identity: str) -> bool:
    """Whether a client certificate, as `ssl` shows it, has the identity as common name or as a DNS name (whose case says nothing)."""
    if not certificate:
        return False
    common = {value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"}
    names = {value.lower() for key, value in certificate.get("subjectAltName", ()) if key == "DNS"}
    return identity in common or identity.lower() in names


def server_context(certificate: str, key: str, client_ca: str | None) -> ssl.SSLContext:
    """TLS 1.2 or later for the listener; with `client_ca` only for clients with a certificate of it. Raises OSError, ssl.SSLError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    if client_ca is not None:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(ca: str | None, certificate: str | None, key: str | None) -> ssl.SSLContext:
    """TLS towards an operator's back end: its certificate checked against `ca` or the machine's own list. Raises OSError, ssl.SSLError."""
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    sys.stdout.write(password_line(sys.argv[1], getpass.getpass(f"password of {sys.argv[1]}: ")) + "\n")
