"""What the batch vectors of version 1 hold, written by hand: contents as JSON trees, the readings in them worked out on paper. Makes no frame.

`readings`: device, quantity, UTC ms, exact decimal text (None: missing), quality, reason code. `unknown`: keys that no reader of
version 1 knows.
"""

from typing import Any

AT = 1_795_248_000_000  # 2026-11-21T08:00:00Z
PREV = "9f" * 32
OCMF = (
    'OCMF|{"FV":"1.0","GI":"Example \\u00b5","GS":"S-1","PG":"T12","MV":"Example","MM":"EM-1","MS":"4711","MF":"1.4","IS":true,'
    '"RD":[{"TM":"2026-11-21T08:00:00,000+0000 S","TX":"B","RV":7900.000,"RI":"1-b:1.8.0","RU":"kWh","ST":"G"}]}'
    '|{"SD":"3045022100AB0102"}'
)


def content(seq: int, batch_class: str, **rest: Any) -> dict[str, Any]:
    """A content with its head; `rest` replaces and adds."""
    head = {
        "facility": "works",
        "edge": "gw-01",
        "epoch": "e-1",
        "seq": seq,
        "prev": PREV,
        "sealed_at_ms": AT,
        "class": batch_class,
        "clock": {"synced": True, "boot": "4f0c", "offset_ms": -2, "error_ms": 12, "monotonic_ms": 86_400_000},
    }
    return {**head, **rest}


def events(seq: int, *told: tuple[str, int, str, str, dict[str, Any]]) -> dict[str, Any]:
    """A batch of events: id, instant, kind, device ("": the edge itself), body."""
    entries: list[dict[str, Any]] = []
    for name, at_ms, kind, device, body in told:
        entry: dict[str, Any] = {"id": name, "at_ms": at_ms, "kind": kind}
        if device:
            entry["device"] = device
        entries.append({**entry, "body": body})
    return content(seq, "event", events=entries)


def counter(quantity: str, change: str, before: str, after: str) -> tuple[str, int, str, str, dict[str, Any]]:
    """An event of a counter."""
    body = {
        "quantity": quantity,
        "change": change,
        "before": {"at_ms": AT - 1000, "raw": before},
        "after": {"at_ms": AT, "raw": after},
    }
    return f"counter-incomer-{quantity}-{AT}-{change}", AT, "counter", "incomer", body


def audit(index: int, state: str, reason: str, before: float | None, after: float | None) -> dict[str, Any]:
    """The body of one audit of a set-point."""
    return {
        "command": "c-4",
        "issuer": "dispatch",
        "counter": 4,
        "firm": False,
        "index": index,
        "point": "power_kw",
        "state": state,
        "reason": reason,
        "before": before,
        "after": after,
        "value": -20.5,
        "from_ms": AT,
        "expires_at_ms": AT + 900_000,
    }


_STARTED: dict[str, Any] = {
    "phase": "started",
    "transaction_id": "184571001",
    "identity": "CP-07",
    "connector": 2,
    "id_tag": "h:0123456789abcdef01234567",
    "state": "",
    "started_at_ms": AT,
    "meter_start_wh": 7_900_000,
    "baseline": "meter_start",
    "energy_kwh": None,
    "quality": "bad",
    "missing_bound_kwh": None,
    "why": "no reading to count from",
}
_UPDATED: dict[str, Any] = {
    "phase": "updated",
    "transaction_id": "tx-0b",
    "identity": "CP-09",
    "connector": 1,
    "id_tag": "",
    "state": "Charging",
    "started_at_ms": None,
    "meter_start_wh": None,
    "baseline": "first_sample",
    "energy_kwh": "3.25",
    "quality": "uncertain",
    "missing_bound_kwh": None,
}
_ENDED: dict[str, Any] = {
    **_STARTED,
    "phase": "ended",
    "transaction_id": "tx-0a",
    "meter_start_wh": "500000.5",
    "energy_kwh": "10.7495",
    "quality": "good",
    "missing_bound_kwh": "0",
    "export_kwh": "1.2",
    "export_baseline": "idle_reading",
    "export_quality": "good",
    "ended_at_ms": AT + 3_600_000,
    "meter_stop_wh": 511_250,
    "reason": "EVDisconnected",
    "signed": [f"signed-cp7-{AT}-Transaction.Begin-0"],
    "duration_s": 3600.0,
    "revision": 1,
    "operator_transaction_id": "OP-99",
}
del _ENDED["why"]

