"""The page in a browser: sorts, filters, speaks, asks for nothing, runs nobody's script, fits a phone."""

from __future__ import annotations

import pytest

from tests.browser.conftest import NASTY, requests_of, set_scheme, set_screen

RECALL = 3  # column of recall@10 in the first table
ORDER = "return [...document.querySelectorAll('table.results')[0].tBodies[0].rows]"
HEADER = "document.querySelectorAll('table.results')[0].tHead.rows[0].cells"
VISIBLE = "return [...document.querySelectorAll('table.results')[0].tBodies[0].rows].filter(row => row.offsetHeight)"


def unfold(browser) -> None:
    """Show the floors and ceilings of the first table as rows."""
    browser.execute_script("document.querySelector('.unfold').click()")


def labels(browser) -> list[str]:
    return browser.execute_script(f"{ORDER}.map(row => row.dataset.label)")


def visible(browser) -> list[str]:
    return browser.execute_script(f"{VISIBLE}.map(row => row.dataset.label)")


def values(browser, column: int) -> list[float]:
    found = browser.execute_script(f"{ORDER}.map(row => row.cells[{column}].dataset.value ?? null)")
    return [float(value) for value in found if value is not None]


def sorted_as(browser, column: int) -> str:
    return browser.execute_script(f"return {HEADER}[{column}].getAttribute('aria-sort')")


def heading(browser, column: int):
    return browser.execute_script(f"return {HEADER}[{column}].querySelector('button')")


def click(browser, column: int) -> None:
    heading(browser, column).click()


def test_a_click_sorts_best_first_then_worst_first_then_as_it_was(browser):
    given = labels(browser)
    click(browser, RECALL)
    assert sorted_as(browser, RECALL) == "descending"
    assert values(browser, RECALL) == sorted(values(browser, RECALL), reverse=True)
    assert labels(browser)[0] == "real-photo-oracle"
    click(browser, RECALL)
    assert sorted_as(browser, RECALL) == "ascending"
    assert values(browser, RECALL) == sorted(values(browser, RECALL))
    click(browser, RECALL)
    assert sorted_as(browser, RECALL) == "none"
    assert labels(browser) == given


def test_of_a_metric_where_less_is_better_the_least_comes_first(browser):
    names = browser.execute_script(f"return [...{HEADER}].map(cell => cell.textContent)")
    column = names.index("median rank")
    click(browser, column)
    assert sorted_as(browser, column) == "ascending"
    assert values(browser, column) == sorted(values(browser, column))
    click(browser, RECALL)
    assert sorted_as(browser, column) == "none"
    click(browser, 0)
    names = [label for label in labels(browser) if label != NASTY]
    assert names == sorted(names)


def test_rows_without_a_number_stay_last(browser):
    browser.execute_script(
        "document.querySelectorAll('table.results')[0].tBodies[0].rows[0].cells[3].removeAttribute('data-value')"
    )
    first = labels(browser)[0]
    for _ in range(2):
        click(browser, RECALL)
        assert labels(browser)[-1] == first


def test_the_keyboard_sorts_and_shows_where_it_is(browser):
    from selenium.webdriver.common.keys import Keys

    button = heading(browser, RECALL)
    browser.execute_script("arguments[0].focus({focusVisible: true})", button)
    assert browser.switch_to.active_element == button
    assert browser.execute_script("return getComputedStyle(arguments[0]).outlineStyle", button) == "solid"
    button.send_keys(Keys.ENTER)
    assert sorted_as(browser, RECALL) == "descending"
    button.send_keys(Keys.SPACE)
    assert sorted_as(browser, RECALL) == "ascending"


def test_kinds_of_rows_can_be_left_out(browser):
    from selenium.webdriver.common.by import By

    unfold(browser)
    assert len(visible(browser)) == 12
    browser.find_element(By.CSS_SELECTOR, "input[value=anchor]").click()
    assert set(visible(browser)) == {
        "sf2f-64 (width 0.25)",
        "voice2face",
        "sf2f-64 without image GAN (width 0.25)",
        NASTY,
    }
    browser.find_element(By.CSS_SELECTOR, "input[value=ablation]").click()
    assert len(visible(browser)) == 3
    assert "rows of the tables shown" in browser.find_element(By.ID, "shown").text
    faces = browser.execute_script(
        "return [...document.querySelectorAll('.person')[0].querySelectorAll('figure')]"
        ".filter(figure => figure.offsetHeight).map(figure => figure.dataset.kind ?? 'true')"
    )
    assert faces == ["true", "system", "system", "system"]
    browser.find_element(By.CSS_SELECTOR, "input[value=system]").click()
    assert visible(browser) == []
    assert browser.find_element(By.CSS_SELECTOR, ".nothing").is_displayed()


