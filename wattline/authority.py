"""A small private certificate authority in one folder. Not a public one: nobody trusts it but our broker and our programs.

```
ca.pem ca.key crl.pem register.json command.sign.pub      the authority; ca.key belongs on no gateway and on no broker
broker/      ca.pem broker.pem broker.key crl.pem
aggregator/  ca.pem aggregator.pem aggregator.key command.sign
edges/works.gw-01/  ca.pem gw-01.pem gw-01.key gw-01.sign gw-01.sign.pub
```
Each inner folder is what its machine gets, and nothing else. An edge's certificate carries the common name `facility.edge`: the dot is
in no id, so the name reads back without doubt, and the broker uses it as the user name.
"""

import contextlib
import datetime
import ipaddress
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wattline.certs_options import AUTHORITY_DAYS, EDGE_DAYS, SERVER_DAYS
from wire.keys import SigningKey
from wire.topics import valid_id

NAME_LIMIT: Final = 64  # RFC 5280, appendix A.1, ub-common-name
BACKDATED: Final = datetime.timedelta(hours=1)  # clocks that are a little behind
DAY_MS: Final = 86_400_000


class CertificateRefused(Exception):
    """What was asked for would overwrite, outlive or contradict what there is; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate as the register keeps it; instants in UTC ms, `revoked_at_ms` 0 while it is good."""

    name: str
    role: str  # broker, aggregator or edge
    serial: str
    not_after_ms: int
    hosts: tuple[str, ...] = ()
    revoked_at_ms: int = 0


