"""Pictures, words, series and columns in a browser: beside their inputs, by mouse and keyboard, narrow and dark."""

from __future__ import annotations

import pytest

from tests.report.results_by_hand import made, several
from tests.report.test_browser import CONTRAST, visible


def boxes(page, what):
    """Return (left, top, width, height) of elements."""
    read = "all => all.map(e => { const b = e.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; })"
    return page.eval_on_selector_all(what, read)


def test_every_input_of_an_example_has_a_row(opened, mixed):
    with opened(mixed) as page:
        bodies = page.locator("table.maps tbody")
        assert bodies.count() == 6
        kinds = "all => all.map(row => row.className)"
        assert bodies.first.locator("tr").evaluate_all(kinds) == ["image", "tokens", "series", "table"]
        assert page.locator("table.maps tr.image .tile img").count() == 6 * 4
        assert page.locator("table.maps tr.tokens .words").count() == 6 * 3
        assert page.locator("table.maps tr.series .tile.line img").count() == 6 * 3
        assert page.locator("table.maps tr.table svg.bars").count() == 6 * 3
        assert page.locator("table.maps .tile.empty").all_inner_texts() == ["not mapped"] * 18
        of_example = bodies.nth(2).locator("td[data-column='0'] .share").all_inner_texts()
        assert sum(int(text.split()[1]) for text in of_example) == pytest.approx(100, abs=2)
        # the metric stands once, beneath the last
        assert bodies.first.locator(".value").count() == 4
        assert bodies.first.locator("tr:last-child .value").count() == 4


def test_a_filter_takes_or_leaves_an_example_with_all_its_rows(opened, mixed):
    with opened(mixed) as page:
        page.get_by_label("Examples").select_option("1")
        assert len(visible(page, "table.maps tbody tr")) == 2 * 4
        assert page.locator("#shown").text_content() == "2 examples, 4 maps each"
        assert "target yes & more (2)" in page.get_by_label("Examples").inner_text()
        page.get_by_label("Occlusion", exact=True).uncheck()
        assert len(visible(page, "table.maps tbody td")) == 2 * 4 * 3


def test_bars_stand_beside_the_names_of_their_columns(opened, mixed):
    with opened(mixed) as page:
        lines = boxes(page, "table.maps tbody:nth-of-type(1) .columns li")
        (bars,) = boxes(page, "table.maps tbody:nth-of-type(1) tr.table td[data-column='0'] svg")
        assert len(lines) == 16
        for k, (_, top, _, height) in enumerate(lines):
            middle = bars[1] + bars[3] * (k + 0.5) / 16
            assert middle == pytest.approx(top + height / 2, abs=1)
        assert "4 columns of which maps say less are not shown" in visible(page, "tr.table .note")


def test_curves_are_seen_on_every_map_and_the_slider_takes_their_colours(opened, mixed):
    with opened(mixed) as page:
        tile = page.locator("tr.series td .tile.line").first
        assert tile.locator("use").count() == 2
        drawn = "use => { const b = use.getBBox(); return [b.width, b.height]; }"
        width, height = tile.locator("use").last.evaluate(drawn)
        assert width == pytest.approx(49)
        assert height > 250
        # the curve's own ink comes through the use
        assert tile.locator("use").last.evaluate("use => getComputedStyle(use).stroke") == "rgb(17, 17, 17)"
        page.get_by_label("Map over input").focus()
        page.keyboard.press("Home")
        assert tile.locator("img").evaluate("img => getComputedStyle(img).opacity") == "0"
        assert tile.locator("svg").is_visible()
        names = page.locator("tr.series .names").first.locator("span").all_inner_texts()
        assert names == ["left", "the one in the middle", "<right>"]


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_lies_on_something_else_at_any_size(opened, mixed, width):
    with opened(mixed, width) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        overlaps = """() => {
          const parts = [...document.querySelectorAll("table.maps tbody td, table.maps tbody th")].map((cell) => {
            const inner = [...cell.children].map((e) => e.getBoundingClientRect()).filter((b) => b.width > 1);
            const out = inner.some((b) => b.right > cell.getBoundingClientRect().right + 1);
            const on = inner.some((b, k) => k && b.top < inner[k - 1].bottom - 1 && b.left < inner[k - 1].right - 1);
            return out || on;
          });
          return parts.filter(Boolean).length;
        }"""
        for size in ("56", "96", "256"):
            page.get_by_label("Size").fill(size)
            assert page.evaluate(overlaps) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_on_their_colours(opened, mixed, scheme):
    with opened(mixed, color_scheme=scheme) as page:
        seen, poor = page.evaluate(CONTRAST)
        assert seen > 300
        assert poor == []


def test_what_is_drawn_can_be_heard(opened, mixed):
    with opened(mixed) as page:
        for row, what in (("tokens", "word"), ("series", "step "), ("table", "column<")):
            of_row = page.locator(f"tr.{row} td").first
            told = of_row.locator("img").get_attribute("alt") if row == "series" else None
            told = told or of_row.locator("[role=img]").first.get_attribute("aria-label")
            assert told is not None
            assert told.startswith("Occlusion, example 0: strongest ")
            assert what in told


def test_without_pictures_there_is_no_slider_for_them(opened):
    with opened(made(positions=(5,), inputs=(5,))) as page:
        assert page.get_by_label("Map over input").count() == 0
        page.get_by_label("Size").fill("200")
        assert boxes(page, "table.maps td svg.bars")[0][2] == 300
        page.get_by_role("button", name="None").click()
        assert page.locator("#shown").text_content() == "6 examples, 0 maps each"


def test_without_scripts_every_form_is_drawn(opened, mixed):
    with opened(several(mixed), java_script_enabled=False) as page:
        for what in (".words", ".tile.line use", "svg.bars"):
            assert page.locator(f"table.maps td {what}").first.is_visible()
