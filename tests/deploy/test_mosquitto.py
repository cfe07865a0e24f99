"""A real mosquitto with the shipped configuration, certificates of `wattline certs` and its access list; paho is the judge."""

import argparse
import contextlib
import getpass
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from wattline import certs, certs_options
from wattline.broker import found_mosquitto, free_port
from wire import mqtt

pytestmark = pytest.mark.skipif(found_mosquitto() is None, reason="mosquitto is not installed")

SHIPPED = Path(__file__).parents[2] / "deploy" / "mosquitto"
WAIT_S = 20.0


def wattline_certs(words: str) -> None:
    parser = argparse.ArgumentParser()
    certs_options.add_arguments(parser)
    assert certs.run(parser.parse_args(words.split())) == 0


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority that issued for a broker, an aggregator and three edges; tests copy it before they change it."""
    directory = tmp_path_factory.mktemp("issued") / "certs"
    for words in (
        "init",
        "broker --host 127.0.0.1",
        "aggregator",
        "edge works gw-01",
        "edge works gw-02",
        "edge mill gw-01",
    ):
        wattline_certs(f"{words} --directory {directory}")
    wattline_certs(f"acl --directory {directory} --output {directory / 'broker' / 'wattline.acl'}")
    return directory


class Server:
    """mosquitto with a shipped file in which only folder, port and the account change."""

    def __init__(self, folder: Path, shipped: str, replaced: dict[str, str] | None = None) -> None:
        self.folder, self.port = folder, free_port()
        text = (SHIPPED / shipped).read_text().replace("/etc/mosquitto/wattline", str(folder))
        assert "listener 8883\n" in text
        text = text.replace("listener 8883\n", f"listener {self.port} 127.0.0.1\n")
        for old, new in (replaced or {}).items():
            assert old in text
            text = text.replace(old, new)
        self.configuration = folder / "mosquitto.conf"
        self.configuration.write_text(f"user {getpass.getuser()}\nlog_type all\n{text}")
        self.log = folder / "mosquitto.log"

    def __enter__(self) -> "Server":
        program = found_mosquitto()
        assert program
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([program, "-c", str(self.configuration)], stdout=log, stderr=log)
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return self
            time.sleep(0.02)
        raise AssertionError(f"mosquitto does not listen: {self.log.read_text()}")

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(WAIT_S)

    def reload(self) -> None:
        """SIGHUP; done when the log says so."""
        before = self.log.read_text().count("Reloading config")
        os.kill(self.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + WAIT_S
        while self.log.read_text().count("Reloading config") == before:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def folder(issued: Path, tmp_path: Path) -> Path:
    """A copy of the authority, for one test."""
    return Path(shutil.copytree(issued, tmp_path / "certs"))


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with Server(folder / "broker", "certificates.conf") as started:
        yield started


class Client:
    """A paho client that keeps what it hears in queues."""

    def __init__(
        self, port: int, tls: ssl.SSLContext, client_id: str = "", *, persistent: bool = False, manual_ack: bool = False
    ) -> None:
        self.heard: queue.Queue[paho.MQTTMessage] = queue.Queue()
        self.answers: queue.Queue[tuple[str, str]] = queue.Queue()
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, manual_ack=manual_ack
        )
        self.paho.tls_set_context(tls)
        self.paho.reconnect_delay_set(0.02, 0.1)
        self.paho.on_message = lambda _c, _u, message: self.heard.put(message)
        self.paho.on_connect = lambda _c, _u, _f, reason, _p: self.answers.put(("connect", str(reason)))
        self.paho.on_connect_fail = lambda _c, _u: self.answers.put(("connect", "failed"))
        self.paho.on_disconnect = lambda _c, _u, _f, reason, _p: self.answers.put(("disconnect", str(reason)))
        self.paho.on_subscribe = lambda _c, _u, _m, reasons, _p: self.answers.put(("subscribe", str(reasons[0])))
        self.paho.on_publish = lambda _c, _u, _m, reason, _p: self.answers.put(("publish", str(reason)))
        self.port, self.persistent = port, persistent

    def connect(self) -> "Client":
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600 if self.persistent else 0
        self.paho.connect("127.0.0.1", self.port, clean_start=not self.persistent, properties=properties)
        self.paho.loop_start()
        assert self.answer("connect") == "Success"
        return self

    def answer(self, kind: str) -> str:
        """The broker's next answer of this kind."""
        while True:
            what, reason = self.answers.get(timeout=WAIT_S)
            if what == kind:
                return reason

    def publish(self, topic: str, payload: bytes = b"x") -> str:
        self.paho.publish(topic, payload, qos=1)
        return self.answer("publish")

    def subscribe(self, topic: str) -> None:
        self.paho.subscribe(topic, qos=1)
        assert self.answer("subscribe") == "Granted QoS 1"

    def payloads(self, count: int) -> list[bytes]:
        return [self.heard.get(timeout=WAIT_S).payload for _ in range(count)]

    def close(self) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()


