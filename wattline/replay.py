"""`wattline sim replay`: serves a flight recorder's dump and says on one JSON line where, and what to write into an edge file. The answers are in device_sim."""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable

from device_sim.dump import DumpFault, load
from device_sim.replay import Record, Replay


def run(options: argparse.Namespace, stop_on_signal: Callable[[], asyncio.Event]) -> int:
    """Serve until SIGTERM. Exit status 0, or 2 where the dump or the port cannot be used."""
    try:
        dump = load(options.file)
        record = Record(dump, repeat=not options.once)
    except (DumpFault, OSError) as error:
        print(f"wattline sim replay: {error}", file=sys.stderr)
        return 2

    async def work() -> None:
        stop = stop_on_signal()
        async with Replay(record, port=options.port) as replay:
            ready = {
                "device": dump.device,
                "protocol": dump.protocol,
                "reason": dump.reason,
                "exchanges": len(dump.exchanges),
                **replay.place,
                "edge_file": snippet(dump.device, dump.protocol, record.listed(), replay.place["port"]),
            }
            print(json.dumps(ready), flush=True)
            await stop.wait()

    try:
        asyncio.run(work())
    except (OSError, OverflowError) as error:  # OverflowError: a port above 65535
        print(f"wattline sim replay {options.file}: {error}", file=sys.stderr)
        return 2
    return 0


def snippet(device: str, protocol: str, address: dict[str, object], port: int) -> str:
    """What an edge file says of the replayed device; its model is for the reader to name."""
    lines = [
        "[[bus]]",
        'name = "replay"',
        f'protocol = "{protocol}"',
        'host = "127.0.0.1"',
        f"port = {port}",
        "[[bus.device]]",
        f'name = "{device or "replayed"}"',
        'model = ""  # as on the gateway that made the dump',
        *(f"{key} = {json.dumps(value)}" for key, value in address.items()),
    ]
    return "\n".join(lines) + "\n"
