"""The file: well formed, self-contained, escaped, small, complete or absent, the same for the same results."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch

from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results
from pnpxai.report import write_report
from tests.report.conftest import SCRIPT
from tests.report.results_by_hand import made, several

VOID = {"path", "polygon", "polyline", "rect", "use", "meta", "link", "input", "img", "wbr", "br", "circle", "line"}


class Page(HTMLParser):
    """Reads a page, keeping every element, its attributes and all text; raises where tags do not match."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in <{tag}>"
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.words.append(" ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> without a start"
        assert self.open[-1] == tag, f"</{tag}> inside <{self.open[-1]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def prose(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(scope="module", params=["plain", "hostile_label", "mixed", "cnn", "mlp", "series"])
def page(request, written, real) -> Page:
    name = request.param
    results = request.getfixturevalue(name) if name in ("plain", "hostile_label", "mixed") else real(name)
    return Page(written(results).read_text(encoding="utf-8"))


def test_it_is_well_formed(page: Page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        for name in ("aria-labelledby", "for"):
            assert attributes.get(name, ids[0]) in ids
    targets = [a["href"] for a in page.all("a")]
    assert targets
    assert all(t is not None and t.startswith("#") and t[1:] in ids for t in targets)


def test_it_can_be_heard(page: Page):
    assert page.all("html")[0]["lang"] == "en"
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in zip(levels, levels[1:], strict=False))
    assert all(svg.get("aria-label") or svg.get("aria-hidden") == "true" for svg in page.all("svg"))
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))


def test_it_loads_nothing(page: Page):
    policy = next(m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "data", "poster", "action"):
            assert (attributes.get(name) or "#").startswith(("data:", "#"))
        assert not re.search(r"url\((?!data:)", attributes.get("style") or "")


def test_style_and_script_name_no_address(written, plain):
    html = written(plain).read_text()
    assert not re.search(r"https?://|@import|//cdn", html)


def test_nothing_of_the_results_becomes_html(written, hostile_label):
    html = written(
        hostile_label, title="<img src=x onerror=alert(1)>", command="pnpxai report '</code><script>alert(2)</script>'"
    ).read_text()
    page = Page(html)
    assert len(page.all("script")) == 1
    assert page.all("b") == []
    assert page.all("i") == []
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert SCRIPT not in html
    for text in (SCRIPT, "the <i>map</i> is zero & flat", "needs <features>", "</code><script>alert(2)</script>"):
        assert text in page.prose


def test_the_verdict_stands_on_top_with_its_limits(page: Page, plain: Results, written):
    prose = Page(written(plain).read_text()).prose
    assert prose.index(plain.decision.sentence()) < prose.index("Ranking")
    assert "This holds for this model and these 8 examples." in prose


def test_it_says_what_was_compared(written, plain):
    page = Page(written(plain, title="Digits", command="pnpxai compare --seed 3").read_text())
    for text in ("tests:Made@0123456789ab", "python 3.11.0, torch 2.6.0", "3 explainers and 1 control", "Seed 3"):
        assert text in page.prose
    assert "Area between the curves of LeRF and MoRF" in page.prose
    assert "pnpxai compare --seed 3" in page.prose
    assert "needs features that can be left out" in page.prose
    assert "better than the default" in page.prose
    assert "every metric has a value" in page.prose


def test_undefined_values_are_counted_with_their_reasons(written, hostile_label):
    prose = Page(written(hostile_label).read_text()).prose
    assert "AbPC 1 of 8 the <i>map</i> is zero & flat" in prose
    assert "In ranks, an undefined value comes last" in prose


def test_a_metric_that_is_undefined_everywhere(written, plain):
    table = plain.table.copy()
    table.loc[table.metric == "Sensitivity", ["value", "reason"]] = [float("nan"), None]
    page = Page(written(replace(plain, table=table)).read_text())
    assert "8 of 8 no reason was given" in page.prose


