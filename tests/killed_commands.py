"""One comparison, search or ranking, for a process of its own."""

import json
from pathlib import Path

import torch

from pnpxai import AutoExplanation
from pnpxai.experiment import compare
from pnpxai.explainers import SmoothGrad
from pnpxai.traits import Traits
from pnpxai.tuning import tune
from tests.small import Bright, examples

QUIET = {"show_progress": False}


def main(what: str, folder: Path) -> str:
    """Do it, or what is left of it, and return what it gives as text."""
    torch.set_num_threads(1)
    net = Bright()
    if what == "compare":
        results = compare(
            net, examples(net, 96, 8), ["SmoothGrad", "Gradient"], ["AbPC", "Complexity"], traits=Traits.image(),
            folder=folder / "run", chunk=8, **QUIET,
        )  # fmt: skip
        return results.table.to_csv()
    if what == "tune":
        result = tune(
            SmoothGrad(net), examples(net, 40, 20), "AbPC", traits=Traits.image(), n_trials=12, sampler="tpe",
            storage=folder / "tuning.db", n_seeds=0, **QUIET,
        )  # fmt: skip
        return json.dumps([(t.params, t.values, sorted(t.intermediate_values.items())) for t in result.study.trials])
    auto = AutoExplanation(net, torch.rand(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)), modality="image")
    ranking = auto.rank(["Gradient", "SmoothGrad"], n_trials=4, storage=folder / "ranking.journal", **QUIET)
    means = {metric: {label: i.mean for label, i in of.items()} for metric, of in ranking.means.items()}
    return json.dumps([means, {label: of.best.settings() for label, of in ranking.tuned.items()}])


def write(what: str, folder: Path) -> None:
    """Do it, and write what it gives as ``done``."""
    (folder / "done").write_text(main(what, folder))
