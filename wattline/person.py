"""`wattline person`: makes a token and prints the table for the settings, so that it can be appended to them. The token itself goes to the terminal only."""

import argparse
import json
import sys

from aggregator.person import new_token


def run(options: argparse.Namespace) -> int:
    """Exit status 0, 2 (bad use). The table goes to standard output, the token to standard error."""
    name = options.name.strip()
    if not name or len(name) > 100 or len(options.entity) > 200:
        print(f"wattline person: name: expected 1 to 100 characters, got {options.name[:120]!r}", file=sys.stderr)
        return 2
    token, digest = new_token()
    print("\n[[person]]")
    for key, value in (("name", name), ("token_sha256", digest), ("entity", options.entity), ("may", options.may)):
        print(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    print(f"token of {name}, shown this once: {token}", file=sys.stderr)
    return 0
