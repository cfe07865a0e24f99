"""The tables of the aggregator's settings file, key by key, each checked alone. Not what contradicts between them (`aggregator.settings`)."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import ErrorDetails, PydanticCustomError

from aggregator.catalogue import Retention, SeriesRule
from aggregator.emissions.lint import plausible_range
from aggregator.facility import CarbonPrice, Cell, Facility, FactorOverride, MeterSpec, Multiplier, Role, VirtualMeter
from aggregator.flexibility.events.policy import ResponsePolicy
from aggregator.footprint.own_machine import OwnMachine
from aggregator.intervals.carrier_use import FLUE_GAS, VOLUMES, CarrierUse, Stack
from aggregator.intervals.meter import standing
from aggregator.load_table import ComfortTable, ShiftableTable
from aggregator.process import Process
from aggregator.tariff_table import TariffTable


def _decimal(value: Any) -> Decimal:
    """A decimal as text, or a number; a TOML float keeps the digits that it was written with up to 15."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        raise PydanticCustomError("expected", "a decimal number")
    try:
        number = Decimal(repr(value) if isinstance(value, float) else value)
    except InvalidOperation as error:
        raise PydanticCustomError("expected", 'a decimal number such as "0.5306"') from error
    if not number.is_finite() or abs(number.adjusted()) > 18:
        raise PydanticCustomError("expected", "a finite decimal number")
    return number


def _above_zero(value: Decimal) -> Decimal:
    if value <= 0:
        raise PydanticCustomError("expected", "a number above 0")
    return value


def _not_below_zero(value: Decimal) -> Decimal:
    if value < 0:
        raise PydanticCustomError("expected", "0 or a number above it")
    return value


def _plausible_factor(value: Decimal) -> Decimal:
    """Within the range that the registry's lint holds a facility's own factor to, kg/kWh."""
    bounds = plausible_range("override.electricity")
    if bounds is not None and not bounds.low <= value <= bounds.high:
        raise PydanticCustomError("expected", f"{bounds.low} to {bounds.high} {bounds.unit}")
    return value


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise PydanticCustomError("expected", "an IANA time zone such as Asia/Shanghai")
    return value


def _instant(value: Any) -> datetime | date:
    """A TOML date (the start of that day at the facility) or a time with its offset."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise PydanticCustomError("expected", "a date, or a time with its offset such as 2026-01-01T00:00:00+08:00")
        return value
    if isinstance(value, date):
        return value
    raise PydanticCustomError("expected", "a date such as 2026-01-01, without quotes")


Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
PositiveDecimal = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_above_zero)]
FactorDecimal = Annotated[Decimal, BeforeValidator(_decimal), AfterValidator(_not_below_zero)]
Instant = Annotated[datetime | date, BeforeValidator(_instant)]
ZoneName = Annotated[str, AfterValidator(_zone)]
Text = Annotated[str, Field(min_length=1, max_length=500)]
CarrierName = Literal["electricity", "gas", "water", "heat", "steam", "cooling", "oil", "flue_gas"]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Table(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)


class HttpTable(_Table):
    """`[aggregator] http`: `reads` defaults to open on loopback and to token elsewhere."""

    host: Text = "127.0.0.1"
    port: Port = 8080
    reads: Literal["open", "token"] | None = None
    allowed_hosts: list[Text] = Field(default=[], max_length=32)
    viewers_max: Annotated[int, Field(ge=1, le=10_000)] = 500


class AggregatorTable(_Table):
    """`[aggregator]`."""

    store_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = ""
    data_directory: Text = "/var/lib/wattline"
    http: HttpTable = HttpTable()


class TlsTable(_Table):
    """`[mqtt] tls`."""

    ca: Text
    cert: Text | None = None
    key: Text | None = None


class MqttTable(_Table):
    """`[mqtt]`."""

    host: Text
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    tls: TlsTable | None = None
    username: str = ""
    plain: bool = False


class CommandsTable(_Table):
    """`[commands]`: the file of the key that signs set-points; without it the aggregator makes one beside its data."""

    key: Text | None = None


class AuditTable(_Table):
    """`[audit]`: how many MiB of sealed batches are kept as evidence; 0: none."""

    archive_mib: Annotated[int, Field(ge=0, le=1 << 24)] = 1024


class ForecastTable(_Table):
    """`[forecast]`: whether gradient-boosted trees (the extra `forecast`) may be chosen besides the medians."""

    gradient_boosting: bool = False


class FootprintTable(_Table):
    """`[footprint]`: the machine that the aggregator runs on. `idle_w` and `core_w` with where they are from; no default, so that no figure is made up."""

    hardware: Text
    idle_w: FactorDecimal
    core_w: PositiveDecimal
    power_source: Text
    share_percent: Annotated[PositiveDecimal, Field(le=100)] = Decimal(100)
    store_w_per_tb: FactorDecimal = Decimal(0)
    pue_ratio: Annotated[PositiveDecimal, Field(ge=1, le=5)] = Decimal(1)
    place: Annotated[str, Field(max_length=32)] = ""
    grid_zone: Annotated[str, Field(max_length=64)] = ""
    time_zone: ZoneName = "UTC"
    kg_per_kwh: FactorDecimal | None = None
    factor_source: Annotated[str, Field(max_length=500)] = ""
    embodied_kg: FactorDecimal | None = None
    life_years: PositiveDecimal | None = None
    embodied_source: Annotated[str, Field(max_length=500)] = ""

    def machine(self) -> OwnMachine:
        return OwnMachine(**self.model_dump())


class AccountsTable(_Table):
    """`[accounts]`: from which change of a published total on, in % of it, a restatement is published at once."""

    significance_percent: FactorDecimal = Decimal(5)


class StoreTable(_Table):
    """`[store]`."""

    kind: Literal["duckdb", "influxdb"] = "duckdb"
    url: str = ""
    database: Text = "wattline"
    dialect: Literal["v1", "v2"] = "v2"
    org: str = ""
    username: str = ""


class MultiplierTable(_Table):
    """One entry of a meter's `multiplier`, a list that only grows; the first may have no `valid_from`."""

    factor: PositiveDecimal
    valid_from: Instant | None = None
    reason: str = ""
    evidence: str = ""
    approver: str = ""


