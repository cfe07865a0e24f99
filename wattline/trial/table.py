"""What the modes of a trial came to, side by side: a table for people, a record for programs. Judges nothing anew."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from aggregator.flexibility.problem import Norm
from wattline.trial.run import Ran
from wattline.trial.vehicles import Parked

_CHARGE_RATIO: Final = 0.95
_SAID: Final = {"uncontrolled": "uncontrolled", "ordered": "one-way ordered", "two_way": "two-way ordered"}


def record(ran: Ran) -> dict[str, Any]:
    """Everything that is told of a mode."""
    gone = _gone(ran)
    watch = ran.watch
    days = max(len(watch.quarters_kw) / 96, 1e-9)
    # What the battery holds more or less at the end, bought or saved at the mean price and intensity, charging losses counted.
    made_up_kwh = ran.stored_kwh / _CHARGE_RATIO
    return {
        "mode": ran.mode,
        "vehicles": len(gone),
        "needed_kwh": round(sum(one.need_kwh for one in gone), 3),
        "delivered_kwh": round(sum(one.delivered_kwh or 0.0 for one in gone), 3),
        "promises": _promises(gone),
        "limits": [
            {
                "limit": one.name,
                "value": one.limit,
                "above_s": one.seconds,
                "longest_s": one.longest_s,
                "above_kwh": round(one.kwh, 4),
                "highest_ratio": round(one.highest_ratio, 4),
                "above_110_percent_longest_s": one.far_longest_s,
            }
            for one in watch.limits
        ],
        "peak_kw": round(watch.peak_kw, 3),
        "imported_kwh": round(watch.imported_kwh, 3),
        "exported_kwh": round(watch.exported_kwh, 3),
        "energy_money": round(watch.money, 2),
        "demand_money": round(watch.demand_money, 2),
        "kg_co2e": round(watch.kg, 3),
        "energy_money_battery_even": round(watch.money - made_up_kwh * _mean(watch.grid.prices), 2),
        "kg_co2e_battery_even": round(watch.kg - made_up_kwh * _mean(watch.grid.kg_per_kwh), 3),
        "battery_cycles_per_day": round(ran.cycles / days, 3),
        "battery_stored_kwh": round(ran.stored_kwh, 3),
        "orders_per_day": {name: round(count / days, 1) for name, count in sorted(ran.writes.items())},
        "flash_writes_per_day": {name: round(count / days, 1) for name, count in sorted(ran.flash_writes.items())},
        "plans": ran.plans,
        "planned_for": ran.triggers,
        "refused": ran.refused,
        "processor_s": round(ran.took_s, 1),
        "short": [_short(one) for one in gone if one.lacking_kwh],
    }


def _mean(values: Sequence[Norm]) -> Norm:
    return sum(values) / len(values)


def _gone(ran: Ran) -> list[Parked]:
    """Those who came and went during the trial: who was there before it began was promised nothing in time."""
    begin_ms = ran.begin_ms
    return [
        one for one in ran.park.known.values() if one.delivered_kwh is not None and one.visit.arrives_ms >= begin_ms
    ]


def _promises(gone: Sequence[Parked]) -> dict[str, int]:
    """Met; short as announced at plug-in; short of more than that. Who is not steered is promised nothing, so a shortfall is unannounced."""
    short = [one for one in gone if one.lacking_kwh]
    announced = sum(one.as_announced for one in short)
    return {"met": len(gone) - len(short), "announced": announced, "broken": len(short) - announced}


def _short(one: Parked) -> dict[str, Any]:
    return {
        "device": one.device,
        "needed_kwh": round(one.need_kwh, 3),
        "lacking_kwh": round(one.lacking_kwh, 3),
        "announced_kwh": one.announced_kwh,
        "stay_h": round((one.visit.departs_ms - one.visit.arrives_ms) / 3_600_000, 2),
    }


_ROWS: Final = (
    ("vehicles that have left", "vehicles", "{}"),
    ("energy delivered, kWh", "delivered_kwh", "{:.1f}"),
    ("promises met", "met", "{}"),
    ("shortfalls announced at plug-in", "announced", "{}"),
    ("shortfalls not announced", "broken", "{}"),
    ("seconds above a limit", "above_s", "{}"),
    ("longest of them in a row, s", "longest_s", "{}"),
    ("longest above 110 %, s", "far_s", "{}"),
    ("kWh above a limit", "above_kwh", "{:.3f}"),
    ("highest, of the limit", "highest_ratio", "{:.3f}"),
    ("peak of 15 min, kW", "peak_kw", "{:.2f}"),
    ("imported, kWh", "imported_kwh", "{:.1f}"),
    ("exported, kWh", "exported_kwh", "{:.1f}"),
    ("energy cost", "energy_money", "{:.2f}"),
    ("the same, battery as at the begin", "energy_money_battery_even", "{:.2f}"),
    ("demand cost", "demand_money", "{:.2f}"),
    ("kg CO2e", "kg_co2e", "{:.1f}"),
    ("the same, battery as at the begin", "kg_co2e_battery_even", "{:.1f}"),
    ("battery cycles a day", "battery_cycles_per_day", "{:.2f}"),
    ("battery at the end, kWh more", "battery_stored_kwh", "{:.1f}"),
    ("orders to the battery a day", "battery_orders", "{:.0f}"),
    ("profiles written a day, most of a pile", "flash", "{:.0f}"),
    ("plans", "plans", "{}"),
)


def lines(records: Sequence[dict[str, Any]], battery: str) -> Iterator[str]:
    """One column for each mode; `battery` is the device whose orders are told."""
    columns = [_column(one, battery) for one in records]
    width = max(len(text) for text, _, _ in _ROWS)
    yield f"{'':{width}}" + "".join(f"{_SAID[one['mode']]:>18}" for one in records)
    for text, key, shape in _ROWS:
        yield f"{text:{width}}" + "".join(f"{shape.format(column[key]):>18}" for column in columns)


def _column(one: dict[str, Any], battery: str) -> dict[str, Any]:
    limits = one["limits"]
    return {
        **one,
        **one["promises"],
        "above_s": max((each["above_s"] for each in limits), default=0),
        "longest_s": max((each["longest_s"] for each in limits), default=0),
        "far_s": max((each["above_110_percent_longest_s"] for each in limits), default=0),
        "above_kwh": max((each["above_kwh"] for each in limits), default=0.0),
        "highest_ratio": max((each["highest_ratio"] for each in limits), default=0.0),
        "battery_orders": one["orders_per_day"].get(battery, 0.0),
        "flash": max(one["flash_writes_per_day"].values(), default=0.0),
    }