class Authority:
    """The folder and what can be done with it. Every change is in the register before the command ends."""

    def __init__(self, directory: Path, clock: Callable[[], int]) -> None:
        self.directory = directory
        self._clock = clock
        if not (directory / "ca.key").is_file():
            raise CertificateRefused(
                f"{directory}: no ca.key here; make the authority first with `wattline certs init --directory {directory}`"
            )
        self._key = _load_key(directory / "ca.key")
        self._certificate = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())

    @classmethod
    def found(
        cls, directory: Path, clock: Callable[[], int], name: str = "Wattline private CA", days: int = AUTHORITY_DAYS
    ) -> "Authority":
        """A new authority in an empty or missing folder. Raises CertificateRefused where there is one already."""
        if (directory / "ca.key").exists() or (directory / "ca.pem").exists():
            raise CertificateRefused(
                f"{directory}: there is an authority already; a new one would cut off every gateway that trusts it"
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = _instant(clock())
        certificate = (
            _builder(subject, subject, now, now + datetime.timedelta(days=days))
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write_key(directory / "ca.key", key)
        _write(directory / "ca.pem", certificate.public_bytes(Encoding.PEM))
        authority = cls(directory, clock)
        authority._record([])
        return authority

    @property
    def not_after_ms(self) -> int:
        """When the authority itself ends; every program then needs a new ca.pem."""
        return _ms(self._certificate.not_valid_after_utc)

    def issued(self) -> list[Issued]:
        """Every certificate ever issued, in that order, also the revoked and the renewed ones."""
        rows = json.loads((self.directory / "register.json").read_text(encoding="utf-8"))
        return [Issued(**row | {"hosts": tuple(row["hosts"])}) for row in rows]

    def current(self) -> list[Issued]:
        """The newest certificate of each name; revoked ones too, so that a list shows them."""
        return list({row.name: row for row in self.issued()}.values())

    def broker(self, hosts: Sequence[str], days: int = SERVER_DAYS) -> Path:
        """Key and certificate of the MQTT broker for these DNS names and addresses; gives its folder."""
        if not hosts:
            raise CertificateRefused(
                "a broker's certificate needs at least one host name or address that the gateways connect to"
            )
        return self._new_folder("broker", "broker", days, tuple(hosts))

    def aggregator(self, days: int = SERVER_DAYS) -> Path:
        """Key and certificate with which the aggregator connects to the broker, and the key that signs its set-points; gives its folder."""
        folder = self._new_folder("aggregator", "aggregator", days)
        key = SigningKey.generate()
        key.save(folder / "command.sign")
        _write(self._command_key, f"{key.public.to_text()}\n".encode())
        return folder

    @property
    def _command_key(self) -> Path:
        return self.directory / "command.sign.pub"

    @property
    def command_key(self) -> str:
        """The public key of the aggregator's set-points, which each edge file pins; empty before there is an aggregator."""
        try:
            return self._command_key.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return ""

    def edge(self, facility: str, edge: str, days: int = EDGE_DAYS) -> Path:
        """TLS key and certificate and the signing key of one edge; gives the folder that goes to the gateway."""
        name = edge_user(facility, edge)
        if len(name) > NAME_LIMIT:
            raise CertificateRefused(
                f"{name}: a certificate's name has at most {NAME_LIMIT} characters, this has {len(name)}; use shorter ids or a password file"
            )
        folder = self._new_folder(name, "edge", days)
        key = SigningKey.generate()
        key.save(folder / f"{edge}.sign")
        _write(folder / f"{edge}.sign.pub", f"{key.public.to_text()}\n".encode())
        return folder

    def renew(self, name: str, days: int | None = None) -> Path:
        """A new certificate for the key that is there, so that one file changes on the machine. Raises when revoked or unknown."""
        row = self._find(name)
        if row.revoked_at_ms:
            raise CertificateRefused(
                f"{name} is revoked; give the machine a new id, or remove its folder and issue it anew"
            )
        folder, stem = self._folder(name, row.role), _stem(name)
        usual_days = EDGE_DAYS if row.role == "edge" else SERVER_DAYS
        public = x509.load_pem_x509_certificate((folder / f"{stem}.pem").read_bytes()).public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey)
        certificate = self._sign(public, name, row.role, days or usual_days, row.hosts)
        self._record([*self.issued(), _row(certificate, name, row.role, row.hosts)])
        _write(folder / f"{stem}.pem", certificate.public_bytes(Encoding.PEM), replace_old=True)
        return folder

    def revoke(self, name: str) -> int:
        """Put every certificate of this name on the revocation list; gives how many. A second time changes nothing."""
        self._find(name)
        good = {row.serial for row in self.issued() if row.name == name and not row.revoked_at_ms}
        now_ms = self._clock()
        self._record([replace(row, revoked_at_ms=now_ms) if row.serial in good else row for row in self.issued()])
        return len(good)

    def _folder(self, name: str, role: str) -> Path:
        return self.directory / "edges" / name if role == "edge" else self.directory / role

    def _find(self, name: str) -> Issued:
        for row in self.current():
            if row.name == name:
                return row
        known = ", ".join(row.name for row in self.current()) or "none yet"
        raise CertificateRefused(f"{name}: no certificate of that name; there are: {known}")

    def _new_folder(self, name: str, role: str, days: int, hosts: tuple[str, ...] = ()) -> Path:
        folder, stem = self._folder(name, role), _stem(name)
        if folder.exists():
            raise CertificateRefused(
                f"{folder} is there already and is not overwritten; `wattline certs renew {name}` gives its key a new certificate"
            )
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(key.public_key(), name, role, days, hosts)
        folder.mkdir(mode=0o700, parents=True)
        _write_key(folder / f"{stem}.key", key)
        _write(folder / f"{stem}.pem", certificate.public_bytes(Encoding.PEM))
        _write(folder / "ca.pem", (self.directory / "ca.pem").read_bytes())
        self._record([*self.issued(), _row(certificate, name, role, hosts)])
        return folder

    def _sign(
        self, key: ec.EllipticCurvePublicKey, name: str, role: str, days: int, hosts: tuple[str, ...]
    ) -> x509.Certificate:
        now = _instant(self._clock())
        ends = now + datetime.timedelta(days=days)
        if ends > self._certificate.not_valid_after_utc:
            raise CertificateRefused(
                f"{name}: {days} days reach beyond the authority itself, which ends on {self._certificate.not_valid_after_utc:%Y-%m-%d}; ask for fewer days"
            )
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if role == "broker" else ExtendedKeyUsageOID.CLIENT_AUTH
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (
            _builder(self._certificate.subject, subject, now, ends)
            .public_key(key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())

    def _record(self, rows: list[Issued]) -> None:
        """Register and revocation list; the list lasts as long as the authority, for an expired one would lock everybody out."""
        _write(
            self.directory / "register.json",
            json.dumps([asdict(row) for row in rows], indent=1).encode(),
            replace_old=True,
        )
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(_instant(self._clock()) - BACKDATED)
            .next_update(self._certificate.not_valid_after_utc)
        )
        for row in rows:
            if row.revoked_at_ms:
                revoked = x509.RevokedCertificateBuilder(int(row.serial, 16), _instant(row.revoked_at_ms))
                builder = builder.add_revoked_certificate(revoked.build())
        pem = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        _write(self.directory / "crl.pem", pem, replace_old=True)
        if (self.directory / "broker").is_dir():
            _write(self.directory / "broker" / "crl.pem", pem, replace_old=True)


def edge_user(facility: str, edge: str) -> str:
    """The name by which the broker knows an edge: `facility.edge`. Raises CertificateRefused for what is no id."""
    for what, text in (("facility", facility), ("edge", edge)):
        if not valid_id(text):
            raise CertificateRefused(f"{what} id: expected 1 to 64 of A-Z a-z 0-9 _ -, got {text!r}")
    return f"{facility}.{edge}"


def _builder(
    issuer: x509.Name, subject: x509.Name, now: datetime.datetime, ends: datetime.datetime
) -> x509.CertificateBuilder:
    builder = (
        x509.CertificateBuilder().issuer_name(issuer).subject_name(subject).serial_number(x509.random_serial_number())
    )
    return builder.not_valid_before(now - BACKDATED).not_valid_after(ends)


def _stem(name: str) -> str:
    return name.rpartition(".")[2]


def _row(certificate: x509.Certificate, name: str, role: str, hosts: tuple[str, ...]) -> Issued:
    return Issued(name, role, f"{certificate.serial_number:x}", _ms(certificate.not_valid_after_utc), hosts)


def _host(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(host))
    return x509.DNSName(host)


def _instant(at_ms: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(at_ms // 1000, tz=datetime.UTC)


def _ms(instant: datetime.datetime) -> int:
    return int(instant.timestamp()) * 1000


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise CertificateRefused(f"{path}: expected an unencrypted PEM private key, got: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateRefused(f"{path}: expected an elliptic-curve key, got {type(key).__name__}")
    return key


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    _write(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _write(path: Path, content: bytes, *, replace_old: bool = False) -> None:
    """Write for the owner only, whole or not at all; refuses to replace a file unless told to."""
    if path.exists() and not replace_old:
        raise CertificateRefused(f"{path} is there already and is not overwritten")
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    beside.replace(path)
