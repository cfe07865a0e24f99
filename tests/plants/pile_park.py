"""A site of simulated charging piles for tests: its table, and the truth about each pile over the control interface."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from device_sim.serve import serve
from device_sim.site import load_site

KINDS = {"1.6": "ocpp16_pile", "2.0.1": "ocpp201_pile", "2.1": "ocpp21_pile"}
QUICK = {"sample_s": 10, "aligned_s": 900, "delay_s": [1, 1]}


def park(*piles: dict[str, Any], bus: dict[str, Any] | None = None, ev: dict[str, Any] | None = None) -> dict[str, Any]:
    """A site of one plant without other load. Each pile is given by `name`, `version` and its options; vehicles only come when they are sent."""
    devices = []
    for pile in piles:
        options = {**QUICK, **pile}
        devices.append({"kind": KINDS[options.pop("version")], "measures": "ev", "bus": "piles", **options})
    return {
        "plant": [
            {
                "name": "park",
                "load": {"kind": "synthetic", "base_kw": 0, "peak_kw": 0, "noise_ratio": 0},
                "ev": {"points": len(piles), "max_kw": 22, "visits": "none", "max_discharge_kw": 22, **(ev or {})},
                "device": devices,
                "bus": [
                    {"name": "piles", "protocol": "ocpp", "tick_s": 0.02, "reconnect_s": [0.05, 0.2], **(bus or {})}
                ],
            }
        ]
    }


class Park:
    """A served park. `served` is what the fixture `run_site` gives."""

    def __init__(self, served: Any) -> None:
        self.served = served

    async def ask(self, **request: Any) -> dict[str, Any]:
        """One request to the bus; its refusal fails the test."""
        answer: dict[str, Any] = await self.served.ask({"bus": "piles", **request})
        assert answer["ok"], answer
        return answer

    async def connect(self, url: str | None) -> None:
        await self.ask(connect=url)

    async def vehicle(self, pile: str, **vehicle: Any) -> None:
        """A vehicle comes now."""
        await self.ask(pile=pile, vehicle=vehicle)

    async def leave(self, pile: str) -> None:
        await self.ask(pile=pile, vehicle=None)

    async def truth(self, pile: str) -> dict[str, Any]:
        return dict((await self.ask(show="piles", pile=pile))["piles"][pile])

    async def until(self, pile: str, holds: Callable[[dict[str, Any]], Any], timeout_s: float = 20) -> dict[str, Any]:
        """Polls a pile until something holds for its truth."""
        truth: dict[str, Any] = {}
        try:
            async with asyncio.timeout(timeout_s):
                while not holds(truth := await self.truth(pile)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"pile {pile} did not come so far within {timeout_s} s: {truth}") from None
        return truth

    async def until_all(
        self, holds: Callable[[dict[str, Any]], Any], timeout_s: float = 60
    ) -> dict[str, dict[str, Any]]:
        """Polls the whole bus until something holds for the truth of each pile."""
        late: list[str] = []
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    truths: dict[str, dict[str, Any]] = (await self.ask(show="piles"))["piles"]
                    late = [name for name, truth in truths.items() if not holds(truth)]
                    if not late:
                        return truths
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"piles {late} did not come so far within {timeout_s} s") from None

    async def charging(self, pile: str) -> dict[str, Any]:
        """Waits until a session runs and its begin is known to the central system."""
        return await self.until(
            pile, lambda t: t["sessions"] and t["sessions"][-1]["transaction_id"] and not t["backlog"]
        )

    async def ended(self, pile: str) -> dict[str, Any]:
        """Waits until the last session has ended and nothing is left to tell; gives that session."""
        truth = await self.until(
            pile, lambda t: t["sessions"] and t["sessions"][-1]["end_ms"] and t["accepted"] and not t["backlog"]
        )
        return dict(truth["sessions"][-1])


class _Served:
    """What `Park` needs of a served site."""

    def __init__(self, control_port: int) -> None:
        self._control_port = control_port

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._control_port, limit=2**22)
        writer.write(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 10))
        writer.close()
        await writer.wait_closed()
        return answer


@asynccontextmanager
async def served_park(table: dict[str, Any], clock: Callable[[], int], answer_log: Path) -> AsyncIterator[Park]:
    """Serves a park in this process until the block ends."""
    ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(load_site(table), clock, answer_log, 0, ready.set_result))
    try:
        done, _ = await asyncio.wait({task, ready}, timeout=10, return_when=asyncio.FIRST_COMPLETED)
        if task in done:
            await task
        yield Park(_Served((await ready)["control_port"]))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
