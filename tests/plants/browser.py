"""A browser that looks at the page: what it shows, read in one step. Not what should be there."""

import json
import time
from collections.abc import Callable
from typing import Any

from selenium import webdriver
from selenium.webdriver.remote.webelement import WebElement


class Page:
    """A browser that looks at the page."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str, **query: str) -> None:
        parts = "&".join(f"{name}={value}" for name, value in {"language": "en", "theme": "light", **query}.items())
        self.driver.get(f"{url}/?{parts}")

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def attribute(self, selector: str, name: str) -> str | None:
        """Read in one step, because the page may draw the element anew between two; None where it is not there."""
        found = f"document.querySelector({json.dumps(selector)})?.getAttribute({json.dumps(name)})"
        return self.script(f"return {found} ?? null")  # type: ignore[no-any-return]

    def text(self, selector: str) -> str:
        """The text of an element, read in one step; empty where it is not there."""
        return str(self.script(f"return document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def figure(self, name: str) -> str:
        return self.text(f'[data-figure="{name}"]')

    def value(self, name: str) -> float | None:
        text = self.attribute(f'[data-figure="{name}"]', "data-value")
        return None if text is None else float(text)

    def script(self, text: str) -> Any:
        return self.driver.execute_script(text)  # type: ignore[no-untyped-call]

    def until(self, true: Callable[[], Any], what: str, timeout_s: float = 15) -> Any:
        """What `true` gives once it is true; fails naming `what`."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            found = true()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"not within {timeout_s} s: {what}")

    def until_live(self) -> None:
        self.until(lambda: self.attribute("body", "data-feed") == "live", "the feed is live")
        self.until(lambda: self.value("grid_kw") is not None, "the grid has a figure")

    def faults(self) -> list[str]:
        """Errors of scripts and breaches of the content policy."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]  # type: ignore[no-untyped-call]