def test_a_metric_that_nobody_knows(written, plain):
    directions = {"Mine" if name == "AbPC" else name: higher for name, higher in plain.directions.items()}
    table = plain.table.assign(metric=plain.table.metric.replace("AbPC", "Mine"))
    prose = Page(written(replace(plain, directions=directions, table=table)).read_text()).prose
    assert "No description was found." in prose
    assert "Beneath each map is its Mine." in prose


def test_without_maps_tuning_controls_or_a_winner(written):
    results = made(("A", "B"), (), maps={}, tuned=(), rejected={})
    lost = replace(results.decision, best=None, set=(), dropped={"A": "x", "B": "x"})
    prose = Page(written(replace(results, decision=lost)).read_text()).prose
    assert "to do better than maps that ignore the model." in prose
    assert "No maps were kept." in prose
    assert "None were turned away." in prose
    assert "held out" not in prose


def test_a_single_explainer_on_a_single_example(written):
    Page(written(made(("A",), (), examples=1, kept=1)).read_text())


def test_twelve_explainers_on_sixteen_photographs_stay_small(written):
    names = [f"Explainer{k}" for k in range(10)]
    results = made(names, ("RandomMap", "InputOnly"), examples=64, kept=16, positions=(224, 224), inputs=(3, 224, 224))
    path = written(results)
    assert path.stat().st_size < 5_000_000
    assert "Maps of 224 positions a side are drawn with 111" in Page(path.read_text()).prose


def test_twelve_explainers_on_sixteen_examples_of_every_kind_stay_small(written):
    names = [f"Explainer{k}" for k in range(10)]
    results = made(names, ("RandomMap", "InputOnly"), examples=64, kept=16, positions=(224, 224), inputs=(3, 224, 224))
    path = written(several(results, words=512, steps=2000, columns=500))
    assert path.stat().st_size < 5_000_000


def test_small_maps_are_kept_pixel_by_pixel(written, plain):
    page = Page(written(plain).read_text())
    assert "neighbourhood" not in page.prose
    assert any("crisp" in (tile.get("class") or "") for tile in page.all("span"))


def test_the_same_results_give_the_same_bytes(tmp_path: Path, plain, written):
    plain.save(tmp_path / "run")
    again = written(Results.load(tmp_path / "run"))
    assert again.read_bytes() == written(plain).read_bytes()


def test_it_replaces_a_file_and_leaves_no_other(tmp_path: Path, plain):
    path = tmp_path / "new" / "report.html"
    assert write_report(plain, str(path), title="One") == path
    write_report(plain, path, title="Two")
    assert "<title>Two</title>" in path.read_text()
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_who_reads_the_old_file_reads_it_to_its_end(tmp_path: Path, plain):
    path = write_report(plain, tmp_path / "report.html", title="One")
    whole = path.read_text()
    with path.open() as old:
        write_report(plain, path, title="Two")
        assert old.read() == whole


def test_it_is_complete_or_absent(tmp_path: Path, plain, monkeypatch: pytest.MonkeyPatch):
    path = write_report(plain, tmp_path / "report.html", title="Whole")

    def full(self: Path, data: str, *args: object, **kwargs: object) -> int:
        self.write_bytes(data[:100].encode())
        raise OSError("no space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        write_report(plain, path, title="Torn")
    assert "<title>Whole</title>" in path.read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_is_no_file(tmp_path: Path, plain):
    with pytest.raises(ArgumentError, match="path: expected a file such as"):
        write_report(plain, tmp_path)


def test_only_results_are_reported_and_only_to_a_file(tmp_path: Path, plain):
    for wrong in (None, str(tmp_path), {}):
        with pytest.raises(ArgumentError, match=r"results: expected what compare returned, got .*Results.load\(folder"):
            write_report(wrong, tmp_path / "report.html")
    with pytest.raises(ArgumentError, match="path: expected a file such as 'report.html', got None"):
        write_report(plain, None)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_ids_are_written_out(written):
    results = made(positions=(5,), inputs=(5,))
    results = replace(results, inputs=torch.arange(30).reshape(6, 5))
    assert "0 1 2 3 4" in Page(written(results).read_text()).prose