Make = Callable[..., Client]


def context(ca: Path, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(ca))
    if cert and key:
        made.load_cert_chain(cert, key)
    return made


def identity(directory: Path, name: str) -> ssl.SSLContext:
    """TLS as that machine would do it, from the folder it was given."""
    inner = directory / name if name in ("aggregator", "broker") else directory / "edges" / name
    stem = name.rpartition(".")[2]
    return context(inner / "ca.pem", inner / f"{stem}.pem", inner / f"{stem}.key")


@pytest.fixture
def connected(server: Server, folder: Path) -> Iterator[Make]:
    """Connects as a name of the authority."""
    made: list[Client] = []

    def make(name: str, **options: object) -> Client:
        made.append(Client(server.port, identity(folder, name), **options).connect())  # type: ignore[arg-type]
        return made[-1]

    yield make
    for client in made:
        client.close()


def refused(port: int, tls: ssl.SSLContext) -> bool:
    """Whether the TLS handshake, or the first answer after it, refuses the client (TLS 1.3 refuses only then)."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT_S) as raw:
        try:
            with tls.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped:
                wrapped.sendall(
                    bytes.fromhex("100f00044d5154540402003c0003616263")
                )  # MQTT 3.1.1 CONNECT, client id abc
                return wrapped.recv(4) != bytes.fromhex("20020000")  # CONNACK accepted
        except (ssl.SSLError, ConnectionError):
            return True


# ---- who may connect


def test_a_certificate_of_ours_connects(server: Server, folder: Path) -> None:
    assert not refused(server.port, identity(folder, "works.gw-01"))
    assert not refused(server.port, identity(folder, "aggregator"))


def test_without_a_certificate_nobody_connects(server: Server, folder: Path) -> None:
    assert refused(server.port, context(folder / "ca.pem"))


def test_a_certificate_of_another_authority_with_the_same_name_is_refused(
    server: Server, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    wattline_certs(f"init --directory {other}")
    wattline_certs(f"edge works gw-01 --directory {other}")
    mallory = other / "edges" / "works.gw-01"
    assert refused(server.port, context(folder / "ca.pem", mallory / "gw-01.pem", mallory / "gw-01.key"))


def test_the_brokers_own_certificate_is_no_login(server: Server, folder: Path) -> None:
    assert refused(server.port, identity(folder, "broker"))


def test_a_gateway_refuses_a_broker_of_another_authority(server: Server, tmp_path: Path) -> None:
    wattline_certs(f"init --directory {tmp_path / 'other'}")
    tls = context(tmp_path / "other" / "ca.pem")
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        tls.wrap_socket(raw, server_hostname="127.0.0.1")


def test_a_gateway_refuses_a_broker_under_another_name(server: Server, folder: Path) -> None:
    tls = identity(folder, "works.gw-01")
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as raw,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        tls.wrap_socket(raw, server_hostname="mqtt.example")


def test_plain_mqtt_gets_no_answer(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as raw:
        raw.sendall(bytes.fromhex("100f00044d5154540402003c0003616263"))
        with contextlib.suppress(ConnectionResetError):
            assert raw.recv(4)[:1] != b"\x20"


# ---- who may say what


def test_an_edge_reaches_the_aggregator(connected: Make) -> None:
    aggregator, edge = connected("aggregator"), connected("works.gw-01")
    kinds = ["batch", "status", "status/2", "result"]
    for kind in kinds:
        aggregator.subscribe(f"wattline/v1/+/+/{kind}")
        assert edge.publish(f"wattline/v1/works/gw-01/{kind}", kind.encode()) == "Success"
    heard = [aggregator.heard.get(timeout=WAIT_S) for _ in kinds]
    assert [(m.topic, m.payload) for m in heard] == [
        (f"wattline/v1/works/gw-01/{kind}", kind.encode()) for kind in kinds
    ]


def test_the_aggregator_reaches_an_edge(connected: Make) -> None:
    aggregator, edge = connected("aggregator"), connected("works.gw-01")
    for kind in ("ack", "command"):
        edge.subscribe(f"wattline/v1/works/gw-01/{kind}")
        assert aggregator.publish(f"wattline/v1/works/gw-01/{kind}", kind.encode()) == "Success"
    assert edge.payloads(2) == [b"ack", b"command"]


def test_an_edge_sees_whether_the_aggregator_is_there(connected: Make) -> None:
    aggregator, edge = connected("aggregator"), connected("works.gw-01")
    edge.subscribe("wattline/v1/aggregator/status")
    assert aggregator.publish("wattline/v1/aggregator/status", b"online") == "Success"
    assert edge.payloads(1) == [b"online"]


SPOOFED = [
    "wattline/v1/works/gw-02/batch",  # a neighbour
    "wattline/v1/mill/gw-01/batch",  # the same edge id elsewhere
    "wattline/v1/works/gw-01/ack",  # the aggregator's word
    "wattline/v1/works/gw-01/command",
    "wattline/v1/aggregator/status",
    "wattline/v1/works/gw-01/batch/1",
    "wattline/v1/works/gw-01",
    "spBv1.0/works/NDATA/gw-01",
    "anything",
]


def test_a_spoofed_topic_is_refused_and_reaches_nobody(connected: Make) -> None:
    aggregator, edge = connected("aggregator"), connected("works.gw-01")
    aggregator.subscribe("#")
    for topic in SPOOFED:
        assert (
            edge.publish(topic, b"forged") == "Not authorized"
        )  # mosquitto 2.0.11 also closes the connection, paho reopens it
    edge.paho.publish("wattline/v1/works/gw-01/batch", b"honest", qos=1)
    assert aggregator.payloads(1) == [b"honest"]


def test_an_edge_that_listens_to_everything_hears_only_its_own(connected: Make) -> None:
    aggregator, edge, neighbour = connected("aggregator"), connected("works.gw-01"), connected("works.gw-02")
    edge.subscribe("#")
    assert neighbour.publish("wattline/v1/works/gw-02/batch", b"theirs") == "Success"
    assert aggregator.publish("wattline/v1/works/gw-02/command", b"theirs") == "Success"
    assert aggregator.publish("wattline/v1/works/gw-01/ack", b"mine") == "Success"
    assert edge.payloads(1) == [b"mine"]


def test_the_aggregator_cannot_speak_for_an_edge(connected: Make) -> None:
    assert connected("aggregator").publish("wattline/v1/works/gw-01/batch") == "Not authorized"


def test_nobody_is_thrown_out_by_another_who_takes_the_same_client_id(connected: Make) -> None:
    aggregator, edge = connected("aggregator"), connected("works.gw-01", client_id="one")
    aggregator.subscribe("wattline/v1/+/+/batch")
    connected("works.gw-02", client_id="one")
    connected("mill.gw-01", client_id="works.gw-01")
    assert edge.publish("wattline/v1/works/gw-01/batch", b"still here") == "Success"
    assert aggregator.payloads(1) == [b"still here"]
    assert edge.answers.empty()


async def test_our_own_session_delivers_over_it_and_sees_the_refusal(server: Server, folder: Path) -> None:
    """The session that agent and aggregator share, with the files of a gateway's folder."""
    inner = folder / "edges" / "works.gw-01"
    tls = mqtt.Tls(inner / "ca.pem", inner / "gw-01.pem", inner / "gw-01.key")
    session = mqtt.MqttSession(mqtt.Broker("127.0.0.1", server.port, tls), "works-gw-01", on_message=lambda *_: None)
    async with session:
        await session.wait_connected(WAIT_S)
        await session.publish("wattline/v1/works/gw-01/batch", b"42")
        with pytest.raises(mqtt.PublishRefused, match="Not authorized"):
            await session.publish("wattline/v1/works/gw-02/batch", b"forged")


