"""Reports to look at: of results made by hand, and of a real comparison."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pnpxai.examples import Examples
from pnpxai.experiment import Results, compare
from pnpxai.report import write_report
from pnpxai.testing.zoo import CASES
from tests.report.results_by_hand import made, several

SCRIPT = "<script>alert('label')</script>"
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@pytest.fixture(scope="session")
def plain() -> Results:
    return made()


@pytest.fixture(scope="session")
def hostile_label() -> Results:
    """Return results with a label that is HTML, a tie, undefined values, and maps that are missing or not finite."""
    results = made(
        (SCRIPT, "Gradient<b>", "SmoothGrad"),
        undefined={("SmoothGrad", "AbPC"): "the <i>map</i> is zero & flat", (SCRIPT, "Sensitivity"): "no noise"},
        rejected={"Lime": "needs <features>"},
    )
    maps = {label: values.clone() for label, values in results.maps.items() if label != "SmoothGrad"}
    maps[SCRIPT][0] = float("nan")
    maps[SCRIPT][1, 0, 0] = float("inf")
    maps["RandomMap"][2] = 0
    tied = replace(results.decision, set=(SCRIPT, "Gradient<b>"))
    return replace(results, maps=maps, decision=tied)


@pytest.fixture(scope="session")
def mixed() -> Results:
    """Return results of a model of a picture, a text, a series and columns; GradCam maps the picture alone."""
    return several(made(inputs=(3, 8, 8)))


@pytest.fixture(scope="session")
def real() -> Callable[[str], Results]:
    def run(name: str) -> Results:
        case = CASES[name]()
        examples = Examples.of([(case.inputs, torch.tensor(case.targets), torch.tensor(case.other_targets))])
        return compare(
            case.model, examples, ["GradientXInput", "IntegratedGradients"], traits=case.traits, show_progress=False
        )

    return run


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def write(results: Results, **options: Any) -> Path:
        return write_report(results, tmp_path_factory.mktemp("report") / "report.html", **options)

    return write


@pytest.fixture(scope="session")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no chromium, chromium-browser or google-chrome on the path")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, written):
    """Open a report, and at the end demand that it asked for nothing and complained of nothing."""

    @contextmanager
    def open_page(results: Any, width: int = 1280, **options: Any) -> Iterator[Any]:
        context = browser.new_context(viewport={"width": width, "height": 800}, **options)
        try:
            page = context.new_page()
            troubles: list[str] = []
            page.on("console", lambda message: troubles.append(f"console: {message.text}"))
            page.on("pageerror", lambda error: troubles.append(f"error: {error}"))
            page.on("dialog", lambda dialog: (troubles.append(f"dialog: {dialog.message}"), dialog.dismiss()))
            page.on("request", lambda request: troubles.append(request.url))
            path = written(results, title="Digits", command="pnpxai demo").as_uri()
            page.goto(path)
            yield page
            assert [t for t in troubles if t != path and not t.startswith("data:")] == []
        finally:
            context.close()

    return open_page
