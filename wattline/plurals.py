"""A number with its noun, as English has it: 1 fault, 2 faults. For nouns that take an s."""


def counted(number: int, noun: str) -> str:
    """`noun` in the singular."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def are(number: int) -> str:
    """The verb behind so many things."""
    return "is" if number == 1 else "are"
