"""Prints the report's page to PDF with a Chromium that the machine has. Draws nothing itself; without one the page is all there is."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
TIMEOUT_S: Final = 120.0


class NoBrowser(Exception):
    """Nothing on this machine prints a page."""


def browser() -> str | None:
    """The program that prints, None where there is none."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def pdf_of(page: str) -> bytes:
    """The PDF file of a page. Raises NoBrowser, OSError (it did not print)."""
    program = browser()
    if program is None:
        raise NoBrowser(
            f"PDF: expected one of {', '.join(_BROWSERS)} on the PATH, there is none; the HTML page prints the same"
        )
    with tempfile.TemporaryDirectory(prefix="wattline-report-") as directory:
        file, made = Path(directory) / "report.html", Path(directory) / "report.pdf"
        file.write_text(page, encoding="utf-8")
        # Chromium refuses its sandbox to root; the page has no script and may load nothing.
        unboxed = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        command = [program, "--headless", "--disable-gpu", *unboxed, "--no-pdf-header-footer", f"--user-data-dir={directory}/profile",
                   f"--print-to-pdf={made}", file.as_uri()]  # fmt: skip
        try:
            ran = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise OSError(f"PDF: expected {program} to print within {TIMEOUT_S:g} s, it still runs") from error
        if ran.returncode or not made.exists():
            raise OSError(
                f"PDF: expected {program} to print, it ended with {ran.returncode}: {ran.stderr.decode(errors='replace')[-300:]}"
            )
        return made.read_bytes()
