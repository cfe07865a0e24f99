"""The one command line: words, their options and help. Each word's work is elsewhere and loaded only when it is asked for."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final

import wattline
from wattline.reader_gone import ReaderGone, heeding_the_reader, write_no_more
from wattline.word import add_word

FAILED: Final = 1
BAD_USE: Final = 2
# The extra that brings what only some words need (pyproject.toml); the first module that a word misses names it.
_EXTRAS: Final = dict.fromkeys(
    ("duckdb", "fastapi", "highspy", "numpy", "prometheus_client", "pydantic", "uvicorn"), "aggregator"
) | {"sklearn": "forecast", "urllib3": "influx"}

_EXAMPLES: Final = """examples:
  wattline demo                                   everything on this machine, in one command
  wattline edge check edge.toml                   is the edge file right?
  wattline edge commission edge.toml              read every row of every device once
  wattline edge run edge.toml                     the agent
  wattline aggregator run aggregator.toml         store, figures, dashboard
  wattline sim run site.toml                      simulated plants on real protocols
  wattline import energy.csv --config aggregator.toml --facility works --device incomer
"""


@dataclass(frozen=True, slots=True)
class Word:
    """A word with its help. `options`: module and function below `wattline` that add its options; `module` has its `run`. Or `words`: more words below it."""

    name: str
    text: str
    example: str
    options: str = ""
    module: str = ""
    words: str = ""


WORDS: Final = (
    Word(
        "demo",
        "broker, simulated plants, edge agents and aggregator in one command",
        "wattline demo --speed 60",
        "demo_options",
        "demo",
    ),
    Word("edge", "the agent on a gateway", "wattline edge check edge.toml", words="edge_words"),
    Word("aggregator", "the cloud side", "wattline aggregator run aggregator.toml", words="aggregator_words"),
    Word("sim", "simulated plants on real protocols", "wattline sim run site.toml", words="sim_words"),
    Word(
        "import",
        "interval energies or counters from a CSV file",
        "wattline import energy.csv --url http://127.0.0.1:8080 --facility works --device incomer",
        "import_options",
        "import_csv",
    ),
    Word(
        "readings",
        "what people read off meters, and exchanged meters, with evidence and author",
        "wattline readings enter --config aggregator.toml --facility works --device incomer --at 2026-11-01T08:00 --kwh 81204.6"
        " --evidence 'photo 17' --by 'Li Na'",
        "readings_options",
        "readings",
    ),
    Word(
        "late",
        "published spans that no longer say what the ledger says, and need a restatement",
        "wattline late --config aggregator.toml",
        "settings_options",
        "late",
    ),
    Word(
        "bill",
        "a utility's bills against the ledger: multiplier, clock, gap, demand window",
        "wattline bill check bill.csv --config aggregator.toml",
        "bill_options",
        "bill",
    ),
    Word(
        "tree",
        "the meter tree: own parts, unmetered remainder and check meters at every roll-up",
        "wattline tree --config aggregator.toml --from 2026-05-01 --to 2026-06-01 --roll-up day",
        "tree_options",
        "tree",
    ),
    Word(
        "gaps",
        "intervals that nobody has measured, and their estimates by rule",
        "wattline gaps --config aggregator.toml --from 2026-05-01 --to 2026-06-01 --fill",
        "gaps_options",
        "gaps",
    ),
    Word(
        "factors",
        "the registry of emission factors: lint, import, approve, withdraw, show",
        "wattline factors show fuel.diesel.*",
        "factors_options",
        "factors",
    ),
    Word(
        "activities",
        "records of what no meter counts: fuel, materials, production, laboratory values",
        "wattline activities import january.csv --config aggregator.toml --facility works --by 'Li Wei'",
        "activities_options",
        "activities",
    ),
    Word(
        "formula",
        "a formula of carbon accounting, step by step and with its source",
        "wattline formula combustion fuel_t=1000 ncv_gj_per_t=20.908 carbon_t_per_gj=0.0258 oxidation_ratio=0.98",
        "formula_options",
        "formula",
    ),
    Word(
        "statement",
        "what a facility's period comes to under a profile",
        "wattline statement --config aggregator.toml --profile GHGP-MB --from 2026-01-01 --to 2027-01-01",
        "statement_options",
        "statement",
    ),
    Word(
        "lineage",
        "where a number comes from: readings, multiplier, factor document, batch and leaf of the log",
        "wattline lineage line --config aggregator.toml --from 2026-01-01 --to 2026-02-01 --line 0",
        "lineage_options",
        "lineage",
    ),
    Word(
        "samples",
        "intervals drawn for people to check, and what they found",
        "wattline samples draw --config aggregator.toml --from 2026-01-01 --to 2026-02-01 --percent 0.5 --by 'Li Na'",
        "samples_options",
        "samples",
    ),
    Word(
        "catalogue",
        "whose each series is, who answers for device and signature, what kind of data it is",
        "wattline catalogue --config aggregator.toml",
        "settings_options",
        "catalogue",
    ),
    Word(
        "challenges",
        "doubts about figures that people outside have raised; list them, or answer one",
        "wattline challenges --config aggregator.toml --answer 3 --state upheld --text 'restated as run 17' --by 'Li Na'",
        "challenges_options",
        "challenges",
    ),
    Word(
        "export",
        "a statement in the form of a regime: GB/T 32150, CBAM, PACT, GHG Protocol",
        "wattline export --profile CBAM --config aggregator.toml --from 2025-01-01 --to 2026-01-01 --format csv",
        "export_options",
        "export",
    ),
    Word(
        "products",
        "emissions and electricity per product and per floor area",
        "wattline products --config aggregator.toml --from 2025-01-01 --to 2026-01-01",
        "export_options:add_products_arguments",
        "export",
    ),
    Word(
        "pools",
        "what PV, storage and charging made of the grid's kg: show, content, plug-in",
        "wattline pools show --config aggregator.toml --from 2026-01-01 --to 2026-02-01",
        "pools_options",
        "pools",
    ),
    Word(
        "sessions",
        "charging sessions with their kg and g/kWh",
        "wattline sessions --url http://127.0.0.1:8080 --facility works --from 2026-05-01T00:00+08:00 --to 2026-05-02T00:00+08:00",
        "pools_options:add_session_arguments",
        "charging",
    ),
    Word(
        "report",
        "a facility's energy and emissions as a page, PDF, tables, spreadsheet or JSON",
        "wattline report --config aggregator.toml --facility works --profile GHGP-LB,GHGP-MB --from 2026-01-01 --to 2026-02-01 --out january.html",
        "facility_report_options",
        "facility_report",
    ),
    Word(
        "forecast",
        "the load of the next day, and how well such forecasts have done",
        "wattline forecast backtest energy.csv --time-zone Asia/Seoul",
        "forecast_options",
        "forecast",
    ),
    Word(
        "plan",
        "the best plan for storage, vehicles and loads that can wait",
        "wattline plan solve day.json",
        "plan_options",
        "plan",
    ),
    Word(
        "measures",
        "what a facility's span came to: sun used on site, hours without import, largest step, battery cycles",
        "wattline measures --config aggregator.toml --from 2026-06-01 --to 2026-07-01",
        "measures_options",
        "measures",
    ),
    Word(
        "footprint",
        "what this program itself uses and emits, beside the savings on record",
        "wattline footprint --config aggregator.toml",
        "footprint_options",
        "footprint",
    ),
    Word(
        "response",
        "a demand-response event against its baseline, settled in money and kg",
        "wattline response --config aggregator.toml --from 2026-06-17T14:00+08:00 --to 2026-06-17T16:00+08:00 --target-kw 300",
        "response_options",
        "response",
    ),
    Word(
        "event",
        "demand-response events and overrides of a running aggregator: ask, answer, watch, prove",
        "wattline event ask --url http://127.0.0.1:8080 --facility works --from 2026-06-17T14:00+08:00 --to 2026-06-17T16:00+08:00 --target-kw 250",
        "event_options",
        "event",
    ),
    Word(
        "trial",
        "a simulated site in virtual time: uncontrolled, one-way and two-way ordered, side by side",
        "wattline trial --days 1",
        "trial_options",
        "trial.command",
    ),
    Word(
        "certs",
        "a private authority: certificates and keys for broker, aggregator and edges",
        "",
        "certs_options",
        "certs",
    ),
    Word(
        "person",
        "a token for a person who writes over HTTP in their own name, and what the settings say of them",
        "wattline person 'Li Wei' --entity 'Works Ltd' --may enter approve >> aggregator.toml",
        "person_options",
        "person",
    ),
    Word(
        "runs",
        "freeze, approve, publish and restate what a span comes to; verify and compare",
        "wattline runs new --config aggregator.toml --facility works --from 2026-01-01 --to 2026-02-01 --by 'Li Wei'",
        "runs_options",
        "runs",
    ),
    Word(
        "seal",
        "seal the interval energies of a month that is over; statements read them from there",
        "wattline seal --config aggregator.toml --facility works --month 2026-01 --by 'Li Wei'",
        "seal_options",
        "seal",
    ),
    Word(
        "verify",
        "check an evidence bundle or a report: signatures, log, chain, counters, and every figure again; needs no aggregator",
        "wattline verify works.zip --log-key 'wattline/store-1+1f2e3d4c+AZ...'",
        "verify_options",
        "verify",
    ),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one word; the exit status: 0, 1 (failed), 2 (bad use or configuration)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if not hasattr(options, "run"):
        parser.print_help()
        return BAD_USE
    logging.basicConfig(
        level=getattr(logging, options.log_level.upper()),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        with heeding_the_reader():
            return run(options)
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        print(
            f"wattline: expected the package {error.name}, it is not installed: pip install 'wattline[{extra}]'",
            file=sys.stderr,
        )
        return BAD_USE
    except (ReaderGone, BrokenPipeError):
        write_no_more()
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="wattline",
        description="Energy telemetry: no reading lost, emissions that lead back to the meter.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"wattline {wattline.__version__}")
    levels = ["debug", "info", "warning", "error"]
    parser.add_argument(
        "--log-level", default="info", choices=levels, help="what goes to standard error (default: %(default)s)"
    )
    words = parser.add_subparsers(title="words", metavar="WORD")
    for word in WORDS:
        added = add_word(words, word.name, word.text, word.example)
        if word.words:
            import_module(f"wattline.{word.words}").add_words(
                added.add_subparsers(title="words", metavar="WORD", required=True)
            )
        else:
            module, _, function = word.options.partition(":")
            getattr(import_module(f"wattline.{module}"), function or "add_arguments")(added)
            added.set_defaults(run=_run_of(word.module))
    return parser


def _run_of(module: str) -> Callable[[argparse.Namespace], int]:
    """What runs a word; its module is loaded when it runs."""

    def run(options: argparse.Namespace) -> int:
        status: int = import_module(f"wattline.{module}").run(options)
        return status

    return run


if __name__ == "__main__":
    sys.exit(main())
