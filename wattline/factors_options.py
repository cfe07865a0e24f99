"""The words and options of `wattline factors`, light enough for `--help` on a gateway. The work is in `wattline.factors`."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """lint, import, approve, withdraw, show, which, market, intensity, sinks, instruments, notice."""
    verbs = parser.add_subparsers(title="words", metavar="WORD", required=True, dest="verb")
    lint = verbs.add_parser(
        "lint", help="look for slips in factor packs; without a file in those that come with the program"
    )
    lint.add_argument("files", nargs="*", type=Path, metavar="FILE", help="a factor pack (TOML)")
    lint.add_argument("--json", action="store_true", help="for programs")

    bring = verbs.add_parser("import", help="put a factor pack on record, as drafts that a second person approves")
    bring.add_argument("file", type=Path, help="a factor pack (TOML)")
    _add_registry(bring, needed=True)
    bring.add_argument("--by", required=True, metavar="NAME", help="who imports it")

    for verb, text in (
        ("approve", "let what was imported be used from now on; not by the one who imported it"),
        ("withdraw", "let one factor no longer be used from now on; what was computed with it stays"),
    ):
        decide = verbs.add_parser(verb, help=text)
        decide.add_argument("id", help="of the factor; a * at the end stands for the rest (fuel.diesel.*)")
        _add_registry(decide, needed=True)
        decide.add_argument("--by", required=True, metavar="NAME", help="who decides")
        _add_aim(decide)
        decide.add_argument("--reason", default="", help="why; a withdrawal needs one")

    show = verbs.add_parser("show", help="factors on record with their documents, hashes and standing")
    show.add_argument(
        "id", nargs="?", default="*", help="of the factor; a * at the end stands for the rest (default: all)"
    )
    _add_registry(show, needed=False)
    _add_aim(show)
    show.add_argument("--as-of", metavar="TIME", help="as it was known then, e.g. 2025-01-01")
    show.add_argument("--json", action="store_true", help="for programs")

    which = verbs.add_parser("which", help="the factor that applies, and every candidate that was passed over")
    which.add_argument("id", help="electricity, or the id of a fuel parameter, process factor or potential")
    _add_registry(which, needed=False)
    _add_place(which)
    which.add_argument("--at", metavar="TIME", help="when it is applied (default: now)")
    which.add_argument("--profile", default="OPS", help="OPS, GHGP-LB, CN-GBT, CBAM or MARGINAL (default: %(default)s)")
    which.add_argument(
        "--place-level", help="province, grid or national, as the reporting year's notice names it (CN-GBT)"
    )
    which.add_argument("--notice", help="that notice")
    which.add_argument(
        "--zone", default="", help="the grid zone whose hourly series goes first, where the profile takes one"
    )
    which.add_argument("--gas", default="", help="CO2, CH4, HFC-32 and so on, where an id has several")
    which.add_argument("--variant", default="", help="equipment or table, where an id has several")
    which.add_argument("--kwh", help="show what this energy comes to")

    market = verbs.add_parser(
        "market", help="the market-based figure of a consumption: retired instruments, then the residual mix"
    )
    _add_registry(market, needed=True)
    _add_place(market)
    market.add_argument("--from", dest="begin", required=True, metavar="TIME", help="a day (00:00 UTC) or a time")
    market.add_argument("--to", dest="end", required=True, metavar="TIME", help="the end, not included")
    market.add_argument("--kwh", required=True, help="the consumption")

    series = verbs.add_parser("intensity", help="put hourly grid intensities of a CSV file on record")
    series.add_argument("file", type=Path, help="columns: zone,signal,start,end,g_per_kwh,provider,published,estimated")
    _add_registry(series, needed=True)
    series.add_argument("--by", required=True, metavar="NAME", help="who imports it")

    sinks = verbs.add_parser("sinks", help="uptake, baseline and leakage of sink projects: import, show")
    sink_deeds = sinks.add_subparsers(title="words", metavar="WORD", required=True, dest="deed")
    bring = sink_deeds.add_parser("import", help="put sinks of a CSV file on record")
    bring.add_argument(
        "file",
        type=Path,
        help="columns: project,methodology,from,to,project_t,baseline_t,leakage_t,vintage,evidence,reason",
    )
    bring.add_argument("--by", required=True, metavar="NAME", help="who does it")
    net = sink_deeds.add_parser("show", help="what is left of each project and of all")
    net.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    for deed in (bring, net):
        _add_registry(deed, needed=True)

    instruments = verbs.add_parser("instruments", help="certificates and contracts: import, retire (once), show")
    deeds = instruments.add_subparsers(title="words", metavar="WORD", required=True, dest="deed")
    bring = deeds.add_parser("import", help="put instruments of a CSV file on record")
    bring.add_argument(
        "file", type=Path, help="columns: id,type,mwh,from,to,zone,kg_per_kwh,owner,registry_ref,evidence"
    )
    retire = deeds.add_parser("retire", help="use an instrument for a facility, once and for good")
    retire.add_argument("instrument", help="its id")
    retire.add_argument("--facility", required=True, help="for whom")
    show = deeds.add_parser("show", help="instruments, and for whom each was retired")
    for deed in (bring, retire, show):
        _add_registry(deed, needed=True)
    for deed in (bring, retire):
        deed.add_argument("--by", required=True, metavar="NAME", help="who does it")

    _add_notice(verbs)


def _add_aim(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--region", help="of this place only, e.g. CN-JS")
    parser.add_argument("--data-year", type=int, metavar="YEAR", help="of this data year only")
    parser.add_argument("--gas", help="of this gas only, e.g. CO2")
    parser.add_argument("--variant", help="of this variant only, e.g. kiln")


def _add_notice(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    notice = verbs.add_parser("notice", help="what a reporting year's notice fixes for a regime: add, approve, show")
    deeds = notice.add_subparsers(title="words", metavar="WORD", required=True, dest="deed")
    add = deeds.add_parser("add", help="enter a notice, to be approved by a second person")
    add.add_argument("--profile", default="CN-GBT", help="the regime (default: %(default)s)")
    add.add_argument("--year", type=int, required=True, help="the reporting year")
    add.add_argument("--place-level", required=True, help="whose factor: province, grid or national")
    add.add_argument(
        "--factor-year", default="latest_at_submission", help="latest_at_submission or data_year (default: %(default)s)"
    )
    add.add_argument(
        "--submitted-by",
        required=True,
        metavar="DAY",
        help="the last day of submission; factors known later do not count",
    )
    add.add_argument("--restate-on-new-factor", action="store_true", help="let later factors count all the same")
    add.add_argument(
        "--deduct-exports", action="store_true", help="take exported electricity off, as the sector part says"
    )
    add.add_argument("--document", required=True, help="the notice, and the sector part where it matters")
    add.add_argument("--facility", default="", help="for this facility only")
    add.add_argument("--reason", default="", help="why, where it corrects one on record")
    approve = deeds.add_parser("approve", help="let a notice count from now on; not by the one who entered it")
    approve.add_argument("number", type=int, help="of the notice, as `show` says it")
    for deed in (add, approve):
        deed.add_argument("--by", required=True, metavar="NAME", help="who does it")
    for deed in (add, approve, deeds.add_parser("show", help="every notice on record")):
        deed.add_argument("--config", type=Path, required=True, help="the aggregator file")


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--region", help="where, e.g. CN-JS or CN-GRID-EAST (default: the facility's place, else CN)")
    parser.add_argument("--facility", default="", help="for whom: its own values go first")
    parser.add_argument(
        "--time-zone", default="Asia/Shanghai", help="whose calendar year counts (default: %(default)s)"
    )
    parser.add_argument("--as-of", metavar="TIME", help="as it was known then (default: now)")
    parser.add_argument("--json", action="store_true", help="for programs")


def _add_registry(parser: argparse.ArgumentParser, *, needed: bool) -> None:
    where = parser.add_mutually_exclusive_group(required=needed)
    where.add_argument(
        "--config", type=Path, help="the aggregator file; the registry is factors.sqlite in its data directory"
    )
    where.add_argument("--registry", type=Path, help="the registry file itself")
    if not needed:
        parser.epilog = "Without --config or --registry: what comes with the program."
