"""What a central system may ask of a pile, the same in every version: profiles, remote starts, unlocking, availability. Not how it is asked."""

from dataclasses import replace

from device_sim.ocpp import charging_profiles as cp
from device_sim.ocpp.pile import Pile, RemoteStart


def install(pile: Pile, profile: cp.Profile) -> str | None:
    """Takes a profile; else the reason why not, in a few words."""
    reason = _refusal(pile, profile)
    if reason is not None:
        return reason
    profile = replace(profile, arrived_ms=pile.device.plant.now_ms)
    if profile.purpose == cp.TX and pile.session is not None and profile.transaction is None:
        profile = replace(profile, transaction=pile.session.transaction_id)
    return None if pile.profiles.install(profile) else "too many profiles"


def _refusal(pile: Pile, profile: cp.Profile) -> str | None:
    options, session = pile.options, pile.session
    station_wide = profile.purpose in (cp.STATION_MAX, cp.EXTERNAL)
    starts = [period.start_s for period in profile.periods]
    refusals = {
        "no smart charging": not options.smart_charging,
        "unknown connector": profile.connector not in (0, 1) or (station_wide and profile.connector != 0),
        "stack level too high": not 0 <= profile.stack_level <= options.highest_level,
        "too many periods": len(starts) > options.most_periods,
        "periods out of order": not starts or starts[0] != 0 or sorted(set(starts)) != starts,
        "rate unit not supported": profile.unit not in options.rate_units,
        "no recurrency": (profile.kind == "Recurring") != (profile.recurrency is not None),
        "recurring without a start": profile.kind == "Recurring" and profile.start_ms is None,
        "negative limit": any(period.limit is not None and period.limit < 0 for period in profile.periods),
        "negative update interval": profile.update_interval_s is not None and profile.update_interval_s < 0,
        "a dynamic profile has one period": profile.kind == "Dynamic" and len(starts) != 1,
    }
    if profile.purpose == cp.TX:
        refusals["no transaction"] = session is None or profile.connector == 0
        refusals["another transaction"] = (
            session is not None and profile.transaction is not None and profile.transaction != session.transaction_id
        )
    return next((reason for reason, holds in refusals.items() if holds), None)


def remote_start(pile: Pile, id_tag: str, remote_start_id: int | None, profile: cp.Profile | None) -> bool:
    """Whether a start from afar is accepted; it happens after the answer, at once or when a vehicle comes in time."""
    if pile.session is not None or not pile.operative:
        return False
    if profile is not None and profile.purpose != cp.TX:
        return False
    until = pile.device.plant.now_ms + 1000 * pile.settings.connection_timeout_s
    pile.link.afterwards(lambda: _start(pile, RemoteStart(id_tag, until, remote_start_id), profile))
    return True


def _start(pile: Pile, remote: RemoteStart, profile: cp.Profile | None) -> None:
    pile.remote = remote
    pile.remote_profile = profile
    pile.forget_refusal()
    pile.want_session()


def stop(pile: Pile, reason: str, trigger: str) -> None:
    """Ends the running session after the answer."""
    pile.link.afterwards(lambda: pile.end(reason, trigger))


def unlock(pile: Pile) -> None:
    """Ends the running session and lets the cable go."""
    if pile.session is not None:
        stop(pile, "UnlockCommand", "UnlockCommand")


def set_operative(pile: Pile, operative: bool) -> bool:
    """Changes the availability; False: only when the running session has ended."""
    pile.operative = operative
    if operative:
        pile.link.afterwards(pile.want_session)
    return operative or pile.session is None
