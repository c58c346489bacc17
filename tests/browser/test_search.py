"""The search of the site, in a page that is opened from a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from mkdocs.commands.build import build
from mkdocs.config import load_config

from tests.browser.conftest import opened, requests_of

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 40  # seconds; a browser that has found something does not wait


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))
    return folder


@pytest.mark.parametrize("page", ["index.html", "results/reference/claims.html"])
def test_a_word_is_found_without_a_server(chromium, site, page):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    browser = opened(chromium, site / page)
    browser.find_element(By.CSS_SELECTOR, ".md-search__input").send_keys("CUDA device")
    links = "return [...document.querySelectorAll('.md-search-result__link')].map(link => link.href)"
    WebDriverWait(browser, PATIENCE).until(lambda browser: browser.execute_script(links))
    found = {link.partition("?")[0].partition("#")[0] for link in browser.execute_script(links)}
    assert (site / "troubleshooting.html").as_uri() in found
    assert all(address.startswith(site.as_uri()) for address in requests_of(browser))
    assert browser.get_log("browser") == []
