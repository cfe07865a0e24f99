"""The drill over a garage in virtual time: what each cut must show, what is not shown, and the signature of the sheet."""

import json
from pathlib import Path

import pytest
from virtual_garage import Garage, battery, pile, tree

from edge_agent.limits.drill import Drill, kept_responses_s
from edge_agent.limits.network import network_of
from wire.drill import Sheet, SheetUnusable, decoded, encoded, signed
from wire.keys import SigningKey


async def drilled(garage: Garage, leave_out: frozenset[str] = frozenset()) -> Sheet:
    garage.run(20)

    def mute(on: bool) -> None:
        garage.muted = on

    devices = list(garage.machines)
    drill = Drill(
        garage.loop, garage.clock, mute, dict.fromkeys(devices, 1.0), dict.fromkeys(devices, 60.0), lambda _text: None
    )
    garage.overlook = drill.look
    return await drill.run("Li Wei", leave_out)


async def test_every_cut_is_timed_at_every_device() -> None:
    garage = Garage(tree(battery(), pile("p0"), pile("p1"), garage={"limit_a": 40.0}))
    sheet = await drilled(garage)
    took = {(row.link, row.name, row.asset): row.took_s for row in sheet.rows}
    assert all(row.passed for row in sheet.rows), sheet.rows
    assert sheet.drilled == {"battery", "p0", "p1"}
    # a meter is lost after 5 s; a battery of the garage follows within 1 s, a pile within 4 s, each seen a second later at most
    assert 5 <= (took["meter", "works", "battery"] or 0) <= 8
    assert 9 <= (took["meter", "works", "p0"] or 0) <= 12
    assert ("meter", "garage", "battery") not in took  # not on that branch
    assert 120 <= (took["cloud", "", "battery"] or 0) <= 124
    assert 59 <= (took["gateway", "", "battery"] or 0) <= 62  # its own timer
    garage.run(30)
    assert "drill" not in [str(event.body.get("reason")) for event in garage.events]
    assert garage.states()[-1][0] == "edge" or garage.states()


async def test_a_pile_without_a_vehicle_shows_nothing_and_is_not_drilled() -> None:
    garage = Garage(tree(battery(), pile("p0"), pile("p1"), garage={"limit_a": 40.0}))
    garage.machines["p1"].wants_kw = 0.0
    sheet = await drilled(garage, frozenset({"cloud", "gateway"}))
    (row,) = [row for row in sheet.rows if row.asset == "p1" and row.name == "garage"]
    assert (row.took_s, row.passed) == (None, False)
    assert "nothing was shown" in row.note
    assert sheet.drilled == {"battery", "p0"}


async def test_a_device_that_does_not_come_to_its_safe_state_fails() -> None:
    garage = Garage(tree(battery(), pile("p0"), garage={"limit_a": 20.0}))
    garage.machines["p0"].delay_s = 60.0  # far slower than it should be
    garage.machines["battery"].timer_s = 10_000.0  # no timer of its own
    sheet = await drilled(garage, frozenset({"cloud"}))
    failed = {(row.link, row.asset) for row in sheet.rows if not row.passed}
    assert ("gateway", "battery") in failed
    assert ("meter", "p0") in failed
    assert sheet.drilled == frozenset()


async def test_the_response_times_of_a_drill_are_what_the_loop_goes_by(tmp_path: Path) -> None:
    garage = Garage(tree(battery(), pile("p0"), garage={"limit_a": 20.0}))
    garage.machines["p0"].delay_s = 12.0  # slower than a pile is taken for
    sheet = signed(await drilled(garage, frozenset({"cloud", "gateway"})), SigningKey.generate())
    path = tmp_path / "drill.json"
    path.write_bytes(encoded(sheet))
    plain = network_of(garage.circuit, "gw-01")
    found = kept_responses_s(path, plain)
    assert 12 <= found["p0"] <= 15
    assert 1 <= found["battery"] <= 3
    lines = {line.asset.name: line.response_ms for line in network_of(garage.circuit, "gw-01", found).lines}
    assert lines["p0"] == round(found["p0"] * 1000)
    other = network_of(Garage(tree(battery(), pile("p0"))).circuit, "gw-01")
    assert kept_responses_s(path, other) == {}  # held for another circuit
    path.write_bytes(b"{}")
    assert kept_responses_s(path, plain) == {}


def test_a_sheet_is_signed_by_the_edge_and_a_changed_one_is_refused() -> None:
    key = SigningKey.generate()
    sheet = signed(Sheet("drill-1", "works", "gw-01", "0" * 64, 1, 2, [], "Li Wei"), key)
    assert decoded(encoded(sheet)) == sheet
    changed = json.loads(encoded(sheet))
    changed["ended_at_ms"] = 3
    with pytest.raises(SheetUnusable, match="expected the signature of key"):
        decoded(json.dumps(changed).encode())
    with pytest.raises(SheetUnusable):
        decoded(b"{}")
