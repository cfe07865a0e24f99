"""Who may connect: identities, passwords, certificates, versions. Certificates are made by trustme."""

import asyncio
import base64
import logging
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from ocpp_bench import DEVICE, Bench
from ocpp_station import Clock, call, raw, station
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidMessage, InvalidStatus

from edge_agent.drivers.driver import BusUnreachable
from edge_agent.drivers.ocpp import security
from edge_agent.drivers.ocpp.declared import DECLARED, Bus

PASSWORD = "0123456789abcdef-éÉ"


def basic(identity: str, password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{identity}:{password}".encode()).decode()}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def passwords(tmp_path: Path) -> str:
    path = tmp_path / "piles.passwords"
    path.write_text("# piles\n" + security.password_line("CP-1", PASSWORD) + "\n", "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def issued(authority: trustme.CA, directory: Path, *names: str, common_name: str | None = None) -> dict[str, str]:
    """Certificate and key in files."""
    made = authority.issue_cert(*names, common_name=common_name)
    certificate, key = directory / f"{names[0]}.pem", directory / f"{names[0]}.key"
    for blob in made.cert_chain_pems:
        blob.write_to_path(certificate)
    made.private_key_pem.write_to_path(key)
    return {"certificate": str(certificate), "key": str(key)}


def trusting(authority: trustme.CA, own: dict[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if own is not None:
        context.load_cert_chain(own["certificate"], own["key"])
    return context


async def test_an_unknown_identity_is_refused_and_said_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    async with Bench(clock) as bench:
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(f"{bench.url}/STRANGER", subprotocols=["ocpp1.6"], proxy=None)
                assert refused.value.response.status_code == 404
        for path in ("", "a/../..", "%00", "x" * 100):
            with pytest.raises(InvalidStatus):
                await connect(f"{bench.url}/{path}", subprotocols=["ocpp1.6"], proxy=None)
    assert caplog.text.count("identity='STRANGER'") == 1


async def test_the_best_version_that_both_hold_is_spoken(clock: Clock) -> None:
    async with Bench(clock, versions=["ocpp1.6", "ocpp2.0.1"]) as bench:
        offers = (
            (["ocpp1.6", "ocpp2.0.1", "ocpp2.1"], "ocpp2.0.1"),
            (["ocpp1.6"], "ocpp1.6"),
            (["x", "ocpp1.6"], "ocpp1.6"),
        )
        for offered, chosen in offers:
            async with connect(f"{bench.url}/CP-1", subprotocols=offered, proxy=None) as socket:
                assert socket.subprotocol == chosen


async def test_without_a_version_in_common_the_connection_is_closed(clock: Clock) -> None:
    async with Bench(clock) as bench:
        for offered in (None, ["ocpp1.5"]):
            async with connect(f"{bench.url}/CP-1", subprotocols=offered, proxy=None) as socket:
                assert socket.subprotocol is None
                with pytest.raises(ConnectionClosed):
                    async with asyncio.timeout(5):
                        await socket.recv()


async def test_profile_1_asks_for_the_password_of_this_very_pile(clock: Clock, passwords: str) -> None:
    async with Bench(clock, security_profile=1, passwords=passwords) as bench:
        wrong: list[dict[str, str] | None] = [
            None,
            basic("CP-1", "wrong"),
            basic("CP-2"),
            {"Authorization": "Bearer abc"},
            {"Authorization": "Basic !!!"},
            {"Authorization": "Basic " + "A" * 5000},
        ]
        for headers in wrong:
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"{bench.url}/CP-1", subprotocols=["ocpp1.6"], additional_headers=headers, proxy=None)
            assert refused.value.response.status_code == 401
        async with station(bench.url, headers=basic("CP-1")) as pile:
            assert await call(pile, "Heartbeat")


async def test_profile_2_is_the_password_within_tls(
    clock: Clock, passwords: str, authority: trustme.CA, tmp_path: Path
) -> None:
    server = issued(authority, tmp_path, "127.0.0.1")
    async with Bench(clock, security_profile=2, passwords=passwords, **server) as bench:
        context = trusting(authority)
        async with station(bench.url, version="ocpp2.0.1", headers=basic("CP-1"), context=context) as pile:
            assert await call(pile, "Heartbeat")
        with pytest.raises(InvalidStatus):
            await connect(f"{bench.url}/CP-1", subprotocols=["ocpp2.0.1"], ssl=context, proxy=None)
        with pytest.raises((OSError, EOFError, InvalidMessage)):
            await connect(bench.url.replace("wss", "ws") + "/CP-1", subprotocols=["ocpp2.0.1"], proxy=None)


@pytest.mark.parametrize("names", [("CP-1", None), ("other.example", "CP-1")])
async def test_profile_3_takes_the_identity_from_the_certificate(
    clock: Clock, authority: trustme.CA, tmp_path: Path, names: tuple[str, str | None]
) -> None:
    server = issued(authority, tmp_path, "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    own = issued(authority, tmp_path, names[0], common_name=names[1])
    context = trusting(authority, own)
    async with (
        Bench(clock, security_profile=3, client_ca=str(tmp_path / "ca.pem"), **server) as bench,
        station(bench.url, version="ocpp2.0.1", context=context) as pile,
    ):
        assert await call(pile, "Heartbeat")


async def test_profile_3_refuses_another_ones_certificate_and_none(
    clock: Clock, authority: trustme.CA, tmp_path: Path
) -> None:
    server = issued(authority, tmp_path, "127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    devices = [DEVICE, {**DEVICE, "name": "cp2", "identity": "CP-2"}]
    async with Bench(clock, devices=devices, security_profile=3, client_ca=str(tmp_path / "ca.pem"), **server) as bench:
        other = trusting(authority, issued(authority, tmp_path, "CP-2"))
        with pytest.raises(InvalidStatus) as refused:
            await connect(f"{bench.url}/CP-1", subprotocols=["ocpp1.6"], ssl=other, proxy=None)
        assert refused.value.response.status_code == 401
        stranger = trusting(authority, issued(trustme.CA(), tmp_path, "CP-1"))
        for context in (trusting(authority), stranger):
            with pytest.raises((OSError, EOFError, ConnectionClosed, InvalidMessage)):
                async with connect(f"{bench.url}/CP-1", subprotocols=["ocpp1.6"], ssl=context, proxy=None) as socket:
                    await socket.recv()
        async with station(bench.url, identity="CP-2", context=other) as pile:
            assert await call(pile, "Heartbeat")


async def test_a_port_that_is_taken_is_said_in_one_line(clock: Clock) -> None:
    async with Bench(clock) as bench:
        second = Bench(clock, port=bench.driver.port)
        with pytest.raises(BusUnreachable, match=f"cannot listen on 127.0.0.1:{bench.driver.port}"):
            await second.driver.read(second.plans["cp1"])
        await second.driver.close()


async def test_a_password_file_with_a_fault_names_its_line(clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    path.write_text("# comment\nCP-1:secret\n")
    bench = Bench(clock, security_profile=1, passwords=str(path))
    with pytest.raises(BusUnreachable, match="line 2: expected identity:salt"):
        await bench.driver.read(bench.plans["cp1"])
    await bench.driver.close()


@pytest.mark.parametrize(
    ("path", "identity"),
    [
        ("/CP-1", "CP-1"),
        ("/ocpp/CP-1/", "CP-1"),
        ("/ocpp/CP%2D1?x=1", "CP-1"),
        ("/", None),
        ("/%2e%2e", None),
        ("/a b", None),
        ("/" + "x" * 49, None),
        ("/CP\u00e9", None),
    ],
)
def test_the_identity_is_the_last_part_of_the_path(path: str, identity: str | None) -> None:
    assert security.identity_of(path) == identity


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"security_profile": 2, "passwords": "p"}, {"certificate", "key"}),
        ({"security_profile": 1}, {"passwords"}),
        ({"security_profile": 3, "certificate": "c", "key": "k"}, {"client_ca"}),
        ({"security_profile": 0, "role": "local_controller"}, {"upstream"}),
        ({"security_profile": 0, "role": "local_controller", "upstream": "http://x"}, {"upstream"}),
        ({"security_profile": 0, "upstream": "ws://x"}, {"upstream"}),
        ({"security_profile": 0, "versions": []}, {"versions"}),
        ({"security_profile": 0}, set()),
    ],
)
def test_an_edge_file_must_say_all_that_its_profile_and_role_need(keys: dict[str, Any], fault: set[str]) -> None:
    import msgspec

    bus = msgspec.convert({"name": "b", "protocol": "ocpp", "host": "127.0.0.1", "device": [DEVICE], **keys}, Bus)
    assert {key for key, _, _ in DECLARED.faults(bus)} == fault


async def test_many_connections_at_once_are_served(clock: Clock) -> None:
    devices = [{**DEVICE, "name": f"cp{n}", "identity": f"CP-{n}"} for n in range(30)]
    async with Bench(clock, devices=devices) as bench:

        async def one(number: int) -> None:
            async with raw(bench.url, f"CP-{number}") as pile:
                assert (await pile.ask("Heartbeat", {}))[0] == 3

        await asyncio.gather(*(one(number) for number in range(30)))