class StackTable(_Table):
    """`stack` of a meter for flue gas: why its measurement is believed, and whose calculated CO2 it takes the place of."""

    evidence: Text
    in_place_of: list[Text] = Field(default=[], max_length=1000)
    valid_from: Instant | None = None
    biogenic_ratio: Annotated[FactorDecimal, Field(le=1)] = Decimal(0)
    gap_preset: Literal["40cfr75"] | None = None

    def stack(self, zone: ZoneInfo) -> Stack:
        """The stack."""
        return Stack(
            self.evidence,
            tuple(self.in_place_of),
            instant_ms(self.valid_from, zone),
            self.biogenic_ratio,
            self.gap_preset or "",
        )


class MeterTable(_Table):
    """`[[facility.meter]]`."""

    device: Id
    edge: Id
    rated_power_kw: PositiveDecimal | None = None
    rated_flow_m3_per_h: PositiveDecimal | None = None
    rated_co2_kg_per_h: PositiveDecimal | None = None
    role: Literal["main", "sub", "check"] = "sub"
    carrier: CarrierName = "electricity"
    modulus_kwh: PositiveDecimal | None = None
    modulus_m3: PositiveDecimal | None = None
    quantum_kwh: PositiveDecimal | None = None
    quantum_m3: PositiveDecimal | None = None
    multiplier: list[MultiplierTable] = Field(default=[], max_length=1000)
    show: Literal["grid", "load", "pv", "storage", "ev"] | None = None
    counted: bool = True
    parent: Id | None = None
    accuracy_percent: Annotated[PositiveDecimal, Field(le=20)] | None = None
    fuel: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    measured_at_degc: Annotated[Decimal, BeforeValidator(_decimal), Field(ge=-60, le=100)] | None = None
    performance_ratio: PositiveDecimal | None = None
    made_by: list[Id] = Field(default=[], max_length=100)
    stack: StackTable | None = None
    entity: Annotated[str, Field(max_length=200)] = ""

    def contradictions(self) -> Iterator[tuple[str, str, str]]:
        """(key, expected, seen): a meter's limits stand in the unit that its carrier is measured in."""
        needed = {**dict.fromkeys(VOLUMES, "rated_flow_m3_per_h"), FLUE_GAS: "rated_co2_kg_per_h"}
        rated = needed.get(self.carrier, "rated_power_kw")
        if getattr(self, rated) is None:
            yield rated, "a value, this key is required", "nothing"
        limits = {"rated_power_kw", "rated_flow_m3_per_h", "rated_co2_kg_per_h"} - {rated}
        in_m3, in_kg = self.carrier in VOLUMES, self.carrier == FLUE_GAS
        units = [name for name, strange in (("kwh", in_m3 or in_kg), ("m3", not in_m3)) if strange]
        for name in (*sorted(limits), *(f"{kind}_{unit}" for kind in ("modulus", "quantum") for unit in units)):
            if getattr(self, name) is not None:
                yield name, f"no such key at a meter for {self.carrier}", str(getattr(self, name))

    def meter(self, zone: ZoneInfo) -> MeterSpec:
        """The meter. Raises ValueError where its entries contradict each other."""
        entries = [
            Multiplier(entry.factor, instant_ms(entry.valid_from, zone), entry.reason, entry.evidence, entry.approver)
            for entry in self.multiplier
        ]
        try:
            multipliers = standing(entries)
        except ValueError as error:
            raise ValueError(f"meter {self.device}: {error}") from error
        return MeterSpec(
            device=self.device,
            edge=self.edge,
            rated_power_kw=self.rated_co2_kg_per_h or self.rated_flow_m3_per_h or self.rated_power_kw or Decimal(0),
            role=Role(self.role),
            carrier=self.carrier,
            modulus_kwh=self.modulus_m3 or self.modulus_kwh,
            quantum_kwh=self.quantum_m3 or self.quantum_kwh,
            multipliers=multipliers or (Multiplier(Decimal(1)),),
            show=self.show or ("grid" if self.role == "main" else ""),
            counted=self.counted,
            parent=self.parent or "",
            accuracy_percent=self.accuracy_percent,
            use=CarrierUse(
                self.fuel or "",
                self.measured_at_degc,
                self.performance_ratio,
                tuple(self.made_by),
                None if self.stack is None else self.stack.stack(zone),
            ),
        )


