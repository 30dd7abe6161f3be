"""``TuningResult``: the tuned explainer, its gain on held-out examples, how stable that is, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pnpxai.errors import ArgumentError
from pnpxai.explainers.base import Explainer
from pnpxai.files import ReadJson, read_json, write_json
from pnpxai.metrics.evaluation import Candidate
from pnpxai.model_types import Model
from pnpxai.pictures.notebook import lines_html
from pnpxai.statistics import Interval
from pnpxai.strategies.postprocessing import PostProcessor
from pnpxai.tuning.trials.shared_runs import RowCount

if TYPE_CHECKING:
    import optuna

__all__ = ["LimitCheck", "Stability", "TuningResult"]


@dataclass(frozen=True)
class Stability:
    """How much the held-out values of the best settings depend on the examples and on random draws.

    Attributes:
        spread: standard deviation of the values over examples.
        improved: share of the examples on which the best is better than the default.
        over_seeds: mean value under each of a few other seeds; all equal if the explainer draws nothing.
    """

    spread: float
    improved: float
    over_seeds: tuple[float, ...]


@dataclass(frozen=True)
class LimitCheck:
    """How a search kept within a limit.

    Attributes:
        limit: the limit, in words.
        value: mean value of the limited metric or cost for the best settings.
        ruled_out: number of trials outside the limit, by explainer.
        nearest: mean value of the trial that is furthest within the limit, or least outside.
    """

    limit: str
    value: float | None
    ruled_out: dict[str, int]
    nearest: float | None

    def refusal(self) -> str:
        """Return in words how the limit was missed."""
        nearest = "none has a value" if self.nearest is None else f"the nearest had {self.nearest:.4g}"
        return f"{self.limit} ({nearest}; {sum(self.ruled_out.values())} trials did not)"

    def __str__(self) -> str:
        counts = ", ".join(f"{label} {count}" for label, count in self.ruled_out.items())
        out = f"ruled out {counts} trials" if counts else "ruled out nothing"
        return f"{self.limit}: {'no value' if self.value is None else f'{self.value:.4g}'}; {out}"


@dataclass(frozen=True)
class TuningResult:
    """The result of a search.

    Attributes:
        best: the tuned candidate, ready to use.
        default: the settings that the search of the best's explainer started from.
        metric: the metric's name; of several the first's.
        value: mean value of the best on the examples that were tuned on.
        gain: best minus default on held-out examples, oriented so that more is better, with a paired interval.
        trials: number of trials that ended, of which
        refused: this many had settings that cannot work, and
        stopped: this many ended early, being clearly worse.
        held_out: the mean value of the best on held-out examples, with an interval.
        stability: how much that depends on examples and draws.
        rows: what the search cost.
        front: of several metrics, the candidates that none is better than in all of them, with their mean values.
        limits: for each limit, what it ruled out, and how the best settings keep within it.
        study: the Optuna study (not saved), for its plots:
            ``optuna.visualization.matplotlib.plot_slice(result.study)``.
    """

    best: Candidate
    default: Candidate
    metric: str
    value: float
    gain: Interval
    trials: int
    refused: int
    study: optuna.Study | None = field(default=None, compare=False, repr=False)
    stopped: int = 0
    held_out: Interval | None = None
    stability: Stability | None = None
    rows: RowCount | None = None
    front: tuple[tuple[Candidate, dict[str, float]], ...] = ()
    limits: tuple[LimitCheck, ...] = ()

    @property
    def explainer(self) -> Explainer:
        """The tuned explainer."""
        return self.best.explainer

    @property
    def postprocessor(self) -> PostProcessor:
        """The tuned post-processing."""
        return self.best.postprocessor

    def __str__(self) -> str:
        lines = [
            f"{self.best.label}: {self.metric} {self.value:.3f} after {self.trials} trials "
            f"({self.refused} refused, {self.stopped} ended early)",
            f"  {self.best.explainer.chosen()}",
            f"  {self.best.postprocessor.chosen()}",
        ]
        stays = self.best.settings() == self.default.settings()
        if stays:
            lines.append("  this is the default: nothing that was tried is better by more than chance")
        else:
            lines.append(f"  on {self.gain.n} held-out examples {self.gain} over the default")
        if self.stability is not None:
            better = "" if stays else f"better than the default on {self.stability.improved:.0%} of them; "
            seeds = ", ".join(f"{value:.3f}" for value in self.stability.over_seeds)
            lines.append(f"  {better}standard deviation {self.stability.spread:.3f}; mean under other seeds {seeds}")
        if self.rows is not None:
            lines.append(f"  {self.rows}")
        lines += [f"  {check}" for check in self.limits]
        lines += [
            f"  front: {candidate.explainer.chosen()}, {candidate.postprocessor.chosen()}: "
            + ", ".join(f"{name} {value:.3f}" for name, value in values.items())
            for candidate, values in self.front
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return lines_html(str(self))

    def to_dict(self) -> dict[str, object]:
        """Return settings and figures, ready for JSON."""
        record = {"label": self.best.label} | self.best.settings()
        record |= {"metric": self.metric, "value": self.value, "held_out_gain": asdict(self.gain)}
        record |= {"trials": self.trials, "refused": self.refused, "stopped": self.stopped}
        record |= {"default": self.default.settings()}
        for name in ("held_out", "stability", "rows"):
            value = getattr(self, name)
            record[name] = None if value is None else asdict(value)
        record["front"] = [{"label": c.label, "values": values} | c.settings() for c, values in self.front]
        return record | {"limits": [asdict(check) for check in self.limits]}

    @classmethod
    def from_dict(cls, data: Mapping[str, ReadJson], model: Model) -> TuningResult:
        """Return the result that ``to_dict`` wrote, without the study. Nothing is executed or imported.

        Args:
            data: the dictionary.
            model: the model to bind the explainers to.

        Raises:
            ArgumentError: it is no tuning result.
        """
        try:
            stability, rows, held_out = data["stability"], data["rows"], data["held_out"]
            if stability is not None:
                numbers = {name: _number(stability[name]) for name in ("spread", "improved")}
                stability = Stability(**numbers, over_seeds=tuple(map(_number, stability["over_seeds"])))
            return cls(
                best=_candidate(data["label"], data, model),
                default=_candidate(data["label"], data["default"], model),
                metric=data["metric"],
                value=_number(data["value"]),
                gain=Interval.from_dict(data["held_out_gain"]),
                trials=data["trials"],
                refused=data["refused"],
                stopped=data["stopped"],
                held_out=None if held_out is None else Interval.from_dict(held_out),
                stability=stability,
                rows=None if rows is None else RowCount(**rows),
                front=tuple((_candidate(e["label"], e, model), e["values"]) for e in data["front"]),
                limits=tuple(LimitCheck(**check) for check in data["limits"]),
            )
        except KeyError as missing:
            raise ArgumentError(f"data: expected a tuning result, but {missing} is missing") from missing
        except ArgumentError:
            raise
        except (TypeError, AttributeError, ValueError) as problem:
            raise ArgumentError(f"data: expected a tuning result as to_dict gives it ({problem})") from problem

    def save(self, path: str | Path) -> Path:
        """Write ``to_dict`` as JSON, complete or not at all."""
        return write_json(Path(path), self.to_dict())

    @classmethod
    def load(cls, path: str | Path, model: Model) -> TuningResult:
        """Read what ``save`` wrote; see ``from_dict``."""
        return cls.from_dict(read_json(Path(path), "path"), model)


def _number(value: float | None) -> float:
    """Return a number that was written to JSON, where NaN is null."""
    return float("nan") if value is None else value


def _candidate(label: str, settings: Mapping[str, ReadJson], model: Model) -> Candidate:
    return Candidate(
        label,
        Explainer.from_dict(settings["explainer"], model),
        PostProcessor.from_dict(settings["postprocessor"]),
    )
