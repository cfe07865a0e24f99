"""The private authority: what its certificates hold, what it refuses, and that openssl agrees."""

import datetime
import json
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from wattline.authority import DAY_MS, Authority, CertificateRefused
from wire.keys import PublicKey, SigningKey

NOON_MS = 1_750_000_000_000  # 2025-06-15T15:06:40Z


class HandClock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now_ms = NOON_MS

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def authority(tmp_path: Path, clock: HandClock) -> Authority:
    return Authority.found(tmp_path / "certs", clock)


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def name_of(cert: x509.Certificate) -> str:
    return cert.subject.rfc4514_string()


def test_an_edge_gets_the_name_facility_dot_edge_and_may_only_be_a_client(authority: Authority) -> None:
    cert = certificate(authority.edge("works", "gw-01") / "gw-01.pem")
    assert name_of(cert) == "CN=works.gw-01"
    assert list(cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.CLIENT_AUTH
    ]
    assert cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False


def test_the_broker_gets_its_names_and_addresses_and_may_only_be_a_server(authority: Authority) -> None:
    cert = certificate(authority.broker(["mqtt.example", "10.0.0.2", "::1"]) / "broker.pem")
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["mqtt.example"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.2", "::1"]
    assert list(cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]


@pytest.mark.parametrize(
    ("make", "days"),
    [(lambda a: a.broker(["b"]), 730), (lambda a: a.aggregator(), 730), (lambda a: a.edge("w", "g"), 1825)],
)
def test_lifetimes_are_two_years_for_servers_and_five_for_gateways(
    authority: Authority, make: Callable[[Authority], Path], days: int
) -> None:
    folder = make(authority)
    (path,) = [path for path in folder.glob("*.pem") if path.name not in ("ca.pem", "crl.pem")]
    starts = datetime.datetime.fromtimestamp(NOON_MS / 1000, tz=datetime.UTC)
    assert certificate(path).not_valid_after_utc - starts == datetime.timedelta(days=days)
    assert starts - certificate(path).not_valid_before_utc == datetime.timedelta(hours=1)


def test_every_file_is_for_its_owner_only(authority: Authority) -> None:
    authority.broker(["b"])
    authority.aggregator()
    authority.edge("works", "gw-01")
    files = [path for path in authority.directory.rglob("*") if path.is_file()]
    secret = [path for path in files if path.suffix in (".key", ".sign")]
    assert len(secret) == 6  # ca, broker, aggregator and gw-01 twice
    assert {stat.S_IMODE(path.stat().st_mode) for path in secret} == {0o600}
    assert {
        stat.S_IMODE(path.stat().st_mode)
        for path in authority.directory.rglob("*")
        if path.is_dir() and path.name != "edges"
    } == {0o700}


def test_an_edges_folder_holds_its_own_files_and_never_the_authoritys_key(authority: Authority) -> None:
    folder = authority.edge("works", "gw-01")
    assert {path.name for path in folder.iterdir()} == {
        "ca.pem",
        "gw-01.pem",
        "gw-01.key",
        "gw-01.sign",
        "gw-01.sign.pub",
    }
    assert (folder / "ca.pem").read_bytes() == (authority.directory / "ca.pem").read_bytes()


def test_the_signing_pair_is_one_pair_in_the_format_of_wire_keys(authority: Authority) -> None:
    folder = authority.edge("works", "gw-01")
    signer = SigningKey.load(folder / "gw-01.sign")
    assert PublicKey.from_text((folder / "gw-01.sign.pub").read_text()).verifies(signer.sign(b"42 kWh"), b"42 kWh")


def test_nothing_is_overwritten(authority: Authority, clock: HandClock) -> None:
    folder = authority.edge("works", "gw-01")
    before = {path: path.read_bytes() for path in authority.directory.rglob("*") if path.is_file()}
    with pytest.raises(CertificateRefused, match="not overwritten"):
        authority.edge("works", "gw-01")
    with pytest.raises(CertificateRefused, match="there is an authority already"):
        Authority.found(authority.directory, clock)
    assert {path: path.read_bytes() for path in authority.directory.rglob("*") if path.is_file()} == before
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("facility", "edge", "message"),
    [
        ("works", "gw.01", "edge id: .*got 'gw.01'"),
        ("", "gw", "facility id"),
        ("a/b", "gw", "facility id"),
        ("../x", "gw", "facility id"),
        ("f" * 40, "e" * 40, "at most 64 characters, this has 81"),
    ],
)
def test_a_name_that_cannot_be_one_is_refused_and_leaves_nothing(
    authority: Authority, facility: str, edge: str, message: str
) -> None:
    with pytest.raises(CertificateRefused, match=message):
        authority.edge(facility, edge)
    assert authority.issued() == []
    assert not (authority.directory / "edges").exists()


def test_a_certificate_may_not_outlive_the_authority(tmp_path: Path, clock: HandClock) -> None:
    authority = Authority.found(tmp_path / "short", clock, days=100)
    with pytest.raises(
        CertificateRefused, match="730 days reach beyond the authority itself, which ends on 2025-09-23"
    ):
        authority.aggregator()
    authority.aggregator(days=100)


