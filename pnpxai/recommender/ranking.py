"""Tuned explainers in order, with how sure the order is, what tuning gained and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pandas as pd

from pnpxai.declare.text_columns import filled, in_columns
from pnpxai.errors import ArgumentError
from pnpxai.files import ReadJson, read_json, write_json
from pnpxai.metrics.evaluation import Candidate
from pnpxai.model_types import Model
from pnpxai.pictures.notebook import table_html
from pnpxai.statistics import Decision, Interval
from pnpxai.tuning import RowCount, TuningResult

__all__ = ["Ranking"]


@dataclass(frozen=True)
class Ranking:
    """Tuned explainers, ranked on examples that they were not tuned on.

    Attributes:
        decision: the verdict.
        tuned: the tuning results by label.
        means: metric -> label -> the mean on those examples, with its interval.
        failed: explainers that could not be tuned, with the reason.
        dropped: explainers that were given up while tuning, with the reason.
        rejected: explainers that do not fit, with the reason.
        rows: what it cost.
        seconds: how long it took.
        trials: number of trials.
    """

    decision: Decision
    tuned: dict[str, TuningResult]
    means: dict[str, dict[str, Interval]]
    failed: dict[str, str]
    dropped: dict[str, str]
    rejected: dict[str, str]
    rows: RowCount
    seconds: float = field(compare=False)
    trials: int

    @property
    def best(self) -> Candidate:
        """The candidate that ranks first, ready to use; proven or, where the examples are too few to tell, not.

        Raises:
            ArgumentError: nothing does better than the controls.
        """
        label = self.decision.first
        if label is None:
            raise ArgumentError(self.decision.sentence())
        return self.tuned[label].best

    @property
    def rows_saved(self) -> int:
        """How many rows sharing saved."""
        return self.rows.separate - self.rows.used

    def table(self) -> pd.DataFrame:
        """Return one row for each explainer, best first."""
        rows = []
        for label, interval in sorted(self.decision.mean_rank.items(), key=lambda item: item[1].mean):
            result = self.tuned.get(label)
            place = "best" if label == self.decision.best else "as good" if label in self.decision.set else ""
            row = {"explainer": label, "mean rank": interval.text(form=".2f")}
            row |= {metric: of_label[label].text(self.decision.n, ".2f") for metric, of_label in self.means.items()}
            row["gain by tuning"] = result.gain.text(form="+.2f") if result else ""
            row["verdict"] = place or self.decision.dropped.get(label, "")
            rows.append(row)
        return pd.DataFrame(rows)

    def __str__(self) -> str:
        table = in_columns(self.table().to_dict("list"))
        return "\n".join([filled(self.decision.sentence()), "", table, "", *map(filled, self._notes())])

    def _repr_html_(self) -> str:
        return table_html([self.decision.sentence()], self.table(), self._notes())

    def _notes(self) -> list[str]:
        """Return sentences on how the table came about."""
        notes: list[str] = []
        if self.tuned:
            metric = next(iter(self.tuned.values())).metric
            notes.append(f"mean [95 % interval] over {self.decision.n} held-out examples; gain in {metric}")
        if self.dropped:
            notes.append(f"Given up while tuning, being clearly worse: {', '.join(self.dropped)}")
        for limit, counts in self._ruled_out().items():
            notes.append(f"{limit} ruled out {', '.join(f'{count} of {label}' for label, count in counts.items())}")
        notes += [f"{label} failed: {reason}" for label, reason in self.failed.items()]
        if self.rejected:
            notes.append(f"Do not fit: {', '.join(self.rejected)}")
        return [*notes, f"{self.trials} trials in {self.seconds:.0f} s, {self.rows}"]

    def _ruled_out(self) -> dict[str, dict[str, int]]:
        counts_by_limit: dict[str, dict[str, int]] = {}
        for result in self.tuned.values():
            for check in result.limits:
                counts_by_limit[check.limit] = counts_by_limit.get(check.limit, {}) | check.ruled_out
        return {limit: counts for limit, counts in counts_by_limit.items() if counts}

    def to_dict(self) -> dict[str, object]:
        """Return everything, ready for JSON."""
        decision = asdict(self.decision) | {"set": list(self.decision.set)}
        return {
            "decision": decision,
            "tuned": {label: result.to_dict() for label, result in self.tuned.items()},
            "means": {m: {label: asdict(i) for label, i in of.items()} for m, of in self.means.items()},
            "failed": self.failed,
            "dropped": self.dropped,
            "rejected": self.rejected,
            "rows": asdict(self.rows),
            "seconds": self.seconds,
            "trials": self.trials,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, ReadJson], model: Model) -> Ranking:
        """Return what ``to_dict`` gave, on a model. Nothing is executed or imported.

        Raises:
            ArgumentError: it is no ranking.
        """
        try:
            decision = dict(data["decision"])
            ranks = {label: Interval.from_dict(interval) for label, interval in decision["mean_rank"].items()}
            names = {name: tuple(decision[name]) for name in ("set", "metrics") if name in decision}
            decision |= names | {"mean_rank": ranks}
            means = {m: {label: Interval.from_dict(i) for label, i in of.items()} for m, of in data["means"].items()}
            tuned = {label: TuningResult.from_dict(entry, model) for label, entry in data["tuned"].items()}
            plain = {name: data[name] for name in ("failed", "dropped", "rejected", "seconds", "trials")}
            return cls(Decision(**decision), tuned, means, rows=RowCount(**data["rows"]), **plain)
        except ArgumentError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as problem:
            raise ArgumentError(f"data: expected a ranking as to_dict gives it: {problem}") from problem

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict`` as JSON, complete or not at all."""
        return write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | Path, model: Model) -> Ranking:
        """Read what ``save`` wrote; see ``from_dict``."""
        return cls.from_dict(read_json(Path(path), "path"), model)
