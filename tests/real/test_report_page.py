"""The page of a report in a real browser: it fits, it is readable, and nothing in it runs."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.support.reported import STORIES, canned

from progressive.reports import overview, report
from progressive.testing.contract.proxy import socket_folder

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = [
    pytest.mark.real,
    pytest.mark.external,
    pytest.mark.skipif(not BROWSER, reason="Chromium is not installed: apt-get install chromium"),
]

PAGES = {
    **{name: lambda make=make: report(make()).html() for name, make in STORIES.items()},
    "canned": lambda: report(canned()).html(),
    "history": lambda: overview(report(make()) for make in STORIES.values()).html(),
}
WIDTHS = (320, 400, 768, 1280)

MEASURES = """
const found = {};
for (const frame of document.querySelectorAll('iframe')) {
  const inner = frame.contentDocument, root = inner.documentElement, wide = root.clientWidth;
  inner.querySelectorAll('details').forEach(each => { each.open = true; });
  const outside = [...inner.querySelectorAll('body *')].filter(each => {
    const box = each.getBoundingClientRect();
    const shown = box.width > 1 && !each.closest('.hidden, thead, svg');
    return shown && (box.right > wide + 1 || box.left < -1);
  });
  const texts = [...inner.querySelectorAll('figure svg text')];
  const colour = at => inner.defaultView.getComputedStyle(at);
  found[frame.id] = {
    overflow: root.scrollWidth - wide,
    outside: outside.map(each => each.outerHTML.slice(0, 120)),
    texts: texts.length,
    smallest: Math.min(...texts.map(each => each.getBoundingClientRect().height)),
    paper: colour(inner.body).backgroundColor,
    inks: [...new Set([...inner.querySelectorAll('body, h1, th, time, a, .badge, .verdict')]
      .map(each => colour(each).color))],
    fills: [...new Set(texts.filter(each => !each.matches('.flag'))
      .map(each => colour(each).fill))],
    title: inner.title,
  };
}
document.getElementById('found').textContent = JSON.stringify(found);
"""


def browse(folder: Path, page: str, *options: str) -> tuple[dict[str, Any], str]:
    """What is measured of the page at every width, and what the browser's console said."""
    frames = "".join(
        f'<iframe id="w{width}" style="border:0;width:{width}px;height:900px" '
        f'srcdoc="{html.escape(page)}"></iframe>'
        for width in WIDTHS
    )
    wrapper = folder / "wrapper.html"
    wrapper.write_text(
        f'<!DOCTYPE html><meta charset="utf-8">{frames}<pre id="found"></pre>'
        f"<script>window.onload = () => {{ {MEASURES} }};</script>",
        encoding="utf-8",
    )
    # It keeps sockets in its profile and beside it, whose paths must be short.
    with socket_folder() as profile:
        done = subprocess.run(
            [
                BROWSER,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--enable-logging=stderr",
                f"--user-data-dir={profile}",
                "--virtual-time-budget=60000",
                *options,
                "--dump-dom",
                wrapper.as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
            env={**os.environ, "TMPDIR": profile},
        )
    found = re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None and found[1], done.stderr
    said = "\n".join(line for line in done.stderr.splitlines() if ":CONSOLE" in line)
    return json.loads(html.unescape(found[1])), said


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG 2 computes it."""

    def luminance(colour: str) -> float:
        parts = [int(n) / 255 for n in re.findall(r"\d+", colour)[:3]]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_every_width_without_scrolling_sideways(name: str, tmp_path: Path) -> None:
    found, said = browse(tmp_path, PAGES[name]())

    assert said == ""
    assert found.keys() == {f"w{width}" for width in WIDTHS}
    for width, measured in found.items():
        assert measured["overflow"] <= 0, (width, measured["outside"])
        assert measured["outside"] == [], width
        assert measured["texts"]
        assert measured["smallest"] >= 10, width  # text keeps its size however narrow it is


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_can_be_read_in_both_themes(theme: str, tmp_path: Path) -> None:
    option = f"--blink-settings=preferredColorScheme={'0' if theme == 'dark' else '1'}"
    found, _ = browse(tmp_path, report(canned()).html(), option)
    measured = found["w1280"]
    paper = measured["paper"]

    assert (contrast(paper, "rgb(0,0,0)") < 2) is (theme == "dark")
    for colour in (*measured["inks"], *measured["fills"]):
        assert contrast(colour, paper) >= 4.5, colour


def test_a_script_does_not_run_even_if_one_were_written_in(tmp_path: Path) -> None:
    evil = "</style><script>document.title='owned'</script><img src=x onerror=alert(1)>"
    page = report(STORIES["unfinished"]()).html()
    assert "let us wait for the news" in page
    found, said = browse(tmp_path, page.replace("let us wait for the news", evil))

    assert "owned" not in {each["title"] for each in found.values()}
    assert "Content Security Policy" in said