class TermTable(_Table):
    """One entry of a virtual meter's `formula`."""

    device: Id
    sign: Literal[1, -1] = 1


class VirtualMeterTable(_Table):
    """`[[facility.virtual_meter]]`: a signed sum of other meters."""

    device: Id
    formula: Annotated[list[TermTable], Field(min_length=1, max_length=1000)]
    carrier: CarrierName = "electricity"
    parent: Id | None = None

    def meter(self) -> VirtualMeter:
        """The meter."""
        return VirtualMeter(
            self.device, tuple((term.device, term.sign) for term in self.formula), self.carrier, self.parent or ""
        )


class StorageTable(_Table):
    """`[[facility.storage]]`: the battery behind a meter shown as storage, or the vehicles behind one shown as ev that give energy back."""

    meter: Id
    charge_efficiency_ratio: PositiveDecimal
    discharge_efficiency_ratio: PositiveDecimal
    capacity_kwh: PositiveDecimal | None = None
    standing_loss_percent_per_day: FactorDecimal = Decimal(0)
    opening_kwh: FactorDecimal = Decimal(0)

    def cell(self) -> Cell:
        """What stands behind the meter. Raises ValueError."""
        return Cell(**self.model_dump(exclude={"meter"}))


class FactorTable(_Table):
    """`[facility.factor]` or `[[facility.factor]]`: an emission factor of the facility's own."""

    kg_per_kwh: Annotated[FactorDecimal, AfterValidator(_plausible_factor)]
    source: Text
    valid_from: Instant | None = None
    valid_to: Instant | None = None
    known_from: Instant | None = None
    marks: list[Text] = Field(default=[], max_length=10)

    def override(self, zone: ZoneInfo) -> FactorOverride:
        """The override. Raises ValueError where it ends before it begins."""
        return FactorOverride(
            self.kg_per_kwh,
            self.source,
            instant_ms(self.valid_from, zone),
            instant_ms(self.valid_to, zone),
            instant_ms(self.known_from, zone),
            tuple(self.marks),
        )


class CarbonPriceTable(_Table):
    """`[[facility.carbon_price]]`: what a tonne CO2e costs, shown beside statements. No default: a price has a source."""

    price_per_t: FactorDecimal
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    source: Text
    valid_from: Instant | None = None
    valid_to: Instant | None = None

    def price(self, zone: ZoneInfo) -> CarbonPrice:
        """The price. Raises ValueError where it ends before it begins."""
        return CarbonPrice(
            self.price_per_t,
            self.currency,
            self.source,
            instant_ms(self.valid_from, zone),
            instant_ms(self.valid_to, zone),
        )


