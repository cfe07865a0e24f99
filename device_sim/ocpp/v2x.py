"""What a bidirectional vehicle wants, as a 2.1 pile tells it (OCPP 2.1 part 2, chapter Q). Not how its power is steered (`charging_profiles`)."""

from typing import Any

from device_sim.ocpp.instants import text_of
from device_sim.ocpp.pile import Pile
from device_sim.profile import UJ_PER_WH


def charging_needs(pile: Pile) -> dict[str, Any] | None:
    """The payload of NotifyEVChargingNeeds for the vehicle that is here; None: the pile or the vehicle cannot speak of needs."""
    visit = pile.point.visit
    if visit is None or pile.version != "2.1" or not pile.options.v2x:
        return None
    both_ways = min(visit.max_discharge_mw, pile.point.max_discharge_mw)
    modes = ["AC_three_phase" if visit.phases == 3 else "AC_single_phase"]
    if both_ways:
        modes.append("AC_BPT")
    stored = pile.point.stored_uj
    parameters = {
        "minChargePower": 0,
        "maxChargePower": min(visit.max_mw, pile.point.max_mw) // 1000,
        "minDischargePower": 0,
        "maxDischargePower": both_ways // 1000,
        "evTargetEnergyRequest": (visit.target_uj - stored) // UJ_PER_WH,
        "evMinEnergyRequest": (visit.floor_uj - stored) // UJ_PER_WH,
        "evMaxEnergyRequest": (visit.capacity_uj - stored) // UJ_PER_WH,
        "targetSoC": 100 * visit.target_uj // visit.capacity_uj,
    }
    return {
        "evseId": 1,
        "timestamp": text_of(pile.metering.stamp(pile.device.plant.now_ms)),
        "chargingNeeds": {
            "requestedEnergyTransfer": modes[-1],
            "availableEnergyTransfer": modes,
            "controlMode": "DynamicControl",
            "departureTime": text_of(pile.metering.stamp(visit.departs_ms)),
            "v2xChargingParameters": parameters,
        },
    }
