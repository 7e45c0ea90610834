"""The pictures of the page on reports, taken of a real page by Chromium: ``python docs/report.py``.

The rollout is a simulated one that is taken back at its second weight, with a hold on the way.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from progressive import (
    Canary,
    Hold,
    Limit,
    Metric,
    NoWorse,
    Release,
    Resume,
    Version,
    minutes,
    ms,
    percent,
    percents,
)
from progressive.reports import report
from progressive.testing import Behaviour, PersonAction, SimTime, Story, World, simulate

PICTURES = Path(__file__).resolve().parent / "_static" / "report"
SIZE = "880,1000"


def story() -> Story:
    """The rollout in the pictures."""
    errors, latency = Metric("error-rate", kind="ratio"), Metric("latency", kind="latency")
    canary = Canary(
        weights=percents(5, 25, 50, 100),
        bake=minutes(10),
        checks=[
            NoWorse(errors),
            Limit(errors, at_most=percent(1)),
            Limit(latency, quantile=0.99, at_most=ms(800)),
        ],
    )

    def worse_with_load(when: SimTime) -> float:
        return 0.002 if when.share < 0.2 else 0.008

    world = World(
        load=50,
        stable=Behaviour(errors=0.002),
        candidate=Behaviour(errors=worse_with_load),
        people=(
            PersonAction(minutes(6), Hold, by="eve", why="the mail queue looks odd"),
            PersonAction(minutes(9), Resume, by="eve", why="it was another service"),
        ),
    )
    release = Release(
        service="checkout", stable=Version("2026.11.4"), candidate=Version("2026.11.5")
    )
    return simulate(canary, world, release=release)


def main() -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("docs/report.py: Chromium is not installed: apt-get install chromium")
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        page.write_text(report(story()).html(), encoding="utf-8")
        for theme, setting in (("light", "1"), ("dark", "0")):
            subprocess.run(
                [
                    browser,
                    "--headless=new",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    f"--user-data-dir={folder}/profile",
                    f"--window-size={SIZE}",
                    f"--blink-settings=preferredColorScheme={setting}",
                    f"--screenshot={PICTURES / theme}.png",
                    page.as_uri(),
                ],
                check=True,
                capture_output=True,
            )


if __name__ == "__main__":
    main()
