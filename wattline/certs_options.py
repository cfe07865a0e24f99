"""The options of `wattline certs`, light enough for every start of an agent. What the words do is in `wattline.certs`."""

import argparse
from pathlib import Path
from typing import Final

AUTHORITY_DAYS: Final = 3650
SERVER_DAYS: Final = 730
EDGE_DAYS: Final = 1825  # somebody has to drive to the plant; a stolen gateway is revoked, not waited for
EXAMPLES: Final = """examples:
  wattline certs init                                   a new authority in ./certs
  wattline certs broker --host mqtt.example --host 10.0.0.2
  wattline certs aggregator
  wattline certs edge works gw-01                       TLS and signing keys of one gateway
  wattline certs acl --output /etc/mosquitto/wattline.acl
  wattline certs list --json
  wattline certs list --ends-within 60                  exit status 1 when something ends in 60 days
  wattline certs renew works.gw-01
  wattline certs revoke works.gw-01                     then give the broker the new list and reload it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give `parser` the words of `wattline certs`."""
    parser.description = (
        "A private certificate authority for broker, aggregator and gateways, and the broker's access list."
    )
    parser.epilog = EXAMPLES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    words = parser.add_subparsers(dest="word", required=True, metavar="WORD")

    def word(name: str, text: str, days: int | None = None) -> argparse.ArgumentParser:
        child = words.add_parser(name, help=text, description=text)
        child.add_argument(
            "--directory",
            type=Path,
            default=Path("certs"),
            metavar="DIR",
            help="folder of the authority (default: %(default)s)",
        )
        child.add_argument("--json", action="store_true", help="print JSON for a program")
        if days is not None:
            child.add_argument("--days", type=_days, default=days, help="lifetime in days (default: %(default)s)")
        return child

    word("init", "make the authority; refuses where there is one", AUTHORITY_DAYS).add_argument(
        "--name", default="Wattline private CA", help="name in its certificate (default: %(default)s)"
    )
    word("broker", "key and certificate of the MQTT broker", SERVER_DAYS).add_argument(
        "--host",
        action="append",
        required=True,
        metavar="NAME",
        help="DNS name or address that gateways connect to; may be repeated",
    )
    word("aggregator", "key and certificate of the aggregator", SERVER_DAYS)
    edge = word("edge", "TLS key, certificate and signing key of one gateway", EDGE_DAYS)
    edge.add_argument("facility", help="facility id")
    edge.add_argument("edge", help="edge id")
    renew = word("renew", "a new certificate for a key that is there")
    renew.add_argument("name", help="broker, aggregator or FACILITY.EDGE")
    renew.add_argument("--days", type=_days, default=None, help="lifetime in days (default: as when it was made)")
    word("revoke", "put a name on the revocation list").add_argument("name", help="broker, aggregator or FACILITY.EDGE")
    shown = word("list", "what was issued and when it ends")
    shown.add_argument(
        "--ends-within",
        type=_days,
        default=None,
        metavar="DAYS",
        help="exit status 1 when a good certificate ends within so many days",
    )
    listed = word("acl", "the broker's access list for every edge that has a good certificate")
    listed.add_argument(
        "--edge",
        action="append",
        default=[],
        metavar="FACILITY.EDGE",
        help="one more, such as an edge that uses a password",
    )
    listed.add_argument(
        "--output",
        type=Path,
        default=None,
        metavar="FILE",
        help="write it there instead of printing it; replaces the file",
    )


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 36_500:
        raise argparse.ArgumentTypeError(f"expected 1 to 36500 days, got {text!r}")
    return int(text)
