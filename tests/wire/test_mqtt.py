"""The MQTT session against a real mosquitto."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from wire.mqtt import Broker, Message, MqttSession, NotConnected, PublishRefused


async def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


def at(port: int) -> Broker:
    return Broker("127.0.0.1", port)


def ignore(_topic: str, _payload: bytes, _retained: bool) -> None:
    pass


async def test_what_is_published_arrives(mosquitto: Any) -> None:
    seen: list[tuple[str, bytes, bool]] = []
    async with (
        MqttSession(
            at(mosquitto.port), "listener", subscriptions=["a/+"], on_message=lambda *m: seen.append(m)
        ) as listener,
        MqttSession(at(mosquitto.port), "speaker", on_message=ignore) as speaker,
    ):
        await listener.wait_connected(10)
        await speaker.wait_connected(10)
        await asyncio.gather(*(speaker.publish("a/b", b"%d" % n) for n in range(300)))
        await until(lambda: len(seen) == 300)
        assert speaker.protocol == 5
    assert [payload for _, payload, _ in seen] == [b"%d" % n for n in range(300)]


async def test_a_refusal_by_the_acl_is_seen(make_mosquitto: Any, tmp_path: Any) -> None:
    acl = tmp_path / "acl"
    acl.write_text("topic read #\ntopic write mine/#\n")
    acl.chmod(0o644)
    broker = make_mosquitto(f"acl_file {acl}")
    async with MqttSession(at(broker.port), "speaker", on_message=ignore) as session:
        await session.wait_connected(10)
        await session.publish("mine/x", b"1")
        with pytest.raises(PublishRefused, match=r"theirs/x.*Not authorized"):
            await session.publish("theirs/x", b"1")


async def test_a_killed_broker_is_noticed_and_found_again_with_its_subscriptions(mosquitto: Any) -> None:
    seen: list[bytes] = []
    lost: list[str] = []
    async with (
        MqttSession(
            at(mosquitto.port),
            "listener",
            subscriptions=["a"],
            on_message=lambda _t, p, _r: seen.append(p),
            on_lost=lost.append,
        ) as listener,
        MqttSession(at(mosquitto.port), "speaker", on_message=ignore) as speaker,
    ):
        await listener.wait_connected(10)
        await speaker.wait_connected(10)
        mosquitto.kill()
        await until(lambda: not listener.connected and not speaker.connected)
        with pytest.raises(NotConnected):
            await speaker.publish("a", b"lost")
        mosquitto.start()
        await listener.wait_connected(20)
        await speaker.wait_connected(20)
        await speaker.publish("a", b"back")
        await until(lambda: bool(seen))
    assert seen == [b"back"]
    assert lost


async def test_the_will_is_published_when_the_process_is_gone(mosquitto: Any) -> None:
    seen: list[bytes] = []
    async with MqttSession(
        at(mosquitto.port), "listener", subscriptions=["will"], on_message=lambda _t, p, _r: seen.append(p)
    ) as listener:
        await listener.wait_connected(10)
        gone = MqttSession(at(mosquitto.port), "gone", will=Message("will", b"offline", retain=True), on_message=ignore)
        async with gone:
            await gone.wait_connected(10)
            gone._client.socket().shutdown(2)  # type: ignore[union-attr]
            await until(lambda: bool(seen))
    assert seen[0] == b"offline"


async def test_a_broker_that_knows_only_3_1_1_is_spoken_to_in_3_1_1(unused_port_of_an_old_broker: int) -> None:
    async with MqttSession(at(unused_port_of_an_old_broker), "speaker", on_message=ignore) as session:
        await session.wait_connected(20)
        assert session.protocol == 4
        await session.publish("a", b"1")


@pytest.fixture
async def unused_port_of_an_old_broker() -> Any:
    """A minimal MQTT 3.1.1 peer: refuses protocol 5 as an old broker does, acknowledges the rest."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                kind = (await reader.readexactly(1))[0] >> 4
                length = (await reader.readexactly(1))[0]
                body = await reader.readexactly(length)
                if kind == 1:
                    old = body[6] == 4
                    writer.write(bytes([0x20, 2, 0, 0 if old else 1]))
                    if not old:
                        break
                elif kind == 3:
                    topic = int.from_bytes(body[:2], "big")
                    writer.write(bytes([0x40, 2]) + body[2 + topic : 4 + topic])
                elif kind == 12:
                    writer.write(bytes([0xD0, 0]))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def test_no_broker_at_all_is_said_in_time() -> None:
    async with MqttSession(at(1), "speaker", on_message=ignore) as session:
        with pytest.raises(NotConnected, match=r"127.0.0.1:1: expected a connection within 0.3 s"):
            await session.wait_connected(0.3)


async def test_a_broker_that_is_not_there_is_said_once_not_with_every_try(caplog: pytest.LogCaptureFixture) -> None:
    lost: list[str] = []
    with caplog.at_level("WARNING", "wire.mqtt"):
        async with MqttSession(at(1), "speaker", on_message=ignore, on_lost=lost.append) as session:
            await until(lambda: bool(caplog.records))
            client = session._client
            assert client is not None
            for _ in range(3):
                session._unreachable(client, None)
            await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == [
        "mqtt not connected host=127.0.0.1 port=1 reason=the broker cannot be reached"
    ]
    assert lost == []
