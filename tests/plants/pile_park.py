"""A site of simulated charging piles for tests: its table, and the truth about each pile over the control interface."""

import asyncio
from collections.abc import Callable
from typing import Any

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