def test_floors_and_ceilings_are_folded_until_they_are_asked_for(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    systems = visible(browser)
    assert len(systems) == 4
    button = browser.find_element(By.CSS_SELECTOR, ".unfold")
    assert button.text == "8 floors and ceilings"
    assert button.get_attribute("aria-expanded") == "false"
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-expanded") == "true"
    assert len(visible(browser)) == 12
    button.send_keys(Keys.SPACE)
    assert visible(browser) == systems


def test_the_first_screen_holds_the_answer_the_systems_faces_and_lights(browser):
    """At 1280 x 800 with nothing scrolled: the whole answer, every light, the best systems, a row of faces."""
    metrics = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    bottoms = browser.execute_script("""
        const bottom = (selector, place) => {
          const found = [...document.querySelectorAll(selector)];
          return found.at(place).getBoundingClientRect().bottom;
        };
        return {answer: bottom('.answer', 0), light: bottom('.lights > li', -1), system: bottom('.leaders tbody tr', 2),
                faces: bottom('.strips tr:nth-child(3)', 0)};
    """)
    assert {what: at for what, at in bottoms.items() if at > 800} == {}


def test_a_phone_s_first_screen_holds_the_answer_and_the_lights(browser):
    set_screen(browser, 390)
    browser.refresh()
    bottom = "return document.querySelector('.lights').getBoundingClientRect().bottom"
    assert browser.execute_script(bottom) < 844
    assert not browser.execute_script("return document.querySelector('#side details').open")


def test_the_contents_say_where_one_is(browser):
    here = "return document.querySelector('nav [aria-current]')?.textContent"
    seen = []
    for part in ("group-1", "group-1-gallery", "ethics"):
        browser.execute_script(f"document.getElementById('{part}').scrollIntoView({{behavior: 'instant'}})")
        browser.set_script_timeout(10)
        browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
        seen.append(browser.execute_script(here))
    assert seen[1:] == ["Voices and faces", "Limits and ethics"]
    assert seen[0].startswith("synthetic-64")


def test_a_voice_of_the_first_faces_plays_and_stops(browser):
    from selenium.webdriver.common.by import By

    playing = "return [...document.querySelectorAll('audio')].map(audio => !audio.paused)"
    buttons = browser.find_elements(By.CSS_SELECTOR, ".play")
    endless = "document.querySelectorAll('audio').forEach(audio => { audio.loop = true; })"
    browser.execute_script(endless)  # on a slow machine 2.5 s are over before they are looked at
    for place in (0, 1):
        buttons[place].click()
        assert browser.execute_script(playing) == [other == place for other in range(4)]
    buttons[1].click()
    assert not any(browser.execute_script(playing))


def test_a_light_opens_its_reasons(browser):
    from selenium.webdriver.common.by import By

    light = browser.find_element(By.CSS_SELECTOR, ".lights .doubtful details")
    assert not light.find_element(By.TAG_NAME, "li").is_displayed()
    light.find_element(By.TAG_NAME, "summary").click()
    assert light.find_element(By.TAG_NAME, "li").is_displayed()


def test_text_finds_names(browser):
    from selenium.webdriver.common.by import By

    field = browser.find_element(By.ID, "text")
    field.send_keys("SHARED-factor")
    assert visible(browser) == ["shared-factor-oracle-face", "shared-factor-oracle-embedding"]
    click(browser, RECALL)
    assert len(visible(browser)) == 2
    field.clear()
    field.send_keys("<script>")
    assert visible(browser) == [NASTY]


def test_a_mark_says_what_was_compared_where_it_is_pointed_at_and_where_it_is_tapped(marked_browser):
    set_screen(marked_browser, 390)
    better = "better than sf2f-64"
    mark = "[...document.querySelectorAll('td .mark')].find(mark => mark.title.startsWith(arguments[0]))"
    words = f"{mark}.closest('td').querySelector('.hidden')"
    assert marked_browser.execute_script(f"return {words}.textContent === {mark}.title", better)
    assert marked_browser.execute_script(f"return {words}.offsetHeight", better) == 1
    for height in (20, 0):
        marked_browser.execute_script(f"{mark}.click()", better)
        assert marked_browser.execute_script(f"return {words}.offsetHeight", better) > height
    assert marked_browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert marked_browser.execute_script(f"return {words}.offsetHeight", better) == 1


def test_the_keyboard_unfolds_what_all_marks_say(marked_browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    set_screen(marked_browser, 390)
    folded = (
        "return [...document.querySelectorAll('.results td .hidden')]"
        ".filter(words => words.offsetHeight <= 1).length"
    )
    marked_browser.find_element(By.CSS_SELECTOR, "#side summary").click()
    marks = "return document.querySelectorAll('td .mark').length"
    count, button = marked_browser.execute_script(marks), marked_browser.find_element(By.ID, "words")
    assert marked_browser.execute_script(folded) == count > 0
    for pressed, left in (("true", 0), ("false", count)):
        button.send_keys(Keys.ENTER)
        assert button.get_attribute("aria-pressed") == pressed
        assert marked_browser.execute_script(folded) == left
        assert marked_browser.execute_script("return document.documentElement.scrollWidth") <= 390


def test_names_are_shown_and_not_run(browser):
    assert browser.title == "Speech-to-face benchmark report"
    cells = browser.execute_script(f"{ORDER}.map(row => row.cells[0].textContent)")
    assert any(NASTY in text for text in cells)
    assert browser.execute_script("return document.scripts.length") == 1


def test_voices_can_be_heard(browser):
    length = """
        const [audio, done] = [document.querySelectorAll('audio')[arguments[0]], arguments[1]];
        audio.addEventListener('canplay', () => done(audio.duration));
        audio.addEventListener('error', () => done(audio.error.message));
        audio.load();
        audio.preload = 'auto';
    """
    browser.set_script_timeout(20)
    count = browser.execute_script("return document.querySelectorAll('audio').length")
    assert count == 4
    for place in range(count):
        assert browser.execute_async_script(length, place) == pytest.approx(2.5, abs=0.01)


def test_every_picture_is_drawn(browser):
    broken = "return [...document.images].filter(image => !(image.complete && image.naturalWidth)).length"
    assert browser.execute_script("return document.images.length") > 30
    assert browser.execute_script(broken) == 0


def test_nothing_is_asked_for_and_nothing_complained_of(browser, page):
    click(browser, RECALL)
    browser.execute_script(
        "document.getElementById('theme').click(); dispatchEvent(new Event('beforeprint'))"
    )
    assert requests_of(browser) == [page.as_uri()]
    assert browser.get_log("browser") == []


def test_the_policy_forbids_requests_and_foreign_scripts(browser):
    browser.set_script_timeout(10)
    fetched = "fetch('https://example.org/').then(() => arguments[0]('sent'), () => arguments[0]('refused'))"
    assert browser.execute_async_script(fetched) == "refused"
    browser.execute_script(
        "const made = document.createElement('script'); made.textContent = 'window.ran = true';"
        "document.body.append(made)"
    )
    assert browser.execute_script("return window.ran === undefined")
    complaints = [entry["message"] for entry in browser.get_log("browser")]
    assert len([text for text in complaints if "Content Security Policy" in text]) >= 2


def background(browser) -> str:
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


def test_dark_where_the_reader_s_system_is_and_where_the_reader_says_so(browser):
    from selenium.webdriver.common.by import By

    light, button = background(browser), browser.find_element(By.ID, "theme")
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    dark = background(browser)
    assert (light, button.get_attribute("aria-pressed")) == ("rgb(255, 255, 255)", "true")
    assert dark != light
    button.click()
    assert background(browser) == light
    set_scheme(browser, "dark")
    browser.refresh()
    assert background(browser) == dark
    browser.find_element(By.ID, "theme").click()
    assert background(browser) == light


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_is_no_wider_than_the_screen(browser, width):
    set_screen(browser, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(browser, scheme):
    """Contrast of WCAG 2.1: 4.5 for text, 3 for the marks."""
    set_scheme(browser, scheme)
    browser.refresh()
    colours = browser.execute_script("""
        const numbers = (colour) => colour.match(/\\d+/g).map(Number);
        const of = (name) => {
          const made = document.body.appendChild(document.createElement('i'));
          made.className = name;
          const colour = numbers(getComputedStyle(made).color);
          made.remove();
          return colour;
        };
        const ground = numbers(getComputedStyle(document.querySelector('tr.anchor td')).backgroundColor);
        return {ground, text: of(''), caption: of('legend'), better: of('better'), worse: of('worse')};
    """)
    ground = colours.pop("ground")
    for name, colour in colours.items():
        assert contrast(colour, ground) >= (3 if name in ("better", "worse") else 4.5), name


def contrast(one, other) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour) -> float:
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_on_paper_there_are_no_tools_and_the_details_are_open(browser):
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = "return [...document.querySelectorAll('#side, audio, .unfold')].filter(item => item.offsetHeight).length"
    assert browser.execute_script(hidden) == 0
    closed = (
        "return document.querySelectorAll('.provenance > details:not([open]), .notes:not([open])').length"
    )
    assert browser.execute_script(closed) == 0
    assert background(browser) == "rgb(255, 255, 255)"
