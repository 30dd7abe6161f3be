"""The words and tables of the page, taken from results."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from pnpxai.declare.declared import Declared
from pnpxai.declare.encoding import unlabelled
from pnpxai.declare.registry import by_name
from pnpxai.errors import ArgumentError
from pnpxai.experiment import Results
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric
from pnpxai.report.strips import Scale, Span, interval
from pnpxai.report.words import counted, definition, setting
from pnpxai.statistics import Interval
from pnpxai.strategies.postprocessing import PostProcessor

__all__ = ["Ranked", "compared", "descriptions", "learned", "ranking", "settings", "undefined", "unfit"]

_PLACES = ("best", "ties", "behind", "dropped", "control")


@dataclass(frozen=True)
class Ranked:
    """One row of the ranking.

    Attributes:
        label: the explainer.
        place: best, ties, behind, dropped or control.
        order: where that place comes when sorted.
        why: why it was dropped.
        rank: its mean rank.
        span: where the mean rank lies on the scale of all ranks.
        means: every metric's mean.
        seconds: time to explain all examples.
        rows: forward rows that one explanation takes; None where that is not known.
    """

    label: str
    place: str
    order: int
    why: str
    rank: Interval
    span: Span | None
    means: dict[str, Interval]
    seconds: float
    rows: int | None


def ranking(results: Results) -> list[Ranked]:
    """Return the explainers, best mean rank first."""
    decision, scale = results.decision, Scale(1, max(2, len(results.settings)))
    rows = []
    for label in results.explainers:
        why = decision.dropped.get(label, "")
        if results.settings[label].get("control"):
            place, why = "control", ""
        elif label == decision.best:
            place = "best"
        else:
            place = "ties" if label in decision.set else "dropped" if why else "behind"
        rank = decision.mean_rank[label]
        means = {metric: results.interval(metric, label) for metric in results.directions}
        seconds = float(results.seconds.loc[label, "explaining"])
        cost = float(results.seconds.loc[label].get("rows", -1))
        span = interval(rank, scale)
        n_rows = None if cost < 0 else int(cost)
        rows.append(Ranked(label, place, _PLACES.index(place), why, rank, span, means, seconds, n_rows))
    return rows


def compared(results: Results) -> list[tuple[str, str]]:
    """Return what was compared, as terms and facts."""
    facts, n_controls = results.facts, sum(bool(s.get("control")) for s in results.settings.values())
    explainers = counted(len(results.settings) - n_controls, "explainer")
    versions = facts.get("versions", {})
    pairs = [
        ("Model", str(facts.get("model", "not recorded"))),
        ("Examples", str(results.decision.n)),
        ("Explainers", f"{explainers} and {counted(n_controls, 'control')}" if n_controls else explainers),
        ("Metrics", ", ".join(results.metrics)),
        ("Seed", str(facts.get("seed", "not recorded"))),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded"),
    ]
    known = {"model", "examples", "seed", "versions", "metrics", "views", "command"}
    if "metrics" in facts.get("rule", {}):  # those that decided, of all that the rule knows
        facts = facts | {"rule": facts["rule"] | {"metrics": list(results.decision.metrics)}}
    return pairs + [(name.replace("_", " ").capitalize(), setting(v)) for name, v in facts.items() if name not in known]


def undefined(results: Results) -> list[dict[str, object]]:
    """Return how often, and why, a metric has no value for an explainer."""
    missing = [row for row in results.table.to_dict("records") if math.isnan(row["value"])]
    reasons = [row["reason"] if isinstance(row["reason"], str) else "no reason was given" for row in missing]
    counts = Counter((row["explainer"], row["metric"], reason) for row, reason in zip(missing, reasons, strict=True))
    names = ("explainer", "metric", "reason", "count")
    return [dict(zip(names, (*of, count), strict=True)) for of, count in counts.items()]


def learned(results: Results) -> list[dict[str, object]]:
    """Return the tuned settings, and whether their gain can be told from none."""
    rows = []
    for tuned in results.tuned:
        gain = Interval.from_dict(tuned["held_out_gain"])
        if not math.isfinite(gain.mean):
            verdict = "not measured"
        elif gain.low > 0:
            verdict = "better than the default"
        else:
            verdict = "worse than the default" if gain.high < 0 else "not told apart from the default"
        rows.append({
            "label": tuned["label"], "metric": tuned["metric"], "value": tuned["value"], "trials": tuned["trials"],
            "gain": gain, "verdict": verdict,
            "settings": setting(_apart(Explainer, tuned["explainer"])[0]),
            "postprocessor": setting(_apart(PostProcessor, tuned["postprocessor"])[0]),
        })  # fmt: skip
    return rows


def settings(results: Results) -> list[dict[str, object]]:
    """Return every explainer's and every metric's settings, as pairs of names and texts."""
    rows = []
    for label in results.explainers:
        of = results.settings[label]
        explainer, others = _apart(Explainer, of["explainer"])
        post, axes = _apart(PostProcessor, of["postprocessor"])
        parts = {"explainer": _pairs(explainer), "post-processing": _pairs(post)}
        parts["not searched"] = _pairs(others | {f"{name} (post-processing)": v for name, v in axes.items()})
        rows.append({"label": label, "kind": "control" if of.get("control") else "explainer", "parts": parts})
    for name, of in results.facts.get("metrics", {}).items():
        rows.append({"label": name, "kind": "metric", "parts": {"metric": _pairs(of)}})
    return rows


def unfit(results: Results) -> list[tuple[str, str]]:
    """Return the explainers that do not fit, with the reason."""
    return sorted(results.rejected.items())


def descriptions(results: Results) -> list[dict[str, object]]:
    """Return the opening of each metric's docstring."""
    rows = []
    for name, higher in results.directions.items():
        try:
            prose = definition(by_name(Metric, unlabelled(name), "metric"))
        except ArgumentError:  # made where this page is not
            prose = ()
        rows.append({"name": name, "higher": higher, "prose": prose})
    return rows


def _apart(base: type[Declared], settings: object) -> tuple[object, dict[str, object]]:
    """Return the settings that can be searched, with the type; and the others that are set."""
    if not isinstance(settings, dict):
        return settings, {}
    try:
        names = {"type", *_class(base, settings["type"]).searched()}
    except (ArgumentError, KeyError):  # made where this page is not
        return settings, {}
    others = {name: value for name, value in settings.items() if name not in names and value is not None}
    return {name: value for name, value in settings.items() if name in names}, others


def _class(base: type[Declared], name: str) -> type[Declared]:
    return base if base.__name__ == name else by_name(base, name, base.__name__)


def _pairs(values: object) -> list[tuple[str, str]]:
    if not isinstance(values, dict):
        return [] if values is None else [("", setting(values))]
    return [(str(name), setting(value)) for name, value in values.items() if value is not None]
