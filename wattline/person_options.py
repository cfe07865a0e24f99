"""What `wattline person` may be told."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds them to a parser."""
    parser.add_argument("name", help="as it goes on record")
    parser.add_argument("--entity", default="", help="the legal entity that answers for what the person signs")
    parser.add_argument(
        "--may",
        nargs="+",
        default=["enter"],
        choices=["enter", "approve", "operate"],
        help="their rights (default: enter)",
    )
