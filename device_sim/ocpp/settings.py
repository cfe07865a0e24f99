"""What a central system may set in a pile, once, and how 1.6 keys and 2.x variables name it. Not the pile's fixed properties of the site file."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

ENERGY: Final = "Energy.Active.Import.Register"
EXPORT: Final = "Energy.Active.Export.Register"


@dataclass(slots=True)
class Settings:
    """Changeable at run time and kept over a reboot. Times in seconds; measurands as comma-separated lists, the protocol's own form."""

    heartbeat_s: int = 300
    sample_s: int = 60
    aligned_s: int = 900
    sampled: str = f"{ENERGY},Power.Active.Import,SoC"
    aligned: str = f"{ENERGY},Power.Active.Import"
    started: str = ENERGY
    ended: str = ENERGY
    attempts: int = 3
    retry_s: int = 60
    connection_timeout_s: int = 60
    ping_s: int = 30
    local_authorize_offline: bool = True
    offline_for_unknown: bool = True
    local_pre_authorize: bool = True
    authorize_remote: bool = False
    stop_on_invalid: bool = True
    local_list: bool = True
    password: str = ""


class SettingRefused(ValueError):
    """A value that a setting cannot take."""


def take(settings: Settings, name: str, text: str) -> None:
    """Sets one field from its text form. Raises SettingRefused."""
    old = getattr(settings, name)
    if isinstance(old, bool):
        if text.lower() not in ("true", "false"):
            raise SettingRefused(f"expected true or false, got {text!r:.60}")
        setattr(settings, name, text.lower() == "true")
    elif isinstance(old, int):
        if not (text.isascii() and text.isdigit() and len(text) <= 7):
            raise SettingRefused(f"expected a whole number from 0 to 9999999, got {text!r:.60}")
        setattr(settings, name, int(text))
    else:
        if len(text) > 500:
            raise SettingRefused(f"expected at most 500 characters, got {len(text)}")
        if name in MEASURAND_LISTS and not set(measurands(text)) <= KNOWN_MEASURANDS:
            raise SettingRefused(f"expected some of {sorted(KNOWN_MEASURANDS)}, got {text!r:.100}")
        setattr(settings, name, text)


def shown(settings: Settings, name: str) -> str:
    """The text form of one field."""
    value = getattr(settings, name)
    return str(value).lower() if isinstance(value, bool) else str(value)


def measurands(text: str) -> tuple[str, ...]:
    """The names in a comma-separated list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


MEASURAND_LISTS: Final = frozenset({"sampled", "aligned", "started", "ended"})
KNOWN_MEASURANDS: Final = frozenset(
    {
        ENERGY,
        EXPORT,
        "Energy.Active.Import.Interval",
        "Power.Active.Import",
        "Power.Active.Export",
        "Power.Offered",
        "Current.Import",
        "Current.Offered",
        "Voltage",
        "Frequency",
        "SoC",
    }
)

# OCPP 1.6 edition 2, section 9: configuration keys.
KEYS: Final[dict[str, str]] = {
    "HeartbeatInterval": "heartbeat_s",
    "MeterValueSampleInterval": "sample_s",
    "ClockAlignedDataInterval": "aligned_s",
    "MeterValuesSampledData": "sampled",
    "MeterValuesAlignedData": "aligned",
    "StopTxnSampledData": "ended",
    "TransactionMessageAttempts": "attempts",
    "TransactionMessageRetryInterval": "retry_s",
    "ConnectionTimeOut": "connection_timeout_s",
    "WebSocketPingInterval": "ping_s",
    "LocalAuthorizeOffline": "local_authorize_offline",
    "AllowOfflineTxForUnknownId": "offline_for_unknown",
    "LocalPreAuthorize": "local_pre_authorize",
    "AuthorizeRemoteTxRequests": "authorize_remote",
    "StopTransactionOnInvalidId": "stop_on_invalid",
    "LocalAuthListEnabled": "local_list",
    "AuthorizationKey": "password",
}

# OCPP 2.0.1 part 2, section 2 (referenced components and variables): (component, variable, instance).
VARIABLES: Final[dict[tuple[str, str, str | None], str]] = {
    ("OCPPCommCtrlr", "HeartbeatInterval", None): "heartbeat_s",
    ("SampledDataCtrlr", "TxUpdatedInterval", None): "sample_s",
    ("AlignedDataCtrlr", "Interval", None): "aligned_s",
    ("SampledDataCtrlr", "TxUpdatedMeasurands", None): "sampled",
    ("AlignedDataCtrlr", "Measurands", None): "aligned",
    ("SampledDataCtrlr", "TxStartedMeasurands", None): "started",
    ("SampledDataCtrlr", "TxEndedMeasurands", None): "ended",
    ("OCPPCommCtrlr", "MessageAttempts", "TransactionEvent"): "attempts",
    ("OCPPCommCtrlr", "MessageAttemptInterval", "TransactionEvent"): "retry_s",
    ("TxCtrlr", "EVConnectionTimeOut", None): "connection_timeout_s",
    ("OCPPCommCtrlr", "WebSocketPingInterval", None): "ping_s",
    ("AuthCtrlr", "LocalAuthorizeOffline", None): "local_authorize_offline",
    ("AuthCtrlr", "OfflineTxForUnknownIdEnabled", None): "offline_for_unknown",
    ("AuthCtrlr", "LocalPreAuthorize", None): "local_pre_authorize",
    ("AuthCtrlr", "AuthorizeRemoteStart", None): "authorize_remote",
    ("TxCtrlr", "StopTxOnInvalidId", None): "stop_on_invalid",
    ("LocalAuthListCtrlr", "Enabled", None): "local_list",
    ("SecurityCtrlr", "BasicAuthPassword", None): "password",
}
WRITE_ONLY: Final = frozenset({"password"})


def names() -> Iterator[str]:
    """All fields of the settings."""
    return (field.name for field in fields(Settings))
