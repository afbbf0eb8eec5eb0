"""The dashboard in a real browser, against a real worker with a generator."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
import urllib.parse
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.kafka.topics import ensure_topics
from pipeline.leash import Leashed
from tests.stream.harness import Stream

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# The browser logs each answer with an error status. The tests check those answers themselves.
_ANSWERED = "Failed to load resource"
_TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""


@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium, for one module only, because Playwright's loop blocks others in its thread."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("needs Chromium (on Debian: apt-get install chromium)")
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


def new_stream(servers, directory):
    stream = Stream(servers, f"dashboard-{uuid.uuid4().hex[:8]}.", directory)
    with ThreadPoolExecutor(1) as aside:  # Playwright's loop may run in this thread
        aside.submit(asyncio.run, ensure_topics(stream.settings)).result()
    return stream


@contextlib.contextmanager
def generating(stream, rate=200):
    """A generator that runs until the end of the block."""
    command = [sys.executable, "-P", "-m", "pipeline.cli", "generate", "--json", "--events", "0"]
    command += ["--history", "5m", "--rate", str(rate), "--seed", "5"]
    with (stream.directory / "generator.log").open("ab") as output:
        child = Leashed(command, output=output, env={**os.environ, **stream.variables})
        try:
            yield child
        finally:
            child.stop()


@pytest.fixture(scope="module")
def live(embedded_broker, tmp_path_factory):
    """The address of a worker that judges what a generator sends."""
    stream = new_stream(embedded_broker, tmp_path_factory.mktemp("dashboard"))
    with stream.worker() as worker:
        worker.wait_ready()
        with generating(stream):
            yield worker.address


@pytest.fixture
def new_page(chromium):
    """Open a page. At the end, check that no script failed and that nothing violated the content security policy."""
    contexts, said = [], []

    def open_page(address, width=1280, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.add_init_script(_TELL_VIOLATIONS)
        page.on(
            "console",
            lambda message: (
                said.append(message.text)
                if message.type == "error" and not message.text.startswith(_ANSWERED)
                else None
            ),
        )
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def signed_in(new_page):
    """Open a page and sign in."""

    def open_page(address, name="admin", **options):
        page = new_page(address, **options)
        sign_in(page, name)
        page.wait_for_selector("#figures .value")
        return page

    return open_page


def sign_in(page, name, password=None):
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password or f"{name}123")
    page.keyboard.press("Enter")


def figure(page, name):
    """The whole number with this name in the row of figures."""
    text = page.locator("#figures > div", has_text=name).locator(".value").inner_text()
    return int(text.replace(",", ""))


def ask(address, path, name="analyst", body=None):
    """The worker's answer to a GET; with a body, to a POST."""
    form = urllib.parse.urlencode({"username": name, "password": f"{name}123"}).encode()
    with urllib.request.urlopen(f"{address}/token", data=form, timeout=10) as answer:
        token = json.load(answer)["access_token"]
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def until(page, condition, timeout_s=30):
    """Wait for a condition that Python checks."""
    for _ in range(timeout_s * 4):
        if condition():
            return
        page.wait_for_timeout(250)
    assert condition()
