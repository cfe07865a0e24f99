"""What a store holds of a facility, by protocol and by carrier: devices, series, how far the meters have counted, and charging sessions. Not whether it is complete."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from aggregator.sessions import SIGNED, TRANSACTION, sessions, with_register
from aggregator.stores.store import SeriesKey, Store
from wattline.demo_files import Gateway
from wire.quantities import QUANTITIES, Carrier, Kind

_FOR_EVER: Final = (0, 2**53)
_REGISTER: Final = "energy_import_kwh"
_SHOWN: Final = 6  # counters of a carrier in the lines for a person
_SERIAL: Final = "answer_serial_"  # numbers the answers of a simulator; no meter has it


def holdings(store: Store, gateway: Gateway) -> dict[str, Any]:
    """Protocol -> devices and series, carrier -> the same and what its meters counted. Of electricity only the grid meter's counters are told."""
    listed = {device["device"]: device for device in gateway.devices}
    keys = [
        key
        for key in store.series()
        if (key.facility, key.edge) == (gateway.facility, gateway.edge) and not key.quantity.startswith(_SERIAL)
    ]
    protocols: dict[str, list[SeriesKey]] = defaultdict(list)
    carriers: dict[Carrier, list[SeriesKey]] = defaultdict(list)
    for key in keys:
        protocols[listed.get(key.device, {}).get("protocol", "gateway")].append(key)
        carriers[QUANTITIES[key.quantity].carrier].append(key)
    return {
        "series": len(keys),
        "protocols": {name: _size(found) for name, found in sorted(protocols.items())},
        "carriers": {
            carrier.value: {**_size(found), "counted": _counted(store, carrier, found, listed)}
            for carrier, found in sorted(carriers.items())
            if carrier not in (Carrier.DEVICE, Carrier.WEATHER)
        },
        "sessions": _sessions(store, gateway),
    }


def _sessions(store: Store, gateway: Gateway) -> list[dict[str, Any]]:
    """Each charging session with its energy, Wh as text; running ones up to the newest reading of the pile's register."""
    told = [event for kind in (TRANSACTION, SIGNED) for event in store.events(gateway.facility, *_FOR_EVER, kind)]
    rows = []
    for session in sessions(told):
        if session.state == "running":
            history = store.history(SeriesKey(gateway.facility, session.edge, session.device, _REGISTER), *_FOR_EVER)
            if len(history):
                session = with_register(session, int(history.at_ms[-1]), float(history.value[-1]))
        rows.append(
            {
                "device": session.device,
                "transaction_id": session.transaction_id,
                "state": session.state,
                "started_at_ms": session.started_at_ms,
                "energy_wh": None if session.energy_wh is None else f"{session.energy_wh:f}",
            }
        )
    return rows


def _size(keys: Sequence[SeriesKey]) -> dict[str, int]:
    return {"devices": len({key.device for key in keys}), "series": len(keys)}


def _counted(
    store: Store, carrier: Carrier, keys: Sequence[SeriesKey], listed: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, str]]:
    """The first and last reading of the carrier's counters, and what lies between."""
    rows = []
    for key in sorted(keys):
        quantity = QUANTITIES[key.quantity]
        whole = carrier != Carrier.ELECTRICITY or (
            listed.get(key.device, {}).get("measures") == "grid" and key.quantity == _REGISTER
        )
        if quantity.kind is not Kind.COUNTER or not whole:
            continue
        history = store.history(key, *_FOR_EVER)
        good = [Decimal(repr(float(value))) for value in history.value[history.quality == 0] if value == value]
        if good:
            row = {"device": key.device, "quantity": key.quantity, "first": good[0], "last": good[-1]}
            rows.append({name: str(value) for name, value in (row | {"counted": good[-1] - good[0]}).items()})
    return rows


def told(held: Mapping[str, Any]) -> list[str]:
    """The same in lines for a person; none where one protocol and one carrier are all."""
    if len(held["protocols"]) < 2 and len(held["carriers"]) < 2:
        return []
    by_protocol = ", ".join(
        f"{name} {size['devices']} devices {size['series']} series" for name, size in held["protocols"].items()
    )
    lines = [f"{held['series']} series: {by_protocol}"]
    for carrier, found in held["carriers"].items():
        moved = [row for row in found["counted"] if Decimal(row["counted"])]
        some = [f"{row['device']} {row['counted']} {_unit(row['quantity'])}" for row in moved[:_SHOWN]]
        counted = ", ".join(some) + (f" and {len(moved) - _SHOWN} more" if len(moved) > _SHOWN else "")
        size = f"{found['devices']} devices, {found['series']} series"
        lines.append(f"{carrier}: {size}" + (f", counted {counted}" if counted else ""))
    if charged := held["sessions"]:
        ended = [session for session in charged if session["state"] == "ended"]
        energy_wh = sum((Decimal(session["energy_wh"] or 0) for session in charged), Decimal(0))
        piles = len({session["device"] for session in charged})
        lines.append(f"charging: {len(charged)} sessions at {piles} piles, {len(ended)} ended, {energy_wh / 1000} kWh")
    return lines


def _unit(quantity: str) -> str:
    return QUANTITIES[quantity].unit