def test_renewing_changes_the_certificate_and_keeps_key_names_and_lifetime(
    authority: Authority, clock: HandClock
) -> None:
    folder = authority.broker(["mqtt.example"])
    old, key = certificate(folder / "broker.pem"), (folder / "broker.key").read_bytes()
    clock.now_ms += 700 * DAY_MS
    authority.renew("broker")
    new = certificate(folder / "broker.pem")
    assert (folder / "broker.key").read_bytes() == key
    assert new.public_key() == old.public_key()
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc - old.not_valid_after_utc == datetime.timedelta(days=700)
    assert new.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ) == old.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_gateways_certificate_can_be_renewed_where_its_keys_are_not(authority: Authority) -> None:
    folder = authority.edge("works", "gw-01")
    for secret in ("gw-01.key", "gw-01.sign"):
        (folder / secret).unlink()
    authority.renew("works.gw-01")
    assert len(authority.issued()) == 2
    assert len(authority.current()) == 1


def test_revoking_lists_all_certificates_of_the_name_and_the_broker_gets_the_list(authority: Authority) -> None:
    broker = authority.broker(["b"])
    authority.edge("works", "gw-01")
    authority.edge("works", "gw-02")
    authority.renew("works.gw-01")
    assert authority.revoke("works.gw-01") == 2
    assert authority.revoke("works.gw-01") == 0
    listed = x509.load_pem_x509_crl((broker / "crl.pem").read_bytes())
    assert {f"{row.serial_number:x}" for row in listed} == {
        row.serial for row in authority.issued() if row.name == "works.gw-01"
    }
    with pytest.raises(CertificateRefused, match="is revoked"):
        authority.renew("works.gw-01")


def test_the_revocation_list_lasts_as_long_as_the_authority(authority: Authority) -> None:
    listed = x509.load_pem_x509_crl((authority.directory / "crl.pem").read_bytes())
    assert listed.next_update_utc == certificate(authority.directory / "ca.pem").not_valid_after_utc


def test_an_unknown_name_is_refused_with_the_known_ones(authority: Authority) -> None:
    authority.aggregator()
    with pytest.raises(CertificateRefused, match=r"works\.gw-09: no certificate of that name; there are: aggregator"):
        authority.revoke("works.gw-09")


def test_a_folder_without_an_authority_says_how_to_make_one(tmp_path: Path, clock: HandClock) -> None:
    with pytest.raises(CertificateRefused, match="wattline certs init"):
        Authority(tmp_path, clock)


@pytest.mark.parametrize("content", ["", "-----BEGIN NONSENSE-----"])
def test_a_damaged_key_is_named(authority: Authority, clock: HandClock, content: str) -> None:
    (authority.directory / "ca.key").write_text(content)
    with pytest.raises(CertificateRefused, match=r"ca\.key: expected an unencrypted PEM private key"):
        Authority(authority.directory, clock)


def test_a_signing_key_in_the_place_of_the_authoritys_is_refused(authority: Authority, clock: HandClock) -> None:
    (authority.directory / "ca.key").unlink()
    SigningKey.generate().save(authority.directory / "ca.key")
    with pytest.raises(CertificateRefused, match="expected an elliptic-curve key, got Ed25519PrivateKey"):
        Authority(authority.directory, clock)


def test_the_register_is_read_back_as_it_was_written(authority: Authority, clock: HandClock) -> None:
    authority.broker(["mqtt.example", "10.0.0.2"])
    authority.edge("works", "gw-01")
    assert Authority(authority.directory, clock).issued() == authority.issued()
    assert [row["name"] for row in json.loads((authority.directory / "register.json").read_text())] == [
        "broker",
        "works.gw-01",
    ]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_openssl_accepts_the_chain_for_its_purpose_only_and_sees_the_revocation(tmp_path: Path) -> None:
    now_ms = int(datetime.datetime.now(datetime.UTC).timestamp()) * 1000
    authority = Authority.found(tmp_path / "certs", lambda: now_ms)
    cert = authority.edge("works", "gw-01") / "gw-01.pem"

    def verify(purpose: str) -> str:
        chain = [
            "-CAfile",
            str(authority.directory / "ca.pem"),
            "-CRLfile",
            str(authority.directory / "crl.pem"),
            "-crl_check",
            "-x509_strict",
        ]
        done = subprocess.run(
            ["openssl", "verify", *chain, "-purpose", purpose, str(cert)], capture_output=True, text=True, timeout=20
        )
        return done.stdout + done.stderr

    assert verify("sslclient").endswith("gw-01.pem: OK\n")
    assert "unsuitable certificate purpose" in verify("sslserver") or "unsupported certificate purpose" in verify(
        "sslserver"
    )
    authority.revoke("works.gw-01")
    assert "certificate revoked" in verify("sslclient")
