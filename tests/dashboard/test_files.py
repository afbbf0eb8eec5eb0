"""The files of the dashboard, checked without a browser."""

import hashlib
import re

import pytest

from pipeline.web.views.page import FILES

_COLOURS = re.compile(r"--([a-z-]+): (#[0-9a-f]{6,8});")


def test_vendored_files_are_those_that_are_named():
    named = re.findall(
        r"^\| `(\S+)` \|.*`([0-9a-f]{64})` \|$", (FILES / "vendored.md").read_text(), re.MULTILINE
    )
    assert named
    for name, digest in named:
        assert hashlib.sha256((FILES / name).read_bytes()).hexdigest() == digest
    licences = (FILES / "chart.LICENSE.md").read_text()
    assert "MIT" in licences


def test_the_page_has_no_inline_script_or_style_and_asks_nobody_else():
    page = (FILES / "index.html").read_text()
    assert not re.search(r"\sstyle=|\son\w+=|<style|<script(?![^>]*\ssrc=)", page)
    for path in FILES.iterdir():
        if path.suffix in {".html", ".css"} or (path.suffix == ".js" and not path.name.startswith("chart.")):
            text = path.read_text()
            assert not re.search(r"https?://", text), path.name
            assert "innerHTML" not in text, path.name


def test_everything_that_the_page_names_is_there():
    names = set(re.findall(r'/static/([^"]+)"', (FILES / "index.html").read_text()))
    for path in FILES.glob("*.js"):
        if not path.name.startswith("chart."):
            names |= set(re.findall(r'from "\./([^"]+)"', path.read_text()))
    assert names
    assert names <= {path.name for path in FILES.iterdir()}


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(theme):
    blocks = re.findall(r":root[^{]*\{([^}]*)\}", (FILES / "app.css").read_text())
    colours = dict(_COLOURS.findall(blocks[theme]))
    grounds = [_rgb(colours["page"]), _rgb(colours["card"])]
    for name in ("ink", "soft", "accent", "high", "medium", "low", "none", "good"):
        for ground in grounds:
            assert _contrast(_rgb(colours[name]), ground) >= 4.5, (name, ground)
            wash = colours.get(f"{name}-wash")
            if wash is not None and ground == grounds[1]:
                assert _contrast(_rgb(colours[name]), _over(wash, ground)) >= 4.5, f"{name} on its wash"
    assert _contrast(_rgb(colours["accent-ink"]), _rgb(colours["accent"])) >= 4.5
    assert _contrast(_rgb(colours["edge"]), grounds[1]) >= 3


def _rgb(text):
    return tuple(int(text[at : at + 2], 16) for at in (1, 3, 5))


def _over(wash, ground):
    alpha = int(wash[7:9], 16) / 255
    return tuple(alpha * top + (1 - alpha) * below for top, below in zip(_rgb(wash), ground, strict=True))


def _luminance(colour):
    parts = [one / 255 for one in colour]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one, other):
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
