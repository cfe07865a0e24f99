"""The page's files: nothing from elsewhere, no text that could become markup, both languages complete, colours that can be told apart."""

import math
import re
from itertools import combinations
from pathlib import Path

import pytest

from aggregator.alarms import PRIORITIES
from aggregator.app import WEB

SCRIPTS = sorted(WEB.glob("js/*.js"))
FILES = sorted(path for path in WEB.rglob("*") if path.is_file())
CSS = (WEB / "app.css").read_text()
PAGES = sorted(WEB.glob("*.html"))
HTML = "".join(page.read_text() for page in PAGES)


def words() -> dict[str, dict[str, str]]:
    """The two tables of the words by language."""
    found: dict[str, dict[str, str]] = {"en": {}, "zh": {}}
    source = "".join(path.read_text() for path in sorted(WEB.glob("js/words*.js")))
    for language, body in re.findall(r"^  (en|zh): \{\n(.*?)^  \},", source, re.S | re.M):
        found[language] |= {
            key.strip('"'): text for key, text in re.findall(r'^    ("[^"]+"|\w+): "(.*)",$', body, re.M)
        }
    return found


def palette(theme: str) -> dict[str, str]:
    """The colours of one theme, name -> #rrggbb."""
    selector = r":root \{" if theme == "light" else r':root\[data-theme="dark"\] \{'
    match = re.search(selector + r"(.*?)\}", CSS, re.S)
    assert match is not None
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", match[1]))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_text_reaches_the_page_only_as_text(path: Path) -> None:
    source = path.read_text()
    for forbidden in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "DOMParser",
        ".srcdoc",
    ):
        assert forbidden not in source


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_nothing_is_asked_of_another_origin(path: Path) -> None:
    addresses = [
        found
        for found in re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", path.read_text())
        if "www.w3.org/2000/svg" not in found
    ]
    assert addresses == []


def test_the_document_has_no_inline_script_style_or_handler() -> None:
    assert re.findall(r"<script(?![^>]*\bsrc=)", HTML) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", HTML) == []


def test_scripts_set_no_style_attribute() -> None:
    for path in SCRIPTS:
        assert not re.search(r"[\"']style[\"']|\bstyle:", path.read_text()), path.name


def test_both_languages_have_the_same_words_with_the_same_places() -> None:
    found = words()
    assert set(found) == {"en", "zh"}
    assert set(found["en"]) == set(found["zh"])
    assert len(found["en"]) > 80
    for key, text in found["en"].items():
        assert sorted(re.findall(r"\{\d\}", text)) == sorted(re.findall(r"\{\d\}", found["zh"][key])), key
        assert text.strip()
        assert found["zh"][key].strip()


def test_chinese_is_chinese() -> None:
    same = {key for key, text in words()["zh"].items() if not re.search(r"[\u4e00-\u9fff]", text)}
    assert same <= {"language", "factor", "soc"}


def test_every_word_that_the_page_asks_for_exists() -> None:
    known = words()["en"]
    asked = set(re.findall(r'data-i18n(?:-label)?="(\w+)"', HTML))
    for path in SCRIPTS:
        asked |= set(re.findall(r'\bsay\("(\w+)"', path.read_text()))
    assert asked <= set(known)


@pytest.mark.parametrize("code", sorted(PRIORITIES))
def test_every_alarm_has_words(code: str) -> None:
    assert f"alarm_{code}" in words()["en"]


def test_every_import_of_the_page_is_a_file_of_the_page() -> None:
    for path in SCRIPTS:
        for name in re.findall(r'from "\./([\w.]+)"', path.read_text()):
            assert (path.parent / name).is_file(), f"{path.name} imports {name}"
    for name in re.findall(r'(?:src|href)="/static/([\w./]+)"', HTML):
        assert (WEB / name).is_file()


def linear(colour: str) -> tuple[float, float, float]:
    """Linear red, green, blue (0 to 1) of #rrggbb; IEC 61966-2-1."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio by WCAG 2.1."""
    light = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (linear(one), linear(other)))
    return (light[1] + 0.05) / (light[0] + 0.05)


# Simulated colour vision, full severity: Machado, Oliveira, Fernandes, IEEE TVCG 15 (2009), table 1 (linear RGB).
VISION = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deutan": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritan": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def lab(rgb: tuple[float, ...]) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of linear RGB."""
    red, green, blue = (min(1.0, max(0.0, part)) for part in rgb)
    xyz = (
        (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047,
        0.2126 * red + 0.7152 * green + 0.0722 * blue,
        (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883,
    )
    x, y, z = (part ** (1 / 3) if part > 0.008856 else 7.787 * part + 16 / 116 for part in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, vision: str) -> float:
    """CIE76 difference as seen with this colour vision."""

    def seen(colour: str) -> tuple[float, float, float]:
        rgb = linear(colour)
        return lab(tuple(sum(weight * part for weight, part in zip(row, rgb, strict=True)) for row in VISION[vision]))

    return math.dist(seen(one), seen(other))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("vision", list(VISION))
def test_the_series_can_be_told_apart_with_any_colour_vision(theme: str, vision: str) -> None:
    colours = {name: palette(theme)[name] for name in ("load", "grid", "pv", "sto", "ev")}
    worst = min((difference(colours[a], colours[b], vision), a, b) for a, b in combinations(colours, 2))
    assert worst[0] >= 18, worst


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(theme: str) -> None:
    colours = palette(theme)
    for ink, ground in (
        *((ink, card) for ink in ("ink", "ink2", "ink3") for card in ("card", "card2")),
        ("topink", "top"), ("warnink", "warn"), ("old", "card"), ("p1", "card"),
    ):  # fmt: skip
        assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_series_and_alarm_signs_stand_out_from_the_card(theme: str) -> None:
    colours = palette(theme)
    for name in ("load", "grid", "pv", "sto", "ev", "p1", "p2", "p3", "p4"):
        assert contrast(colours[name], colours["card"]) >= 3, name
    for name in ("p1", "p2", "p4"):
        assert contrast(colours["on-sign"], colours[name]) >= 3.5, name


def test_series_differ_by_more_than_colour() -> None:
    dashes = {
        part: re.search(rf"\.line\.part-{part} \{{ stroke-dasharray: ([\d. ]+);", CSS) for part in ("pv", "sto", "ev")
    }
    patterns = [match[1] for match in dashes.values() if match]
    assert len(set(patterns)) == 3
