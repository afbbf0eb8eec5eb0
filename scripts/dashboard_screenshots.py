"""Pictures of the dashboard for docs/images, of a running demo.

    ./scripts/run --rate 1500                                 # in another terminal; some minutes of figures
    .venv/bin/python scripts/dashboard_screenshots.py         # --address http://127.0.0.1:8000

Needs Chromium; with the font Inter installed (on Debian: fonts-inter) the pictures look the same everywhere.
"""

import argparse
import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_DIRECTORY = Path(__file__).parent.parent / "docs" / "images"
_PICTURES = (
    ("dashboard-light", 1440, 900, "light", ""),
    ("dashboard-dark", 1440, 900, "dark", ""),
    ("dashboard-phone", 360, 780, "light", ""),
    ("dashboard-verdict", 1440, 900, "light", "#panel-latest li:has([data-level=HIGH]) button"),
    ("dashboard-title", 1440, 900, "light", "#panel-content li button"),
)
"""Name, width, height, colours, and what is clicked before."""


def main() -> int:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--address", default="http://127.0.0.1:8000", help="of a worker of the demo")
    parser.add_argument("--seconds", type=float, default=60, help="how long the charts collect figures")
    parser.add_argument("--output", type=Path, default=_DIRECTORY, help="directory of the pictures")
    given = parser.parse_args()
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        print("screenshots: no Chromium found; on Debian: apt-get install chromium", file=sys.stderr)
        return 3
    given.output.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        kept = ""
        for name, width, height, scheme, clicked in _PICTURES:
            kept = _picture(
                browser, given.address, given.output / f"{name}.png", (width, height, scheme),
                clicked=clicked, wait_s=1 if kept else given.seconds, history=kept,
            )  # fmt: skip
        browser.close()
    return 0


def _picture(
    browser: Browser,
    address: str,
    path: Path,
    look: tuple[int, int, str],
    *,
    clicked: str,
    wait_s: float,
    history: str,
) -> str:
    """Take one picture; the history of the charts goes from one page to the next, and is returned."""
    width, height, scheme = look
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    page.goto(address)
    if history:
        page.evaluate("text => sessionStorage.setItem('ott-history', text)", history)
        page.reload()
    page.fill("input[name=username]", "analyst")
    page.fill("input[name=password]", "analyst123")
    page.keyboard.press("Enter")
    page.wait_for_selector("#panel-latest li")
    page.wait_for_timeout(wait_s * 1000)
    if clicked:
        page.click(clicked)
        page.wait_for_timeout(1_000)
    page.screenshot(path=path, full_page=not clicked and width > height)
    kept = str(page.evaluate("sessionStorage.getItem('ott-history')"))
    context.close()
    return kept


if __name__ == "__main__":
    sys.exit(main())
