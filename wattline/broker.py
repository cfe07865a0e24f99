"""A broker of one's own on a loopback port, for the demo and for tests. Not for a plant: it knows no user and no TLS (see deploy/mosquitto).

mosquitto where it is installed, otherwise amqtt in a process of its own (`python -m wattline.broker`). amqtt speaks MQTT 3.1.1 only and
keeps nothing over a restart; the delivery promise leans on neither.
"""

import argparse
import asyncio
import contextlib
import getpass
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal

HOST: Final = "127.0.0.1"
STARTS_WITHIN_S: Final = 15.0
STOPS_WITHIN_S: Final = 5.0
MQTT_3_1_1: Final = 4  # the protocol level in a CONNECT
TRIES: Final = 5  # another program may take the free port between looking and starting
MEMORY_LIMIT_BYTES: Final = 512 * 1024 * 1024
# mosquitto's defaults lose QoS 1: 1,339 of 3,000 messages to a connected subscriber were dropped without a word (2.0.11).
# 0 means no limit; the memory limit then is what bounds the queues.
KEEPS_QOS_1: Final = f"max_queued_messages 0\nmax_inflight_messages 0\nmemory_limit {MEMORY_LIMIT_BYTES}\n"


class BrokerUnavailable(Exception):
    """No broker could be started; the message says what was tried and what to install."""


class LocalBroker:
    """A running broker; `with LocalBroker(directory) as broker` stops it at the end. Configuration and log are in `directory`."""

    kind: Literal["mosquitto", "amqtt"]

    def __init__(self, directory: Path, *, port: int = 0, persistence: bool = False) -> None:
        """Start it and wait until it listens; port 0 takes a free one. Raises BrokerUnavailable."""
        directory.mkdir(parents=True, exist_ok=True)
        self.host = HOST
        self._directory = directory
        self._persistence = persistence
        mosquitto = found_mosquitto()
        if mosquitto is None and importlib.util.find_spec("amqtt") is None:
            raise BrokerUnavailable(
                "no MQTT broker: expected mosquitto on the PATH (Debian: apt-get install mosquitto) or the extra `demo` (pip install 'wattline[demo]')"
            )
        self.kind = "mosquitto" if mosquitto else "amqtt"
        self._program = mosquitto
        for _ in range(1 if port else TRIES):
            self.port = port or free_port()
            self.process = self._started()
            if self._listens():
                return
            self.stop()
        raise BrokerUnavailable(
            f"{self.kind} did not listen on {HOST}:{self.port} within {STARTS_WITHIN_S:g} s; it said: {self._last_words()}"
        )

    def stop(self) -> None:
        """End it in good order, by force after 5 s; harmless when it has ended."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOPS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait(STOPS_WITHIN_S)
        if self.process.stdin:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()

    def __enter__(self) -> "LocalBroker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _started(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "wattline.broker", "--port", str(self.port)]
        if self._program:
            configuration = self._directory / "mosquitto.conf"
            configuration.write_text(loopback_configuration(self.port, self._directory if self._persistence else None))
            command = [self._program, "-c", str(configuration)]
        stdin = subprocess.DEVNULL if self._program else subprocess.PIPE  # amqtt's process ends when the pipe does
        with (self._directory / "broker.log").open("ab") as log:
            return subprocess.Popen(command, stdin=stdin, stdout=log, stderr=log)

    def _listens(self) -> bool:
        """Whether this process, and not another one on the same port, came to listen."""
        deadline = time.monotonic() + STARTS_WITHIN_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                time.sleep(0.05)  # one that found the port taken ends at once
                return self.process.poll() is None
            time.sleep(0.02)
        return False

    def _last_words(self) -> str:
        lines = (self._directory / "broker.log").read_text(errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "nothing"


def loopback_configuration(port: int, persistence: Path | None = None) -> str:
    """mosquitto's configuration for everybody on this machine; with `persistence` it keeps sessions in that folder."""
    kept = (
        f"persistence true\npersistence_location {persistence}/\nautosave_interval 1\n"
        if persistence
        else "persistence false\n"
    )
    return f"listener {port} {HOST}\nallow_anonymous true\nuser {getpass.getuser()}\n{KEEPS_QOS_1}{kept}log_type error\nlog_type warning\n"


def found_mosquitto() -> str | None:
    """The program's path, or None. Debian puts it where an ordinary user's PATH does not look."""
    return shutil.which(
        "mosquitto",
        path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin"]),
    )


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def serve_amqtt(port: int, ended: asyncio.Event) -> None:
    """amqtt on a loopback port until `ended`."""
    from amqtt.broker import Broker as AmqttBroker  # only where it is needed: an extra, and slow to load

    _refuse_other_versions()
    broker = AmqttBroker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await ended.wait()
    await broker.shutdown()


def _refuse_other_versions() -> None:
    """Let amqtt come to its own answer to MQTT 5, "unacceptable version".

    It reads the whole CONNECT as 3.1.1 before it looks at the version; a last will of MQTT 5 it cannot read, and then (0.12.1) it
    leaves the client without an answer.
    """
    from amqtt.mqtt.connect import ConnectPayload

    read = ConnectPayload.from_stream

    async def from_stream(reader: Any, fixed_header: Any, variable_header: Any) -> Any:
        if variable_header.proto_level == MQTT_3_1_1:
            return await read(reader, fixed_header, variable_header)
        return ConnectPayload("another-version", "unread", b"unread", "unread", "unread")

    ConnectPayload.from_stream = from_stream


async def _serve_until_parent_ends(port: int) -> None:
    """The parent holds the other end of standard input: when it ends, however it ends, so does this process."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_parent() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_parent, daemon=True).start()
    await serve_amqtt(port, ended)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="amqtt on a loopback port until standard input closes.")
    parser.add_argument("--port", type=int, required=True)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_until_parent_ends(parser.parse_args().port))