# ---- a gateway is stolen


def test_a_revoked_edge_is_silenced_at_once_and_shut_out_for_good(
    server: Server, folder: Path, connected: Make
) -> None:
    aggregator, edge, other = connected("aggregator"), connected("works.gw-01"), connected("works.gw-02")
    aggregator.subscribe("wattline/v1/+/+/batch")
    assert edge.publish("wattline/v1/works/gw-01/batch", b"before") == "Success"
    wattline_certs(f"revoke works.gw-01 --directory {folder}")
    wattline_certs(f"acl --directory {folder} --output {folder / 'broker' / 'wattline.acl'}")
    server.reload()
    assert edge.publish("wattline/v1/works/gw-01/batch", b"after") == "Not authorized"
    assert refused(server.port, identity(folder, "works.gw-01"))
    assert other.publish("wattline/v1/works/gw-02/batch", b"others") == "Success"
    assert aggregator.payloads(2) == [b"before", b"others"]


# ---- nothing is lost on the way: QoS 1


def flood(connected: Make, listener: Client, count: int = 3000) -> None:
    edge = connected("works.gw-01")
    for n in range(count):
        edge.paho.publish("wattline/v1/works/gw-01/batch", b"%d" % n, qos=1)
    for _ in range(count):
        assert edge.answer("publish") == "Success"
    assert listener.persistent or listener.paho.is_connected()


