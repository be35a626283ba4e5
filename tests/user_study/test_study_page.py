"""The study's page in a real browser, from a file path: rated by mouse and by keys, saved, and analysed."""

import json
import time

import pandas as pd
import pytest
from browser import open_browser, requested, resize
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from dyads.contract import read_manifest
from dyads.media.video import read_video, write_video
from user_study.analyse import AnalysisOptions, analyse
from user_study.design import DesignOptions
from user_study.make import Source, make_study
from user_study.stimuli import VideoOptions

STEPS = 4  # two pairs, two checks


@pytest.fixture(scope="module")
def study(world, tmp_path_factory):
    """Two methods over two dialogues; the page lies at a path with a space."""
    results = tmp_path_factory.mktemp("results")
    for dyad in read_manifest(world, "test"):
        frames = read_video(dyad.avatar.video)
        for method, video in (("upside", frames[:, ::-1]), ("mirror", frames[:, :, ::-1])):
            write_video(results / f"videos/{method}/seed0/{dyad.dyad_id}.mp4", video, None)
    out = tmp_path_factory.mktemp("a study") / "made"
    options = DesignOptions(pairs=2, checks=2, lists=2)
    make_study(out, Source(results, world), ("upside", "mirror"), 2, options, VideoOptions(height=128))
    return out


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A headless Chromium that saves files into `chromium.downloads`; skips where the system has none."""
    opened = open_browser(tmp_path_factory.mktemp("chromium"))
    opened.downloads = tmp_path_factory.mktemp("downloads")
    where = {"behavior": "allow", "downloadPath": str(opened.downloads)}
    opened.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    yield opened
    opened.quit()


@pytest.fixture
def page(chromium, study):
    """The page with nothing kept from before; afterwards its console must be without errors."""
    resize(chromium, 1280, 900)
    chromium.get((study / "page/index.html").as_uri())
    chromium.execute_script("localStorage.clear()")
    chromium.get_log("browser")
    requested(chromium)
    chromium.get((study / "page/index.html").as_uri() + "?list=0")
    yield chromium
    assert chromium.get_log("browser") == []
    assert all(address.startswith(("file:", "data:", "blob:")) for address in requested(chromium))


def find(page, place: str):
    return page.find_element(By.CSS_SELECTOR, place)


def click(page, place: str):
    element = find(page, place)
    page.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    element.click()


def wait(page, script: str, seconds: float = 20.0):
    return WebDriverWait(page, seconds, 0.05).until(lambda browser: browser.execute_script(script))


def shown(page, place: str) -> bool:
    return find(page, place).is_displayed()


def enter(page, rater: str) -> None:
    click(page, "#consent")
    find(page, "#rater").send_keys(rater)
    click(page, "#enter button")
    assert shown(page, "#trial")


def watch(page, side: str) -> None:
    """Play a video to its end by its key, sixteen times as fast."""
    page.execute_script(f"document.querySelector('#{side} video').playbackRate = 16")
    ActionChains(page).send_keys({"left": "a", "right": "b"}[side]).perform()
    wait(page, f"return document.querySelector('#{side} .seen').classList.contains('done')")


def answer(page, lips: str, appro=("4", "2")) -> None:
    """Watch and answer a whole step by mouse."""
    for side, value in zip(("left", "right"), appro, strict=True):
        watch(page, side)
        click(page, f"#{side} input[value='{value}']")
    click(page, f"#question-lips input[value='{lips}']")
    click(page, "#question-reaction input[value='same']")


def right_answers(study) -> list[str]:
    """For list 0: the right side of a check, '' for a pair."""
    return [trial["answer"] for trial in json.loads((study / "key.json").read_text())["lists"][0]]


def saved(page, rater: str) -> dict:
    """Press save, and read the file that comes."""
    click(page, "#save")
    (note,) = wait(page, "const t = document.querySelector('#end-note').textContent; return t ? [t] : null")
    path = page.downloads / note.removeprefix("Saved as ").rstrip(".")
    assert rater in path.name
    for _ in range(100):
        if path.is_file() and not path.with_name(path.name + ".crdownload").exists():
            break
        time.sleep(0.05)
    return {"path": path, **json.loads(path.read_text())}


def test_a_whole_study_is_rated_saved_and_analysed(page, study, tmp_path):
    click(page, "#enter button")
    assert "tick" in find(page, "#start-alert").text and not shown(page, "#trial")
    click(page, "#consent")
    find(page, "#rater").send_keys("not a name!")
    click(page, "#enter button")
    assert "rater id" in find(page, "#start-alert").text
    find(page, "#rater").clear()
    find(page, "#rater").send_keys("p01")
    click(page, "#enter button")
    for step, right in enumerate(right_answers(study), 1):
        assert find(page, "#bar-text").text == f"Step {step} of {STEPS}"
        answer(page, right or "left")
        click(page, "#next")
    assert shown(page, "#end")
    content = saved(page, "p01")
    assert content["rater"] == "p01" and content["list"] == 0 and content["finished"] >= content["started"]
    assert len(content["answers"]) == STEPS and all(entry["done"] for entry in content["answers"])
    assert content["answers"][0]["appro"] == {"left": 4, "right": 2} and content["answers"][0]["seconds"] > 0
    assert json.loads(find(page, "#copy").get_attribute("value")) == {k: v for k, v in content.items() if k != "path"}

    key = json.loads((study / "key.json").read_text())
    said = analyse([content["path"]], study / "key.json", tmp_path, AnalysisOptions(resamples=100))
    assert said == "1 of 1 raters used"
    means = pd.read_csv(tmp_path / "appropriateness.csv").set_index("method")
    left = [key["stimuli"][trial["left"]]["method"] for trial in key["lists"][0] if not trial["answer"]]
    for method in ("upside", "mirror"):  # the left avatar was always rated 4, the right one 2
        expected = (4 * left.count(method) + 2 * (len(left) - left.count(method))) / len(left)
        assert means.loc[method, "mean"] == expected


def test_an_inattentive_rater_is_left_out(page, study, tmp_path):
    enter(page, "p02")
    for right in right_answers(study):
        answer(page, {"left": "right", "right": "left", "": "left"}[right])
        click(page, "#next")
    path = saved(page, "p02")["path"]
    with pytest.raises(Exception, match="none of the 1 raters can be used"):
        analyse([path], study / "key.json", tmp_path, AnalysisOptions(resamples=100))


def test_nothing_is_skipped_and_what_is_missing_is_named(page):
    enter(page, "p03")
    click(page, "#next")
    alert = find(page, "#trial-alert").text
    for text in ("watch avatar A", "rate avatar A", "watch avatar B", "rate avatar B", "Whose lips", "Who reacts"):
        assert text in alert
    assert find(page, "#bar-text").text == f"Step 1 of {STEPS}"
    answer(page, "left")
    assert not shown(page, "#trial-alert")  # what was asked for went, one by one
    click(page, "#next")
    assert find(page, "#bar-text").text == f"Step 2 of {STEPS}"


def test_skipping_through_a_video_is_not_watching(page):
    enter(page, "p04")
    video = "document.querySelector('#left video')"
    wait(page, f"return {video}.readyState >= 2")
    page.execute_script(f"{video}.currentTime = {video}.duration - 0.3; {video}.play()")
    wait(page, f"return {video}.ended")
    time.sleep(0.3)
    assert find(page, "#left .seen").text == "to be watched"
    watch(page, "left")
    assert "✓" in find(page, "#left .seen").text


def test_only_one_video_plays_at_a_time(page):
    enter(page, "p05")
    ActionChains(page).send_keys("a").perform()
    wait(page, "return !document.querySelector('#left video').paused")
    ActionChains(page).send_keys("b").perform()
    wait(page, "return !document.querySelector('#right video').paused && document.querySelector('#left video').paused")
    ActionChains(page).send_keys("b").perform()
    wait(page, "return document.querySelector('#right video').paused")
    click(page, "#left .play")  # and by mouse
    wait(page, "return !document.querySelector('#left video').paused")


def test_answers_survive_a_reload_and_can_be_changed(page, study):
    enter(page, "p06")
    answer(page, "left")
    click(page, "#next")
    watch(page, "left")
    click(page, "#left input[value='5']")
    page.refresh()
    assert shown(page, "#resume") and not shown(page, "#enter")
    assert f"rater p06 are kept here: 1 of {STEPS}" in find(page, "#resume-text").text
    click(page, "#continue")
    assert find(page, "#bar-text").text == f"Step 2 of {STEPS}"
    assert find(page, "#left input[value='5']").is_selected() and "✓" in find(page, "#left .seen").text
    click(page, "#back")
    assert find(page, "#question-lips input[value='left']").is_selected()
    click(page, "#question-lips input[value='right']")
    click(page, "#next")
    kept = json.loads(page.execute_script("return ratingsText()"))
    assert kept["answers"][0]["lips"] == "right" and kept["answers"][0]["done"]
    # starting anew takes two presses, and then nothing is left
    page.refresh()
    click(page, "#discard")
    assert shown(page, "#resume")
    click(page, "#discard")
    assert shown(page, "#enter") and page.execute_script("return localStorage.length") == 0


def test_answers_of_another_study_are_not_taken(page):
    enter(page, "p07")
    page.execute_script("store.state.study = 'other'; store.write()")
    page.refresh()
    assert shown(page, "#enter") and not shown(page, "#resume")
    page.execute_script("localStorage.setItem(store.place, '{broken')")
    page.refresh()
    assert shown(page, "#enter")


def test_a_study_is_done_with_the_keyboard_alone(page, study):
    keys = lambda *pressed: ActionChains(page).send_keys(*pressed).perform()  # noqa: E731
    focused = lambda: page.execute_script("const e = document.activeElement; return e.id || e.name || e.tagName")  # noqa: E731

    def tab_to(place: str) -> None:
        for _ in range(40):
            if focused() == place:
                return
            keys(Keys.TAB)
        raise AssertionError(f"Tab never reaches {place}, but {focused()}")

    tab_to("consent")
    keys(Keys.SPACE)
    tab_to("rater")
    keys("p08", Keys.ENTER)
    for step in range(1, STEPS + 1):
        assert find(page, "#bar-text").text == f"Step {step} of {STEPS}"
        for side in ("left", "right"):
            watch(page, side)
        for name in ("appro-left", "appro-right", "lips", "reaction"):
            tab_to(name)
            keys(Keys.SPACE, Keys.ARROW_RIGHT)  # the second answer
        keys(Keys.ENTER)
    assert shown(page, "#end")
    kept = json.loads(page.execute_script("return ratingsText()"))
    assert {entry["appro"]["left"] for entry in kept["answers"]} == {2}
    assert {entry["lips"] for entry in kept["answers"]} == {"same"}


def test_focus_goes_to_the_new_step_and_every_field_has_a_name(page):
    enter(page, "p09")
    assert page.execute_script("return document.activeElement.id") == "trial-title"
    nameless = """
        return [...document.querySelectorAll('#trial :is(input, button, video, progress):not([aria-hidden])')]
          .filter((e) => !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label'))).length
          + [...document.querySelectorAll('#trial legend')].filter((e) => !e.textContent).length
    """
    assert page.execute_script(nameless) == 0


def test_a_video_that_cannot_be_played_does_not_stop_the_study(page, study):
    enter(page, "p10")
    page.execute_script("document.querySelector('#left video').src = 'videos/none.mp4'")
    wait(page, "return document.querySelector('#left .seen').textContent.includes('cannot be played')")
    page.get_log("browser")  # the browser reports the missing file
    click(page, "#next")
    assert find(page, "#bar-text").text == f"Step 2 of {STEPS}"
    kept = json.loads(page.execute_script("return ratingsText()"))
    assert kept["answers"][0]["broken"]


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_the_page_fits_every_width(page, width):
    resize(page, width, 800)
    for view in ("start", "trial"):
        if view == "trial":
            enter(page, "p11")
        over = page.execute_script("return document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, view
    boxes = page.execute_script(
        "return [...document.querySelectorAll('.avatar')].map((e) => e.getBoundingClientRect().top)"
    )
    assert (boxes[0] == boxes[1]) == (width > 720)  # side by side, on a phone one above the other
    small = page.execute_script(
        "return [...document.querySelectorAll('#trial label:has(input), #trial button')]"
        ".filter((e) => e.getBoundingClientRect().height < 43.5).length"
    )
    assert small == 0  # everything to press is large enough for a thumb


def test_lists_follow_the_address_or_the_rater(page, study):
    drawn = page.execute_script("return ['a', 'b', 'p01', 'p02', 'x9'].map((name) => listOf(name))")
    assert drawn == [0] * 5  # the address says list 0
    page.get((study / "page/index.html").as_uri() + "?rater=p77")
    drawn = page.execute_script("return [...Array(200).keys()].map((n) => listOf(`p${n}`))")
    assert set(drawn) == {0, 1} and 60 < sum(drawn) < 140
    assert drawn == page.execute_script("return [...Array(200).keys()].map((n) => listOf(`p${n}`))")
    assert find(page, "#rater").get_attribute("value") == "p77"
