"""Security policies and certificates of OPC UA, against the server of the asyncua library: who is trusted, who is not, and what is said then."""

import datetime
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asyncua import Server
from asyncua import ua as _ua
from asyncua.crypto.permission_rules import User, UserRole
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge_agent.drivers.declared import Manual
from edge_agent.drivers.driver import BusUnreachable, DriverError, Gateway
from edge_agent.drivers.opcua import declared, trust
from edge_agent.drivers.opcua.declared import Bus, Device, Model, Row
from edge_agent.drivers.opcua.driver import OpcUa

pytestmark = pytest.mark.asyncio(loop_scope="module")
ua: Any = _ua
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SERVER_URI = "urn:test:server"


@dataclass
class Party:
    """A key and a certificate, signed by itself or by an authority, as files of either encoding."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate
    directory: Path
    name: str

    def file(self, what: str, encoding: Any) -> str:
        path = self.directory / f"{self.name}-{what}-{'pem' if encoding == PEM else 'der'}"
        if what == "certificate":
            path.write_bytes(self.certificate.public_bytes(encoding))
        else:
            form = serialization.PrivateFormat.PKCS8
            path.write_bytes(self.key.private_bytes(encoding, form, serialization.NoEncryption()))
        return str(path)


def party(directory: Path, name: str, uri: str = "", issuer: Party | None = None, *, authority: bool = False) -> Party:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(
            x509.KeyUsage(True, True, True, True, False, authority, authority, False, False),
            critical=False,
        )
    )
    if uri:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri), x509.DNSName("localhost")])
        builder = builder.add_extension(names, critical=False)
    certificate = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Party(key, certificate, directory, name)


@dataclass
class Secured:
    """A server with every policy that we speak, our certificate and those of strangers."""

    url: str
    server: Party
    authority: Party
    client: Party
    stranger: Party

    def bus(self, **keys: Any) -> Bus:
        base: dict[str, Any] = {
            "name": "line",
            "protocol": "opcua",
            "url": self.url,
            "publishing_ms": 20.0,
            "timeout_s": 3.0,
            "device": [],
            "security": "Basic256Sha256",
            "certificate": self.client.file("certificate", DER),
            "key": self.client.file("key", PEM),
        }
        return Bus(**{**base, **keys})


class OneUser:
    """Lets the anonymous and `op` with the password `secret` in."""

    def get_user(self, _server: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        return User(role=UserRole.User) if (username, password) in ((None, None), ("op", "secret")) else None


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def secured(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    directory = tmp_path_factory.mktemp("opcua")
    authority = party(directory, "authority", authority=True)
    server_party = party(directory, "server", SERVER_URI, authority)
    server: Any = Server(user_manager=OneUser())  # type: ignore[arg-type]
    await server.init()
    await server.set_application_uri(SERVER_URI)
    server.set_endpoint("opc.tcp://127.0.0.1:0/")
    kinds = ua.SecurityPolicyType
    server.set_security_policy(
        [
            kinds.NoSecurity,
            kinds.Basic256Sha256_Sign,
            kinds.Basic256Sha256_SignAndEncrypt,
            kinds.Aes128Sha256RsaOaep_SignAndEncrypt,
            kinds.Aes256Sha256RsaPss_SignAndEncrypt,
        ]
    )
    await server.load_certificate(server_party.file("certificate", DER))
    await server.load_private_key(server_party.file("key", PEM), format="pem")
    await server.nodes.objects.add_variable(ua.NodeId("Power", 1), ua.QualifiedName("Power", 1), 42.0)
    await server.start()
    url = f"opc.tcp://127.0.0.1:{server.bserver._server.sockets[0].getsockname()[1]}"
    yield Secured(
        url,
        server_party,
        authority,
        party(directory, "client", "urn:wattline:edge"),
        party(directory, "stranger", "urn:stranger"),
    )
    await server.stop()


MODEL = Model(
    maker="any",
    model="any",
    manual=Manual("t", "e"),
    protocol="opcua",
    namespaces={"": SERVER_URI},
    row=[Row(quantity="active_power_kw", path="Power")],
)
PLAN = declared.plan(None, Device(name="d", model="m"), MODEL)


async def value(bus: Bus, state: Path | None = None) -> float | None:
    """What one read of the server gives. Raises DriverError."""
    driver = OpcUa(bus, Gateway(lambda: time.time_ns() // 1_000_000, state))
    try:
        answer = await driver.read(PLAN)
        return next(reading.value for block in answer.blocks for reading in block.readings())
    finally:
        await driver.close()


@pytest.mark.parametrize(
    ("security", "mode"),
    [
        ("Basic256Sha256", "Sign"),
        ("Basic256Sha256", "SignAndEncrypt"),
        ("Aes128_Sha256_RsaOaep", "SignAndEncrypt"),
        ("Aes256_Sha256_RsaPss", "SignAndEncrypt"),
    ],
)
async def test_each_policy_reads_a_pinned_server(secured: Secured, security: str, mode: str) -> None:
    pinned = secured.server.file("certificate", PEM)
    assert await value(secured.bus(security=security, mode=mode, server_certificate=pinned)) == 42.0


@pytest.mark.parametrize("encoding", [PEM, DER])
async def test_what_is_in_a_file_counts_and_not_what_it_is_called(secured: Secured, encoding: Any) -> None:
    bus = secured.bus(
        certificate=secured.client.file("certificate", encoding),
        key=secured.client.file("key", encoding),
        server_certificate=secured.server.file("certificate", encoding),
    )
    assert await value(bus) == 42.0


async def test_a_server_with_another_certificate_than_the_pinned_one_is_not_spoken_to(secured: Secured) -> None:
    with pytest.raises(trust.TrustFault, match=r"expected the certificate sha256:\w+ .* saw sha256:\w+") as told:
        await value(secured.bus(server_certificate=secured.stranger.file("certificate", DER)))
    assert not told.value.retry


async def test_a_server_is_trusted_by_who_has_issued_its_certificate(secured: Secured) -> None:
    assert await value(secured.bus(server_ca=secured.authority.file("certificate", PEM))) == 42.0
    with pytest.raises(trust.TrustFault, match="issued by"):
        await value(secured.bus(server_ca=secured.stranger.file("certificate", PEM)))


async def test_trust_on_first_use_remembers_the_certificate(secured: Secured, tmp_path: Path) -> None:
    bus = secured.bus(trust_first_use=True)
    assert await value(bus, tmp_path) == 42.0
    remembered = tmp_path / "opcua-line.der"
    assert remembered.read_bytes() == secured.server.certificate.public_bytes(DER)
    assert await value(bus, tmp_path) == 42.0
    remembered.write_bytes(secured.stranger.certificate.public_bytes(DER))
    with pytest.raises(trust.TrustFault, match="delete"):
        await value(bus, tmp_path)


async def test_the_password_comes_from_the_environment(secured: Secured, monkeypatch: pytest.MonkeyPatch) -> None:
    bus = secured.bus(server_certificate=secured.server.file("certificate", PEM), username="op")
    monkeypatch.setenv("WATTLINE_OPCUA_PASSWORD", "wrong")
    with pytest.raises(BusUnreachable, match="BadUserAccessDenied"):
        await value(bus)
    monkeypatch.setenv("WATTLINE_OPCUA_PASSWORD_LINE", "secret")
    assert await value(bus) == 42.0


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"certificate": "/nowhere/c.der"}, "expected a readable file"),
        ({"key": "/nowhere/k.pem"}, "expected a readable file"),
        ({"key": "stranger"}, "expected the key of"),
        ({"certificate": "garbage"}, "expected a certificate, PEM or DER"),
        ({"key": "garbage"}, "expected a private key"),
        ({"certificate": "authority", "key": "authority"}, "subject alternative name"),
    ],
)
async def test_files_that_cannot_be_used_are_named(
    secured: Secured, tmp_path: Path, keys: dict[str, str], words: str
) -> None:
    garbage = tmp_path / "garbage"
    garbage.write_bytes(b"\x00\x01 nothing")
    parties = {"stranger": secured.stranger, "authority": secured.authority}
    files = {
        key: str(garbage) if name == "garbage" else parties[name].file(key, PEM) if name in parties else name
        for key, name in keys.items()
    }
    with pytest.raises(DriverError, match=words):
        await value(secured.bus(server_certificate=secured.server.file("certificate", PEM), **files))


async def test_a_policy_that_the_server_does_not_offer_is_said_with_those_it_has(secured: Secured) -> None:
    bus = secured.bus(
        security="Aes128_Sha256_RsaOaep", mode="Sign", server_certificate=secured.server.file("certificate", PEM)
    )
    with pytest.raises(
        DriverError, match=r"expected an endpoint with Aes128_Sha256_RsaOaep/Sign, saw .*Basic256Sha256/Sign"
    ):
        await value(bus)
