from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sample_page import bases, hostile, make_inputs, small_figures, with_words


@pytest.fixture(scope="session")
def given():
    inputs = with_words(make_inputs(resolution="20 km"))
    return dataclasses.replace(inputs, tables={**inputs.tables, "respiration_bases": bases()})


@pytest.fixture(scope="session")
def pages(given, tmp_path_factory):
    """The page in English, in Chinese, in both, and one whose names are hostile."""
    from nepcube.report import write_page

    folder = tmp_path_factory.mktemp("pages")
    figures = small_figures(folder)
    others = {"zh": small_figures(folder / "of-zh", 60)}
    out = {}
    for name, languages in (("en", ("en",)), ("zh", ("zh",)), ("both", ("en", "zh"))):
        out[name] = write_page(given, figures, folder / f"{name}.html", languages=languages, others=others)
    out["hostile"] = write_page(hostile(), figures, folder / "hostile.html", languages=("en", "zh"))
    return out


def _chromium():
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        found = shutil.which(name)
        if found:
            return found
    return None


# no longer than its module: playwright keeps an event loop running in the thread of the tests
@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
    program = _chromium()
    if program is None:
        pytest.skip("there is no Chromium on this machine")
    with api.sync_playwright() as playwright:
        # a container's root has no sandbox, and the page is our own
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def visit(browser, pages):
    """Open a page; what it says on the console and every request that it makes are kept."""
    contexts = []

    def go(name, *, width=1280, height=900, **options):
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("dialog", lambda dialog: (page.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(pages[name].as_uri())
        return page

    yield go
    for context in contexts:
        context.close()
