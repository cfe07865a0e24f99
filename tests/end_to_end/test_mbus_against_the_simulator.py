"""The agent's M-Bus driver and models against the simulator, whose frames and records were written from the standard a second time.

The simulator's streams are exact integers, told over its control interface; what the agent reads must be those, cut to the meter's digits.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from metered_line import MeteredLine, metered_line, values_of

from edge_agent.drivers.driver import DeviceMisanswered, DeviceRefused, DeviceUnreachable, DriverError
from edge_agent.drivers.mbus.driver import Mbus
from wire.reading import REASON_CODES, Quality

SERIAL_ROW = {"quantity": "answer_serial_1", "what": "dimensionless"}
METERS = {  # name: kind, which is also its model, and what it measures
    "district": ("kamstrup_multical_601", "heat"),
    "station": ("landis_gyr_ultraheat_t230", "heat"),
    "flat": ("sensus_pollucom_e", "heat"),
    "hall": ("engelmann_sensostar_2c", "heat"),
    "chiller": ("itron_cf51", "cooling"),
    "cold": ("itron_cyble_water", "cold_water"),
    "hot": ("elster_falcon_water", "hot_water"),
    "gas": ("itron_cyble_gas", "gas"),
    "burner": ("relay_padpuls_m2_oil", "oil"),
    "lift": ("emu_professional_375", "load"),
    "light": ("nzr_dhz_5_63", "load"),
}
MODELS = {name: kind for name, (kind, _) in METERS.items()}
ROWS = {name: [SERIAL_ROW] for name in METERS}
PRIMARY = {name: {"primary": number} for number, name in enumerate(METERS, 1)}
SECONDARY = {name: {"secondary": f"2000{number:04d}"} for number, name in enumerate(METERS, 1)}


def site(serial: bool = False, **options: dict[str, Any]) -> dict[str, Any]:
    """A building with all carriers, each with meters of real makes on one line; `options` by meter."""
    return {
        "plant": [
            {
                "name": "building",
                "time_zone": "Europe/Berlin",
                "load": {"kind": "synthetic", "base_kw": 40, "peak_kw": 40, "noise_ratio": 0},
                "heat": {"peak_kw": 300},
                "cooling": {"peak_kw": 200},
                "water": {"cold_peak_m3_per_h": 6, "hot_peak_m3_per_h": 3},
                "gas": {"peak_m3_per_h": 40},
                "oil": {"peak_l_per_h": 25},
                "bus": [{"name": "line", "protocol": "mbus", **({"serial": True} if serial else {})}],
                "device": [
                    {
                        "name": name,
                        "kind": kind,
                        "measures": carrier,
                        "bus": "line",
                        "unit": number,
                        "secondary": f"2000{number:04d}",
                        **options.get(name, {}),
                    }
                    for number, (name, (kind, carrier)) in enumerate(METERS.items(), 1)
                ],
            }
        ]
    }


@pytest.fixture(params=[PRIMARY, SECONDARY], ids=["primary", "secondary"])
async def line(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[MeteredLine]:
    async with metered_line(tmp_path, site(), "mbus", MODELS, ROWS, request.param, baud=38400) as line:
        line.at_ms += 3_600_000
        yield line


@pytest.fixture
async def wired(tmp_path: Path) -> AsyncIterator[MeteredLine]:
    """By primary address."""
    async with metered_line(tmp_path, site(), "mbus", MODELS, ROWS, PRIMARY, baud=38400) as line:
        line.at_ms += 3_600_000
        yield line


async def stream(line: MeteredLine, carrier: str) -> dict[str, Any]:
    told = await line.ask({"show": "plants"})
    true: dict[str, Any] = told["plants"]["building"]["streams"][carrier]
    return true


async def test_every_meter_of_the_line_is_read(line: MeteredLine) -> None:
    for name in METERS:
        values = await line.values(name)
        assert None not in values.values(), (name, values)


async def test_the_heat_meters_agree_with_what_flows(line: MeteredLine) -> None:
    """By the counts of their records: kWh, 0.01 m3, 0.1 kW, L/h, 0.01 degC; kWh, L, W, L/h, 0.1 degC."""
    for name, count in {"district": 0.01, "station": 0.1, "flat": 0.1}.items():
        shown, true = await line.values(name), await stream(line, "heat")
        assert shown["heat_energy_kwh"] == true["energy_uj"] // (3_600_000_000_000)
        litres = true["volume_nl"] // 10**9
        assert shown["heat_volume_m3"] == (litres if name == "flat" else litres // 10 * 10) / 1000
        assert shown["heat_flow_m3_per_h"] == pytest.approx(true["flow_ul_per_s"] * 3.6e-6, abs=1e-3)
        assert shown["heat_power_kw"] == pytest.approx(true["power_kw"], abs=0.1)
        assert shown["heat_supply_temperature_degc"] == pytest.approx(true["supply_degc"], abs=count)
        assert shown["heat_return_temperature_degc"] == pytest.approx(true["return_degc"], abs=count)


async def test_a_combined_meter_counts_cold_in_the_record_for_negative_contributions(line: MeteredLine) -> None:
    shown, true = await line.values("chiller"), await stream(line, "cooling")
    assert shown["cooling_energy_kwh"] == true["energy_uj"] // 3_600_000_000_000
    assert shown["heat_energy_kwh"] == 0
    assert shown["heat_power_kw"] == pytest.approx(-true["power_kw"], abs=0.1)


@pytest.mark.parametrize(
    ("name", "quantity", "carrier", "count_nl", "per_unit"),
    [
        ("cold", "water_volume_m3", "cold_water", 10**10, 100),
        ("hot", "water_volume_m3", "hot_water", 10**9, 1000),
        ("gas", "gas_volume_m3", "gas", 10**10, 100),
        ("burner", "oil_volume_l", "oil", 10**9, 1),
    ],
)
async def test_a_volume_is_the_true_one_cut_to_the_meters_digits(
    wired: MeteredLine, name: str, quantity: str, carrier: str, count_nl: int, per_unit: int
) -> None:
    shown, true = (await wired.values(name))[quantity], (await stream(wired, carrier))["volume_nl"]
    assert true > 0
    assert shown == true // count_nl / per_unit


async def test_the_electricity_meters_show_the_load(wired: MeteredLine) -> None:
    """40 kW for an hour; phases as 34, 33 and 33 per cent of it."""
    emu, nzr = await wired.values("lift"), await wired.values("light")
    assert emu["energy_import_tariff_1_kwh"] == pytest.approx(40, abs=0.001)
    assert nzr["energy_import_kwh"] == pytest.approx(40, abs=0.001)
    assert emu["active_power_kw"] == 40
    assert [emu[f"active_power_l{phase}_kw"] for phase in (1, 2, 3)] == [13.6, 13.2, 13.2]
    assert nzr["voltage_l1_v"] == pytest.approx(230, abs=2.2)


async def test_the_meters_are_read_over_a_pseudo_terminal(tmp_path: Path) -> None:
    async with metered_line(tmp_path, site(serial=True), "mbus", MODELS, ROWS, SECONDARY, baud=38400) as line:
        line.at_ms += 3_600_000
        true = await stream(line, "gas")
        assert (await line.values("gas"))["gas_volume_m3"] == true["volume_nl"] // 10**10 / 100


async def test_every_answer_that_carried_its_number_is_read_once(line: MeteredLine) -> None:
    seen = [(await line.values("district"))["answer_serial_1"] for _ in range(3)]
    assert seen == [entry["serial"] for entry in line.log() if entry["carried"] and entry["device"] == "district"]


async def test_a_selection_is_kept_while_the_same_meter_is_read(tmp_path: Path) -> None:
    async with metered_line(tmp_path, site(), "mbus", MODELS, ROWS, SECONDARY, baud=38400) as line:
        for name in ("gas", "gas", "gas", "cold", "gas"):
            await line.read(name)
        sent = [raw for _, ours, raw in line.frames if ours]
        selections = [raw for raw in sent if raw[0] == 0x68]
        assert len(selections) == 3
        assert [raw[1] for raw in sent if raw[0] == 0x10] == [0x7B, 0x5B, 0x7B, 0x7B, 0x7B]


async def test_a_second_telegram_is_read_only_where_a_row_needs_it(tmp_path: Path) -> None:
    """The simulated PolluCom E sends its stored energy, which is 0, in a second telegram."""
    stored: list[dict[str, Any]] = [*ROWS["flat"], {"quantity": "cooling_energy_kwh", "what": "energy", "storage": 1}]
    models = {"flat": MODELS["flat"]}
    async with metered_line(tmp_path, site(), "mbus", models, {"flat": stored}, PRIMARY, baud=38400) as line:
        for _ in range(3):
            line.at_ms += 1000
            answer = await line.read("flat")
            assert answer.faults == []
            first, second = answer.blocks
            assert second.shape.quantities == ("cooling_energy_kwh",)
            assert second.columns == ((0,),)
            assert "heat_energy_kwh" in first.shape.quantities
            assert answer.requests == 3
    async with metered_line(tmp_path, site(), "mbus", models, ROWS, PRIMARY, baud=38400) as line:
        assert [(await line.read("flat")).requests for _ in range(2)] == [2, 2]


async def test_counters_alone_leave_the_rest_out(wired: MeteredLine) -> None:
    (block,) = (await wired.read("district", counters_only=True)).blocks
    assert set(block.shape.quantities) == {"heat_energy_kwh", "heat_volume_m3", "answer_serial_1"}


async def test_trouble_that_the_status_byte_tells_makes_values_uncertain(tmp_path: Path) -> None:
    rows = {"cold": [{"quantity": "alarm_code", "what": "status"}]}
    troubled = site(cold={"status": 0x08})
    async with metered_line(tmp_path, troubled, "mbus", {"cold": MODELS["cold"]}, rows, PRIMARY, baud=38400) as line:
        (block,) = (await line.read("cold")).blocks
        told = dict(zip(block.shape.quantities, zip(block.columns, block.quality, strict=True), strict=True))
        assert told["water_volume_m3"][1] == (Quality.UNCERTAIN, REASON_CODES["device-fault"])
        assert told["alarm_code"] == ((0x08,), (0, 0))


async def test_another_kind_of_meter_behind_an_address_is_not_read_as_this_one(tmp_path: Path) -> None:
    wrong = {"cold": "kamstrup_multical_601"}
    async with metered_line(tmp_path, site(), "mbus", wrong, {}, PRIMARY, baud=38400) as line:
        with pytest.raises(DeviceMisanswered, match="expected a meter of KAM, saw 20000006, ACW"):
            await line.read("cold")


async def test_two_meters_that_answer_at_once_are_a_clear_error(tmp_path: Path) -> None:
    """Both have the primary address 6, as meters fresh from the factory do."""
    doubled = site(hot={"primary": 6})
    async with metered_line(tmp_path, doubled, "mbus", {"cold": MODELS["cold"]}, {}, PRIMARY, baud=38400) as line:
        with pytest.raises(DeviceMisanswered, match="cold: primary 6"):
            await line.read("cold")
    async with metered_line(tmp_path, doubled, "mbus", MODELS, {}, SECONDARY, baud=38400) as line:
        assert (await line.values("cold"))["water_volume_m3"] is not None
        assert (await line.values("hot"))["water_volume_m3"] is not None


async def test_a_search_with_wildcards_finds_every_meter_and_leaves_none_selected(tmp_path: Path) -> None:
    meters = dict(list(METERS.items())[:3])
    far = site(station={"secondary": "31000002"}, flat={"secondary": "25000003"})
    far["plant"][0]["device"] = far["plant"][0]["device"][:3]
    models = {name: MODELS[name] for name in meters}
    async with metered_line(tmp_path, far, "mbus", models, {}, PRIMARY, baud=38400) as line:
        driver = line.driver
        assert isinstance(driver, Mbus)
        driver._link.timeout_s = 0.1
        found = await driver.search()
        assert sorted(str(meter) for meter in found.meters) == [
            "20000001, KAM, version 8, medium 4",
            "25000003, SEN, version 8, medium 4",
            "31000002, LUG, version 7, medium 4",
        ]
        assert found.doubled == ()
        sent = [raw.hex() for _, ours, raw in line.frames if ours]
        assert sent[-1] == "1040fd3d16"
        assert (await line.values("flat"))["heat_energy_kwh"] == 0


async def recovers(line: MeteredLine, name: str = "cold") -> None:
    """After the fault the meter is read again, by itself, within a few reads."""
    await line.ask({"device": name, "clear": "all"})
    for _ in range(5):
        try:
            answer = await line.read(name)
        except DriverError:
            continue
        if not answer.faults:
            return
    raise AssertionError(f"{name} does not come back")


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        ({"fault": "half_frame"}, DeviceMisanswered, "expected a whole answer, saw 68"),
        (
            {"fault": "wrong_unit"},
            DeviceMisanswered,
            "expected an answer of (primary 6, saw one of 7|20000006.*20000007)",
        ),
        ({"fault": "exception", "code": 8}, DeviceRefused, r"application error 8 \(application too busy\)"),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else "",
)
async def test_a_fault_is_told_in_the_words_of_the_protocol(
    line: MeteredLine, fault: dict[str, Any], error: type[DriverError], words: str
) -> None:
    await line.read("cold")
    await line.read("cold")
    await line.ask({"device": "cold", **fault})
    with pytest.raises(error, match=words):
        await line.read("cold")
    await recovers(line)


async def test_an_old_telegram_is_known_by_its_access_number(wired: MeteredLine) -> None:
    for _ in range(3):
        await wired.read("cold")
    await wired.ask({"device": "cold", "fault": "stale"})
    with pytest.raises(DeviceMisanswered, match="expected a new telegram, saw the one with access number 3 again"):
        await wired.read("cold")


async def test_a_late_answer_is_never_taken_for_another_meters(line: MeteredLine) -> None:
    await line.read("cold")
    await line.ask({"device": "cold", "fault": "delay", "delay_s": 0.6})
    for _ in range(3):
        with pytest.raises(DriverError):
            await line.read("cold")
        hot = await line.values("hot")
        assert hot["water_volume_m3"] == (await stream(line, "hot_water"))["volume_nl"] // 10**9 / 1000
    await recovers(line)


async def test_a_volume_rolls_over_where_its_digits_end(wired: MeteredLine) -> None:
    """Eight digits of 0.01 m3: a million cubic metres."""
    await wired.ask({"device": "gas", "fault": "rollover", "below_kwh": 2})
    near = (await wired.values("gas"))["gas_volume_m3"]
    wired.at_ms += 3_600_000
    past = (await wired.values("gas"))["gas_volume_m3"]
    assert near == pytest.approx(999_998, abs=0.02)
    assert past is not None
    assert past < 100


async def test_a_meter_clock_that_jumps_changes_no_instant_of_a_reading(wired: MeteredLine) -> None:
    await wired.ask({"device": "district", "fault": "clock_jump", "clock_s": -86_400})
    (block,) = (await wired.read("district")).blocks
    assert block.at_ms == (wired.at_ms,)


async def test_a_dead_meter_costs_the_others_of_its_line_one_time_out(line: MeteredLine) -> None:
    await line.ask({"device": "cold", "fault": "silence"})
    with pytest.raises(DeviceUnreachable):
        await line.read("cold")
    asked = [raw for device, sent, raw in line.frames if sent and device == "cold"]
    assert len(asked) == 1
    assert values_of(await line.read("hot"))["water_volume_m3"] is not None


async def test_the_driver_sends_nothing_but_questions_and_selections(line: MeteredLine) -> None:
    for name in METERS:
        await line.read(name)
        await line.read(name)
    sent = [raw for _, ours, raw in line.frames if ours]
    assert {raw[1] for raw in sent if raw[0] == 0x10} <= {0x40, 0x5B, 0x7B}
    assert {(raw[4], raw[5], raw[6]) for raw in sent if raw[0] == 0x68} <= {(0x53, 0xFD, 0x52)}
