"""The list of meter models that come with the agent, for people and programs. Not the models' rows."""

import json
from typing import TextIO

from edge_agent import meter
from wire.quantities import QUANTITIES


def run_models(as_json: bool, out: TextIO) -> int:
    """Prints every shipped model with its maker, protocol, carriers and source. Exit status 0."""
    listed = [_line(name) for name in meter.shipped()]
    if as_json:
        out.write(json.dumps(listed) + "\n")
        return 0
    for line in listed:
        rows = f"{line['rows']} rows" + (f", {line['points']} points" if line["points"] else "")
        out.write(
            f"{line['name']:30} {line['protocol']:8} {line['carriers']:26} {rows:20} {line['maker']} {line['model']}\n"
        )
    return 0


def _line(name: str) -> dict[str, str | int]:
    model = meter.load(name)
    carriers = dict.fromkeys(QUANTITIES[row.quantity].carrier.value for row in model.row)
    return {
        "name": name,
        "maker": model.maker,
        "model": model.model,
        "protocol": model.protocol,
        "carriers": " ".join(carriers),
        "rows": len(model.row),
        "points": len(model.point),
        "source": f"{model.manual.title}, {model.manual.edition}",
    }
