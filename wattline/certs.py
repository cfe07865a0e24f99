"""The commands of `wattline certs`: words in, files and lists out. What a certificate holds is decided in wattline.authority."""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from wattline.authority import DAY_MS, Authority, CertificateRefused, Issued
from wattline.broker_acl import acl, edge_of
from wire.clock import Clock


def run(arguments: argparse.Namespace, clock: Callable[[], int] | None = None) -> int:
    """Do what the words say; 0, 1 when something ends soon, or 2 when it is refused (the reason goes to standard error)."""
    try:
        return _WORDS[arguments.word](arguments, clock or Clock())
    except (CertificateRefused, OSError) as refused:
        print(f"wattline certs: {refused}", file=sys.stderr)
        return 2


def _init(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    authority = Authority.found(arguments.directory, clock, arguments.name, arguments.days)
    note = "ca.key signs for everybody: keep a copy offline, and put it on no gateway and no broker"
    return _made(arguments, arguments.directory, authority.not_after_ms, note)


def _broker(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    authority = Authority(arguments.directory, clock)
    return _made(
        arguments,
        authority.broker(arguments.host, arguments.days),
        authority.issued()[-1].not_after_ms,
        "for the broker's machine",
    )


def _aggregator(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    authority = Authority(arguments.directory, clock)
    return _made(
        arguments,
        authority.aggregator(arguments.days),
        authority.issued()[-1].not_after_ms,
        f'for the aggregator\'s machine; its file needs:\n\n[commands]\nkey = "command.sign"\n\nand the file of each gateway that may be'
        f' steered:\n\n[aggregator]\ncommand_key = "{authority.command_key}"',
        command_key=authority.command_key,
    )


def _edge(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    authority = Authority(arguments.directory, clock)
    folder = authority.edge(arguments.facility, arguments.edge, arguments.days)
    public = (folder / f"{arguments.edge}.sign.pub").read_text(encoding="ascii").strip()
    note = f'for the gateway; the aggregator\'s file needs:\n\n[[edge]]\nfacility = "{arguments.facility}"\nedge = "{arguments.edge}"\npublic_key = "{public}"'
    if authority.command_key:
        note += f'\n\nand the gateway\'s own file, if it may be steered:\n\n[aggregator]\ncommand_key = "{authority.command_key}"'
    return _made(arguments, folder, authority.issued()[-1].not_after_ms, note, public_key=public)


def _renew(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    authority = Authority(arguments.directory, clock)
    folder = authority.renew(arguments.name, arguments.days)
    return _made(
        arguments,
        folder,
        authority.issued()[-1].not_after_ms,
        "only the certificate (.pem) changed, the key is the same",
    )


def _revoke(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    authority = Authority(arguments.directory, clock)
    newly_revoked = authority.revoke(arguments.name)
    if arguments.json:
        print(
            json.dumps(
                {"name": arguments.name, "newly_revoked": newly_revoked, "crl": str(arguments.directory / "crl.pem")}
            )
        )
    else:
        print(f"{arguments.name}: {newly_revoked} certificates newly revoked, in {arguments.directory / 'crl.pem'}")
        print("it counts once the broker has that file and a new access list (`wattline certs acl`) and is reloaded")
    return 0


def _list(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    authority = Authority(arguments.directory, clock)
    now_ms = clock()
    ours = Issued("ca", "authority", "", authority.not_after_ms)
    rows = [(row, (row.not_after_ms - now_ms) // DAY_MS) for row in (ours, *authority.current())]
    if arguments.json:
        print(json.dumps([_as_json(row, days_left) for row, days_left in rows], indent=1))
    else:
        width = max(len(row.name) for row, _ in rows)
        for row, days_left in rows:
            print(f"{row.name:<{width}}  {row.role:<10}  {_date(row.not_after_ms)}  {_state(row, days_left)}")
    if arguments.ends_within is None:
        return 0
    return int(any(days_left < arguments.ends_within and not row.revoked_at_ms for row, days_left in rows))


def _acl(arguments: argparse.Namespace, clock: Callable[[], int]) -> int:
    rows = Authority(arguments.directory, clock).current()
    revoked = {row.name for row in rows if row.revoked_at_ms}
    edges = {row.name for row in rows if row.role == "edge"} - revoked
    for user in arguments.edge:
        edge_of(user)
        if user in revoked:
            raise CertificateRefused(f"edge {user}: it is revoked; a gateway that replaces it gets an id of its own")
    text = acl([*edges, *arguments.edge])
    if arguments.output is None:
        print(text, end="")
    else:
        beside = arguments.output.with_name(arguments.output.name + ".new")
        beside.write_text(text, encoding="ascii")
        beside.replace(arguments.output)
    return 0


_WORDS: Final[dict[str, Callable[[argparse.Namespace, Callable[[], int]], int]]] = {
    "init": _init,
    "broker": _broker,
    "aggregator": _aggregator,
    "edge": _edge,
    "renew": _renew,
    "revoke": _revoke,
    "list": _list,
    "acl": _acl,
}


def _made(arguments: argparse.Namespace, folder: Path, not_after_ms: int, note: str, **more: str) -> int:
    if arguments.json:
        print(json.dumps({"folder": str(folder), "ends": _date(not_after_ms), **more}))
    else:
        print(f"{folder}: ends {_date(not_after_ms)}; {note}")
    return 0


def _as_json(row: Issued, days_left: int) -> dict[str, object]:
    return {
        "name": row.name,
        "role": row.role,
        "ends": _date(row.not_after_ms),
        "days_left": days_left,
        "revoked": bool(row.revoked_at_ms),
        "hosts": row.hosts,
    }


def _state(row: Issued, days_left: int) -> str:
    if row.revoked_at_ms:
        return f"revoked {_date(row.revoked_at_ms)}"
    return f"{days_left} days left" if days_left >= 0 else "ENDED"


def _date(at_ms: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at_ms // 1000))
