"""`wattline aggregator log-key` and `wattline edge key`: the public keys that an auditor notes. Not what they verify (`wattline verify`)."""

import argparse
import os
import sys
from pathlib import Path

from edge_agent.edge_file import EdgeFileFaults
from edge_agent.edge_file import load as load_edge
from wire.keys import KeyUnusable, SigningKey


def edge_key(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (the gateway signs nothing), 2 (the file, or its key, cannot be used)."""
    try:
        edge = load_edge(options.file)
        if edge.signing is None:
            print(f"{options.file}: expected signing = {{ key = ... }}, this gateway signs nothing", file=sys.stderr)
            return 1
        print(SigningKey.load(Path(edge.signing.key)).public.to_text())
    except (EdgeFileFaults, KeyUnusable) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def log_key(options: argparse.Namespace) -> int:
    """Exit status 0, 1 (nothing is signed yet, or there is no log), 2 (bad settings). Reads only, also beside a running aggregator."""
    from aggregator.audit.leaves import LogUnusable, NotInLog
    from aggregator.audit.record_proof import LogReader
    from aggregator.settings import SettingsFaults, load

    try:
        settings = load(options.file, os.environ)
        with LogReader(settings.data_directory) as log:
            print(log.verifier.to_text())
    except SettingsFaults as error:
        print(error, file=sys.stderr)
        return 2
    except (LogUnusable, NotInLog, KeyUnusable) as error:
        print(f"wattline aggregator log-key: {error}", file=sys.stderr)
        return 1
    return 0
