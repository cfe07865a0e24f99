"""A central system that we did not write (npm ocpp-rpc, strict mode) bills the simulated piles' sessions: to the Wh what the meter counted."""

import base64
import json
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from ocpp_rpc_peer import ocpp_rpc_csms
from pile_park import Park, park

VERSIONS = ("1.6", "2.0.1", "2.1")
PROTOCOLS = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}


def stop_order(version: str, transaction_id: str) -> tuple[str, dict[str, Any]]:
    if version == "1.6":
        return "RemoteStopTransaction", {"transactionId": int(transaction_id)}
    return "RequestStopTransaction", {"transactionId": transaction_id}


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_third_party_bills_a_session_to_the_watt_hour(run_site: Any, version: str) -> None:
    # 184230.5004 kWh + 12.3456 kWh = 184242.8460 kWh: the meter shows whole Wh, 184242846 - 184230500 = 12346.
    pile = {"name": "CP-1", "version": version, "start_import_kwh": 184230.5004}
    async with ocpp_rpc_csms() as csms, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(f"ws://127.0.0.1:{csms.port}/ocpp/")
        await piles.vehicle("CP-1", need_kwh=12.3456, max_kw=11, stay_s=7200)
        await piles.charging("CP-1")
        for _ in range(8):
            served.clock.forward(910)
        session = await piles.ended("CP-1")
        (bill,) = await csms.until(lambda: csms.of("bill"))
        assert csms.of("client")[0]["protocol"] == PROTOCOLS[version]
        assert csms.of("bad") == []
    assert bill["wh"] == session["energy_wh"] == 12346
    assert session["energy_uj"] == 12_345_600 * 3_600_000
    assert (bill["identity"], bill["reason"]) == ("CP-1", "EVDisconnected")
    assert str(bill["transactionId"]) == session["transaction_id"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_third_party_starts_limits_and_stops_a_session(run_site: Any, version: str) -> None:
    pile = {"name": "CP-1", "version": version, "start": "remote", "start_import_kwh": 10}
    async with ocpp_rpc_csms() as csms, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(f"ws://127.0.0.1:{csms.port}")
        await piles.vehicle("CP-1", need_kwh=40, max_kw=11, stay_s=40_000)
        await piles.until("CP-1", lambda t: t["accepted"] and t["state"] == "Preparing")
        period = {"startPeriod": 0, "limit": 16.1}
        schedule = {"chargingRateUnit": "A", "chargingSchedulePeriod": [period | {"limit": 8.5}]}
        if version == "1.6":
            order = {"connectorId": 1, "idTag": "REMOTE"}
            start = await csms.call("CP-1", "RemoteStartTransaction", order)
        else:
            order = {"idToken": {"idToken": "REMOTE", "type": "Central"}, "remoteStartId": 7, "evseId": 1}
            start = await csms.call("CP-1", "RequestStartTransaction", order)
        assert start["result"] == {"status": "Accepted"}
        truth = await piles.charging("CP-1")
        assert truth["sessions"][-1]["id_tag"] == "REMOTE"
        profile = {"stackLevel": 0, "chargingProfilePurpose": "TxDefaultProfile", "chargingProfileKind": "Relative"}
        if version == "1.6":
            wanted = {
                "connectorId": 1,
                "csChargingProfiles": {"chargingProfileId": 1, **profile, "chargingSchedule": schedule},
            }
        else:
            wanted = {
                "evseId": 1,
                "chargingProfile": {"id": 1, **profile, "chargingSchedule": [{"id": 1, **schedule}]},
            }
        assert (await csms.call("CP-1", "SetChargingProfile", wanted))["result"] == {"status": "Accepted"}
        served.clock.forward(2)  # the pile takes 1 s to follow
        # 8.5 A on three phases of 230 V
        truth = await piles.until("CP-1", lambda t: t["power_kw"] == 5.865)
        assert truth["flash_writes"] == 1
        served.clock.forward(3600)
        transaction = truth["sessions"][-1]["transaction_id"]
        stopped = await csms.call("CP-1", *stop_order(version, transaction))
        assert stopped["result"] == {"status": "Accepted"}
        session = await piles.ended("CP-1")
        (bill,) = await csms.until(lambda: csms.of("bill"))
        truth = await piles.truth("CP-1")
        assert csms.of("bad") == []
    assert bill["wh"] == session["energy_wh"]
    assert 5865 <= bill["wh"] < 5865 + 11_000 * 20 / 3600  # an hour at the limit, and seconds at 11 kW before
    assert bill["reason"] == "Remote"
    assert truth["state"] == "Finishing"
    assert truth["power_kw"] == 0


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_refused_tag_gets_no_energy(run_site: Any, version: str) -> None:
    async with (
        ocpp_rpc_csms("--refuse", "STRANGER") as csms,
        run_site(park({"name": "P", "version": version})) as served,
    ):
        piles = Park(served)
        await piles.connect(f"ws://127.0.0.1:{csms.port}")
        await piles.until("P", lambda t: t["accepted"])
        await piles.vehicle("P", id_tag="STRANGER", stay_s=7200)
        await csms.until(lambda: csms.calls("P", "Authorize"))
        served.clock.forward(3600)
        truth = await piles.until("P", lambda t: t["state"] == "Preparing")
        assert truth["import_uj"] == 0
        await piles.leave("P")
        await piles.vehicle("P", id_tag="FRIEND", stay_s=7200)
        await piles.charging("P")


@pytest.mark.parametrize("version", VERSIONS)
async def test_signed_values_verify_with_the_meters_key(run_site: Any, version: str) -> None:
    pile = {"name": "P", "version": version, "signed": True, "start_import_kwh": 3.5}
    async with ocpp_rpc_csms() as csms, run_site(park(pile)) as served:
        piles = Park(served)
        await piles.connect(f"ws://127.0.0.1:{csms.port}")
        await piles.vehicle("P", need_kwh=2, max_kw=11, stay_s=3600)
        await piles.charging("P")
        served.clock.forward(3600)
        session = await piles.ended("P")
        (bill,) = await csms.until(lambda: csms.of("bill"))
        public = (await piles.truth("P"))["public_key"]
        assert csms.of("bad") == []
    sampled = [value for meter_value in bill["data"] for value in meter_value["sampledValue"]]
    if version == "1.6":
        texts = [value["value"] for value in sampled if value.get("format") == "SignedData"]
    else:
        signed = [value["signedMeterValue"] for value in sampled if "signedMeterValue" in value]
        assert {told["publicKey"] for told in signed} == {public}
        texts = [base64.b64decode(told["signedMeterData"]).decode() for told in signed]
    assert texts == [session["signed_begin"], session["signed_end"]]
    key = serialization.load_der_public_key(base64.b64decode(public))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    readings = []
    for text in texts:
        head, payload, signature = text.split("|")
        assert head == "OCMF"
        key.verify(bytes.fromhex(json.loads(signature)["SD"]), payload.encode(), ec.ECDSA(hashes.SHA256()))
        readings.append(json.loads(payload)["RD"][0])
    assert [(reading["TX"], reading["RV"], reading["RU"]) for reading in readings] == [
        ("B", 3.5, "kWh"),
        ("E", 5.5, "kWh"),
    ]


async def test_security_profile_1_needs_the_password(run_site: Any) -> None:
    pile = {"name": "P", "version": "1.6", "password": "a-pass-word-of-16"}
    other = {"name": "Q", "version": "2.0.1", "password": "something-else-16"}
    async with ocpp_rpc_csms("--password", "a-pass-word-of-16") as csms, run_site(park(pile, other)) as served:
        piles = Park(served)
        await piles.connect(f"ws://127.0.0.1:{csms.port}")
        await piles.until("P", lambda t: t["accepted"])
        assert (await piles.truth("Q"))["connections"] == 0


async def test_security_profiles_2_and_3_over_tls(run_site: Any, tmp_path: Any) -> None:
    authority, stranger = trustme.CA(), trustme.CA()
    server, client = authority.issue_cert("127.0.0.1"), authority.issue_cert("P")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    server.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    server.cert_chain_pems[0].write_to_path(str(tmp_path / "server.pem"))
    for name, issued in (("client", client), ("stranger", stranger.issue_cert("R"))):
        issued.private_key_pem.write_to_path(str(tmp_path / f"{name}.key"))
        issued.cert_chain_pems[0].write_to_path(str(tmp_path / f"{name}.pem"))

    def certificate(name: str) -> dict[str, str]:
        return {"certificate_file": str(tmp_path / f"{name}.pem"), "key_file": str(tmp_path / f"{name}.key")}

    table = park(
        {"name": "P", "version": "2.0.1", **certificate("client")},
        {"name": "Q", "version": "1.6"},
        {"name": "R", "version": "2.1", **certificate("stranger")},
        bus={"ca_file": str(tmp_path / "ca.pem")},
    )
    server_side = ("--cert", str(tmp_path / "server.pem"), "--key", str(tmp_path / "server.key"))
    async with ocpp_rpc_csms(*server_side, "--ca", str(tmp_path / "ca.pem")) as csms, run_site(table) as served:
        piles = Park(served)
        await piles.connect(f"wss://127.0.0.1:{csms.port}")
        await piles.until("P", lambda t: t["accepted"])
        assert [(await piles.truth(name))["connections"] for name in "QR"] == [0, 0]
    async with ocpp_rpc_csms(*server_side) as csms, run_site(table) as served:
        piles = Park(served)
        await piles.connect(f"wss://127.0.0.1:{csms.port}")
        await piles.until("Q", lambda t: t["accepted"])