def test_a_flood_to_a_connected_subscriber_that_is_slow_loses_none(connected: Make) -> None:
    """The subscriber acknowledges nothing until all 3,000 are out: as slow as can be."""
    aggregator = connected("aggregator", manual_ack=True)
    aggregator.subscribe("wattline/v1/+/+/batch")
    flood(connected, aggregator)
    messages = [aggregator.heard.get(timeout=WAIT_S) for _ in range(3000)]
    assert [int(message.payload) for message in messages] == list(range(3000))


def test_the_same_flood_with_mosquittos_defaults_is_lost_beyond_1020(folder: Path) -> None:
    """So the test above can fail. 20 in flight and 1,000 queued are the defaults of mosquitto.conf(5)."""
    defaults = {"max_queued_messages 0\n": "", "max_inflight_messages 0\n": ""}
    with Server(folder / "broker", "certificates.conf", defaults) as server:
        aggregator = Client(server.port, identity(folder, "aggregator"), manual_ack=True).connect()
        edge = Client(server.port, identity(folder, "works.gw-01")).connect()
        aggregator.subscribe("wattline/v1/+/+/batch")
        flood(lambda _name: edge, aggregator)
        arrived = []
        with contextlib.suppress(queue.Empty):
            while True:
                message = aggregator.heard.get(timeout=1.0)
                aggregator.paho.ack(message.mid, message.qos)
                arrived.append(int(message.payload))
        assert arrived == list(range(1020))
        edge.close()
        aggregator.close()


def test_what_is_sent_while_a_subscriber_with_a_session_is_away_is_all_there_when_it_is_back(connected: Make) -> None:
    aggregator = connected("aggregator", persistent=True)
    aggregator.subscribe("wattline/v1/+/+/batch")
    aggregator.close()
    flood(connected, aggregator)
    back = connected("aggregator", persistent=True)
    assert [int(payload) for payload in back.payloads(3000)] == list(range(3000))


def test_the_containers_configuration_is_the_same_broker(folder: Path) -> None:
    server, parts = Server(folder / "broker", "certificates.conf"), folder / "conf.d"
    parts.mkdir()
    server.configuration.rename(parts / "wattline.conf")
    text = (SHIPPED.parent / "compose" / "mosquitto.conf").read_text()
    assert "include_dir /mosquitto/config/conf.d\n" in text
    server.configuration.write_text(text.replace("/mosquitto/config/conf.d", str(parts)))
    with server:
        assert not refused(server.port, identity(folder, "works.gw-01"))
        assert refused(server.port, context(folder / "ca.pem"))


# ---- the other configuration: passwords


@pytest.fixture
def password_server(folder: Path) -> Iterator[Server]:
    passwords = folder / "broker" / "passwords"
    passwords.touch(0o600)
    for user in ("aggregator", "works.gw-01"):
        subprocess.run(
            ["mosquitto_passwd", "-b", str(passwords), user, f"secret of {user}"],
            check=True,
            timeout=20,
            capture_output=True,
        )
    with Server(folder / "broker", "passwords.conf") as started:
        yield started


def with_password(server: Server, folder: Path, user: str | None, password: str | None) -> Client:
    client = Client(server.port, context(folder / "ca.pem"))
    if user:
        client.paho.username_pw_set(user, password)
    return client


def test_with_passwords_the_same_access_list_holds(password_server: Server, folder: Path) -> None:
    edge = with_password(password_server, folder, "works.gw-01", "secret of works.gw-01").connect()
    assert edge.publish("wattline/v1/works/gw-01/batch") == "No matching subscribers"  # accepted
    assert edge.publish("wattline/v1/works/gw-02/batch") == "Not authorized"
    edge.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [(None, None), ("works.gw-01", "wrong"), ("works.gw-01", None), ("works.gw-09", "secret of works.gw-01")],
)
def test_without_the_right_password_nobody_connects(
    password_server: Server, folder: Path, user: str | None, password: str | None
) -> None:
    client = with_password(password_server, folder, user, password)
    client.paho.connect("127.0.0.1", password_server.port)
    client.paho.loop_start()
    assert client.answer("connect") in ("Not authorized", "Bad user name or password")
    client.close()


def test_both_configurations_keep_qos_1_and_let_nobody_in_unnamed() -> None:
    for name in ("certificates.conf", "passwords.conf"):
        lines = set((SHIPPED / name).read_text().splitlines())
        assert {
            "allow_anonymous false",
            "max_queued_messages 0",
            "max_inflight_messages 0",
            "use_username_as_clientid true",
        } <= lines
        assert any(line.startswith("memory_limit ") for line in lines)
        assert [line for line in lines if line.startswith("listener")] == ["listener 8883"]
