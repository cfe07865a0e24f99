"""How a word that works until it is told to stop hears of it."""

import asyncio
import signal


def stop_on_signal() -> asyncio.Event:
    """Set by SIGTERM and SIGINT. Call it in the running loop."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop
