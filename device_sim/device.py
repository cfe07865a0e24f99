"""One simulated device: its counters, faults and serial numbers, and what it shows at an instant. It knows no protocol and no network."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Protocol

from device_sim.carriers import NL_PER_M3, Carrier
from device_sim.charging_points import ChargingPoint
from device_sim.electrical import Counters, View, measure, phases_of
from device_sim.faults import Fault, FaultKind, Faults
from device_sim.miswiring import Miswiring
from device_sim.plant import Flow, Node, Plant, Tally
from device_sim.profile import UJ_PER_KWH

WHOLE: int = 1_000_000  # the share of a node that one meter sees, in parts per million


class Kind(Protocol):
    """A device model. `family` is its protocol's; `options` are the keys of a site file that it understands besides the common ones."""

    @property
    def name(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def modulus_uj(self) -> int: ...
    @property
    def options(self) -> frozenset[str]: ...
    def image(self, view: View) -> Any:
        """What the device shows at one instant, in its protocol's own form."""

    def listed(self, device: "Device") -> Mapping[str, Any]:
        """What a reader must know of the device besides its bus: address, where the answer serial lies. JSON."""


@dataclass(slots=True)
class Device:
    """A device at a node of a plant. Counters show (tally + offset) modulo `modulus_uj`; offsets change by start values and counter faults.

    A sub-meter sees `share_ppm` parts per million of its node. `options` are the keys of the site file that only its kind understands.
    """

    name: str
    kind: Any  # a Kind; its own simulator knows which
    unit: int
    plant: Plant
    node: Node | Carrier
    modulus_uj: int
    import_offset_uj: int = 0
    export_offset_uj: int = 0
    serial: int = 0
    faults: Faults = field(default_factory=Faults)
    written: dict[str, int] = field(default_factory=dict)
    volume_modulus_nl: int = 10**8 * NL_PER_M3
    volume_offset_nl: int = 0
    _reactive_offset_uj: tuple[int, int, int] = (0, 0, 0)
    share_ppm: int = WHOLE
    options: Mapping[str, Any] = field(default_factory=dict)
    point: ChargingPoint | None = None  # of a charging pile, which counts what flows through its own point
    _frozen: tuple[Fault, Any] | None = None
    _miswiring: Miswiring | None = None

    def __post_init__(self) -> None:
        """Raises ValueError for options of a wrong installation that cannot be."""
        self._miswiring = Miswiring.of(self.name, self.options)

    def counters(self) -> Counters:
        """What the counters show at the plant's present instant."""
        if isinstance(self.node, Carrier):
            energy_uj, volume_nl = self._passed(self.node)
            return Counters(
                import_uj=(energy_uj + self.import_offset_uj) % self.modulus_uj,
                volume_nl=(volume_nl + self.volume_offset_nl) % self.volume_modulus_nl,
            )
        tally, modulus = self._tally(self.node), self.modulus_uj
        reactive_import, reactive_export, apparent = self._reactive_offset_uj
        return Counters(
            (tally.import_uj + self.import_offset_uj) % modulus,
            (tally.export_uj + self.export_offset_uj) % modulus,
            (tally.reactive_import_uvars + reactive_import) % modulus,
            (tally.reactive_export_uvars + reactive_export) % modulus,
            (tally.apparent_uvas + apparent) % modulus,
        )

    def _tally(self, node: Node) -> Tally:
        """The device's share of what has passed its node."""
        if self.point is not None:
            return Tally(*self.point.energies(self.plant.now_ms))
        whole = self.plant.tallies[node]
        if self.share_ppm == WHOLE:
            return whole
        return Tally(*(energy * self.share_ppm // WHOLE for energy in astuple(whole)))

    def _passed(self, carrier: Carrier) -> tuple[int, int]:
        """The device's share of the heat (uJ) and volume (nL) that have passed its place."""
        stream = self.plant.streams[carrier]
        return stream.energy_uj * self.share_ppm // WHOLE, stream.volume_nl * self.share_ppm // WHOLE

    def reset_counters(self) -> None:
        """All counters start from 0 again, at the plant's present instant."""
        if isinstance(self.node, Carrier):
            energy_uj, volume_nl = self._passed(self.node)
            self.import_offset_uj, self.volume_offset_nl = -energy_uj, -volume_nl
            return
        tally = self._tally(self.node)
        self.import_offset_uj, self.export_offset_uj = -tally.import_uj, -tally.export_uj
        self._reactive_offset_uj = (-tally.reactive_import_uvars, -tally.reactive_export_uvars, -tally.apparent_uvas)

    def approach_rollover(self, below_uj: int) -> None:
        """The active energy counters jump to `below_uj` under their modulus, so that they soon wrap through 0.

        A volume counter jumps to as many m3 below its modulus as `below_uj` is kWh.
        """
        if isinstance(self.node, Carrier):
            energy_uj, volume_nl = self._passed(self.node)
            self.import_offset_uj = self.modulus_uj - below_uj - energy_uj
            below_nl = below_uj * NL_PER_M3 // UJ_PER_KWH
            self.volume_offset_nl = self.volume_modulus_nl - below_nl - volume_nl
            return
        tally = self._tally(self.node)
        self.import_offset_uj = self.modulus_uj - below_uj - tally.import_uj
        self.export_offset_uj = self.modulus_uj - below_uj - tally.export_uj

    def begin(self, fault: Fault, now_ms: int) -> None:
        """Puts a fault in force: a frozen device keeps what it shows at this instant, a rebooting one forgets its set-points."""
        self.plant.advance(now_ms)
        if fault.kind is FaultKind.FROZEN:
            self._frozen = (fault, self.kind.image(self.view(now_ms)))
        elif fault.kind is FaultKind.REBOOT:
            self.written.clear()
            if isinstance(self.node, Node):
                self.plant.lose_set_points(self.node)
        self.faults.begin(fault)

    def image(self, now_ms: int) -> Any:
        """What the device shows at an instant, the plant moved up to it; a frozen one shows what it showed when that began."""
        self.plant.advance(now_ms)
        frozen = self.faults.active(now_ms).get(FaultKind.FROZEN)
        if frozen is not None and self._frozen is not None and self._frozen[0] is frozen:
            return self._frozen[1]
        return self.kind.image(self.view(now_ms))

    def view(self, now_ms: int) -> View:
        """What can be measured at the plant's present instant; `now_ms` is the instant that voltages and frequency wander with."""
        passing, active_w = None, None
        if isinstance(self.node, Carrier):
            stream = self.plant.streams[self.node]
            whole_passing = stream.passing()
            flow = Flow(stream.power_mw * self.share_ppm // WHOLE)
            passing = replace(whole_passing, flow_ul_per_s=whole_passing.flow_ul_per_s * self.share_ppm // WHOLE)
        else:
            whole = self.plant.flow(self.node)
            if self.point is not None:
                whole = Flow(self.point.power_mw)
            elif self.share_ppm == WHOLE:
                active_w = phases_of(self.plant, self.node, whole)
            flow = Flow(whole.active_mw * self.share_ppm // WHOLE, whole.reactive_mvar * self.share_ppm // WHOLE)
        measured, counters, wrong = measure(flow, now_ms, active_w), self.counters(), self._miswiring
        if wrong is not None:
            measured, counters = wrong.measured(measured), wrong.counters(counters)
        return View(
            self.name,
            self.unit,
            self.plant,
            self.node,
            now_ms,
            measured,
            counters,
            self.written,
            passing,
            wrong,
        )
