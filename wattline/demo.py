"""`wattline demo`: starts the system, waits, lets it drain, judges it and says so. Not the parts, not the verdict's rules."""

import argparse
import contextlib
import json
import signal
import socket
import sys
import tempfile
import threading
import time
import webbrowser
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final
from zoneinfo import ZoneInfo

from device_sim.site import SITES
from wattline.broker import BrokerUnavailable
from wattline.parts import PartFailed
from wattline.report import Measured, report, summary
from wattline.system import System, Wanted
from wattline.viewer import Viewer, get_json, stored_latency_ms
from wire.clock import Clock

POLLS_PER_REAL_S: Final = 10.0
PROFILE_ZONE: Final = ZoneInfo("Asia/Seoul")  # of the steel plant's CSV, whose local time knows no daylight saving
STARTING_REAL_S: Final = (
    16.0  # how long the parts take to start at most, on a busy machine; so much earlier a profile run begins
)
LEAD_POLLS: Final = 3
LEAST_POLL_S: Final = 0.1  # of the edge file
PLANNED: Final = "hub"
LIMIT_POLL_S: Final = 2.0  # of the meters of a gateway that keeps limits (docs/limits.md)
ANSWERS_WITHIN_S: Final = 5.0
SETTLE_WITHIN_S: Final = 20.0


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (a part failed, or a reading was lost), 2 (bad use)."""
    fault = _fault(options)
    if fault:
        print(f"wattline demo: {fault}", file=sys.stderr)
        return 2
    with contextlib.ExitStack() as stack:
        stack.enter_context(_terminated_as_interrupted())
        directory = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="wattline-demo-")))
        system = System(_wanted(options, directory))
        stack.callback(system.stop)
        try:
            system.start()
        except (PartFailed, BrokerUnavailable) as error:
            print(f"wattline demo: {error}", file=sys.stderr)
            return 1
        return _watch(options, system)


def _fault(options: argparse.Namespace) -> str:
    if (options.profile is None) != (options.start is None):
        return "expected --profile FILE and --from DATE together"
    if options.days is not None and options.profile is None:
        return "expected --profile with --days"
    if options.days is not None and options.days <= 0:
        return f"--days: expected more than 0, got {options.days:g}"
    if options.seconds is not None and options.seconds <= 0:
        return f"--seconds: expected more than 0, got {options.seconds:g}"
    if options.poll_s is not None and options.poll_s < LEAST_POLL_S:
        return f"--poll-s: expected {LEAST_POLL_S:g} or more, got {options.poll_s:g}"
    if not 0 <= options.port <= 65_535:
        return f"--port: expected 0 to 65535, got {options.port}"
    if options.start is not None:
        try:
            datetime.fromisoformat(options.start)
        except ValueError:
            return f"--from: expected a date such as 2018-03-05, got {options.start!r}"
    if not 0 < options.speed <= 3600:
        return f"--speed: expected more than 0 and at most 3600, got {options.speed:g}"
    if (
        options.facility == PLANNED
        and options.profile is None
        and (options.poll_s or _poll_s(options.speed)) > LIMIT_POLL_S
    ):
        return (
            f"--speed: expected at most {LIMIT_POLL_S * POLLS_PER_REAL_S:g} with --facility {PLANNED}, whose gateway reads its connection's meter"
            f" every {LIMIT_POLL_S:g} s, got {options.speed:g}"
        )
    if options.profile is not None and not options.profile.is_file():
        return f"--profile: expected a file, nothing at {options.profile}"
    return _missing_outside(options)


def _missing_outside(options: argparse.Namespace) -> str:
    """What the options need of the machine and it does not give."""
    for option, folder in (("--report", options.report and options.report.parent), ("--directory", options.directory)):
        fault = "" if folder is None else _unwritable(folder, make=option == "--directory")
        if fault:
            return f"{option}: {fault}"
    if options.report is not None and options.report.is_dir():
        return f"--report: expected a file, {options.report} is a directory"
    fault = "" if options.broker is None else _no_broker(options.broker)
    return f"--broker: {fault}" if fault else ""


def _unwritable(folder: Path, *, make: bool) -> str:
    """Why no file can be written in `folder`, "" where one can; `make` makes it."""
    try:
        if make:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"expected a directory to write in, {folder}: {error.strerror or error}"


def _no_broker(broker: str) -> str:
    """Why HOST:PORT is no broker to use, "" where something listens there."""
    host, _, port = broker.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= 65_535:
        return f"expected HOST:PORT, got {broker!r}"
    try:
        socket.create_connection((host, int(port)), timeout=ANSWERS_WITHIN_S).close()
    except OSError as error:
        return f"expected a broker at {broker}, got {error.strerror or error}"
    return ""


def _wanted(options: argparse.Namespace, directory: Path) -> Wanted:
    poll_s = options.poll_s or _poll_s(options.speed)
    clock = Clock(speed=options.speed)
    if options.profile is not None:
        lead_s = STARTING_REAL_S * options.speed + LEAD_POLLS * poll_s
        clock = Clock(_start_ms(options) - int(lead_s * 1000), options.speed)
    host, _, port = (options.broker or "").rpartition(":")
    return Wanted(
        directory,
        SITES / ("steel.toml" if options.profile is not None else f"{options.facility.replace('-', '_')}.toml"),
        clock,
        poll_s,
        options.port,
        (host, int(port)) if options.broker else None,
        options.influxdb or "",
        options.profile,
    )


def _poll_s(speed: float) -> float:
    """In simulated seconds: at most ten polls a real second."""
    return max(1.0, speed / POLLS_PER_REAL_S)


def _start_ms(options: argparse.Namespace) -> int:
    local = datetime.fromisoformat(options.start)
    return int(local.replace(tzinfo=local.tzinfo or PROFILE_ZONE).timestamp() * 1000)


def _watch(options: argparse.Namespace, system: System) -> int:
    shown = f"{system.url}/"
    print(
        f"Wattline is at {shown}  (facilities: {', '.join(gateway.facility for gateway in system.gateways)})",
        flush=True,
    )
    if not options.no_browser:
        threading.Thread(target=webbrowser.open, args=(shown,), daemon=True).start()
    viewer = Viewer(system.url, [gateway.facility for gateway in system.gateways], system.wanted.clock)
    with _interrupted() as interrupted:
        try:
            _wait(options, system, interrupted)
        except PartFailed as error:
            print(f"wattline demo: {error}", file=sys.stderr)
            return 1
        live = _live_emissions(system)
        viewer.stop()
        print("stopping: agents deliver what they have", flush=True)
        statuses = system.stop_polling()
        _wait_settled(system)
        figures, stored = viewer.figures(), {}
        with contextlib.suppress(OSError, ValueError):
            stored = stored_latency_ms(system.url, system.wanted.clock.speed)
        system.aggregator.stop()
        system.sim.stop()
    span = None
    if options.profile is not None and options.days is not None:
        start = _start_ms(options)
        span = (start, start + int(options.days * 86_400_000))
    outcome = report(system, Measured(figures, stored, live, statuses, span))
    if options.report is not None:
        options.report.write_text(json.dumps(outcome, indent=1) + "\n")
    print(summary(outcome), flush=True)
    bad = outcome["readings"]["missing"] or outcome["readings"]["duplicates"] or any(statuses.values())
    return 1 if bad else 0


class _Interrupt:
    """Whether a signal has come. No lock, as an Event has: a second signal that came within the first one's handler would wait for it for ever."""

    come = False


