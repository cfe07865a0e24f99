"""What an OSError says to a person: which file, what was expected, what the system answered. Not other errors, which say it themselves."""


def told(error: BaseException) -> str:
    """One line. An error without the system's words and a file's name has words of its own."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: expected a file that can be opened, got: {error.strerror}"
    return str(error)
