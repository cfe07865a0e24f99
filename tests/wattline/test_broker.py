"""The demo's broker, of both kinds, with paho as the judge."""

import asyncio
import importlib.util
import os
import queue
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from paho.mqtt import client as paho

from wattline.broker import BrokerUnavailable, LocalBroker, found_mosquitto, free_port, loopback_configuration
from wire.mqtt import Broker, Message, MqttSession

KINDS = [
    pytest.param("mosquitto", marks=pytest.mark.skipif(found_mosquitto() is None, reason="mosquitto is not installed")),
    pytest.param(
        "amqtt", marks=pytest.mark.skipif(importlib.util.find_spec("amqtt") is None, reason="amqtt is not installed")
    ),
]


@pytest.fixture(params=KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalBroker]:
    if request.param == "amqtt":
        monkeypatch.setattr("wattline.broker.found_mosquitto", lambda: None)
    with LocalBroker(tmp_path / "broker") as started:
        assert started.kind == request.param
        yield started
    assert started.process.poll() is not None


def client(name: str) -> paho.Client:
    made = paho.Client(paho.CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv311)
    made.max_queued_messages_set(0)
    return made


def test_what_is_published_arrives_at_qos_1(broker: LocalBroker) -> None:
    seen: queue.Queue[bytes] = queue.Queue()
    subscribed: queue.Queue[int] = queue.Queue()
    listener = client("listener")
    listener.on_message = lambda _c, _u, message: seen.put(message.payload)
    listener.on_subscribe = lambda *_: subscribed.put(1)
    listener.connect(broker.host, broker.port)
    listener.loop_start()
    listener.subscribe("a/+", qos=1)
    subscribed.get(timeout=10)
    speaker = client("speaker")
    speaker.connect(broker.host, broker.port)
    speaker.loop_start()
    for n in range(300):
        speaker.publish("a/b", b"%d" % n, qos=1)
    assert [seen.get(timeout=10) for _ in range(300)] == [b"%d" % n for n in range(300)]
    for one in (speaker, listener):
        one.disconnect()
        one.loop_stop()


def test_a_session_of_ours_with_a_last_will_connects_at_once(broker: LocalBroker) -> None:
    """It asks for MQTT 5 first; amqtt cannot read the will of that CONNECT, and left it without an answer."""

    async def connect() -> int:
        will = Message("wattline/v1/works/gw/status", b"offline", retain=True)
        where = Broker(broker.host, broker.port)
        async with MqttSession(where, "gw", subscriptions=["a/b"], will=will, on_message=lambda *_: None) as session:
            await session.wait_connected(5.0)
            await session.publish("a/b", b"1", timeout_s=5.0)
            return session.protocol

    assert asyncio.run(connect()) == {"mosquitto": 5, "amqtt": 4}[broker.kind]


def test_it_listens_on_loopback_only(broker: LocalBroker) -> None:
    """Each listening socket of the kernel's table on this port has the address 127.0.0.1."""
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    listening = [
        row[1].split(":")[0] for row in rows if row[3] == "0A" and int(row[1].split(":")[1], 16) == broker.port
    ]
    assert listening == ["0100007F"]


def test_stopping_twice_is_harmless(broker: LocalBroker) -> None:
    broker.stop()
    broker.stop()


@pytest.mark.skipif(importlib.util.find_spec("amqtt") is None, reason="amqtt is not installed")
def test_amqtts_process_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattline.broker.found_mosquitto", lambda: None)
    with LocalBroker(tmp_path) as started:
        assert started.process.stdin
        started.process.stdin.close()  # what the kernel does when the parent dies
        started.process.wait(10)


@pytest.mark.skipif(found_mosquitto() is None, reason="mosquitto is not installed")
def test_with_persistence_a_stopped_broker_comes_back_with_what_it_kept(tmp_path: Path) -> None:
    with LocalBroker(tmp_path, persistence=True) as first:
        speaker = client("speaker")
        speaker.connect(first.host, first.port)
        speaker.loop_start()
        speaker.publish("a", b"kept", qos=1, retain=True).wait_for_publish(10)
        speaker.loop_stop()
        speaker.disconnect()
    seen: queue.Queue[bytes] = queue.Queue()
    with LocalBroker(tmp_path, persistence=True, port=first.port) as second:
        listener = client("listener")
        listener.on_message = lambda _c, _u, message: seen.put(message.payload)
        listener.connect(second.host, second.port)
        listener.subscribe("a", qos=1)
        listener.loop_start()
        assert seen.get(timeout=10) == b"kept"
        listener.disconnect()
        listener.loop_stop()


@pytest.mark.skipif(found_mosquitto() is None, reason="mosquitto is not installed")
def test_a_port_that_is_taken_gives_one_clear_message(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BrokerUnavailable, match=r"did not listen on 127\.0\.0\.1:.*in use"):
            LocalBroker(tmp_path, port=taken.getsockname()[1])


def test_without_any_broker_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wattline.broker.found_mosquitto", lambda: None)
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(BrokerUnavailable, match="apt-get install mosquitto"):
        LocalBroker(tmp_path)


@pytest.mark.skipif(found_mosquitto() is None, reason="mosquitto is not installed")
def test_a_killed_broker_is_seen_and_stop_still_works(tmp_path: Path) -> None:
    with LocalBroker(tmp_path) as started:
        os.kill(started.process.pid, signal.SIGKILL)
        started.process.wait(10)
    assert started.process.returncode == -signal.SIGKILL


def test_a_free_port_can_be_bound() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", free_port()))


def test_the_configuration_lifts_the_limits_that_lose_qos_1_and_lets_only_this_machine_in() -> None:
    lines = loopback_configuration(1234).splitlines()
    assert "listener 1234 127.0.0.1" in lines
    assert {"max_queued_messages 0", "max_inflight_messages 0", "memory_limit 536870912", "persistence false"} <= set(
        lines
    )
    assert sum(line.startswith("listener") for line in lines) == 1


@pytest.mark.skipif(found_mosquitto() is None, reason="mosquitto is not installed")
def test_mosquitto_really_has_the_memory_limit(tmp_path: Path) -> None:
    """Debian's build tracks memory; without that the line would be ignored with a warning in the log."""
    with LocalBroker(tmp_path):
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline and (tmp_path / "broker.log").stat().st_size:
            time.sleep(0.02)
    assert "memory" not in (tmp_path / "broker.log").read_text()


def test_the_process_is_told_what_port_it_needs(tmp_path: Path) -> None:
    done = subprocess.run(
        ["python3", "-m", "wattline.broker"], capture_output=True, text=True, timeout=30, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 2
    assert "--port" in done.stderr
