"""A table user's usual steps, beside those of shap on the same network, rows and background.

    benchmarks/rivals.sh tables.py [--rows 100] [--pictures FOLDER]

The tables are scikit-learn's breast cancer and diabetes, and palmerpenguins, whose categories are columns of 0 and 1.
Both sides average over the same rows of training data: shap with what ``shap.Explainer`` chooses for a function, pnpxai
with ``ShapleyValues``, each with its own defaults. Times are processor seconds, those of a picture until its PNG is
there. At last 10,000 rows of 30 columns are summarised, by pnpxai alone.
"""

from __future__ import annotations

import argparse
import io
import pickle
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measuring import timed
from torch import nn

import pnpxai
from pnpxai.errors import MissingExtraError

CPU = torch.device("cpu")
BACKGROUND = 50


@dataclass(frozen=True)
class Task:
    """A trained network, the rows that are explained, and rows that stand for absence."""

    name: str
    model: nn.Module
    frame: pd.DataFrame
    background: pd.DataFrame
    classes: tuple[str, ...]
    cohort: str
    target: int


def trained(name: str, frame: pd.DataFrame, y: np.ndarray, classes: tuple[str, ...], cohort: str) -> Task:
    """Standardise columns of numbers, and train a small network on them."""
    torch.manual_seed(0)
    frame = frame.astype(np.float32)
    wide = [name for name in frame if frame[name].nunique() > 2]
    frame[wide] = (frame[wide] - frame[wide].mean()) / frame[wide].std()
    model = nn.Sequential(nn.Linear(frame.shape[1], 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(),
                          nn.Linear(32, max(1, len(classes))))  # fmt: skip
    x, optimiser = torch.tensor(frame.to_numpy()), torch.optim.Adam(model.parameters(), 3e-3)
    target = torch.tensor(y).long() if classes else torch.tensor(y).float()[:, None]
    loss = nn.functional.cross_entropy if classes else nn.functional.mse_loss
    for rows in torch.randint(len(x), (400, 64), generator=torch.Generator().manual_seed(0)):
        optimiser.zero_grad()
        loss(model(x[rows]), target[rows]).backward()
        optimiser.step()
    rows = frame.sample(BACKGROUND, random_state=0)
    return Task(name, model.eval(), frame.drop(index=rows.index), rows, classes, cohort, min(1, len(classes)) or 0)


def tasks() -> list[Task]:
    """Return the three tables; penguins only if their package is there."""
    from sklearn.datasets import load_breast_cancer, load_diabetes

    cancer, diabetes = load_breast_cancer(as_frame=True), load_diabetes(as_frame=True)
    target = diabetes.target.to_numpy()
    made = [
        trained("breast cancer", cancer.data, cancer.target.to_numpy(), tuple(cancer.target_names), "worst area"),
        trained("diabetes", diabetes.data, (target - target.mean()) / target.std(), (), "sex"),
    ]
    try:
        from palmerpenguins import load_penguins
    except ImportError:
        return made
    penguins = load_penguins().dropna().reset_index(drop=True)
    species = penguins["species"].astype("category")
    frame = pd.get_dummies(penguins.drop(columns=["species", "year"]))
    classes = tuple(species.cat.categories)
    return [*made, trained("penguins", frame, species.cat.codes.to_numpy(), classes, "flipper_length_mm")]


class Shap:
    """The steps with shap."""

    def __init__(self, task: Task, rows: int) -> None:
        import matplotlib

        matplotlib.use("Agg")
        import shap

        self.shap, self.task = shap, task
        self.x = task.frame.head(rows)

    def forward(self, values: np.ndarray) -> np.ndarray:
        """Return the outputs for rows of an array."""
        with torch.no_grad():
            outputs = self.task.model(torch.tensor(np.asarray(values, dtype=np.float32))).numpy()
        return outputs if self.task.classes else outputs[:, 0]

    def explain(self) -> None:
        """Explain the rows; all outputs come at once."""
        explainer = self.shap.Explainer(self.forward, self.shap.maskers.Independent(self.task.background, BACKGROUND))
        self.all = explainer(self.x, silent=True)
        self.values = self.all[..., self.task.target] if self.all.values.ndim == 3 else self.all

    def picture(self, draw) -> bytes:
        """Return the PNG of what draws."""
        import matplotlib.pyplot as plt

        plt.close("all")
        draw()
        held = io.BytesIO()
        plt.gcf().savefig(held, format="png")
        return held.getvalue()

    def steps(self) -> dict[str, object]:
        """Return each step by its name."""
        plots, sv = self.shap.plots, self.values
        first = self.x.columns[int(np.abs(sv.values).mean(0).argmax())]
        middle = self.x[self.task.cohort].median()
        groups = ["low" if value <= middle else "high" for value in self.x[self.task.cohort]]
        return {
            "bars": lambda: self.picture(lambda: plots.bar(sv, show=False)),
            "beeswarm": lambda: self.picture(lambda: plots.beeswarm(sv, show=False)),
            "waterfall": lambda: self.picture(lambda: plots.waterfall(sv[0], show=False)),
            "dependence": lambda: self.picture(lambda: plots.scatter(sv[:, first], show=False)),
            "interaction": lambda: self.picture(lambda: plots.scatter(sv[:, first], color=sv, show=False)),
            "cohorts": lambda: self.picture(lambda: plots.bar(sv.cohorts(groups).abs.mean(0), show=False)),
            "a row": lambda: self.picture(
                lambda: plots.force(
                    sv.base_values[0], sv.values[0], self.x.iloc[0].round(2), matplotlib=True, show=False
                )
            ),
            "heat map": lambda: self.picture(lambda: plots.heatmap(sv, show=False)),
            "text": lambda: str(pd.Series(np.abs(sv.values).mean(0), self.x.columns).sort_values()),
            "saving": lambda: pickle.loads(pickle.dumps(sv)),  # noqa: S301
            "classes": lambda: [
                self.picture(lambda k=k: plots.bar(self.all[..., k] if self.task.classes else sv, show=False))
                for k in range(max(1, len(self.task.classes)))
            ],
        }


class Own:
    """The steps with pnpxai."""

    def __init__(self, task: Task, rows: int) -> None:
        self.task, self.rows = task, rows
        self.auto = pnpxai.auto_explain(task.model, task.frame, class_names=task.classes, background=task.background,
                                        target=task.target)  # fmt: skip

    def explain(self) -> None:
        """Explain the rows, and summarise them."""
        self.explanation = self.auto.explain("ShapleyValues", count=self.rows)
        self.summary = pnpxai.tables.TableSummary.of(self.explanation)

    def steps(self) -> dict[str, object]:
        """Return each step by its name."""
        summary, one = self.summary, self.explanation[0]
        first = summary.names[int(summary.order[0])]

        def saved() -> object:
            with tempfile.TemporaryDirectory() as folder:
                return pnpxai.Explanation.load(self.explanation.save(Path(folder) / "e"))

        def of_classes() -> list[bytes]:
            count = max(1, len(self.task.classes))
            others = [self.auto.summary("ShapleyValues", rows=self.rows, target=k) for k in range(count)
                      if k != self.task.target]  # fmt: skip
            return [each.plot("bars")._repr_png_() for each in (summary, *others)]

        return {
            "bars": lambda: summary.plot("bars")._repr_png_(),
            "beeswarm": lambda: summary.plot("beeswarm")._repr_png_(),
            "waterfall": lambda: one.plot(style="waterfall")._repr_png_(),
            "dependence": lambda: summary.plot("dependence", column=first)._repr_png_(),
            "interaction": lambda: (summary.interactions(first), summary.plot("dependence", column=first)._repr_png_())[
                1
            ],
            "cohorts": lambda: summary.plot("cohorts", by=self.task.cohort)._repr_png_(),
            "a row": lambda: one.plot()._repr_png_(),
            "heat map": lambda: summary.plot("heat map")._repr_png_(),
            "text": lambda: repr(summary),
            "saving": saved,
            "classes": of_classes,
        }


def exact_gap(task: Task, own: Own) -> float:
    """Return how far the sums are from f(x) - E[f]."""
    values = own.summary.columns.attributions.sum(1)
    with torch.no_grad():
        scores = task.model(torch.tensor(task.frame.head(own.rows).to_numpy()))[:, task.target]
        base = task.model(torch.tensor(task.background.to_numpy()))[:, task.target].mean()
    return float(np.abs((scores - base).numpy() - values).max())


def large(rows: int = 10_000, columns: int = 30) -> float:
    """Return the seconds by the clock of a summary of many rows, with its pictures."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(columns, 64), nn.ReLU(), nn.Linear(64, 2)).eval()
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(rows, columns)).astype(np.float32)).rename(columns=str)
    start = time.perf_counter()
    summary = pnpxai.auto_explain(model, frame).summary(rows=rows)
    for style in ("bars", "beeswarm", "dependence", "cohorts", "heat map"):
        summary.plot(style)._repr_png_()
    repr(summary)
    return time.perf_counter() - start


def main() -> None:
    """Print a table for each task."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=100)
    options.add_argument("--pictures", type=Path)
    chosen = options.parse_args()
    warnings.simplefilter("ignore")
    sys.path.remove(str(Path(__file__).parent))  # whose coverage.py numba would take for the library of that name
    try:
        import shap  # noqa: F401
    except ImportError as missing:
        raise MissingExtraError("benchmarks/rivals.sh tables.py installs shap") from missing
    for task in tasks():
        sides = {"shap": Shap(task, chosen.rows), "pnpxai": Own(task, chosen.rows)}
        seconds = {"explain": [timed(side.explain, CPU)[0] for side in sides.values()]}
        steps = {name: side.steps() for name, side in sides.items()}
        for step in steps["shap"]:
            timed(steps["shap"][step], CPU)  # the first picture loads fonts
            timed(steps["pnpxai"][step], CPU)
            results = [timed(of[step], CPU) for of in steps.values()]
            seconds[step] = [time for time, _ in results]
            for name, (_, result) in zip(steps, results, strict=True):
                if chosen.pictures is not None and isinstance(result, bytes):
                    chosen.pictures.mkdir(parents=True, exist_ok=True)
                    (chosen.pictures / f"{task.name} {step} {name}.png").write_bytes(result)
        print(f"\n{task.name}: {chosen.rows} rows of {task.frame.shape[1]} columns; sums miss f - E[f] by at most "
              f"{exact_gap(task, sides['pnpxai']):.1g}")  # fmt: skip
        print(
            pd.DataFrame(seconds, index=["shap", "pnpxai"]).T.assign(times=lambda f: f["shap"] / f["pnpxai"]).round(3)
        )
    print(f"\n10,000 rows of 30 columns, summarised and drawn: {large():.1f} s by the clock")


if __name__ == "__main__":
    main()
