"""`wattline edge models`: what the library holds, as text and as JSON."""

import io
import json

from edge_agent.models import run_models


def listed() -> list[dict[str, object]]:
    out = io.StringIO()
    assert run_models(True, out) == 0
    found: list[dict[str, object]] = json.loads(out.getvalue())
    return found


def test_at_least_thirty_models_over_five_protocols_are_listed() -> None:
    models = listed()
    assert len(models) >= 30
    assert {"modbus", "dlt645", "cjt188", "opcua"} <= {model["protocol"] for model in models}


def test_each_carrier_that_is_accounted_has_a_meter() -> None:
    carriers = {carrier for model in listed() for carrier in str(model["carriers"]).split()}
    assert {"electricity", "water", "gas", "heat", "cooling"} <= carriers


def test_a_line_names_maker_protocol_and_how_many_rows() -> None:
    out = io.StringIO()
    assert run_models(False, out) == 0
    (line,) = [line for line in out.getvalue().splitlines() if line.startswith("eastron_sdm120 ")]
    assert line.split()[1:5] == ["modbus", "electricity", "13", "rows"]
    assert line.endswith("Eastron SDM120-Modbus")
