"""Which points of which devices this gateway may write, and within which bounds: the edge file's allow-list over what the models declare. Writes nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from edge_agent.drivers.declared import Allow, Device, Fault, Model, Point

HOLD_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Allowed:
    """One point that may be written, with the narrower of the model's and the edge file's bounds, in the point's `unit`.

    `rate_per_s` is the fastest change in units per second, `longest_s` how long a set-point may last, `hold_s` for how long the device
    may go on without this gateway, `pause_s` the shortest time between two writes, `safe` what is written where a release is not enough.
    """

    device: str
    point: str
    unit: str
    low: float
    high: float
    fallback: Literal["device_timer", "watchdog", "none"]
    safe: float | None = None
    rate_per_s: float | None = None
    longest_s: float = 3600.0
    hold_s: float = HOLD_S
    pause_s: float = 1.0
    dead_band: float = 0.0


def allowed(device: Device, model: Model) -> tuple[Allowed, ...]:
    """The points of a device that its checked edge file lets be written."""
    points = {point.name: point for point in model.point}
    found = []
    for allow in device.allow:
        point = points[allow.point]
        low, high = _range(point, allow)
        assert low is not None
        assert high is not None
        found.append(
            Allowed(
                device=device.name,
                point=point.name,
                unit=point.unit,
                low=low,
                high=high,
                fallback=point.fallback,
                safe=point.safe if allow.safe is None else allow.safe,
                rate_per_s=allow.rate_per_s,
                longest_s=allow.longest_s,
                hold_s=allow.hold_s,
                pause_s=allow.pause_s,
                dead_band=allow.dead_band,
            )
        )
    return tuple(found)


def faults(device: Device, model: Model) -> Iterator[Fault]:
    """What is wrong with a device's allow-list: (key behind the device, expected, seen)."""
    points = {point.name: point for point in model.point}
    seen: set[str] = set()
    for index, allow in enumerate(device.allow):
        key = f"allow[{index}]"
        point = points.get(allow.point)
        if point is None:
            known = f"one of {', '.join(points)}" if points else "no allow: the model declares no point to write"
            yield f"{key}.point", known, repr(allow.point)
            continue
        if allow.point in seen:
            yield f"{key}.point", "each point once", f"{allow.point!r} again"
        seen.add(allow.point)
        if allow.low is not None and point.low is not None and allow.low < point.low:
            yield f"{key}.low", f"at least the model's {point.low:g} {point.unit}", f"{allow.low:g}"
        if allow.high is not None and point.high is not None and allow.high > point.high:
            yield f"{key}.high", f"at most the model's {point.high:g} {point.unit}", f"{allow.high:g}"
        low, high = _range(point, allow)
        if low is None or high is None:
            name = "low" if low is None else "high"
            yield f"{key}.{name}", "a bound, because the model states none", "nothing"
        else:
            if low > high:
                yield f"{key}.low", f"at most high ({high:g})", f"{low:g}"
            elif allow.safe is not None and not low <= allow.safe <= high:
                yield f"{key}.safe", f"{low:g} to {high:g}", f"{allow.safe:g}"
        if point.fallback == "none" and not allow.harmless:
            yield (
                f"{key}.harmless",
                "true, if staying at the last value does no harm: the device does not fall back without the gateway",
                "nothing",
            )


def _range(point: Point, allow: Allow) -> tuple[float | None, float | None]:
    """The narrower of both ranges; None where neither names a bound."""
    lows = [low for low in (point.low, allow.low) if low is not None]
    highs = [high for high in (point.high, allow.high) if high is not None]
    return max(lows, default=None), min(highs, default=None)
