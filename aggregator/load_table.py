"""`[[facility.shiftable]]` and `[[facility.comfort]]` of the settings: loads that a plan may move, key by key and against the circuit. Not what a plan makes of them."""

from collections.abc import Collection, Iterable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from aggregator.flexibility.operation.loads import Comfort, Waiting
from aggregator.flexibility.operation.tariff import MINUTES, When
from aggregator.tariff_table import Name, Power, Table, minutes_of, number
from wire.circuit import Asset, Circuit

LEAST_BAND_K: Final = 0.5
Said = tuple[str, str, str]


def _window(value: Any) -> tuple[int, int]:
    """Minutes of "22:00-06:00": an end that is not after the begin is the next day's."""
    wrong = PydanticCustomError("expected", 'a window such as "08:00-18:00" or "22:00-06:00", on quarters')
    begin, end = minutes_of(value, wrong)
    if begin in (MINUTES, end):
        raise wrong
    return begin, end


Positive = Annotated[float, BeforeValidator(number), Field(gt=0, le=1e6)]
Degrees = Annotated[float, BeforeValidator(number), Field(ge=-60, le=100)]


class ShiftableTable(Table):
    """`[[facility.shiftable]]`: a load that takes `kwh` in each window, whenever in it that is best."""

    asset: Name
    kwh: Positive
    window: Annotated[Any, BeforeValidator(_window)] = (0, MINUTES)
    months: list[Annotated[int, Field(ge=1, le=12)]] = Field(default=[], max_length=12)
    days: Literal["all", "workday", "weekend"] = "all"
    most_kw: Positive | None = None
    least_kw: Power = 0.0

    def waiting(self, asset: Asset) -> Waiting:
        """The rule."""
        most_kw = asset.charge_kw if self.most_kw is None else self.most_kw
        begin_min, end_min = self.window
        when = When(tuple(self.months), self.days)
        return Waiting(self.asset, self.kwh, begin_min, end_min, most_kw, when, self.least_kw)


class ComfortTable(Table):
    """`[[facility.comfort]]`: what cools or heats a building, and the band within which it may."""

    asset: Name
    task: Literal["cooling", "heating"]
    low_degc: Degrees
    high_degc: Degrees
    kwh_per_k: Positive
    loss_kw_per_k: Positive
    gains_kw: Power = 0.0
    most_kw: Positive | None = None
    least_kw: Power = 0.0
    thermometer: Name | None = None
    outdoors: Name | None = None
    outdoor_degc: Degrees | None = None

    def comfort(self, asset: Asset) -> Comfort:
        """The rule."""
        return Comfort(
            self.asset, self.task, self.low_degc, self.high_degc, self.kwh_per_k, self.loss_kw_per_k,
            asset.charge_kw if self.most_kw is None else self.most_kw, self.thermometer or asset.device, self.outdoors or asset.device,
            self.gains_kw, self.least_kw, self.outdoor_degc,
        )  # fmt: skip


def faults_of(
    shiftable: Sequence[ShiftableTable], comfort: Sequence[ComfortTable], circuit: Circuit, meters: Collection[str]
) -> Iterable[Said]:
    """(key, expected, seen) of what each key alone does not show. `meters`: devices whose electricity the settings count."""
    loads = {asset.name: asset for asset in circuit.asset if asset.kind == "load"}
    named: set[str] = set()
    rows: list[tuple[str, ShiftableTable | ComfortTable]] = [
        *((f"shiftable[{at}]", one) for at, one in enumerate(shiftable)),
        *((f"comfort[{at}]", each) for at, each in enumerate(comfort)),
    ]
    for key, row in rows:
        asset = loads.get(row.asset)
        if asset is None:
            known = ", ".join(sorted(loads)) or "there is none"
            yield f"{key}.asset", f"a load of the circuit: {known}", repr(row.asset)
            continue
        if row.asset in named:
            yield f"{key}.asset", "each load once", f"{row.asset!r} again"
        named.add(row.asset)
        if asset.device not in meters:
            yield (
                f"{key}.asset",
                "a load whose device is a meter of the facility, so that it is known what it takes",
                f"device {asset.device!r}",
            )
        if row.most_kw is not None and row.most_kw > asset.charge_kw:
            yield f"{key}.most_kw", f"at most the circuit's charge_kw ({asset.charge_kw:g})", f"{row.most_kw:g}"
        most_kw = min(row.most_kw or asset.charge_kw, asset.charge_kw)
        if row.least_kw > most_kw:
            yield f"{key}.least_kw", f"at most what it takes at most ({most_kw:g})", f"{row.least_kw:g}"
        if isinstance(row, ShiftableTable):
            hours = row.waiting(asset).hours
            if row.kwh > most_kw * hours:
                yield f"{key}.kwh", f"at most what {most_kw:g} kW come to in {hours:g} h", f"{row.kwh:g}"
        else:
            yield from _band(key, row)


def _band(key: str, row: ComfortTable) -> Iterable[Said]:
    if row.high_degc < row.low_degc + LEAST_BAND_K:
        yield f"{key}.high_degc", f"at least {LEAST_BAND_K:g} above low_degc ({row.low_degc:g})", f"{row.high_degc:g}"
    if row.loss_kw_per_k >= row.kwh_per_k:
        yield (
            f"{key}.loss_kw_per_k",
            f"below kwh_per_k ({row.kwh_per_k:g}): a building that keeps its temperature for longer than an hour",
            f"{row.loss_kw_per_k:g}",
        )
