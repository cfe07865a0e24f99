"""Report by exception: what is told, and that nobody who holds the last value told is off by more than the band."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.dead_band import DeadBands
from wire.block import Block, Shape
from wire.reading import REASON_CODES, Quality

SHAPE = Shape(("active_power_kw", "voltage_l1_v", "energy_import_kwh"), (-3, None, -2))
BANDS = {"incomer": {"active_power_kw": 0.5, "voltage_l1_v": 1.0}}
BAD = (int(Quality.BAD), REASON_CODES["not-implemented"])


def block(at_ms: int, power_w: int | None, voltage_v: float = 230.0, count: int = 0, quality: object = ()) -> Block:
    return Block("incomer", SHAPE, (at_ms,), ((power_w,), (voltage_v,), (count,)), quality)  # type: ignore[arg-type]


def told(bands: DeadBands, given: Block) -> dict[str, float | int | None]:
    out = bands.worth_telling(given)
    return {} if out is None else {q: out.columns[i][0] for i, q in enumerate(out.shape.quantities)}


def test_the_first_value_is_told_and_one_within_the_band_is_not() -> None:
    bands = DeadBands(BANDS, 60_000)
    assert told(bands, block(0, 10_000)) == {"active_power_kw": 10_000, "voltage_l1_v": 230.0, "energy_import_kwh": 0}
    assert told(bands, block(1_000, 10_500, 231.0, 1)) == {"energy_import_kwh": 1}
    assert bands.untold == 2


def test_a_value_is_measured_against_the_last_one_told_so_that_a_slow_drift_is_seen() -> None:
    """0.3 kW a second with a band of 0.5: the second step is told, not forgiven."""
    bands = DeadBands(BANDS, 60_000)
    powers = [told(bands, block(1_000 * n, 10_000 + 300 * n)).get("active_power_kw") for n in range(5)]
    assert powers == [10_000, None, 10_600, None, 11_200]


def test_a_counter_is_always_told() -> None:
    bands = DeadBands(BANDS, 60_000)
    assert all("energy_import_kwh" in told(bands, block(1_000 * n, 0)) for n in range(4))


def test_after_the_longest_silence_a_value_is_told_though_it_has_not_moved() -> None:
    bands = DeadBands(BANDS, 3_000)
    said = ["active_power_kw" in told(bands, block(1_000 * n, 5)) for n in range(7)]
    assert said == [True, False, False, True, False, False, True]


def test_a_missing_value_and_its_return_are_told() -> None:
    bands = DeadBands(BANDS, 60_000)
    told(bands, block(0, 5))
    assert told(bands, block(1_000, None, quality=(BAD, (0, 0), (0, 0))))["active_power_kw"] is None
    assert "active_power_kw" not in told(bands, block(2_000, None, quality=(BAD, (0, 0), (0, 0))))
    assert told(bands, block(3_000, 5))["active_power_kw"] == 5


def test_a_change_of_quality_alone_is_told() -> None:
    bands = DeadBands(BANDS, 60_000)
    told(bands, block(0, 5))
    uncertain = (int(Quality.UNCERTAIN), REASON_CODES["clock"])
    out = bands.worth_telling(block(1_000, 5, quality=(uncertain, (0, 0), (0, 0))))
    assert out is not None
    assert (out.shape.quantities, out.quality) == (("active_power_kw", "energy_import_kwh"), (uncertain, (0, 0)))


def test_a_clock_that_steps_back_silences_nothing() -> None:
    bands = DeadBands(BANDS, 60_000)
    told(bands, block(100_000, 5))
    assert "active_power_kw" in told(bands, block(40_000, 5))


def test_a_device_without_bands_and_a_block_of_several_instants_pass_as_they_are() -> None:
    bands = DeadBands(BANDS, 60_000)
    other = Block("press", SHAPE, (0,), ((1,), (2.0,), (3,)))
    assert bands.worth_telling(other) is other
    several = Block("incomer", SHAPE, (0, 1), ((1, 1), (2.0, 2.0), (3, 3)))
    assert bands.worth_telling(several) is several
    assert told(bands, block(2, 1, 2.0, 3)) == {"energy_import_kwh": 3}


def test_where_nothing_is_worth_telling_there_is_no_block() -> None:
    bands = DeadBands({"incomer": {"active_power_kw": 1.0}}, 60_000)
    one = Shape(("active_power_kw",), (None,))
    assert bands.worth_telling(Block("incomer", one, (0,), ((1.0,),))) is not None
    assert bands.worth_telling(Block("incomer", one, (1,), ((1.5,),))) is None


@given(
    steps_w=st.lists(st.integers(-3_000, 3_000), min_size=1, max_size=60),
    band_w=st.integers(0, 2_000),
    longest_s=st.integers(1, 20),
)
def test_holding_the_last_value_told_is_never_off_by_more_than_the_band(
    steps_w: list[int], band_w: int, longest_s: int
) -> None:
    bands = DeadBands({"incomer": {"active_power_kw": band_w / 1000}}, longest_s * 1000)
    power_w, held_w, silent_s = 0, 0, 0
    for second, step_w in enumerate(steps_w):
        power_w += step_w
        said = told(bands, block(second * 1000, power_w))
        held_w = said.get("active_power_kw", held_w)  # type: ignore[assignment]
        silent_s = 0 if "active_power_kw" in said else silent_s + 1
        assert abs(power_w - held_w) <= band_w
        assert silent_s < longest_s
