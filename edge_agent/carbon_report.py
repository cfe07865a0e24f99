"""The gateway's own carbon figures, for a person beside it: read only, also beside a running agent and without any link. Not how they are worked out."""

import json
from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import msgspec

from edge_agent import carbon
from edge_agent.carbon import EXACT, Figure
from wire.factor_pack import FactorPack, PackForged, PackUnreadable, unseal
from wire.keys import PublicKey


def run_carbon(spool: Path, command_key: str, topic: str, as_json: bool, out: TextIO) -> int:
    """Print the pack and the newest day's figures; exit status 0, or 1 where there is no pack whose signature holds."""
    if not command_key:
        print("carbon: expected [aggregator] command_key in the edge file, got none: no factor pack is taken", file=out)
        return 1
    path = spool / "state" / carbon.FILE
    kept = carbon.read(path)
    try:
        if not kept.frame:
            raise PackUnreadable("no factor pack has come yet")
        pack = unseal(bytes.fromhex(kept.frame), topic, PublicKey.from_text(command_key, light=True))
    except (PackForged, PackUnreadable, ValueError) as error:
        print(f"carbon {path}: {error}", file=out)
        return 1
    if as_json:
        figures = [msgspec.to_builtins(figure) for each in kept.figures.values() for figure in each]
        print(json.dumps({"pack": msgspec.to_builtins(pack), "figures": figures}), file=out)
        return 0
    print("\n".join([_pack_line(pack), *_factor_lines(pack)]), file=out)
    sums: dict[str, tuple[Decimal, Decimal, int, int]] = defaultdict(lambda: (Decimal(0), Decimal(0), 0, 0))
    for device, figures_of in sorted(kept.figures.items()):
        for figure in figures_of[-4:]:
            print(_figure_line(figure), file=out)
        for figure in figures_of:
            kwh, kg, with_figure, without = sums[device]
            if figure.kg is None or figure.kwh is None:
                sums[device] = kwh, kg, with_figure, without + 1
            else:
                kwh, kg = EXACT.add(kwh, Decimal(figure.kwh)), EXACT.add(kg, Decimal(figure.kg))
                sums[device] = kwh, kg, with_figure + 1, without
    for device, (kwh, kg, with_figure, without) in sorted(sums.items()):
        print(
            f"{device}: {kg:f} kg for {kwh:f} kWh, {with_figure} intervals, {without} without a figure (provisional)",
            file=out,
        )
    return 0


def _pack_line(pack: FactorPack) -> str:
    return f"factor pack {pack.number} of {_time(pack.issued_at_ms)}, profile {pack.profile}, {len(pack.meters)} meters; signature holds"


def _factor_lines(pack: FactorPack) -> list[str]:
    return [
        f"  {_time(factor.from_ms)} to {_time(factor.to_ms)}: "
        + (
            f"{factor.kg_per_kwh} kg/kWh, {factor.id} v{factor.version} {factor.region} {' '.join(factor.marks)}".rstrip()
            if factor.kg_per_kwh is not None
            else f"no factor: {factor.reason}"
        )
        for factor in pack.factors
    ]


def _figure_line(figure: Figure) -> str:
    said = (
        f"{figure.kg} kg = {figure.kwh} kWh x {figure.kg_per_kwh}"
        if figure.kg is not None
        else f"no figure: {figure.why}"
    )
    return f"  {figure.device} {_time(figure.start_ms)}: {said}"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
