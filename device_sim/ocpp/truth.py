"""What the control interface tells of a pile: the truth that a test holds against what was stored. Nothing of it is sent to a central system."""

from typing import Any

from device_sim.ocpp.pile import Pile


def truth_of(pile: Pile) -> dict[str, Any]:
    """State, exact energies of its point (uJ), and all sessions."""
    point, link, now = pile.point, pile.link, pile.device.plant.now_ms
    gone_in, gone_out = point.energies(now)
    return {
        "identity": pile.options.identity,
        "version": pile.version,
        "connected": link.connected,
        "accepted": link.accepted,
        "connections": link.connections,
        "backlog": link.backlog,
        "calls_sent": link.calls_sent,
        "calls_lost": link.calls_lost,
        "state": pile.state.value,
        "power_kw": point.power_mw / 1e6,
        "offered_kw": point.offered_mw() / 1e6,
        "state_of_charge_percent": point.state_of_charge_percent(now),
        "import_uj": gone_in,
        "export_uj": gone_out,
        "profiles": len(pile.profiles.all()),
        "flash_writes": pile.profiles.flash_writes + pile.settings_written,
        "boots": pile.boots,
        "public_key": None if pile.meter is None else pile.meter.public_key,
        "sessions": [session.truth() for session in pile.sessions],
    }
