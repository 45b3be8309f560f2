"""The report in headless Chromium, where there is one: it loads, plays, sorts, and fits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import PROGRAM, Browser, browser

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="no chromium on this machine")

VIDEOS = "[...document.querySelectorAll('video')]"


@pytest.fixture(scope="module")
def opened(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as found:
        found.look(1280)
        found.open(whole / "report" / "index.html")
        yield found


def test_it_loads_without_complaint_and_from_the_disk_alone(opened: Browser) -> None:
    assert opened.value("document.querySelectorAll('section').length") == 10
    assert opened.complaints == []
    assert opened.requests
    assert {url.partition(":")[0] for url in opened.requests} <= {"file", "data"}


def test_videos_have_a_duration_and_play_together(opened: Browser) -> None:
    opened.until(f"{VIDEOS}.every(v => v.readyState >= 2)")
    assert opened.value(f"{VIDEOS}.length") > 10
    assert opened.value(f"{VIDEOS}.every(v => v.duration > 0.5 && v.videoWidth > 0)")
    first = "document.querySelector('.clip')"
    opened.value(f"{first}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    videos = f"[...{first}.querySelectorAll('video')]"
    opened.until(f"{videos}.every(v => !v.paused && v.currentTime > 0.1)")
    # A click stops all of them, and they stay at one place.
    opened.click(".clip .transport button")
    opened.until(f"{videos}.every(v => v.paused && !v.seeking)")
    assert opened.value(f"Math.max(...{videos}.map(v => v.currentTime)) <= 0.76")
    slider = f"{first}.querySelector('input')"
    opened.value(f"{slider}.value = 0.5; {slider}.dispatchEvent(new Event('input'))")
    opened.until(f"{videos}.every(v => !v.seeking && Math.abs(v.currentTime - 0.375) < 0.01)")
    opened.click(".clip .transport button")
    opened.until(f"{videos}.every(v => !v.paused)")
    assert opened.complaints == []


def test_a_click_sorts_a_table_and_another_turns_it_round(opened: Browser) -> None:
    body = "[...document.querySelectorAll('#result table.sort tbody')][0].rows"
    shown = f"[...{body}].map(row => row.cells[1].dataset.v)"
    before = opened.value(shown)
    numbers = sorted(map(float, before))
    for wanted, order in ((numbers[::-1], "descending"), (numbers, "ascending")):
        opened.click("#result table.sort th:nth-child(2) button")
        assert list(map(float, opened.value(shown))) == wanted
        head = "document.querySelector('#result table.sort th:nth-child(2)')"
        assert opened.value(f"{head}.getAttribute('aria-sort')") == order
    # Text sorts as text, and a row without a value stays last.
    opened.click("#result table.sort th:nth-child(1) button")
    names = opened.value(f"[...{body}].map(row => row.cells[0].textContent)")
    assert names == ["per frame", "source only"]
    for _ in range(2):
        opened.click("#result table.sort th:nth-child(3) button")
        assert opened.value(f"[...{body}].at(-1).cells[0].textContent") == "per frame"


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits(opened: Browser, width: int, dark: bool) -> None:
    opened.look(width, dark=dark)
    for state in ("false", "true"):
        opened.value(f"document.querySelectorAll('details').forEach(d => d.open = {state})")
        assert opened.value("document.documentElement.scrollWidth") <= width
        # Nothing but what scrolls by itself reaches over the edge.
        over = opened.value(
            "[...document.querySelectorAll('main *')]"
            ".filter(e => !e.closest('.scroll, pre, svg'))"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 0.5)"
            ".map(e => e.outerHTML.slice(0, 80))"
        )
        assert over == []
        if width > 1000:
            # Three rows and three classes need no scrolling, but for the clips and their reasons.
            inside = "[...document.querySelectorAll('.scroll')]"
            others = f"{inside}.filter(e => !e.querySelector('.status'))"
            assert opened.value(f"{others}.every(e => e.scrollWidth <= e.clientWidth)")
    ground = opened.value("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(20, 21, 24)") == dark


def test_the_first_column_stays_in_view_on_a_phone(opened: Browser) -> None:
    opened.look(390)
    opened.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth)"
    assert opened.value(f"{wide}.length") > 0
    opened.value(f"{wide}.forEach(e => {{ e.scrollLeft = 80; }})")
    left = "Math.round(e.querySelector('tbody th').getBoundingClientRect().left"
    assert opened.value(f"{wide}.every(e => {left} - e.getBoundingClientRect().left) === 0)")
    # Names of classes and of clips are whole: they wrap, and nothing is cut off.
    cut = "[...document.querySelectorAll('th, td')].filter(e => e.scrollWidth > e.clientWidth + 1)"
    hidden = f"{cut}.filter(e => getComputedStyle(e).overflowX !== 'visible')"
    assert opened.value(f"{hidden}.map(e => e.textContent)") == []
