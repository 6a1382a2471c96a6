"""The page in a browser: quiet, alone, answering pointer and keyboard, readable by everyone."""

from __future__ import annotations

from importlib.resources import files

import pytest
from sample_page import HOSTILE

LABEL = {"en": "label[for=in-en]", "zh": "label[for=in-zh]"}


def is_chinese(text):
    return any("\u4e00" <= c <= "\u9fff" for c in text)


def quiet(page):
    assert page.said == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in page.asked) == 1


@pytest.mark.parametrize("name", ["en", "zh", "both", "hostile"])
def test_no_error_and_no_request(visit, name):
    page = visit(name)
    for chart in page.locator(".chart").all():
        chart.hover()
    quiet(page)
    assert page.evaluate("window.pwned") is None
    if name == "hostile":
        assert page.locator("h1").evaluate("e => e.textContent") == HOSTILE
        assert page.locator(".sheet img").count() == page.locator("body img:not(dialog img)").count() == 3


def test_the_policy_stops_what_would_leave_the_page(visit):
    page = visit("en")
    page.evaluate(
        """() => {
          window.stopped = [];
          document.addEventListener("securitypolicyviolation", (e) => window.stopped.push(e.effectiveDirective));
          const image = new Image();
          image.src = "http://127.0.0.1:9/x.png";
          document.body.append(image);
          const script = document.createElement("script");
          script.textContent = "window.pwned = 1";
          document.body.append(script);
          fetch("http://127.0.0.1:9/").catch(() => {});
        }"""
    )
    page.wait_for_function("window.stopped.length >= 3")
    assert set(page.evaluate("window.stopped")) == {"img-src", "script-src-elem", "connect-src"}
    assert page.evaluate("window.pwned") is None


def test_charts_answer_the_pointer_with_the_tables_numbers(visit, given):
    page = visit("both")
    rows = given.rows("series", region="all").sort_values("year")
    chart = page.locator('[data-chart="series"]')
    for k in (0, 9, 19):
        chart.locator(f'[data-mark="{k}"]').hover()
        tip = chart.locator(".tip")
        assert tip.count() == 1
        said = tip.inner_text()
        assert said.startswith(str(rows["year"].iloc[k]))
        assert f"Mean {rows['mean_gc_m2'].iloc[k]:.2f}" in said
        box, room = tip.bounding_box(), page.viewport_size
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= room["width"]
    page.locator("h1").hover()
    assert page.locator(".tip").count() == 0
    bar = page.locator('[data-chart="partial_precipitation"] [data-mark="1"]')
    bar.hover()
    assert "Share of area" in page.locator(".tip").inner_text()
    quiet(page)


def test_charts_are_read_by_keys(visit, given):
    page = visit("en")
    values = given.rows("series", region="all").sort_values("year")["mean_gc_m2"]
    chart = page.locator('[data-chart="series"]')
    page.locator('nav a[href="#years"]').focus()
    chart.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert f"{values.iloc[2]:.2f}" in page.locator("#told").inner_text()
    page.keyboard.press("End")
    assert f"{values.iloc[-1]:.2f}" in chart.locator(".tip").inner_text()
    page.keyboard.press("Escape")
    assert chart.locator(".tip").count() == 0


def test_charts_answer_a_finger(visit):
    page = visit("en", width=360, height=740, has_touch=True, is_mobile=True)
    page.locator('[data-chart="sink_share"] [data-mark="3"]').tap()
    assert page.locator(".tip").inner_text().startswith("2004")
    page.locator("h1").tap()
    assert page.locator(".tip").count() == 0


def test_tables_sort_and_the_whole_stays_on_top(visit, given):
    page = visit("both")
    table = page.locator("table:has(#c-summary)")
    heads = table.locator("thead th")
    wanted = given.rows("summary").iloc[1:]

    def names():
        return [name.split("  ")[-1] for name in table.locator("tbody th").all_text_contents()]

    start = names()
    mean = heads.nth(1).locator("button")
    mean.click()
    assert heads.nth(1).get_attribute("aria-sort") == "descending"
    assert names()[1:] == list(wanted.sort_values("mean_gc_m2", ascending=False)["region"])
    mean.focus()
    page.keyboard.press("Enter")
    assert heads.nth(1).get_attribute("aria-sort") == "ascending"
    assert names()[1:] == list(wanted.sort_values("mean_gc_m2")["region"])
    assert names()[0] == start[0]
    mean.click()
    assert heads.nth(1).get_attribute("aria-sort") is None
    assert names() == start


