"""A word of the command line: its name, what it is for, an example. Not what it does."""

import argparse
from typing import TypeAlias

Words: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_word(words: Words, name: str, text: str, example: str = "") -> argparse.ArgumentParser:
    """The parser of a new word; `text` is its line in the list and its help, `example` stands below."""
    return words.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  {example}" if example else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
