"""The page of a prompt and its response, in a browser: pointing, clicking and keys light up sources; no network."""

from __future__ import annotations

import numpy as np
import pytest

from pnpxai.pictures.prompt_response import PromptResponseView, prompt_response_html, prompt_response_text

PROMPT = "<s>user : the <b>cat</b> is red .\nthe sea is blue .</s>"
VALUES = np.array([[2.0, 0.0, -1.0, 0.0], [0.0, 4.0, 0.0, 0.5]])


def view(notes=()):
    units = tuple((PROMPT.index(w), PROMPT.index(w) + len(w)) for w in ("<b>cat</b>", "red", "sea"))
    response = " red\n</script>"
    return PromptResponseView(
        PROMPT, units, ("cat", "red", "sea"), (("user", (10, len(PROMPT) - 4)),), response, ((0, 4), (4, 14)),
        ("red", "</script>"), VALUES, "Planted", "log-probability", notes,
    )  # fmt: skip


@pytest.fixture
def page(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(f"<!doctype html><meta charset='utf-8'>{prompt_response_html(view(('look first',)))}")
    opened, troubles = browser.new_page(), []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("request", lambda request: None if request.url.startswith("file:") else troubles.append(request.url))
    opened.goto(path.as_uri())
    yield opened
    assert not troubles
    opened.close()


def colours(page, kind="unit"):
    return page.eval_on_selector_all(f".pnx-{kind}", "of => of.map(e => e.style.background)")


def test_all_of_the_response_is_shown_first_with_text_as_it_was(page):
    assert page.inner_text(".pnx-note") == "look first"
    assert "<b>cat</b>" in page.inner_text(".pnx-prompt")
    assert "is red .\nthe sea" in page.inner_text(".pnx-prompt")
    assert page.inner_text(".pnx-turn .pnx-role") == "user"
    assert page.inner_text(".pnx-high") == "4.00"  # the largest sum over the response
    assert page.inner_text(".pnx-status").startswith("All of the response: red 4.00")
    assert "log-probability" in page.inner_text(".pnx-legend")


def test_pointing_at_a_part_lights_up_its_sources_and_leaving_shows_all_again(page):
    before = colours(page)
    page.hover(".pnx-part[data-r='0']")
    assert colours(page) != before
    assert colours(page)[0] == "rgb(103, 0, 31)"  # the deepest red
    assert page.inner_text(".pnx-high") == "2.00"
    assert page.get_attribute(".pnx-unit[data-k='2']", "title") == "-1.00"
    page.hover(".pnx-title")
    assert colours(page) == before
    page.hover(".pnx-unit[data-k='1']")
    assert page.inner_text(".pnx-status") == '"red": 4.00 for all of the response'
    assert colours(page, "part")[1] == "rgb(103, 0, 31)"


def test_keys_walk_hold_and_let_go(page):
    page.keyboard.press("Tab")
    assert page.inner_text(".pnx-status").startswith('"red": cat 2.00')
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.get_attribute(".pnx-part[data-r='1']", "aria-pressed") == "true"
    page.hover(".pnx-title")
    assert page.inner_text(".pnx-status").startswith('"</script>": red 4.00')
    assert colours(page, "part")[0] != ""  # an earlier part of the response counts too
    page.keyboard.press("Escape")
    assert page.inner_text(".pnx-status").startswith("All of the response")


def test_a_source_out_of_sight_comes_into_sight_where_a_part_is_held(page):
    page.add_style_tag(content=".pnx-prompt{height:2em} .pnx-unit[data-k='1']{margin-top:20em;display:inline-block}")
    where = "[document.querySelector(`.pnx-unit[data-k='1']`), document.querySelector('.pnx-prompt')]"
    seen = (
        f"(() => {{ const [u, b] = {where}.map(e => e.getBoundingClientRect());"
        " return u.top >= b.top - 1 && u.bottom <= b.bottom + 1; })()"
    )
    assert not page.evaluate(seen)
    page.click(".pnx-part[data-r='1']")
    assert page.evaluate(seen)


def test_numbers_stand_in_a_table(page):
    page.click("summary")
    assert page.inner_text("table tbody tr:first-child").split() == ["red", "2", "0", "-1", "0"]


def test_a_terminal_shows_text_roles_and_newlines():
    text = prompt_response_text(view(), VALUES[0])
    assert text.plain == f"{PROMPT[:10]}[user] {PROMPT[10:]}\n=>  red\n</script>"
    marked = [(text.plain[s.start : s.end], str(s.style)) for s in text.spans]
    assert ("<b>cat</b>", "white on #67001f") in marked