class DemandResponseTable(_Table):
    """`[facility.demand_response]`: how events are answered, and what holds where an event does not say otherwise."""

    accept: Literal["automatic", "person"] = "person"
    answer_within_s: Annotated[int, Field(ge=1, le=86_400)] = 900
    rules: Literal["ten_of_ten", "high_five_of_ten", "last_five", "quarter_before"] = "ten_of_ten"
    meters: Annotated[list[Text], Field(max_length=50)] = []
    holidays: Annotated[list[date], Field(max_length=1000)] = []
    pay_per_kwh: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    penalty_per_kwh: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    dead_band_percent: Annotated[float, Field(ge=0, le=100)] = 0.0
    cap_percent: Annotated[float, Field(ge=0, le=1000)] = 100.0
    report_shortfall: bool = True
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "CNY"

    def policy(self) -> ResponsePolicy:
        """The same as a policy."""
        given = self.model_dump() | {
            "meters": tuple(self.meters),
            "holidays": tuple(day.isoformat() for day in self.holidays),
        }
        return ResponsePolicy(**given)


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class ProcessTable(_Table):
    """`[[facility.process]]`: a step of production, its meters and products, and how they share what it emits. "*": what no other claims."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    meters: list[Id] = Field(default=[], max_length=1000)
    products: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(default=[], max_length=1000)
    share: Literal["mass", "energy", "economic"] = "mass"

    def process(self) -> Process:
        return Process(self.name, tuple(self.meters), tuple(self.products), self.share)


Entity = Annotated[str, Field(max_length=200)]
Days = Annotated[int, Field(ge=1, le=100 * 366)]


class SeriesTable(_Table):
    """`[[facility.series]]`: whose the series of these devices and quantities are, and what kind of data; `*` stands for any text."""

    device: Annotated[str, Field(min_length=1, max_length=64)] = "*"
    quantity: Annotated[str, Field(min_length=1, max_length=64)] = "*"
    owner: Entity = ""
    flow: Literal["source", "sink"] = "source"
    holder: Literal["government", "industry", "enterprise", "person"] = "enterprise"
    domain: Literal["agriculture", "weather", "forestry", "industry", "land", "transport"] = "industry"
    origin: Literal["metered", "remote_sensing", "statistical"] = "metered"
    scale: Literal["administrative", "grid"] = "administrative"
    horizon: Literal["history", "forecast"] = "history"
    raw_days: Days = Retention().raw_days
    interval_days: Days = Retention().interval_days
    hourly_days: Days = Retention().hourly_days
    source: Annotated[str, Field(max_length=500)] = ""

    def rule(self, facility: str) -> SeriesRule:
        """The rule."""
        sorts = (self.flow, self.holder, self.domain, self.origin, self.scale, self.horizon)
        kept = Retention(self.raw_days, self.interval_days, self.hourly_days)
        return SeriesRule(facility, self.device, self.quantity, self.owner, sorts, kept, self.source)


class FacilityTable(_Table):
    """`[[facility]]`. `entity`: the legal entity that reports, and that answers for devices and gateways which name no other."""

    id: Id
    entity: Entity = ""
    series: list[SeriesTable] = Field(default=[], max_length=1000)
    time_zone: ZoneName
    name: Annotated[str, Field(max_length=200)] = ""
    place: Annotated[str, Field(pattern=r"^([A-Z]{2}(-[A-Z0-9]{1,12}){0,2})?$")] = ""
    grid_zone: Annotated[str, Field(max_length=64)] = ""
    connection_kw: PositiveDecimal | None = None
    interval_s: Literal[1, 5, 10, 15, 20, 30, 60, 180, 300, 450, 900] = 900
    meter: list[MeterTable] = Field(default=[], max_length=10_000)
    virtual_meter: list[VirtualMeterTable] = Field(default=[], max_length=1000)
    factor_u95_percent: Annotated[PositiveDecimal, Field(le=200)] | None = None
    gap_preset: Literal["40cfr75"] | None = None
    storage: list[StorageTable] = Field(default=[], max_length=1000)
    pv_certificates_sold: bool = False
    process: list[ProcessTable] = Field(default=[], max_length=1000)
    carbon_price: list[CarbonPriceTable] = Field(default=[], max_length=1000)
    demand_response: DemandResponseTable = DemandResponseTable()
    factor: Annotated[list[FactorTable], BeforeValidator(_as_list), Field(max_length=1000)] = []
    circuit: Text | None = None
    tariff: TariffTable | None = None
    shiftable: list[ShiftableTable] = Field(default=[], max_length=200)
    comfort: list[ComfortTable] = Field(default=[], max_length=200)
    charging_mode: Literal["uncontrolled", "one_way", "two_way"] = "two_way"

    def facility(self) -> Facility:
        """The facility. Raises ValueError where its entries contradict each other."""
        zone = ZoneInfo(self.time_zone)
        return Facility(
            id=self.id,
            time_zone=self.time_zone,
            name=self.name,
            place=self.place,
            grid_zone=self.grid_zone,
            connection_kw=self.connection_kw,
            interval_s=self.interval_s,
            meters=tuple(meter.meter(zone) for meter in self.meter),
            overrides=tuple(factor.override(zone) for factor in self.factor),
            virtual_meters=tuple(meter.meter() for meter in self.virtual_meter),
            factor_u95_percent=self.factor_u95_percent,
            gap_preset=self.gap_preset or "",
            cells=tuple((storage.meter, storage.cell()) for storage in self.storage),
            pv_certificates_sold=self.pv_certificates_sold,
            processes=tuple(process.process() for process in self.process),
            carbon_prices=tuple(price.price(zone) for price in self.carbon_price),
            demand_response=self.demand_response.policy(),
        )


class EdgeTable(_Table):
    """`[[edge]]`."""

    facility: Id
    edge: Id
    public_key: str | None = None
    accept_unsigned: bool = False
    entity: Entity = ""


class PersonTable(_Table):
    """`[[person]]`: who may write over HTTP in their own name."""

    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
    token_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    entity: Annotated[str, Field(max_length=200)] = ""
    may: Annotated[list[Literal["enter", "approve", "operate"]], Field(max_length=3)] = ["enter"]


class FileTable(_Table):
    """The whole file."""

    aggregator: AggregatorTable
    mqtt: MqttTable | None = None
    store: StoreTable = StoreTable()
    commands: CommandsTable = CommandsTable()
    audit: AuditTable = AuditTable()
    accounts: AccountsTable = AccountsTable()
    forecast: ForecastTable = ForecastTable()
    footprint: FootprintTable | None = None
    facility: Annotated[list[FacilityTable], Field(min_length=1, max_length=10_000)]
    edge: list[EdgeTable] = Field(default=[], max_length=10_000)
    person: list[PersonTable] = Field(default=[], max_length=1000)


def instant_ms(value: datetime | date | None, zone: ZoneInfo) -> int | None:
    """UTC ms of a time, or of the start of a day in `zone`."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=zone)
    return int(value.timestamp() * 1000)