def test_maps_open_zoom_move_and_close(visit):
    page = visit("en")
    button = page.locator("#map_nep_mean .enlarge")
    button.click()
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert dialog.evaluate("e => document.getElementById(e.getAttribute('aria-labelledby')).textContent").startswith(
        "Figure"
    )

    def placed():
        matrix = page.locator(".stage img").evaluate("e => getComputedStyle(e).transform")
        a, _, _, _, x, y = map(float, matrix.removeprefix("matrix(").removesuffix(")").split(","))
        return a, x, y

    page.wait_for_function("document.querySelector('.stage img').style.transform !== ''")
    whole = placed()
    assert whole[0] == pytest.approx(min(1280 / 600, 900 / 400), abs=1e-4)
    page.mouse.move(640, 450)
    page.mouse.wheel(0, -400)
    page.wait_for_function("s => new DOMMatrix(getComputedStyle(document.querySelector('.stage img')).transform).a > s",
                           arg=whole[0] * 1.2)  # fmt: skip
    larger = placed()
    # the point under the pointer stays there
    assert (640 - larger[1]) / larger[0] == pytest.approx((640 - whole[1]) / whole[0], abs=0.5)
    page.mouse.down()
    page.mouse.move(600, 430, steps=3)
    page.mouse.up()
    assert placed()[1:] == pytest.approx((larger[1] - 40, larger[2] - 20), abs=1)
    page.keyboard.press("0")
    assert placed() == pytest.approx(whole, abs=0.01)
    page.keyboard.press("+")
    assert placed()[0] > whole[0]
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert button.evaluate("e => e === document.activeElement")
    quiet(page)


def test_two_fingers_zoom(visit):
    page = visit("en", width=360, height=740, has_touch=True, is_mobile=True)
    page.locator("#map_regions .enlarge").tap()
    page.wait_for_function("document.querySelector('.stage img').style.transform !== ''")
    scale = "new DOMMatrix(getComputedStyle(document.querySelector('.stage img')).transform).a"
    before = page.evaluate(scale)
    page.evaluate(
        """() => {
          const stage = document.querySelector(".stage");
          stage.setPointerCapture = () => {};
          const send = (type, id, x, y) => stage.dispatchEvent(
            new PointerEvent(type, {pointerId: id, clientX: x, clientY: y, pointerType: "touch", bubbles: true}));
          send("pointerdown", 1, 150, 300); send("pointerdown", 2, 210, 300);
          send("pointermove", 1, 120, 300); send("pointermove", 2, 240, 300);
          send("pointerup", 1, 120, 300); send("pointerup", 2, 240, 300);
        }"""
    )
    assert page.evaluate(scale) == pytest.approx(2 * before, rel=0.01)


@pytest.mark.parametrize("script", [True, False])
def test_the_switch_shows_one_language(visit, script):
    page = visit("both", java_script_enabled=script)
    heading = page.locator("#notes")
    assert heading.inner_text() == "What to know before using these numbers"
    page.locator(LABEL["zh"]).click()
    assert heading.inner_text() == "使用这些数值之前须知"
    assert page.locator(".keys .value").first.is_visible()
    if script:
        assert page.evaluate("document.documentElement.lang") == "zh-Hans"
        page.locator('[data-chart="series"] [data-mark="2"]').hover()
        assert "平均值" in page.locator(".tip").inner_text()
    page.locator(LABEL["en"]).click()
    assert heading.inner_text() == "What to know before using these numbers"


@pytest.mark.parametrize("script", [True, False])
def test_the_switch_shows_the_map_of_the_language(visit, script):
    page = visit("both", java_script_enabled=script)
    seen = {}
    for code in ("zh", "en"):
        page.locator(LABEL[code]).click()
        images = page.locator("#map_nep_mean .sheet img")
        shown = [one for one in images.all() if one.is_visible()]
        assert images.count() == 2
        assert len(shown) == 1
        seen[code] = shown[0].get_attribute("src")
        assert shown[0].get_attribute("lang") == {"en": "en", "zh": "zh-Hans"}[code]
        assert is_chinese(shown[0].get_attribute("alt")) == (code == "zh")
        if script:
            assert page.locator("#map_nep_mean .enlarge").count() == 1
            for way in (page.locator("#map_nep_mean .enlarge"), shown[0]):
                way.click()
                assert page.locator(".stage img").get_attribute("src") == seen[code]
                assert is_chinese(page.locator(".stage img").get_attribute("alt")) == (code == "zh")
                page.keyboard.press("Escape")
    assert seen["en"] != seen["zh"]


@pytest.mark.parametrize("name", ["en", "zh", "hostile"])
def test_a_phone_does_not_scroll_sideways(visit, name):
    page = visit(name, width=360, height=740, has_touch=True, is_mobile=True)
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    # no text of the charts is small, however narrow they are
    assert page.locator(".axis text").first.evaluate("e => parseFloat(getComputedStyle(e).fontSize)") >= 11


def test_print_unfolds_everything_and_shows_no_controls(visit):
    page = visit("both", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--ink')") == "#000"
    for control in ("nav", ".languages", ".enlarge"):
        assert not page.locator(control).first.is_visible()
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.locator("table:has(#c-series)").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("details[open]").count() == 0
    assert page.pdf(prefer_css_page_size=True).startswith(b"%PDF")


@pytest.fixture(scope="module")
def axe():
    pytest.importorskip("axe_playwright_python", reason="the extra `browser`, which brings axe-core, is not installed")
    return (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_accessibility_checker_finds_nothing_serious(visit, axe, scheme, language):
    page = visit("both", color_scheme=scheme)
    page.locator(LABEL[language]).click()
    page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
    page.evaluate(axe)

    def findings(what="body"):
        found = page.evaluate("what => axe.run(what, {resultTypes: ['violations']})", what)["violations"]
        return [(v["id"], v["impact"], v["nodes"][0]["html"][:200]) for v in found]

    assert [f for f in findings() if f[1] in ("serious", "critical")] == []
    page.locator("#map_regions .enlarge").click()
    assert [f for f in findings("dialog") if f[1] in ("serious", "critical")] == []
