"""What `wattline challenges` may be told."""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them to a parser."""
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the aggregator's settings")
    parser.add_argument("--facility", help="which one (default: the only one)")
    parser.add_argument("--answer", type=int, metavar="NUMBER", help="answer this one")
    parser.add_argument("--state", default="looked_into", choices=["looked_into", "upheld", "rejected"])
    parser.add_argument("--text", default="", help="the answer")
    parser.add_argument("--by", default="", metavar="NAME", help="who answers")
    parser.add_argument("--json", action="store_true", help="for programs")
