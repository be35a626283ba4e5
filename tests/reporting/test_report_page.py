"""The report in a real browser, from a file path: it plays in sync, steps, sorts, filters, and says what is missing."""

import io
import json
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from browser import requested, resize
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait
from small_study import CLIPS, COMMIT, FRAMES, ROWS, make_results, numbers

from reporting.page.build import ReportOptions, build

FRAME = 1 / 25
SHOWN = 6  # at first: the user, the true avatar, ECHO, w/o LCU, DIM, ground truth


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report that was moved away from the results it was made of, which are gone."""
    results = make_results(tmp_path_factory.mktemp("results") / "tiny")
    build(results, results / "report", ReportOptions(note="Made for a test.", gallery_seeds=0), ROWS)
    moved = tmp_path_factory.mktemp("moved") / "a report"
    shutil.copytree(results / "report", moved)
    shutil.rmtree(results)
    return moved


@pytest.fixture
def page(browser, report):
    """The page, freshly opened, at a desktop's size; afterwards the console must be without errors."""
    resize(browser, 1280, 900)
    browser.get("about:blank")
    browser.get_log("browser")
    requested(browser)
    browser.get((report / "index.html").as_uri())
    wait(browser, "return player.videos.length > 0 && player.videos.every((v) => v.readyState >= 2 && !v.seeking)")
    yield browser
    assert browser.get_log("browser") == []


def wait(page, script: str, seconds: float = 30.0):
    return WebDriverWait(page, seconds, 0.05).until(lambda browser: browser.execute_script(script))


def click(page, place: str):
    """Press what the selector names, in the middle of the window."""
    element = page.find_element(By.CSS_SELECTOR, place)
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    element.click()
    return element


def column(page, table: str, head: str) -> list[str]:
    """Texts of a table's visible cells below the heading that starts with `head`."""
    script = """const table = document.getElementById(arguments[0]);
      const at = [...table.tHead.rows[0].cells].findIndex((cell) => cell.innerText.startsWith(arguments[1]));
      return [...table.tBodies[0].rows].filter((row) => !row.hidden).map((row) => row.cells[at].innerText);"""
    return page.execute_script(script, table, head)


def sort(page, table: str, head: str):
    heads = page.find_elements(By.CSS_SELECTOR, f"#{table} thead button")
    button = next(each for each in heads if each.text.startswith(head))
    page.execute_script("arguments[0].click()", button)


def shown_frames(page) -> list[int]:
    """The numbers that the pictures on the screen show, all from one picture of the window."""
    page.execute_script("document.getElementById('stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    boxes = page.execute_script(
        "return player.videos.map((v) => { const b = v.getBoundingClientRect(); return [b.x, b.y, b.width, b.height] })"
    )
    screen = np.asarray(Image.open(io.BytesIO(page.get_screenshot_as_png())).convert("RGB"))
    found = []
    for x, y, width, height in boxes:
        top, bottom = round(y + height / 4), round(y + 3 * height / 4)
        picture = screen[top:bottom, round(x) : round(x + width)]
        picture = Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR)
        found += numbers(np.asarray(picture)[None])
    return found


def times(page) -> list[float]:
    return page.execute_script("return player.videos.map((video) => video.currentTime)")


def settled(page, number: int) -> list[int]:
    """What the videos show in the end: on a busy machine a picture lags behind `seeked`."""
    deadline = time.monotonic() + 10
    while shown_frames(page) != [number] * SHOWN and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.2)
    return shown_frames(page)


def start(page):
    click(page, "#play")
    wait(page, "return player.playing && player.videos.every((video) => !video.paused)")


def test_everything_is_read_from_the_folder(page, report):
    wanted = [name for name in requested(page) if not name.startswith(("about:", "data:"))]
    assert report.as_uri() + "/data/study.js" in wanted
    assert [name for name in wanted if not name.startswith(report.as_uri())] == []
    sources = page.execute_script("return player.videos.map((video) => video.currentSrc)")
    assert len(sources) == SHOWN and all(source.startswith(report.as_uri()) for source in sources)
    assert "Made for a test." in page.find_element(By.TAG_NAME, "header").text


def test_no_built_file_names_a_place_in_the_network(report):
    for file in [*report.glob("*.html"), *report.glob("assets/*"), *report.glob("data/*")]:
        assert not re.search(r"https?://|src=\"//|\bfetch\(|import\(", file.read_text(encoding="utf-8")), file


def test_it_plays_in_sync_to_the_frame(page):
    start(page)
    before = times(page)[0]
    time.sleep(1)
    for _ in range(4):
        time.sleep(0.25)
        now = times(page)
        assert max(now) - min(now) < FRAME, now
        seen = shown_frames(page)
        assert max(seen) - min(seen) <= 1, seen
    assert now[0] - before > 1.5