_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list of tables ([[...]]) or values",
    "model_type": "a table",
    "dict_type": "a table",
}
_PATTERNS = {
    r"^[A-Za-z0-9_-]{1,64}$": "1 to 64 of the characters A-Z a-z 0-9 _ -",
    r"^[A-Za-z0-9_-]{0,64}$": "at most 64 of the characters A-Z a-z 0-9 _ -",
    r"^[A-Z]{3}$": "three capital letters (ISO 4217) such as CNY",
    r"^([A-Z]{2}(-[A-Z0-9]{1,12}){0,2})?$": "a region code such as CN-JS or CN-GRID-EAST",
}


def expected_and_seen(entry: ErrorDetails) -> tuple[str, str, str]:
    """(key, expected, seen) of one fault that pydantic found."""
    key = ""
    for part in entry["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    kind, context = entry["type"], entry.get("ctx", {})
    seen = repr(entry.get("input"))
    if kind == "missing":
        return key, "a value, this key is required", "nothing"
    if kind == "extra_forbidden":
        return key, "no such key (is it misspelt?)", seen[:100]
    if kind in {"expected", "value_error"}:
        expected = entry["msg"]
    elif kind == "literal_error":
        expected = f"one of {context['expected']}"
    elif kind == "string_pattern_mismatch":
        expected = _PATTERNS[context["pattern"]]
    else:
        expected = _TYPES.get(kind, entry["msg"].removeprefix("Input should ").removeprefix("be "))
    return key, expected, seen if len(seen) <= 100 else f"{seen[:97]}..."
