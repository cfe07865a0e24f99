"""`wattline sim run`: serves simulated plants and says on one JSON line where they are reached. The plants are in device_sim."""

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable
from datetime import datetime

from device_sim.serve import serve
from device_sim.site import load_site
from device_sim.site_table import SiteFaults
from wire.clock import Clock


def run(options: argparse.Namespace, stop_on_signal: Callable[[], asyncio.Event]) -> int:
    """Serve until SIGTERM. Exit status 0, or 2 where the site file, the profile or a port cannot be used."""
    clock = Clock.from_environment()
    try:
        start = None if options.start_local is None else datetime.fromisoformat(options.start_local)
        site = load_site(options.file, profile=options.profile, start_local=start)
    except (SiteFaults, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 2

    async def work() -> None:
        stop = stop_on_signal()
        serving = asyncio.create_task(
            serve(
                site,
                clock,
                options.answer_log,
                options.control_port,
                lambda ready: print(json.dumps(ready), flush=True),
            )
        )
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not serving.done():
            serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving

    try:
        asyncio.run(work())
    except (OSError, OverflowError) as error:  # OverflowError: a port above 65535
        print(f"wattline sim run {options.file}: {error}", file=sys.stderr)
        return 2
    return 0
