"""The page in a browser: by mouse and by keyboard, narrow and wide, light and dark, offline, without scripts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.conftest import SCRIPT
from tests.report.results_by_hand import made

CONTRAST = """
() => {
  const read = (text) => {  // "rgb(r, g, b, a)", and "color(srgb r g b / a)" with parts from 0 to 1
    const [r, g, b, a = 1] = text.match(/[\\d.]+(e-\\d+)?/g).map(Number), k = text.startsWith("color") ? 255 : 1;
    return [k * r, k * g, k * b, a];
  };
  const over = (top, under) => top.slice(0, 3).map((c, k) => c * top[3] + under[k] * (1 - top[3]));
  const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = (c) => { const [r, g, b] = c.map((v) => linear(v / 255)); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (element) => {
    const layers = [];
    for (let e = element; e; e = e.parentElement) layers.push(read(getComputedStyle(e).backgroundColor));
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const poor = []; let seen = 0;
  while (walker.nextNode()) {
    const node = walker.currentNode, e = node.parentElement;
    if (!node.textContent.trim() || e.closest("script, style, .unseen, .skip") || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), under = ground(e);
    const ink = over(read(e.namespaceURI.endsWith("svg") ? style.fill : style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const ratio = (a + .05) / (b + .05);
    seen += 1;
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${e.tagName} ${node.textContent.trim().slice(0, 30)}`);
  }
  return [seen, poor];
}
"""


def first_column(page):
    return page.locator("table.ranking tbody th").all_inner_texts()


def button(page, name):
    return page.locator("table.ranking thead").get_by_role("button", name=name, exact=True)


def sorted_by(page):
    return page.eval_on_selector_all(
        "table.ranking thead th[aria-sort]", "all => all.map(th => [th.innerText.split('\\n')[0].trim(), th.ariaSort])"
    )


def test_a_click_sorts_better_first_and_a_second_one_turns_it_round(opened):
    results = made(undefined={})
    values = results.table
    values.loc[(values.metric == "AbPC") & (values.explainer == "SmoothGrad"), "value"] = float("nan")
    with opened(results) as page:
        assert first_column(page) == results.explainers
        assert sorted_by(page) == [["Mean rank", "ascending"]]
        button(page, "AbPC").click()
        assert first_column(page) == ["Occlusion", "GradCam", "RandomMap", "SmoothGrad"]
        assert sorted_by(page) == [["AbPC", "descending"]]
        assert page.locator("#sorted").text_content() == "Sorted by AbPC, descending."
        button(page, "AbPC").click()
        assert first_column(page) == ["RandomMap", "GradCam", "Occlusion", "SmoothGrad"]
        button(page, "Complexity").click()
        assert sorted_by(page) == [["Complexity", "ascending"]]
        assert first_column(page) == ["Occlusion", "SmoothGrad", "GradCam", "RandomMap"]
        button(page, "Explainer").click()
        assert first_column(page) == ["GradCam", "Occlusion", "RandomMap", "SmoothGrad"]
        button(page, "Verdict").click()
        assert first_column(page)[0] == "Occlusion"
        assert first_column(page)[-1] == "RandomMap"


def test_the_keyboard_sorts(opened, plain):
    with opened(plain) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.textContent") == "Seconds":
                break
        page.keyboard.press("Space")
        assert sorted_by(page) == [["Seconds", "ascending"]]
        page.keyboard.press("Enter")
        assert sorted_by(page) == [["Seconds", "descending"]]
        assert first_column(page) == ["RandomMap", "GradCam", "SmoothGrad", "Occlusion"]
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def visible(page, what):
    return page.eval_on_selector_all(what, "all => all.filter(e => e.checkVisibility()).map(e => e.innerText)")


def test_filters_of_explainers(opened, plain):
    with opened(plain) as page:
        heads = "table.maps thead [data-column]"
        assert len(visible(page, heads)) == 4
        page.get_by_label("SmoothGrad", exact=True).uncheck()
        assert [text.split("\n")[0] for text in visible(page, heads)] == ["Occlusion", "GradCam", "RandomMap"]
        assert len(visible(page, "table.maps tbody td")) == 6 * 3
        assert page.locator("#shown").text_content() == "6 examples, 3 maps each"
        page.get_by_role("button", name="None").click()
        assert visible(page, heads) == []
        page.get_by_role("button", name="Without controls").click()
        assert len(visible(page, heads)) == 3
        page.get_by_label("Occlusion", exact=True).focus()
        page.keyboard.press("Space")
        assert len(visible(page, heads)) == 2
        page.get_by_role("button", name="All").click()
        assert len(visible(page, heads)) == 4


def test_filter_of_target_classes(opened, plain):
    with opened(plain) as page:
        rows = "table.maps tbody tr"
        choice = page.get_by_label("Examples")
        choice.select_option("1")
        assert [text.split()[0] for text in visible(page, f"{rows} .what")] == ["#1", "#4"]
        assert page.locator("#shown").text_content() == "2 examples, 4 maps each"
        choice.select_option("differs")
        assert [text.split()[0] for text in visible(page, f"{rows} .what")] == ["#2"]
        assert "≠ label 7" in visible(page, f"{rows} .what")[0]
        choice.select_option("all")
        assert len(visible(page, rows)) == 6


def test_sliders_fade_the_maps_and_size_them(opened, plain):
    with opened(plain) as page:
        opacity = "getComputedStyle(document.querySelector('table.maps img')).opacity"
        assert page.evaluate(opacity) == "1"
        fade = page.get_by_label("Map over input")
        fade.focus()
        for _ in range(10):
            page.keyboard.press("ArrowLeft")
        assert page.evaluate(opacity) == "0.5"
        assert page.locator("output[for=fade]").text_content() == "50 %"
        beneath = "getComputedStyle(document.querySelector('table.maps td .tile')).backgroundImage"
        assert page.evaluate(beneath).startswith('url("data:image/png')
        fade.press("Home")
        assert page.evaluate(opacity) == "0"
        page.get_by_label("Size").fill("200")
        box = page.locator("table.maps td .tile").first.bounding_box()
        assert (box["width"], box["height"]) == (200, 200)
        assert page.evaluate("getComputedStyle(document.querySelector('table.maps img')).imageRendering") == "pixelated"


@pytest.mark.parametrize("name", ["plain", "hostile_label", "long", "table"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_does_not_scroll_sideways(opened, request, name, width):
    long = [f"IntegratedGradients(n_steps={k}, baseline_fn=GaussianBlur(kernel_size=5))" for k in range(9)]
    results = {"long": lambda: made(long), "table": lambda: made(positions=(40,), inputs=(40,))}
    with opened(results.get(name, lambda: request.getfixturevalue(name))(), width) as page:
        while page.locator("details:not([open])").count():
            page.locator("details:not([open]) > summary").first.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width == 390:
            boxes = "all => all.map(e => [e.scrollWidth > e.clientWidth, e.classList.contains('more')])"
            assert page.eval_on_selector_all("#ranking .box, #maps .box", boxes) == [[True, True]] * 2
            page.eval_on_selector("#ranking .box", "e => e.scrollTo(9999, 0)")
            page.locator("#ranking .box:not(.more)").wait_for()
            left = page.locator("table.ranking tbody th").first.bounding_box()["x"]
            assert left >= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "hostile_label"])
def test_every_text_stands_out_from_its_ground(opened, request, name, scheme):
    with opened(request.getfixturevalue(name), color_scheme=scheme) as page:
        while page.locator("details:not([open])").count():
            page.locator("details:not([open]) > summary").first.click()
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(22, 22, 20)") == (scheme == "dark")
        seen, poor = page.evaluate(CONTRAST)
        assert seen > 150
        assert poor == []


def test_a_label_that_is_a_script_is_text(opened, hostile_label):
    with opened(hostile_label) as page:
        assert SCRIPT in first_column(page)
        button(page, "Explainer").click()
        assert first_column(page)[0] == SCRIPT
        assert page.get_by_label(SCRIPT, exact=True).is_checked()


def test_even_a_script_that_got_in_does_not_run(browser, written, plain):
    path = written(plain)
    path.write_text(path.read_text().replace("<h1>", "<h1><script>document.title = 'taken'</script>"))
    context = browser.new_context()
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.title() == "Comparison of explainers"
    context.close()


def test_every_control_has_a_name(opened, plain):
    with opened(plain) as page:
        unnamed = "all => all.filter(e => !(e.labels && e.labels.length) && !e.textContent.trim()).length"
        assert page.eval_on_selector_all("input, select, button", unnamed) == 0


def test_without_scripts_all_is_shown_and_no_dead_control(opened, plain):
    with opened(plain, java_script_enabled=False) as page:
        assert page.locator("table.maps tbody tr").count() == 6
        assert page.locator("form.controls").is_visible() is False
        assert page.locator("table.maps img").first.is_visible()


def test_curves_and_pairs_can_be_read_and_opened_by_keyboard(opened, plain):
    with opened(plain, width=390) as page:
        curves = page.locator("#curves svg[role=img]")
        assert curves.count() == 4
        assert "most relevant removed first: from 0.900" in curves.first.get_attribute("aria-label")
        assert curves.first.locator("polyline").count() == 2
        assert curves.first.bounding_box()["height"] > 50
        assert page.get_by_role("img", name="best of 5 trials 0.750").is_visible()
        agreement = page.locator("#differences summary", has_text="Agreement of maps")
        table = page.get_by_role("region", name="Agreement of maps")
        assert not table.is_visible()
        agreement.focus()
        page.keyboard.press("Enter")
        assert table.is_visible()
        assert page.locator("#differences table").first.locator("td.clear").count() > 0


def test_undefined_values_and_missing_maps_are_said(opened, hostile_label):
    with opened(hostile_label) as page:
        assert "no map" in visible(page, ".tile.empty")
        assert page.locator(".value.none").first.get_attribute("title") == "the <i>map</i> is zero & flat"
        assert page.locator("#gaps tbody tr").count() == 2


@pytest.mark.parametrize("name", ["cnn", "mlp", "series"])
def test_a_real_comparison(opened, real, name):
    results = real(name)
    with opened(results) as page:
        assert first_column(page) == results.explainers
        images = "all => all.every(image => image.complete && image.naturalWidth > 0)"
        assert page.eval_on_selector_all("table.maps img", images)
        drawn = "table.maps td svg.bars" if name == "mlp" else "table.maps td img"
        assert page.locator(drawn).count() == 3 * len(results.explainers)
        assert len(visible(page, ".differs")) == 3


def test_no_controls_and_no_targets(opened):
    results = made(("A", "B"), ())
    with opened(replace(results, table=results.table.assign(target=-1, label=-1))) as page:
        assert page.get_by_label("Examples").locator("option").count() == 1
        assert visible(page, "table.maps .what")[0] == "#0"
