"""A headless Chromium and the page that it opens from disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from sf2f_bench.files import write_atomically
from sf2f_bench.report.curve_plots import recall_figure
from sf2f_bench.report.html import html_page
from sf2f_bench.report.style import STYLE, save_figure
from sf2f_bench.results.records import load, save
from sf2f_bench.results.selection import groups
from tests.unit.record_factory import FACES, full_record, full_run, record, saved
from tests.unit.test_marks import trained

NASTY = "<script>document.title = 'run'</script> \"b\" 'c' &amp;"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SWITCHES = ("--headless", "--no-sandbox", "--disable-gpu", "--mute-audio", "--window-size=1280,900")


def oracle_with_voices(folder: Path) -> None:
    """Put voices of 2.5 s beside the anchor that stands for the true people."""
    path = next(folder.glob("real-photo-oracle-*.json"))
    made = load(path)
    time = np.arange(40_000) / 16_000
    voices = [(0.2 * np.sin(2 * np.pi * (200 + 50 * i) * time)).astype(np.float32) for i in range(len(FACES))]
    save(made, folder, made.per_identity(), None, made.faces(), made.faces("true_faces"), None, voices)


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of anchors, systems that differ, an ablation and a name that tries to be a script."""
    folder = tmp_path_factory.mktemp("browser")
    full_run(folder)
    oracle_with_voices(folder)
    saved(full_record("sf2f-64-without-gan", 0.3, width=0.25), folder, faces=True)
    saved(record("sf2f-64", 0.365), folder, faces=True, curve=True, recalls=np.linspace(0.26, 0.47, 10))
    saved(record(NASTY, 0.2, label=NASTY), folder, faces=True, recalls=np.linspace(0.1, 0.3, 10))
    (group,) = groups([load(path) for path in sorted(folder.glob("*.json"))])
    with matplotlib.rc_context(STYLE):
        recall = save_figure(recall_figure(group), folder / "out" / "recall")
    text = html_page([group], [{"recall": recall}])
    return write_atomically(
        folder / "out" / "report.html", lambda path: path.write_text(text, encoding="utf-8")
    )


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """One browser for all tests; skips where there is no Chromium, no driver or no Selenium."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    binary = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    driver = shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with chromedriver on this machine (Debian: chromium, chromium-driver)")
    os.environ.setdefault("SE_AVOID_STATS", "true")  # Selenium would report its use
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for switch in SWITCHES:
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def marked_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of two systems that differ, with the three training seeds each that marks ask for."""
    folder = tmp_path_factory.mktemp("marks")
    made = [trained(folder, "sf2f-64", 0.0, seed) for seed in range(3)]
    made += [trained(folder, "voice2face-64", 0.5, seed) for seed in range(3)]
    text = html_page(groups(made), [{}])
    return write_atomically(folder / "report.html", lambda path: path.write_text(text, encoding="utf-8"))


@pytest.fixture
def browser(chromium: Any, page: Path) -> Any:
    """The page, opened anew on a wide screen with light colours."""
    return opened(chromium, page)


@pytest.fixture
def marked_browser(chromium: Any, marked_page: Path) -> Any:
    """The page with marks, opened anew."""
    return opened(chromium, marked_page)


def opened(chromium: Any, page: Path) -> Any:
    """The browser with a page opened anew on a wide screen with light colours."""
    set_screen(chromium, 1280)
    set_scheme(chromium, "light")
    chromium.get("about:blank")
    for log in ("browser", "performance"):
        chromium.get_log(log)  # what earlier tests left
    chromium.get(page.as_uri())
    return chromium


def set_screen(browser: Any, width: int) -> None:
    """A screen of this width in CSS pixels."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def set_scheme(browser: Any, scheme: str) -> None:
    """What `prefers-color-scheme` answers."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": features})


def requests_of(browser: Any) -> list[str]:
    """The addresses that the browser was asked for since the page was opened, those inside the page left out."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [address for address in asked if not address.startswith("data:")]
