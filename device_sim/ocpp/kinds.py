"""The models of charging piles, by name. Light: no library of the protocol is imported here."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

from device_sim.electrical import View
from device_sim.ocpp.options import PileOptions
from device_sim.ocpp.settings import names
from device_sim.profile import UJ_PER_KWH

if TYPE_CHECKING:
    from device_sim.device import Device

_MODULUS_UJ: Final = 10**6 * UJ_PER_KWH  # nine digits of Wh


@dataclass(frozen=True, slots=True)
class PileKind:
    """A pile that speaks one version."""

    name: str
    version: str
    family: str = "ocpp"
    modulus_uj: int = _MODULUS_UJ

    @property
    def options(self) -> frozenset[str]:
        """The keys of PileOptions and Settings."""
        return frozenset(field.name for field in fields(PileOptions)) | frozenset(names())

    def image(self, view: View) -> None:
        """Nothing that could be read: a pile sends by itself."""

    def listed(self, device: "Device") -> Mapping[str, Any]:
        """How the central system knows it."""
        return {"identity": device.options.get("identity", device.name), "version": self.version}


KINDS: Final[dict[str, PileKind]] = {
    kind.name: kind
    for kind in (PileKind("ocpp16_pile", "1.6"), PileKind("ocpp201_pile", "2.0.1"), PileKind("ocpp21_pile", "2.1"))
}
