"""Certificates of an OPC UA connection: ours, and whether the server's is one that the edge file trusts. Not the connection itself."""

import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from edge_agent.drivers.driver import DriverError
from edge_agent.drivers.opcua.declared import Bus

PASSWORD: Final = "WATTLINE_OPCUA_PASSWORD"  # noqa: S105 the name of the variable, not a password
_MAX_FILE: Final = 1 << 20
_PEM: Final = b"-----BEGIN"


class TrustFault(DriverError):
    """A certificate or key that cannot be used or is not trusted. Only a person can help."""

    retry = False


@dataclass(frozen=True, slots=True)
class Identity:
    """Our certificate and key as DER and PEM bytes, and the application URI that the certificate names."""

    certificate: bytes
    key: bytes
    application_uri: str


def identity(certificate: str, key: str) -> Identity:
    """Our identity from its files, PEM or DER by what is in them. Raises TrustFault."""
    parsed = _certificate(_bytes(certificate), certificate)
    raw = _bytes(key)
    load = serialization.load_pem_private_key if raw.startswith(_PEM) else serialization.load_der_private_key
    try:
        private = load(raw, None)
        pem = private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    except (ValueError, TypeError) as error:
        raise TrustFault(f"{key}: expected a private key without a password, PEM or DER: {error}") from error
    ours = parsed.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    public = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    if ours != public:
        raise TrustFault(f"{key}: expected the key of {certificate}, saw another one")
    return Identity(parsed.public_bytes(serialization.Encoding.DER), pem, _application_uri(parsed, certificate))


def password(bus: str) -> str | None:
    """The password for a bus from the environment: its own variable, else the one for all."""
    return os.environ.get(f"{PASSWORD}_{bus.upper().replace('-', '_')}", os.environ.get(PASSWORD))


def check(bus: Bus, shown: bytes, state: Path | None, now_ms: int) -> None:
    """Raises TrustFault unless the certificate that the server shows (DER) is trusted; remembers the first where that is asked for."""
    seen = _certificate(shown, "the server's certificate")
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    if bus.server_certificate is not None:
        wanted = _certificate(_bytes(bus.server_certificate), bus.server_certificate)
        if wanted != seen:
            raise TrustFault(
                f"{bus.url}: expected the certificate {print_of(wanted)} of {bus.server_certificate}, saw {print_of(seen)}"
            )
    elif bus.server_ca is not None:
        authority = _certificate(_bytes(bus.server_ca), bus.server_ca)
        try:
            seen.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise TrustFault(
                f"{bus.url}: expected a certificate issued by {bus.server_ca}, saw {print_of(seen)}"
            ) from error
        if not seen.not_valid_before_utc <= now <= seen.not_valid_after_utc:
            raise TrustFault(
                f"{bus.url}: expected a certificate valid at {now:%Y-%m-%d}, saw {seen.not_valid_before_utc:%Y-%m-%d} to {seen.not_valid_after_utc:%Y-%m-%d}"
            )
    elif state is not None:
        _first_use(bus, shown, seen, state / f"opcua-{bus.name}.der")


def print_of(certificate: x509.Certificate) -> str:
    """The SHA-256 fingerprint, as people compare it."""
    return "sha256:" + hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()


def _first_use(bus: Bus, shown: bytes, seen: x509.Certificate, file: Path) -> None:
    if file.exists():
        wanted = _certificate(_bytes(str(file)), str(file))
        if wanted != seen:
            raise TrustFault(
                f"{bus.url}: expected the certificate {print_of(wanted)} of the first connection, saw {print_of(seen)}; if the server has a new one, delete {file}"
            )
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_bytes(shown)
        fresh.replace(file)
    except OSError as error:
        raise TrustFault(f"{file}: expected to remember the server's certificate: {error}") from error


def _bytes(file: str) -> bytes:
    try:
        with Path(file).open("rb") as handle:
            return handle.read(_MAX_FILE)
    except OSError as error:
        raise TrustFault(f"{file}: expected a readable file: {error.strerror}") from error


def _certificate(raw: bytes, name: str) -> x509.Certificate:
    """The first certificate of PEM or DER bytes."""
    try:
        if raw.startswith(_PEM) or _PEM in raw[:4096]:
            return x509.load_pem_x509_certificate(raw)
        if len(raw) > 4 and raw[:2] == b"\x30\x82":  # a server may send its chain: one certificate behind the other
            raw = raw[: 4 + int.from_bytes(raw[2:4], "big")]
        return x509.load_der_x509_certificate(raw)
    except ValueError as error:
        raise TrustFault(f"{name}: expected a certificate, PEM or DER: {error}") from error


def _application_uri(certificate: x509.Certificate, name: str) -> str:
    """The URI that an application certificate must name (OPC 10000-6, 6.2.2)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (x509.ExtensionNotFound, IndexError) as error:
        raise TrustFault(
            f"{name}: expected a subject alternative name of type URI (the application URI), saw none"
        ) from error