def _wait(options: argparse.Namespace, system: System, interrupted: _Interrupt) -> None:
    """Until the time is over or somebody presses Ctrl-C. Raises PartFailed when a part ends before."""
    end_real = None if options.seconds is None else time.monotonic() + options.seconds
    end_ms = None
    if options.days is not None:
        after = timedelta(days=options.days, seconds=5 * system.wanted.poll_s + 5)
        end_ms = _start_ms(options) + int(after.total_seconds() * 1000)
    shown = 0.0
    while not interrupted.come:
        if end_real is not None and time.monotonic() >= end_real:
            return
        if end_ms is not None and system.wanted.clock() >= end_ms:
            return
        for part in system.parts():
            if not part.alive:
                raise PartFailed(f"{part.name} ended: {part.last_words()}")
            part.measure()
        if end_ms is not None and sys.stdout.isatty() and time.monotonic() - shown > 1:
            shown = time.monotonic()
            now = datetime.fromtimestamp(system.wanted.clock() / 1000, PROFILE_ZONE)
            print(f"\rsimulated local time {now:%Y-%m-%d %H:%M}", end="", flush=True)
        time.sleep(0.2)


def _wait_settled(system: System) -> None:
    """Until the aggregator has nothing open, for at most 20 s: its last intervals wait for a reading after their end."""
    deadline = time.monotonic() + SETTLE_WITHIN_S
    while time.monotonic() < deadline and system.aggregator.alive:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if _backlog(system) == 0:
                return
        time.sleep(0.1)


def _live_emissions(system: System) -> dict[str, Any]:
    """What the page says of each facility's emissions at this moment."""
    found = {}
    for gateway in system.gateways:
        with contextlib.suppress(OSError, ValueError, KeyError):
            snapshot = get_json(f"{system.url}/api/v1/facilities/{gateway.facility}/live/snapshot")
            found[gateway.facility] = snapshot["em"]
    return found


def _backlog(system: System) -> int:
    waiting = 0
    for gateway in system.gateways:
        edges: dict[str, Any] = get_json(f"{system.url}/api/v1/facilities/{gateway.facility}/edges")
        waiting += sum(edge["backlog"] or 0 for edge in edges["edges"])
    return waiting


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM ends the program like Ctrl-C: what was started by then is stopped, and no part stays behind."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    old = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


@contextlib.contextmanager
def _interrupted() -> Iterator["_Interrupt"]:
    """Set by Ctrl-C or SIGTERM in place of ending the program at once."""
    event = _Interrupt()

    def note(_number: int, _frame: FrameType | None) -> None:
        event.come = True

    old = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