def test_a_video_that_falls_behind_is_brought_back(page):
    start(page)
    page.execute_script("player.videos[2].currentTime = Math.max(0, player.videos[2].currentTime - 0.8)")
    page.execute_script("player.videos[3].currentTime += 0.1")
    time.sleep(1.5)
    now = times(page)
    assert page.execute_script("return player.playing") and max(now) - min(now) < FRAME, now


def test_pausing_leaves_every_video_on_one_frame(page):
    start(page)
    time.sleep(0.5)
    click(page, "#play")
    wait(page, "return !player.playing && player.videos.every((video) => video.paused && !video.seeking)")
    frame = page.execute_script("return player.frame")
    assert frame > 3
    assert settled(page, frame) == [frame] * SHOWN


def test_frames_step_by_button_and_key(page):
    for _ in range(3):
        click(page, "#forward")
    wait(page, "return player.frame === 3 && player.videos.every((video) => !video.seeking)")
    assert settled(page, 3) == [3] * SHOWN
    click(page, "#back")
    page.execute_script("document.activeElement.blur()")
    keys = (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    ActionChains(page).send_keys(*keys).key_down(Keys.SHIFT).send_keys(Keys.ARROW_RIGHT).key_up(Keys.SHIFT).perform()
    wait(page, "return player.frame === 28 && player.videos.every((video) => !video.seeking)")
    assert settled(page, 28) == [28] * SHOWN
    assert "1.12 s" in page.find_element(By.ID, "clock").text
    ActionChains(page).send_keys(" ").perform()
    wait(page, "return player.playing")


def test_it_stops_at_the_end_or_loops(page):
    page.execute_script(f"player.seek({FRAMES - 8})")
    start(page)
    wait(page, "return !player.playing && player.videos.every((video) => !video.seeking)")
    assert settled(page, FRAMES - 1) == [FRAMES - 1] * SHOWN
    click(page, "#loop")
    page.execute_script(f"player.seek({FRAMES - 8})")
    start(page)
    wait(page, "return player.playing && player.frame > 2 && player.frame < 60")


def test_sound_switches_between_the_sides(page):
    def audible():
        return page.execute_script("return player.videos.map((video) => !video.muted)")

    assert audible() == [True, True] + [False] * (SHOWN - 2)
    for value, wanted in {"user": [0], "avatar": [1], "off": [], "both": [0, 1]}.items():
        page.execute_script(f"document.querySelector('input[name=sound][value={value}]').click()")
        assert audible() == [index in wanted for index in range(SHOWN)]
    start(page)  # with sound: a browser allows it after a click
    assert audible() == [True, True] + [False] * (SHOWN - 2)


def test_tables_sort_both_ways_and_leave_the_undefined_last(page):
    names = column(page, "sheet-main_table", "method")
    assert names == ["ECHO", "DIM & Co", "Broken", "Ground truth"]
    sort(page, "sheet-main_table", "SSIM")
    assert column(page, "sheet-main_table", "method") == ["Ground truth", "ECHO", "DIM & Co", "Broken"]
    sort(page, "sheet-main_table", "SSIM")
    assert column(page, "sheet-main_table", "method") == ["DIM & Co", "ECHO", "Ground truth", "Broken"]
    head = page.find_element(By.XPATH, "//table[@id='sheet-main_table']//th[starts-with(., 'SSIM')]")
    assert head.get_attribute("aria-sort") == "ascending"
    sort(page, "sheet-main_table", "SSIM")
    assert column(page, "sheet-main_table", "method") == names


def test_tables_filter_by_word_and_group(page):
    bar = ".toolbar[data-for=main_table]"
    page.find_element(By.CSS_SELECTOR, f"{bar} input").send_keys("dim")
    assert column(page, "sheet-main_table", "method") == ["DIM & Co"]
    assert page.find_element(By.CSS_SELECTOR, f"{bar} output").text == "1 of 4 rows"
    page.find_element(By.CSS_SELECTOR, f"{bar} input").send_keys(Keys.CONTROL, "a")
    page.find_element(By.CSS_SELECTOR, f"{bar} input").send_keys(Keys.DELETE)
    click(page, f"{bar} button[data-group=control]")
    assert column(page, "sheet-main_table", "method") == ["ECHO", "DIM & Co", "Broken"]


def test_claims_filter_by_verdict(page):
    seen = "return [...document.querySelectorAll('.claim')].filter((c) => c.offsetParent).map((c) => c.dataset.verdict)"
    assert page.execute_script(seen) == ["supported", "contradicted", "not_measured"]
    click(page, "button[data-verdict=not_measured]")
    assert page.execute_script(seen) == ["supported", "contradicted"]
    assert "no rows of no_lpe" in page.find_element(By.ID, "claims").get_attribute("textContent")


def test_a_number_leads_to_the_json_of_its_rows(page, report):
    click(page, "#sheet-main_table tr[data-method=echo] a[data-key='ssim/frame']")
    dialog = page.find_element(By.ID, "details")
    rows = pd.read_csv(report / "rows/echo/seed1/values.csv").query("metric == 'ssim' and clip != '*'")
    for text in ("ECHO", COMMIT[:9], f"{rows['value'].mean():.4g}", f"{CLIPS[0]} ({rows['value'].min():.4g}"[:12]):
        assert text in dialog.text
    links = [link.get_attribute("href") for link in dialog.find_elements(By.LINK_TEXT, "measurement")]
    assert len(links) == 3  # one a seed
    page.get(links[1])
    shown = json.loads(page.find_element(By.TAG_NAME, "body").text)
    assert shown == json.loads((report / "rows/echo/seed1/measurement.json").read_text())


def test_every_number_and_every_run_has_its_file(page, report):
    page.execute_script("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    rows = page.execute_script(
        "return [...document.querySelectorAll('a.num')].flatMap((a) => a.dataset.methods.split(','))"
    )
    assert set(rows) == set(ROWS)  # the row that failed has its cells, too
    assert len(rows) > 100
    for link in page.execute_script(
        "return [...document.querySelectorAll('a[href]')].map((a) => a.getAttribute('href'))"
    ):
        target, _, anchor = link.partition("#")
        assert not target or (report / target).is_file(), link
        assert not anchor or page.find_elements(By.ID, anchor), link


def test_worst_and_best_dialogues_lead_to_the_gallery(page):
    Select(page.find_element(By.ID, "metric")).select_by_value("psnr/frame")
    Select(page.find_element(By.ID, "of")).select_by_value("no_lcu")
    bars = page.find_elements(By.CSS_SELECTOR, "#ranking button")
    assert [int(bar.get_attribute("data-index")) for bar in bars] == [0, 1, 2]  # higher is better: 0 is worst
    Select(page.find_element(By.ID, "metric")).select_by_value("motion_mse/all")
    bars = page.find_elements(By.CSS_SELECTOR, "#ranking button")
    assert [int(bar.get_attribute("data-index")) for bar in bars] == [2, 1, 0]
    page.execute_script("arguments[0].click()", bars[0])
    assert Select(page.find_element(By.ID, "dialogue")).first_selected_option.text == CLIPS[2]
    click(page, "#sheet-main_table tr[data-method=truth] a[data-key='psnr/frame']")
    best = page.find_elements(By.CSS_SELECTOR, "#details .watch button")[-1]
    assert best.text.startswith(CLIPS[1]) or best.text.startswith(CLIPS[2])
    best.click()
    wait(page, "return player.videos.length > 0 && player.videos.every((video) => video.readyState >= 2)")
    sources = page.execute_script("return player.videos.map((video) => video.getAttribute('src'))")
    assert any(source.startswith("videos/truth/seed0/") for source in sources)


def test_seeds_and_rows_are_chosen(page):
    Select(page.find_element(By.ID, "seed")).select_by_value("1")
    click(page, "#chosen")
    click(page, "#methods input[value=no_lcu]")
    sources = page.execute_script("return player.videos.map((video) => video.getAttribute('src'))")
    assert [source.split("/")[1:3] for source in sources[2:]] == [
        ["echo", "seed1"],
        ["dim", "seed0"],
        ["truth", "seed0"],
    ]
    assert "seed 1" in page.find_element(By.CSS_SELECTOR, ".tile[data-method=echo]").text
    click(page, ".tile[data-method=echo] button")
    assert "echo/seed1/measurement.json" in page.find_element(By.CSS_SELECTOR, "#details a").get_attribute("href")


def test_what_is_missing_is_said_where_it_is_missed(page):
    missing = page.find_element(By.CSS_SELECTOR, "aside.missing").text
    assert "Broken: not_run" in missing
    assert "not_run" in column(page, "sheet-main_table", "missing")[2]
    assert "not_run" in page.find_element(By.ID, "row-broken").text
    click(page, "#chosen")
    click(page, "#methods input[value=broken]")
    hole = page.find_element(By.CSS_SELECTOR, ".tile[data-method=broken] .hole")
    assert "no video" in hole.text and "not_run" in hole.text
    Select(page.find_element(By.ID, "dialogue")).select_by_visible_text("gil_hal")
    assert "no_partner" in page.find_element(By.CSS_SELECTOR, ".tile[data-method=dim] .hole").text
    assert "constant_series" in page.find_element(By.CSS_SELECTOR, "#sheet-main_table tr[data-method=dim]").text


def test_the_transcript_seeks_and_marks_what_is_said(page):
    lines = page.find_elements(By.CSS_SELECTOR, "#transcript li")
    assert [line.text.split()[-1] for line in lines] == ["hello", "dich"]
    page.execute_script("arguments[0].querySelector('button').click()", lines[1])
    wait(page, "return player.frame === 5")
    assert "now" in lines[1].get_attribute("class") and "now" not in lines[0].get_attribute("class")


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_page_fits_its_window(page, width):
    resize(page, width, 844)
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    tile = page.execute_script("return document.querySelector('.tile').getBoundingClientRect().width")
    assert tile >= 150
