"""A real headless Chromium with its driver, as the system has them; without them, tests skip and say so."""

import json
import shutil
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--mute-audio"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


def found(*names: str) -> str | None:
    return next((path for name in names if (path := shutil.which(name))), None)


def open_browser(folder: Path, *flags: str) -> webdriver.Chrome:
    """Chromium with an empty profile in `folder`; skips the test where there is none."""
    chromium, driver = found("chromium", "chromium-browser", "google-chrome"), found("chromedriver")
    if not chromium or not driver:
        pytest.skip("no browser here: install chromium and chromium-driver (Debian) to run the browser tests")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, *flags, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


def requested(browser: webdriver.Chrome) -> list[str]:
    """Addresses that were asked for since this was last called, the pages' own and those of the browser."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def resize(browser: webdriver.Chrome, width: int, height: int) -> None:
    """Set the size of the page itself, phone widths too."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
