"""Provisional kg at the edge: exact figures by hand, what has none and why, packs that are taken or refused, restarts without a link."""

import io
import json
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from event_bodies import faults

from edge_agent.carbon import Carbon
from edge_agent.carbon_report import run_carbon
from wattline.command import main
from wire.block import Block, Shape
from wire.factor_pack import Factor, FactorPack, Meter, Multiplier, seal
from wire.keys import SigningKey
from wire.reading import Event, Quality
from wire.topics import edge_topic

KEY = SigningKey(bytes(range(32)))
TOPIC = edge_topic("works", "gw-01", "factors")
QUARTER = 900_000
T0 = 1_767_196_800_000  # 2026-01-01T00:00 in Shanghai, a boundary
PACK = FactorPack(
    7,
    T0,
    "OPS",
    QUARTER,
    [Meter("incomer", [Multiplier(0, "1"), Multiplier(T0 + 8 * QUARTER, "100")])],
    [
        Factor(0, T0 + 4 * QUARTER, "0.5366", "elec.grid", 2, "CN", 2022),
        Factor(T0 + 4 * QUARTER, T0 + 12 * QUARTER, "0.5306", "elec.grid", 1, "CN", 2023),
    ],
)


class Gateway:
    """A gateway's carbon figures, fed by hand."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.told: list[Event] = []
        self.synced = True
        self.carbon = self.started()

    def started(self) -> Carbon:
        self.carbon = Carbon(self.directory, KEY.public, TOPIC, self.told.append, lambda: self.synced)
        return self.carbon

    def reads(self, at_ms: int, counts: int, quality: Quality = Quality.GOOD, device: str = "incomer") -> None:
        """A counter of hundredths of a kWh."""
        marks = () if quality is Quality.GOOD else ((int(quality), 0),)
        self.carbon.look(Block(device, Shape(("energy_import_kwh",), (-2,)), (at_ms,), ((counts,),), marks))

    def said(self) -> list[tuple[int, object, object, object]]:
        """(interval, kWh, kg, why) of each event."""
        for event in self.told:
            assert faults(event.kind, event.body) == []
        return [
            ((int(str(e.body["start_ms"])) - T0) // QUARTER, e.body["kwh"], e.body["kg"], e.body.get("why"))
            for e in self.told
        ]


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    made = Gateway(tmp_path)
    made.carbon.message(seal(PACK, TOPIC, KEY))
    return made


def test_a_quarter_hour_is_its_counter_difference_times_the_factor_to_the_last_digit(gateway: Gateway) -> None:
    """By hand: 12.34 x 0.5366 = 6.621644; across the change of factor 20.00 x 0.5306 = 10.612; with the transformer 0.25 x 100 x 0.5306 = 13.265."""
    for at_ms, counts in (
        (T0 + 200, 100_000), (T0 + QUARTER - 400, 101_233), (T0 + QUARTER + 300, 101_234), (T0 + 4 * QUARTER + 10, 104_234),
        (T0 + 5 * QUARTER, 106_234), (T0 + 8 * QUARTER + 1, 106_300), (T0 + 9 * QUARTER + 1000, 106_325),
    ):  # fmt: skip
        gateway.reads(at_ms, counts)
    said = {interval: (kwh, kg) for interval, kwh, kg, _ in gateway.said()}
    assert said[0] == ("12.34", "6.621644")
    assert said[4] == ("20.00", "10.612000")
    assert said[8] == ("25.00", "13.265000")
    assert [said[interval] for interval in (1, 2, 3, 5, 6, 7)] == [(None, None)] * 6


def test_what_the_aggregator_would_estimate_has_no_figure_and_says_why(gateway: Gateway) -> None:
    gateway.reads(T0 + 100, 1_000)
    gateway.reads(T0 + QUARTER + 1001, 5_000)  # no reading within a second of the boundary
    gateway.reads(T0 + 2 * QUARTER, 9_000)
    gateway.reads(T0 + 3 * QUARTER, 9_019)  # 19 counts of 0.01
    gateway.reads(T0 + 4 * QUARTER, 8_000)  # back
    gateway.reads(T0 + 11 * QUARTER + 500, 9_999_999)
    gateway.reads(T0 + 12 * QUARTER + 500, 10_999_999)
    gateway.reads(T0 + 13 * QUARTER + 500, 11_999_999)
    why = {interval: text for interval, _, kg, text in gateway.said() if kg is None}
    assert why[0] == why[1] == "no reading within 1 s of a boundary"
    assert why[2] == "fewer than 20 counts: its shape is not known"
    assert why[3] == "the counter went back"
    assert why[12] == "no factor of the pack covers it"
    assert 11 not in why


def test_readings_that_are_not_good_and_a_clock_that_is_not_believed_break_the_line(gateway: Gateway) -> None:
    gateway.reads(T0, 1_000)
    gateway.reads(T0 + 1000, 1_001, Quality.UNCERTAIN)
    gateway.reads(T0 + QUARTER, 2_000)
    gateway.synced = False
    gateway.reads(T0 + QUARTER + 5000, 2_100)
    gateway.synced = True
    gateway.reads(T0 + 2 * QUARTER, 3_000)
    gateway.reads(T0 + 2 * QUARTER + 1, 3_000, device="press")
    assert gateway.told == []


def test_a_pack_lasts_over_a_restart_without_a_link_and_only_a_newer_one_takes_its_place(
    gateway: Gateway, tmp_path: Path
) -> None:
    older = msgspec.structs.replace(PACK, number=6, factors=[Factor(0, T0 + 12 * QUARTER, "9")])
    gateway.carbon.message(seal(older, TOPIC, KEY))
    gateway.carbon.message(seal(msgspec.structs.replace(older, number=8), TOPIC, SigningKey.generate()))
    gateway.carbon.message(b"WLF")
    assert gateway.carbon.refused == 2
    again = gateway.started()
    assert again.pack == PACK
    gateway.reads(T0, 1)
    gateway.reads(T0 + QUARTER, 101)
    assert gateway.said() == [(0, "1.00", "0.536600", None)]
    gateway.carbon.message(seal(msgspec.structs.replace(older, number=8), TOPIC, KEY))
    gateway.reads(T0 + 2 * QUARTER, 201)
    assert gateway.said()[1] == (1, "1.00", "9.00", None)
    assert again.figures() == {"carbon_pack": 8, "carbon_kg": {"incomer": "9.00"}}


def test_somebody_beside_the_gateway_sees_its_figures(gateway: Gateway, tmp_path: Path) -> None:
    gateway.reads(T0, 0)
    gateway.reads(T0 + QUARTER, 10_000)
    spool = tmp_path / "spool"
    (spool / "state").mkdir(parents=True)
    (tmp_path / "carbon.json").rename(spool / "state" / "carbon.json")
    key = KEY.public.to_text()
    out = io.StringIO()
    assert run_carbon(spool, key, TOPIC, False, out) == 0
    assert "factor pack 7 of 2025-12-31T16:00Z, profile OPS, 1 meters; signature holds" in out.getvalue()
    assert "incomer 2025-12-31T16:00Z: 53.660000 kg = 100.00 kWh x 0.5366" in out.getvalue()
    assert "incomer: 53.660000 kg for 100.00 kWh, 1 intervals, 0 without a figure (provisional)" in out.getvalue()
    out = io.StringIO()
    assert run_carbon(spool, key, TOPIC, True, out) == 0
    assert Decimal(json.loads(out.getvalue())["figures"][0]["kg"]) == Decimal("53.66")
    assert run_carbon(spool, SigningKey.generate().public.to_text(), TOPIC, False, io.StringIO()) == 1
    assert run_carbon(spool, "", TOPIC, False, io.StringIO()) == 1
    assert run_carbon(tmp_path, key, TOPIC, False, io.StringIO()) == 1


def test_the_command_reads_the_edge_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "edge.toml"
    file.write_text(
        f"""
facility = "works"
edge = "gw-01"
mqtt = {{ host = "127.0.0.1", plain = true }}
spool = {{ directory = "spool" }}
aggregator = {{ command_key = "{KEY.public.to_text()}" }}
[[bus]]
name = "line"
protocol = "modbus_tcp"
host = "127.0.0.1"
[[bus.device]]
name = "incomer"
model = "eastron_sdm630"
unit = 1
""",
        encoding="utf-8",
    )
    assert main(["edge", "carbon", str(file)]) == 1
    assert "no factor pack has come yet" in capsys.readouterr().out
    directory = tmp_path / "spool" / "state"
    directory.mkdir(parents=True)
    Gateway(directory).carbon.message(seal(PACK, TOPIC, KEY))
    assert main(["edge", "carbon", str(file)]) == 0
    assert "0.5306 kg/kWh, elec.grid v1 CN" in capsys.readouterr().out
