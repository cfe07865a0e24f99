"""What people say of a counter, from the request to intervals and emissions, on a real store, ledger and server.

By hand: 360 kW are 0.1 kWh/s and 90 kWh a quarter hour; the factor is 0.5 kg/kWh. The meter of the display wraps at 2000 kWh,
which its settings do not say. One reading every 10 s from second 0; the change is between 1390 s (or 390 s) and the next one.
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from live_plant import LivePlant, Server

from aggregator.facility import Facility, FactorOverride, MeterSpec, Role
from aggregator.ledger import IntervalRow
from aggregator.overruling import Overruling
from aggregator.settings import Http
from aggregator.settle import Settler
from aggregator.stores.store import Rows, SeriesKey
from wire.reading import Quality

D = Decimal
T = 1_777_593_600_000  # 2026-05-01T00:00Z
PATH = "/api/v1/facilities/works/counter-changes"
WRITE = {"X-Wattline-Write": "test"}
SERIES = SeriesKey("works", "gw", "incomer", "energy_import_kwh")
METERS = (
    MeterSpec("incomer", "gw", D(1000), Role.MAIN, quantum_kwh=D("0.001")),
    MeterSpec("clamp", "gw", D(100), Role.SUB, counted=False),
)
FACILITY = Facility("works", "Asia/Shanghai", place="CN", meters=METERS, overrides=(FactorOverride(D("0.5"), "test"),))
FALL = 1_400  # s: the first reading after the fall
ROLLOVER = {"change": "rollover", "modulus_kwh": "2000"}


def display(at_s: int) -> float:
    """1860.5 at the start; it would pass 2000 kWh between 1390 s (1999.5) and 1400 s (2000.5)."""
    return round((1860.5 + at_s * 0.1) % 2000, 3)


class Desk:
    """Store, ledger, settler and server of one facility; time moves with what is committed."""

    def __init__(self, directory: Path) -> None:
        self.plant = LivePlant(directory, facility=FACILITY, http=Http(port=0))
        self.plant.now_ms = T
        self.settler = self.plant.settler

    def restart(self) -> None:
        """A new settler on the same files."""
        plant = self.plant
        self.settler = Settler(plant.store, plant.ledger, [FACILITY], plant.clock, plant.alarms)
        object.__setattr__(plant.services, "overruling", Overruling(self.settler))

    def commit(self, value: Callable[[int], float | None], from_s: int, to_s: int, every_s: int = 10) -> None:
        readings = [(at_s, shown) for at_s in range(from_s, to_s, every_s) if (shown := value(at_s)) is not None]
        at_ms = np.array([T + at_s * 1000 for at_s, _ in readings], dtype=np.int64)
        n = len(readings)
        ids = np.repeat(self.plant.store.ids([SERIES]), n)
        shown_kwh = np.array([shown for _, shown in readings])
        self.plant.store.commit(
            Rows(ids, at_ms, shown_kwh, np.full(n, int(Quality.GOOD), np.uint8), np.zeros(n, np.uint8)), []
        )
        self.settler.note(SERIES, int(at_ms[0]), int(at_ms[-1]))
        self.plant.now_ms = max(self.plant.now_ms, int(at_ms[-1]))

    def settle(self) -> None:
        self.plant.now_ms += 1000
        self.settler.settle(patient=False)

    def rows(self) -> list[IntervalRow]:
        return [row for row in self.plant.ledger.intervals("works", "incomer", SERIES.quantity, 0, 2**60) if row.final]

    def finals(self) -> list[Decimal]:
        return [row.energy_kwh for row in self.rows()]

    def line(self) -> Decimal:
        """Difference of the first and the last boundary that stand."""
        kept = self.plant.ledger.boundaries(SERIES, 0, 2**60)
        return kept[-1].boundary.value - kept[0].boundary.value

    def kg(self) -> Decimal | None:
        until_ms = self.rows()[-1].end_ms
        return self.settler.books.total("works", T, until_ms).kg


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.plant.close()


@pytest.fixture
def client(desk: Desk) -> Iterator[httpx.Client]:
    with Server(desk.plant.services) as server, httpx.Client(base_url=server.url, timeout=30) as made:
        yield made


def say(client: httpx.Client, at_s: int, **body: Any) -> httpx.Response:
    wanted = {"device": "incomer", "at_ms": T + at_s * 1000, "reason": "read off the meter", "by": "li", **body}
    return client.post(PATH, json={k: v for k, v in wanted.items() if v != "left out"}, headers=WRITE)


def listed(client: httpx.Client, **query: Any) -> tuple[list[tuple[str, int, str]], list[tuple[str, int, str]]]:
    """(change, second, state) of what was found and of what was decided."""
    found = client.get(PATH, params={"from": T, "to": T + 86_400_000, **query}).json()

    def brief(entries: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
        return [(entry["change"], (entry["at_ms"] - T) // 1000, entry["state"]) for entry in entries]

    return brief(found["changes"]), brief(found["decisions"])


def test_a_rollover_that_was_taken_for_a_reset_is_overruled_twice_and_survives_a_restart(
    desk: Desk, client: httpx.Client
) -> None:
    desk.commit(display, 0, 3700)
    desk.settle()
    # No power is known, so nobody knows the second quarter hour: 1390 s to 1400 s lie in it.
    assert desk.finals() == [D(90), D(90), D(90)]
    assert [(row.start_ms - T) // 900_000 for row in desk.rows()] == [0, 2, 3]
    assert listed(client) == ([("reset", FALL, "stands")], [])

    # Any instant after the last reading before it means the same change.
    answer = say(client, FALL - 5, **ROLLOVER)
    assert (answer.status_code, answer.json()["at_ms"], answer.json()["state"]) == (201, T + FALL * 1000, "waiting")
    desk.settle()
    assert desk.finals() == [D(90)] * 4
    assert [row.version for row in desk.rows()] == [1, 1, 1, 1]
    assert desk.line() == sum(desk.finals()) == D(360)
    assert desk.kg() == D(180)
    decided_at_ms = desk.plant.now_ms
    assert listed(client) == ([("reset", FALL, "overruled")], [("rollover", FALL, "in_force")])
    (entry,) = client.get(PATH, params={"from": T, "to": decided_at_ms}).json()["decisions"]
    assert entry["seen"] == {
        "before_ms": T + (FALL - 10) * 1000, "before_kwh": "1999.5", "after_kwh": "0.5", "booked_kwh": "1.0"
    }  # fmt: skip
    assert (entry["reason"], entry["by"], entry["modulus_kwh"]) == ("read off the meter", "li", "2000")

    # A second word: another meter, of which both readings were noted: 0.5 by the old one, 0.25 by the new one.
    sheet = {"old_last_kwh": "2000", "new_first_kwh": "0.25", "evidence": "exchange sheet 117"}
    assert say(client, FALL, change="exchange", **sheet).json()["evidence"] == "exchange sheet 117"
    desk.restart()
    desk.commit(display, 3700, 4600)
    desk.settle()
    assert desk.finals() == [D(90), D("89.75"), D(90), D(90), D(90)]
    assert desk.line() == sum(desk.finals()) == D("449.75")
    assert [row.version for row in desk.rows()] == [1, 2, 1, 1, 1]
    assert desk.kg() == D("224.875")
    assert listed(client)[1] == [("rollover", FALL, "superseded"), ("exchange", FALL, "in_force")]
    said = client.get(PATH, params={"from": T, "to": desk.plant.now_ms}).json()["decisions"]
    assert [entry["evidence"] for entry in said] == ["", "exchange sheet 117"]

    # The last word: the algebra shall decide again.
    assert say(client, FALL, change="automatic").status_code == 201
    desk.settle()
    assert desk.finals() == [D(90), D(90), D(90), D(90)]
    assert desk.kg() == D(180)  # and what was booked for the quarter hour with it is not
    assert listed(client) == (
        [("reset", FALL, "stands")],
        [("rollover", FALL, "superseded"), ("exchange", FALL, "superseded"), ("automatic", FALL, "in_force")],
    )
    # What was said before is still told for the day when it was said.
    then = desk.plant.ledger.intervals("works", "incomer", SERIES.quantity, T, T + 3_600_000, decided_at_ms)
    assert [row.energy_kwh for row in then] == [D(90)] * 4


def test_a_decision_survives_a_restart_before_anything_was_settled_again(desk: Desk, client: httpx.Client) -> None:
    desk.commit(display, 0, 2800)
    desk.settle()
    spelt = say(client, FALL, at_ms="2026-05-01T08:23:20+08:00", **ROLLOVER)  # 1400 s after midnight UTC
    assert (spelt.status_code, spelt.json()["at_ms"]) == (201, T + FALL * 1000)
    desk.restart()
    desk.settle()
    assert desk.finals() == [D(90)] * 3
    assert listed(client)[1] == [("rollover", FALL, "in_force")]


def test_a_glitch_that_lasted_is_cut_out(desk: Desk, client: httpx.Client) -> None:
    def spoilt(at_s: int) -> float:
        return round(1000 + at_s * 0.1 + (5000 if 400 <= at_s < 600 else 0), 3)

    desk.commit(spoilt, 0, 1900)
    desk.settle()
    # 20 readings on the strange line were taken for a jump ahead, and the way back for a reset: nobody knows 2 kWh of the first 90.
    assert desk.finals() == [D(90)]
    assert desk.rows()[0].start_ms == T + 900_000
    assert listed(client)[0] == [("jump", 400, "stands"), ("reset", 600, "stands")]
    assert say(client, 400, change="glitch", until_ms=T + 599_000).status_code == 201
    desk.settle()
    assert desk.finals() == [D(90), D(90)]
    assert desk.line() == D(180)
    assert desk.kg() == D(90)
    assert listed(client) == (
        [("jump", 400, "overruled"), ("reset", 600, "withdrawn")],
        [("glitch", 400, "in_force")],
    )
    # Another word within the glitch, or a glitch over another word, needs the first one to be withdrawn.
    for answer in (
        say(client, 500, change="no_change"),
        say(client, 300, change="glitch", until_ms=T + 400_000),
    ):
        assert (answer.status_code, answer.json()["error"]) == (409, "another decision stands there")
        assert answer.json()["seen"] == f"glitch at {T + 400_000}"
    assert say(client, 400, change="automatic").status_code == 201
    assert say(client, 600, change="reset").status_code == 201
    desk.settle()
    assert desk.finals() == [D(90)]


def test_late_readings_keep_a_decision(desk: Desk, client: httpx.Client) -> None:
    def late(at_s: int) -> bool:
        return 1_000 <= at_s < 1_200

    desk.commit(lambda at_s: None if late(at_s) else display(at_s), 0, 2800)
    desk.settle()
    say(client, FALL, **ROLLOVER)
    desk.settle()
    desk.commit(display, 1_000, 1_200)
    desk.settle()
    assert desk.finals() == [D(90)] * 3
    assert listed(client) == ([("reset", FALL, "overruled")], [("rollover", FALL, "in_force")])


def test_late_readings_that_contradict_a_decision_leave_it_waiting_in_plain_sight(
    desk: Desk, client: httpx.Client
) -> None:
    desk.commit(lambda at_s: None if 1_300 <= at_s < FALL else display(at_s), 0, 2800)
    desk.settle()
    # 1990.5 at 1290 s was the last reading; the old meter is said to have ended at 1995, but had shown 1999.5.
    assert say(client, FALL, change="exchange", old_last_kwh="1995", new_first_kwh="0").status_code == 201
    desk.settle()
    assert listed(client)[1] == [("exchange", FALL, "in_force")]
    desk.commit(display, 1_300, FALL)
    desk.settle()
    assert listed(client) == ([("reset", FALL, "stands")], [("exchange", FALL, "waiting")])


def test_a_counter_that_is_still_held_may_be_decided_at_once(desk: Desk, client: httpx.Client) -> None:
    desk.commit(display, 0, FALL + 1)
    desk.settle()
    assert listed(client)[0] == [("held", FALL, "stands")]
    assert say(client, FALL, **ROLLOVER).status_code == 201
    desk.commit(display, FALL + 10, 1_900)
    desk.settle()
    assert desk.finals() == [D(90), D(90)]
    assert listed(client)[0] == []


def test_changes_are_listed_by_device_and_span_with_both_readings(desk: Desk, client: httpx.Client) -> None:
    desk.commit(display, 0, 1900)
    desk.settle()
    (found,) = client.get(PATH, params={"from": T, "to": T + 10**7, "device": "incomer"}).json()["changes"]
    assert found == {
        "edge": "gw", "device": "incomer", "quantity": "energy_import_kwh", "at_ms": T + FALL * 1000, "change": "reset",
        "state": "stands", "before_ms": T + (FALL - 10) * 1000, "before_kwh": "1999.5", "after_kwh": "0.5", "booked_kwh": None,
    }  # fmt: skip
    assert listed(client, device="clamp") == ([], [])
    assert listed(client, to=T + FALL * 1000) == ([], [])
    unknown = client.get(PATH, params={"from": T, "to": T + 1, "device": "nobody"})
    assert (unknown.status_code, unknown.json()["thing"]) == (404, "device")


def test_an_alarm_is_raised_for_what_is_new_and_not_for_what_is_found_again(desk: Desk, client: httpx.Client) -> None:
    desk.commit(lambda at_s: display(at_s) if at_s < 2_800 else round(at_s * 0.1, 3), 0, 3_700)
    desk.settle()
    (alarm,) = desk.plant.alarms.open("works")
    assert (alarm.code, alarm.arguments) == ("counter_reset", ("reset", "1999.5", "0.5"))
    desk.plant.alarms.acknowledge(alarm.id, "li")
    desk.plant.alarms.clear("works", "counter_reset", "incomer")
    say(client, FALL, **ROLLOVER)
    desk.settle()
    assert listed(client)[0] == [("reset", FALL, "overruled"), ("jump", 2_800, "stands")]
    assert desk.plant.alarms.open("works") == []


def test_decisions_are_never_edited_or_deleted(desk: Desk, client: httpx.Client) -> None:
    desk.commit(display, 0, 1900)
    desk.settle()
    say(client, FALL, **ROLLOVER)
    for statement in ("UPDATE counter_decision SET reason = ''", "DELETE FROM counter_decision"):
        with pytest.raises(Exception, match="a counter decision is never"), desk.plant.ledger.transaction() as db:
            db.execute(statement)


def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(desk: Desk, client: httpx.Client) -> None:
    desk.commit(display, 0, 1900)
    desk.settle()
    for body, status, thing in (
        ({"change": "rollover"}, 422, "modulus_kwh"),
        ({"change": "rollover", "modulus_kwh": "1000"}, 422, "modulus_kwh"),  # the display had shown 1999.5
        ({"change": "rollover", "modulus_kwh": 2000}, 422, "modulus_kwh"),  # decimals are text
        ({"change": "rollover", "modulus_kwh": "-2000"}, 422, "modulus_kwh"),
        ({"change": "rollover", "modulus_kwh": "NaN"}, 422, "modulus_kwh"),
        ({"change": "exchange", "old_last_kwh": "2000"}, 422, "new_first_kwh"),
        ({"change": "exchange", "old_last_kwh": "1999", "new_first_kwh": "0"}, 422, "old_last_kwh"),
        ({"change": "exchange", "old_last_kwh": "2000", "new_first_kwh": "0.6"}, 422, "new_first_kwh"),
        ({"change": "no_change"}, 422, "change"),  # the counter fell
        ({"change": "glitch"}, 422, "until_ms"),
        ({"change": "glitch", "until_ms": T}, 422, "until_ms"),
        ({"change": "wrap"}, 422, "change"),
        ({"change": "reset", "until_ms": T + 10**7}, 422, "until_ms"),
        ({"change": "reset", "note": "x"}, 422, "note"),
        ({"change": "reset", "reason": ""}, 422, "reason"),
        ({"change": "reset", "reason": "left out"}, 422, "reason"),
        ({"change": "reset", "by": "left out"}, 422, "by"),
        ({"change": "reset", "at_ms": "2026-05-01T00:20:00"}, 422, "at_ms"),  # whose time?
        ({"change": "reset", "at_ms": T}, 422, "at_ms"),  # nothing before it
        ({"change": "reset", "at_ms": T + 1_895_000}, 422, "at_ms"),  # not yet passed
        ({"change": "reset", "quantity": "heat_energy_kwh"}, 422, "quantity"),
        ({"change": "reset", "device": "clamp"}, 422, "quantity"),
        ({"change": "reset", "edge": "gw-of-somebody"}, 422, "edge"),
        ({"change": "reset", "device": "nobody"}, 404, "device"),
    ):
        answer = say(client, FALL, **body)
        assert (answer.status_code, answer.json()["thing"]) == (status, thing), (body, answer.text)
    assert client.post(PATH, json={}).status_code == 403
    assert client.post(PATH, content=b"[", headers=WRITE).status_code == 422
    assert listed(client) == ([("reset", FALL, "stands")], [])
    assert not desk.settler.pending()


def test_without_the_token_nobody_decides(desk: Desk) -> None:
    object.__setattr__(desk.plant.services, "http", Http(port=0, token="0123456789abcdef-token"))
    desk.commit(display, 0, 1900)
    desk.settle()
    with Server(desk.plant.services) as server, httpx.Client(base_url=server.url, timeout=30) as client:
        assert say(client, FALL, **ROLLOVER).status_code == 401
        client.headers["Authorization"] = "Bearer 0123456789abcdef-token"
        assert say(client, FALL, **ROLLOVER).status_code == 201
