"""What a formula asks for and says of itself. Not its calculation, and not the reading of what was given."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from aggregator.emissions.formulas.worked import Worked

# number: one value; numbers: several, by comma; table: rows by semicolon; word, words: text, several by comma.
# An input that may have holes takes `-` for one that is missing.
Kind = Literal["number", "numbers", "numbers with holes", "table", "word", "words", "words with holes"]


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that a formula asks for; `unit` "" where the value has none, "1" for a share."""

    name: str
    unit: str
    text: str
    kind: Kind = "number"
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula by its name, with where it is from. `work` takes the inputs by name and raises Impossible."""

    name: str
    title: str
    expression: str
    source: str
    inputs: tuple[Input, ...]
    work: Callable[..., Worked]
