"""What an asset draws that has been given more and has not told of it yet: what its branch's meter has risen by since it last told, at most its order. Decides nothing.

A pile tells its power every 10 to 60 s and follows an order within 8 s, the meter shows it at once: without this its power would be counted twice until it tells.
"""

from collections.abc import Sequence
from typing import Final

from edge_agent.limits.network import POWER, Network
from edge_agent.limits.state import State

TELLS_MS: Final = 60_000  # who has not told so long after it must have followed is taken at its last word


def note_told(network: Network, state: State, now_ms: int) -> None:
    """Remembers what the meter shows as an asset tells its power, or while one that has never told has no fresh order. To be called once a round."""
    for index, (line, asset) in enumerate(zip(network.lines, state.assets, strict=True)):
        waits = asset.drawn_kw is None and now_ms > asset.ordered_ms + line.response_ms + TELLS_MS
        if waits or asset.drawn_ms != asset.told_ms or asset.metered_kw is None:
            asset.told_ms, asset.metered_kw = asset.drawn_ms, _metered_kw(network, state, index)


def risen_kw(network: Network, state: State, drawn_kw: Sequence[float], now_ms: int) -> list[float]:
    """By how much each asset is believed to draw more than `drawn_kw`, its last word. What several may have caused is shared between them."""
    found = [0.0] * len(network.lines)
    whole: dict[int, float] = {}
    for index, (line, asset) in enumerate(zip(network.lines, state.assets, strict=True)):
        if line.asset.kind not in ("charger", "load") or asset.order_kw is None or asset.order_kw <= drawn_kw[index]:
            continue
        seen_ms = asset.ordered_ms + line.response_ms
        if (
            not asset.online
            or asset.drawn_ms >= seen_ms
            or now_ms > seen_ms + TELLS_MS
            or asset.told_ms != asset.drawn_ms
        ):
            continue
        metered_kw = _metered_kw(network, state, index)
        if metered_kw is None or asset.metered_kw is None:
            continue
        risen = metered_kw - asset.metered_kw
        found[index] = min(max(risen, 0.0), asset.order_kw - drawn_kw[index])
        place = _meter_of(network, index)
        whole[place] = max(whole.get(place, 0.0), risen)
    for place, risen in whole.items():
        sharing = [index for index in range(len(found)) if found[index] and _meter_of(network, index) == place]
        claimed_kw = sum(found[index] for index in sharing)
        if claimed_kw > risen:
            for index in sharing:
                found[index] *= risen / claimed_kw
    return found


def _meter_of(network: Network, index: int) -> int:
    """The nearest metered branch of a line, -1 where there is none."""
    return next((place for place in network.lines[index].branches if network.kept[place].branch.meter), -1)


def _metered_kw(network: Network, state: State, index: int) -> float | None:
    place = _meter_of(network, index)
    channels = state.branches[place].channels if place >= 0 else None
    return None if channels is None else channels[POWER].real
