"""The overview page in a real Chromium: figures of the plant stand in the page, staleness is seen, nothing leaves the origin."""

import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import Page
from live_plant import START_MS, LivePlant, Server, powers_kw, works
from selenium.webdriver.common.keys import Keys

from aggregator.settings import Http

ALLOWED_HOSTS = ("127.0.0.1",)
TOKEN = "0123456789abcdef-token"


class Running:
    """A plant whose clock and devices run in real time behind a real server."""

    def __init__(self, directory: Path, http: Http | None = None) -> None:
        self.plant = LivePlant(directory, http=http or Http(port=0, allowed_hosts=ALLOWED_HOSTS))
        self.plant.run_to(START_MS + 1_500_000, 5000)
        self.plant.now_ms += 180_000
        self.plant.run_to(START_MS + 3_600_000, 5000)
        self.plant.book(START_MS - 16 * 3_600_000, *["10.00"] * 64)
        self.plant.announce()
        self.server = Server(self.plant.services).__enter__()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="plant", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began_s, from_ms = time.monotonic(), self.plant.now_ms
        while not self._stop.wait(0.25):
            self.plant.run_to(from_ms + int((time.monotonic() - began_s) * 1000))

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self.server.stop()
        self.plant.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.close()


def shown(page: Page) -> tuple[dict[str, float], dict[str, float]]:
    """The figures that the page shows, and the plant's own at the instant that the page shows."""
    figures = page.script(
        "const out = {}; for (const e of document.querySelectorAll('[data-figure]')) out[e.dataset.figure] = Number(e.dataset.value);"
        "out.clock = document.getElementById('clock').textContent; return out"
    )
    hour, minute, second = (int(part) for part in figures.pop("clock").split(":"))
    at_s = START_MS // 1000 + (hour - 16) * 3600 + minute * 60 + second
    return figures, powers_kw(at_s)