_POWER = {"quantities": ["active_power_kw", "voltage_l1_v", "frequency_hz"], "exp": [-3, None, -2]}
_ENERGY = {"quantities": ["energy_import_kwh", "energy_export_kwh"], "exp": [-2, 1]}

# name: content, readings, unknown keys, compression ("zstd" or "gzip"), signed
VECTORS: dict[str, tuple[dict[str, Any], list[list[Any]], list[str], str, bool]] = {
    "gauges_of_one_instant": (
        content(
            7,
            "gauge",
            shapes=[_POWER],
            blocks=[
                {"device": "incomer", "shape": 0, "at_ms": [AT - 100], "row": [-12345, 230.1, 5001]},
                {"device": "pv", "shape": 0, "at_ms": [AT - 90], "row": [0, None, None]},
            ],
        ),
        [
            ["incomer", "active_power_kw", AT - 100, "-12.345", 0, 0],
            ["incomer", "voltage_l1_v", AT - 100, "230.1", 0, 0],
            ["incomer", "frequency_hz", AT - 100, "50.01", 0, 0],
            ["pv", "active_power_kw", AT - 90, "0", 0, 0],
            ["pv", "voltage_l1_v", AT - 90, None, 0, 0],
            ["pv", "frequency_hz", AT - 90, None, 0, 0],
        ],
        [],
        "zstd",
        True,
    ),
    "counters_with_missing_values": (
        content(
            8,
            "counter",
            shapes=[_ENERGY],
            blocks=[
                {
                    "device": "incomer",
                    "shape": 0,
                    "at_ms": [AT, 1000, 1500, 60000],
                    "values": [[9_007_199_254_740_993, None, 2, -1], [None, 7, 0, 3]],
                }
            ],
        ),
        [
            ["incomer", "energy_import_kwh", AT, "90071992547409.93", 0, 0],
            ["incomer", "energy_import_kwh", AT + 1000, None, 0, 0],
            ["incomer", "energy_import_kwh", AT + 2500, "90071992547409.95", 0, 0],
            ["incomer", "energy_import_kwh", AT + 62500, "90071992547409.94", 0, 0],
            ["incomer", "energy_export_kwh", AT, None, 0, 0],
            ["incomer", "energy_export_kwh", AT + 1000, "70", 0, 0],
            ["incomer", "energy_export_kwh", AT + 2500, "70", 0, 0],
            ["incomer", "energy_export_kwh", AT + 62500, "100", 0, 0],
        ],
        [],
        "gzip",
        True,
    ),
    "floats_travel_as_they_are": (
        content(
            9,
            "gauge",
            shapes=[{"quantities": ["voltage_l1_v"], "exp": [None]}],
            blocks=[
                {"device": "pv", "shape": 0, "at_ms": [AT, 500, 500], "values": [[229.8, None, 229.8]]},
            ],
        ),
        [
            ["pv", "voltage_l1_v", AT, "229.8", 0, 0],
            ["pv", "voltage_l1_v", AT + 500, None, 0, 0],
            ["pv", "voltage_l1_v", AT + 1000, "229.8", 0, 0],
        ],
        [],
        "gzip",
        True,
    ),
    "every_quality": (
        content(
            10,
            "gauge",
            shapes=[{"quantities": ["active_power_kw", "voltage_l1_v"], "exp": [-1, -1]}],
            blocks=[
                {
                    "device": "pv",
                    "shape": 0,
                    "at_ms": [AT, 1000, 1000, 1000],
                    "values": [[10, 1, None, 1], [2300, 0, 0, 1]],
                    "quality": [[0, 0, 1], [1, 1, 1], [2, 2, 1], [3, 14, 1]],
                    "except": {"1": [[0, 20, 3], [1, 200, 1]]},
                },
                {"device": "hall", "shape": 0, "at_ms": [AT], "row": [None, None], "quality": [[2, 3, 1]]},
            ],
        ),
        [
            ["pv", "active_power_kw", AT, "1.0", 0, 0],
            ["pv", "active_power_kw", AT + 1000, "1.1", 1, 1],
            ["pv", "active_power_kw", AT + 2000, None, 2, 2],
            ["pv", "active_power_kw", AT + 3000, "1.2", 3, 14],
            ["pv", "voltage_l1_v", AT, "230.0", 0, 20],
            ["pv", "voltage_l1_v", AT + 1000, "230.0", 0, 20],
            ["pv", "voltage_l1_v", AT + 2000, "230.0", 0, 20],
            ["pv", "voltage_l1_v", AT + 3000, "230.1", 1, 200],
            ["hall", "active_power_kw", AT, None, 2, 3],
            ["hall", "voltage_l1_v", AT, None, 2, 3],
        ],
        [],
        "zstd",
        True,
    ),
    "transactions": (
        events(
            11,
            ("transaction-cp7-184571001-1-started", AT, "transaction", "cp7", _STARTED),
            ("transaction-cp9-tx-0b-0-updated-1", AT + 900_000, "transaction", "cp9", _UPDATED),
            ("transaction-cp7-tx-0a-1-ended-1", AT + 3_600_000, "transaction", "cp7", _ENDED),
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "signed_meter_values": (
        events(
            12,
            (
                f"signed-cp7-{AT}-Transaction.Begin-0",
                AT,
                "signed_meter_value",
                "cp7",
                {
                    "identity": "CP-07",
                    "connector": 2,
                    "context": "Transaction.Begin",
                    "text": OCMF,
                    "encoding_method": "OCMF",
                    "signing_method": "ECDSA-secp256r1-SHA256",
                    "public_key": "MFkwEwYHKoZIzj0CAQ==",
                    "transaction_id": "tx-0a",
                },
            ),
            (
                f"signed-cp9-{AT}-Sample.Clock-0",
                AT,
                "signed_meter_value",
                "cp9",
                {
                    "identity": "CP-09",
                    "connector": 1,
                    "context": "Sample.Clock",
                    "text": ' <value sig="\\/é">\t12,5\u00a0kWh 电表</value>\r\n',
                },
            ),
        ),
        [],
        [],
        "gzip",
        True,
    ),
    "counter_events": (
        events(
            13,
            counter("energy_import_kwh", "rollover", "999999.98", "0.01"),
            counter("energy_export_kwh", "reset", "4711.0", "0.0"),
            counter("water_volume_m3", "glitch", "12.500", "8388607.000"),
            counter("heat_energy_kwh", "jump", "100", "90100"),
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "set_point_audits": (
        events(
            14,
            *(
                (f"set_point-c-4-{index}-{state}", AT + index, "set_point", "battery", audit(index, state, *rest))
                for index, (state, *rest) in enumerate(
                    [
                        ("accepted", "", None, None),
                        ("refused", "expected at most 50 kW, saw 60", None, None),
                        ("delivered", "", None, -20.5),
                        ("not_delivered", "overridden by site at priority 5", 21.0, 21.0),
                        ("expired", "", -20.5, None),
                        ("reverted", "the link was lost for 60 s", -20.5, None),
                        ("superseded", "by command c-9", None, None),
                    ]
                )
            ),
            (
                "set_point-c-5-refused",
                AT + 8,
                "set_point",
                "",
                {
                    "command": "c-5",
                    "issuer": "dispatch",
                    "counter": 5,
                    "firm": True,
                    "state": "refused",
                    "reason": "expired 3000 ms ago by this edge's clock",
                },
            ),
            (
                f"set_point-forged-{AT + 9}",
                AT + 9,
                "set_point",
                "",
                {"state": "forged", "count": 3, "reason": "command: the signature is not that of key 00ff"},
            ),
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "device_events": (
        events(
            15,
            (
                f"device_lost-pv-{AT}",
                AT,
                "device_lost",
                "pv",
                {"reason": "pv: no answer within 1 s", "error": "DeviceUnreachable"},
            ),
            (f"device_back-pv-{AT + 60000}", AT + 60_000, "device_back", "pv", {"away_s": 60.0}),
            (
                "device_identity-pv-0a1b2c3d",
                AT,
                "device_identity",
                "pv",
                {"maker": "Example", "model": "PV-1", "version": "1.2", "serial": "S-1", "models": [1, 103, 123]},
            ),
            (
                f"device_identity-heat-{AT}",
                AT,
                "device_identity",
                "heat",
                {
                    "maker": "ACW",
                    "version": "20",
                    "serial": "55555555",
                    "medium": 4,
                    "before": {"maker": "ACW", "version": "20", "serial": "12345678", "medium": 4},
                },
            ),
            (
                f"frames-incomer-{AT}",
                AT,
                "frames",
                "incomer",
                {
                    "protocol": "modbus_tcp",
                    "reason": "frequency_hz: rejected as out of range",
                    "file": "",
                    "frames": [
                        {"at_ms": AT - 5, "sent": True, "hex": "000100000006010300460002"},
                        {"at_ms": AT, "sent": False, "hex": "00010000000701030443ffc000"},
                    ],
                },
            ),
            (f"clock-{AT}", AT, "clock", "", {"step_ms": -3_600_000, "synced": True}),
            (
                f"alarm-cp7-{AT}-1",
                AT,
                "alarm",
                "cp7",
                {"identity": "CP-07", "connector": 2, "code": "GroundFailure", "detail": "", "state": "Faulted"},
            ),
            (
                f"alarm-cp7-{AT}-2",
                AT,
                "alarm",
                "cp7",
                {"identity": "CP-07", "code": "profile_write_budget", "per_day": 100, "written_today": 100},
            ),
            (
                f"pile_booted-cp7-{AT}-3",
                AT,
                "pile_booted",
                "cp7",
                {
                    "identity": "CP-07",
                    "maker": "Example",
                    "model": "AC-1",
                    "version": "1.2",
                    "serial": "S-7",
                    "reason": "PowerUp",
                    "accepted": True,
                },
            ),
            (
                f"pile_configured-cp7-{AT}-4",
                AT,
                "pile_configured",
                "cp7",
                {
                    "identity": "CP-07",
                    "protocol_version": "2.0.1",
                    "accepted": {"AlignedDataCtrlr.Interval": "900"},
                    "refused": {"SampledDataCtrlr.TxUpdatedInterval": "60: Rejected"},
                    "rate_units": ["W", "A"],
                    "smart_charging": True,
                    "maker": "Example",
                    "model": "AC-1",
                    "version": "1.2",
                    "serial": "S-7",
                },
            ),
            (
                f"ev_charging_needs-cp9-{AT}-5",
                AT,
                "ev_charging_needs",
                "cp9",
                {
                    "identity": "CP-09",
                    "connector": 1,
                    "action": "NotifyEVChargingNeeds",
                    "request": {
                        "evseId": 1,
                        "chargingNeeds": {
                            "requestedEnergyTransfer": "DC_BPT",
                            "v2xChargingParameters": {"maxDischargePower": 30000},
                        },
                    },
                },
            ),
            (
                f"pile_firmware_status_notification-cp7-{AT}-6",
                AT,
                "pile_firmware_status_notification",
                "cp7",
                {"identity": "CP-07", "action": "FirmwareStatusNotification", "request": {"status": "Installed"}},
            ),
            (
                f"upstream_refused-cp7-{AT}-7",
                AT,
                "upstream_refused",
                "cp7",
                {"identity": "CP-07", "action": "StatusNotification", "code": "NotSupported"},
            ),
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "device_clocks": (
        events(
            21,
            (
                f"device_clock-incomer-{AT}",
                AT,
                "device_clock",
                "incomer",
                {"state": "ahead", "offset_s": 3600.25, "before_s": None, "bound_s": 60.0},
            ),
            (
                f"device_clock-incomer-{AT + 3_600_000}",
                AT + 3_600_000,
                "device_clock",
                "incomer",
                {"state": "right", "offset_s": -1.0, "before_s": 3600.25, "bound_s": 60.0},
            ),
        ),
        [],
        [],
        "gzip",
        True,
    ),
    "first_of_an_edge": (
        content(
            1,
            "event",
            prev="",
            gaps=[{"kind": "new_spool", "reason": "the spool was empty", "epoch": "unknown"}],
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "new_epoch": (
        content(
            1,
            "event",
            epoch="e-2",
            prev="",
            gaps=[{"kind": "new_spool", "reason": "the machine is another one", "epoch": "e-1", "last_seq": 41}],
        ),
        [],
        [],
        "gzip",
        True,
    ),
    "gaps_of_every_kind": (
        content(
            16,
            "event",
            gaps=[
                {"kind": "restart", "reason": "the agent was away", "from_ms": AT - 60_000, "to_ms": AT},
                {
                    "kind": "dropped",
                    "reason": "the spool was full",
                    "epoch": "e-1",
                    "cls": "gauge",
                    "first_seq": 11,
                    "last_seq": 19,
                    "last_sha256": "ab" * 32,
                    "from_ms": AT - 9_000,
                    "to_ms": AT - 1_000,
                    "devices": ["incomer", "pv"],
                    "readings": 640,
                    "seqs": [11, 2, 1, 5],
                },
                {
                    "kind": "dropped",
                    "reason": "too old",
                    "epoch": "e-1",
                    "cls": "counter",
                    "first_seq": 3,
                    "last_seq": 5,
                    "readings": 12,
                },
                {
                    "kind": "refused",
                    "reason": "blocks[0].row: expected 1 instant and 2 values, got 1 and 3",
                    "epoch": "e-1",
                    "cls": "gauge",
                    "first_seq": 9,
                    "last_seq": 9,
                    "last_sha256": "cd" * 32,
                },
                {
                    "kind": "unreadable",
                    "reason": "damaged in the spool",
                    "epoch": "e-1",
                    "first_seq": 7,
                    "last_seq": 7,
                },
                {
                    "kind": "unsealed",
                    "reason": "the spool could not be written",
                    "cls": "gauge",
                    "from_ms": AT - 500,
                    "to_ms": AT - 400,
                    "devices": ["pv"],
                    "readings": 3,
                },
                {
                    "kind": "aggregator_restored",
                    "reason": "gone from both sides",
                    "epoch": "e-1",
                    "first_seq": 1,
                    "last_seq": 2,
                },
            ],
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "clock_not_synchronised": (
        content(
            17,
            "counter",
            clock={"synced": False, "boot": "4f0d", "monotonic_ms": 600_001},
            shapes=[{"quantities": ["energy_import_kwh"], "exp": [-2]}],
            blocks=[{"device": "incomer", "shape": 0, "at_ms": [AT], "row": [100], "quality": [[1, 1, 1]]}],
        ),
        [["incomer", "energy_import_kwh", AT, "1.00", 1, 1]],
        [],
        "zstd",
        True,
    ),
    "clock_of_which_nothing_is_known": (
        content(18_446_744_073_709_551_615, "event", clock={"synced": None}),
        [],
        [],
        "zstd",
        True,
    ),
    "unsigned": (
        content(
            19,
            "gauge",
            shapes=[{"quantities": ["active_power_kw"], "exp": [0]}],
            blocks=[{"device": "incomer", "shape": 0, "at_ms": [AT], "row": [12]}],
        ),
        [["incomer", "active_power_kw", AT, "12", 0, 0]],
        [],
        "gzip",
        False,
    ),
    "carbon_of_two_intervals": (
        events(
            22,
            (
                f"carbon-incomer-{AT - 900_000}",
                AT,
                "carbon",
                "incomer",
                {
                    "start_ms": AT - 900_000,
                    "end_ms": AT,
                    "kwh": "25.00",
                    "kg": "13.265000",
                    "number": 7,
                    "factor": "elec.grid",
                    "factor_version": 1,
                    "kg_per_kwh": "0.5306",
                },
            ),
            (
                f"carbon-second-{AT - 900_000}",
                AT,
                "carbon",
                "second",
                {
                    "start_ms": AT - 900_000,
                    "end_ms": AT,
                    "kwh": None,
                    "kg": None,
                    "number": 7,
                    "why": "no reading within 1 s of a boundary",
                },
            ),
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "limits_schedules_and_a_drill": (
        events(
            23,
            (
                "schedule-plan-7-taken",
                AT,
                "schedule",
                "",
                {"id": "plan-7", "issuer": "store-1", "number": 7, "state": "taken", "reason": ""},
            ),
            (
                f"schedule-forged-{AT + 1}",
                AT + 1,
                "schedule",
                "",
                {"state": "forged", "reason": "schedule: the signature is not that of key 00ff"},
            ),
            (
                f"control_state-branch-garage-{AT + 2}",
                AT + 2,
                "control_state",
                "",
                {
                    "of": "branch",
                    "name": "garage",
                    "state": "safe",
                    "before": "kept",
                    "reason": "the meter garage was silent for 5 s",
                },
            ),
            (
                f"limit_exceeded-garage-{AT + 3}-ended",
                AT + 3,
                "limit_exceeded",
                "",
                {
                    "phase": "ended",
                    "branch": "garage",
                    "bound": "norm_l1",
                    "begun_at_ms": AT - 6_000,
                    "duration_s": 6.0,
                    "worst_ratio": 1.07,
                    "over_kwh": 0.012,
                },
            ),
            (
                "drill-d-1",
                AT + 4,
                "drill",
                "",
                {
                    "id": "d-1",
                    "facility": "works",
                    "edge": "gw-01",
                    "circuit": "ab" * 32,
                    "begun_at_ms": AT - 60_000,
                    "ended_at_ms": AT + 4,
                    "rows": [
                        {
                            "link": "meter",
                            "name": "garage",
                            "asset": "pile-01",
                            "device": "pile-01",
                            "safe": "at most 6 A",
                            "within_s": 13.0,
                            "took_s": 7.5,
                            "passed": True,
                            "note": "",
                        }
                    ],
                    "drilled": ["pile-01"],
                    "by": "Li Wei",
                    "key": "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
                    "signature": "00" * 64,
                },
            ),
        ),
        [],
        [],
        "zstd",
        True,
    ),
    "extended_by_a_later_writer": (
        {
            **content(
                20,
                "gauge",
                shapes=[{"quantities": ["active_power_kw", "neutrino_flux_per_s"], "exp": [-3, -1], "note": 1}],
                blocks=[
                    {"device": "incomer", "shape": 0, "at_ms": [AT], "row": [1500, 42], "phase": "L1"},
                    {"device": "pv", "shape": 0, "at_ms": [AT], "row": [-1500, 43], "quality": [[1, 255, 1]]},
                ],
                gaps=[{"kind": "eaten", "reason": "by mice", "first_seq": 2, "last_seq": 2, "by": ["mouse"]}],
                events=[
                    {
                        "id": "n-1",
                        "at_ms": AT,
                        "kind": "provisional_emissions",
                        "body": {"kg": "1.234567890123456789", "factor": {"id": "cn-2023", "version": 2}},
                        "severity": 3,
                    }
                ],
            ),
            "lineage": {"deep": [{"er": None}]},
            "clock": {"synced": True, "source": "gnss"},
        },
        [
            ["incomer", "active_power_kw", AT, "1.500", 0, 0],
            ["incomer", "neutrino_flux_per_s", AT, "4.2", 0, 0],
            ["pv", "active_power_kw", AT, "-1.500", 1, 255],
            ["pv", "neutrino_flux_per_s", AT, "4.3", 1, 255],
        ],
        ["lineage", "clock.source", "gaps.by", "shapes.note", "blocks.phase", "events.severity"],
        "gzip",
        True,
    ),
}