def test_the_figures_of_the_plant_stand_in_the_page(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()

    def agree() -> bool:
        figures, powers = shown(page)
        expected = {
            "grid_kw": powers["incomer"],
            "solar_kw": powers["roof"],
            "storage_kw": powers["battery"],
            "ev_kw": powers["charger"],
            "site_load_kw": powers["workshop"] + powers["offices"] + powers["charger"],
            "emissions_now_kg_per_h": max(0.0, powers["incomer"]) * 0.5827,
        }
        return all(abs(figures[name] - value) < 0.01 for name, value in expected.items())

    page.until(agree, "all powers and the emissions are the plant's")
    assert page.value("emissions_today_kg") == pytest.approx(
        640 * 0.5827, abs=1
    )  # 64 intervals of 10 kWh, and seconds since
    assert page.figure("factor_id")
    assert page.attribute('[data-figure="factor_marks"]', "data-value").split(",") == [
        "provisional",
        "fallback_latest",
    ]
    assert page.faults() == []


def test_direction_is_told_by_sign_arrow_and_word(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    solar = page.text(".tile.part-pv")
    assert solar.splitlines()[1].startswith("\u2212")
    assert "\u2192 generating" in solar
    assert "kW" in solar
    assert "importing" in page.attribute("#flow svg", "aria-label")
    assert "kW generating" in page.attribute("#flow svg", "aria-label")


def test_the_figures_move_with_the_plant(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    before = page.text("#clock")
    page.until(lambda: page.text("#clock") > before, "the time moves", 5)


def test_devices_show_state_age_and_quality_and_a_silent_one_comes_first(page: Page, running: Running) -> None:
    running.plant.silent = {"offices"}
    page.open(running.server.url)
    page.until_live()
    page.until(lambda: page.attribute('tr[data-device="gw-01/offices"]', "data-state") == "late", "the device is late")
    assert page.attribute("#devices tbody tr", "data-device") == "gw-01/offices"
    assert page.attribute('tr[data-device="gw-02/roof"]', "data-state") == "online"
    assert "Modbus TCP" in page.text('tr[data-device="gw-02/roof"]')
    assert page.text(".tile.part-load .value").endswith("?"), "uncertain is marked"


def test_the_chart_draws_every_part_and_leaves_the_gap_open(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    page.until(lambda: page.all("#trend .gap"), "the silence of three minutes is drawn")
    gap = {name: int(page.attribute("#trend .gap", name) or 0) for name in ("data-from", "data-to")}
    assert len(page.all("#trend .gap")) == 1
    assert gap["data-to"] - gap["data-from"] == pytest.approx(180_000, abs=15_000)
    for part in ("site", "grid", "pv", "sto", "ev"):
        path = page.attribute(f'#trend path[data-series="{part}"]', "d")
        assert path.count("M") == 2, "the line breaks once"


def test_the_chart_can_be_read_with_the_keyboard(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    page.until(lambda: page.all("#trend .gap"), "the history is there")
    page.one("#trend svg").send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    spoken = page.script("return document.querySelector('#trend output').textContent")
    assert re.match(
        r"\d\d:\d\d:\d\d: Site load [+\u2212][\d.]+ kW, Grid [+\u2212][\d.]+ kW, Solar \u2212[\d.]+ kW", spoken
    )


def test_an_alarm_appears_at_once_and_is_acknowledged_in_every_window(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    raised = running.plant.alarms.raise_alarm("works", "device_offline", "offices", "gw-01")
    entry = page.until(lambda: page.text(f'[data-alarm="{raised.id}"]'), "the alarm is listed", 3)
    assert "offices" in entry
    assert "No answer (gateway gw-01)" in entry
    assert page.figure("alarms_to_acknowledge") == "1 to acknowledge"
    page.one(f'[data-acknowledge="{raised.id}"]').click()
    page.until(
        lambda: page.attribute(f'[data-alarm="{raised.id}"]', "data-state") == "ack",
        "the state is acknowledged",
        5,
    )
    assert running.plant.alarms.open("works")[0].acknowledged_by == "operator"
    running.plant.alarms.clear("works", "device_offline", "offices")
    page.until(lambda: not page.all(f'[data-alarm="{raised.id}"]'), "the alarm left the list", 5)


def test_a_lost_feed_is_told_within_four_seconds_and_recovers_by_itself(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    port = int(running.server.url.rpartition(":")[2])
    began = time.monotonic()
    running.server.stop()
    page.until(lambda: page.attribute("body", "data-feed") == "lost", "the loss is seen", 8)
    assert time.monotonic() - began < 7  # the server's own stop takes up to two of them
    assert page.one("#banner").is_displayed()
    assert re.match(r"No data from the server for \d+ s\. What you see is from \d\d:\d\d:\d\d", page.text("#banner"))
    assert page.script("return getComputedStyle(document.querySelector('main')).filter") == "grayscale(1)"
    assert page.value("grid_kw") is not None, "the last values stay readable"
    object.__setattr__(running.plant.services, "http", Http(port=port, allowed_hosts=ALLOWED_HOSTS))
    running.plant.feed._closing = None
    running.server = Server(running.plant.services).__enter__()
    page.until_live()
    assert not page.one("#banner").is_displayed()


def test_a_name_that_looks_like_markup_is_shown_as_text(page: Page, running: Running) -> None:
    evil = "<img src=x onerror=alert(1)>"
    running.plant.alarms.raise_alarm("works", "device_offline", evil, "<b>gw</b>")
    page.open(running.server.url)
    page.until_live()
    page.until(lambda: evil in page.text("#alarms"), "the name is shown as it is")
    assert page.all("#alarms img") == []
    assert page.faults() == []


def test_no_request_leaves_the_origin_and_nothing_inline_runs(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    asked = set()
    for entry in page.driver.get_log("performance"):  # type: ignore[no-untyped-call]
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            asked.add(message["params"]["request"]["url"])
    assert asked
    # chrome:// is the browser's own start page, out of its own files
    assert {url for url in asked if not url.startswith((running.server.url, "data:", "about:", "chrome://"))} == set()
    page.script("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)")
    assert page.script("return window.ran ?? null") is None


def test_english_and_chinese_and_both_themes_switch_in_place(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    page.one("#language").click()
    assert page.text("#h-flow") == "实时功率流向"
    assert page.script("return document.documentElement.lang") == "zh-CN"
    assert "发电" in page.text(".tile.part-pv")
    page.one("#theme").click()
    assert page.script("return document.documentElement.dataset.theme") == "dark"
    page.one("#language").click()
    assert page.text("#h-flow") == "Power flow now"


def test_a_phone_needs_no_sideways_scrolling(page: Page, running: Running) -> None:
    page.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 412, "height": 915, "deviceScaleFactor": 1, "mobile": True}
    )
    try:
        page.open(running.server.url)
        page.until_live()
        assert page.script("return document.documentElement.scrollWidth") == 412
        assert page.script("const m = document.querySelector('main'); return m.scrollWidth <= m.clientWidth")
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_eight_windows_of_one_browser_live_on_one_stream(page: Page, running: Running) -> None:
    page.open(running.server.url)
    page.until_live()
    for _ in range(7):
        page.driver.switch_to.new_window("window")
        page.open(running.server.url)
        page.until_live()
    assert running.plant.feed.viewers == 1


def test_a_server_with_a_token_asks_for_it_once(page: Page, tmp_path: Path) -> None:
    running = Running(tmp_path, Http(port=0, token=TOKEN, allowed_hosts=ALLOWED_HOSTS))
    try:
        raised = running.plant.alarms.raise_alarm("works", "device_offline", "offices", "gw-01")
        page.open(running.server.url)
        page.until_live()
        page.until(lambda: page.all(f'[data-acknowledge="{raised.id}"]'), "the alarm is listed")[0].click()
        page.until(lambda: page.one("#token").is_displayed(), "the token is asked for")
        page.one("#token-text").send_keys(TOKEN)
        page.one('#token button[value="ok"]').click()
        page.until(lambda: page.attribute(f'[data-alarm="{raised.id}"]', "data-state") == "ack", "it is acknowledged")
        assert page.script("return document.cookie") == ""
        assert page.script("return JSON.stringify({...localStorage, ...sessionStorage})").count(TOKEN) == 0
    finally:
        page.driver.get("about:blank")
        running.close()


def test_a_facility_without_a_factor_shows_no_figure_and_says_so(page: Page, tmp_path: Path) -> None:
    plant = LivePlant(tmp_path, facility=works(place=""), http=Http(port=0, allowed_hosts=ALLOWED_HOSTS))
    plant.run_to(START_MS + 10_000)
    plant.announce()
    with Server(plant.services) as server:
        page.open(server.url)
        page.until_live()
        assert page.figure("emissions_now_kg_per_h") == "–"
        assert page.figure("emissions_today_kg") == "–"
        assert "no factor, so no figure" in page.text(".tile.part-emissions_now")
        assert "No emission factor applies" in page.text("#alarms")
        page.driver.get("about:blank")
    plant.close()
