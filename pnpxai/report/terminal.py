"""Results as tables for a terminal, 80 columns wide: means of what decides, and the verdict."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from textwrap import wrap

from rich.box import SIMPLE_HEAD
from rich.table import Table

from pnpxai.experiment import Results
from pnpxai.recommender import Ranking, Recommendation
from pnpxai.recommender.recommendation import START_WORDS
from pnpxai.statistics import Decision, Interval

__all__ = ["comparison", "fit", "ranking"]

_MOST = 3


def fit(fitting: Recommendation, width: int = 80) -> str:
    """Return which explainers fit, and those that do not by their reasons, in lines of so many columns."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in fitting.reasons.items():
        by_reason.setdefault(reason, []).append(name)
    lines = wrap(fitting.summary, width)
    others = [_timed(fitting, cls) for cls in fitting.in_order if cls not in fitting.start_with]
    first = [_timed(fitting, cls) for cls in fitting.start_with]
    parts = [(f"start with {START_WORDS[len(first)]}", first)] if first else []
    rest = ", the rest" if first else ""
    parts.append((f"{len(fitting)} explainers fit{rest}{', the quickest first' if fitting.seconds else ''}", others))
    parts += [(f"{len(names)} not: {reason}", names) for reason, names in by_reason.items()]
    for head, names in parts:
        lines += ["", *wrap(f"{head}:", width)]
        lines += wrap(", ".join(names) or "none", width, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)


def _timed(fitting: Recommendation, cls: type) -> str:
    """Return an explainer's name, with the seconds that one example takes where they are known."""
    seconds = fitting.seconds_of(cls)
    return f"{cls.__name__} {seconds}\N{NO-BREAK SPACE}s" if seconds else cls.__name__


def comparison(results: Results) -> Table:
    """Return one row for each explainer: its rank, means of the metrics that decide (else of a few), the verdict."""
    deciding = [name for name in results.decision.metrics if name in results.directions]
    shown = (deciding or list(results.metrics))[:_MOST]
    directions = {name: results.directions[name] for name in shown}
    means = {label: [results.interval(metric, label) for metric in shown] for label in results.explainers}
    controls = {label for label in means if results.settings[label]["control"]}
    return _table(results.decision, directions, means, controls, {})


def ranking(result: Ranking) -> Table:
    """Return one row for each tuned explainer and control: its rank, means, the gain by tuning, the verdict."""
    labels = sorted(result.decision.mean_rank, key=lambda label: result.decision.mean_rank[label].mean)
    shown = list(result.means)[:_MOST]
    means = {label: [result.means[metric][label] for metric in shown] for label in labels}
    gains = {label: tuned.gain.mean for label, tuned in result.tuned.items()}
    return _table(result.decision, dict.fromkeys(shown), means, means.keys() - gains.keys(), gains)


def _table(
    decision: Decision,
    directions: Mapping[str, bool | None],
    means: Mapping[str, Sequence[Interval]],
    controls: set[str],
    gains: Mapping[str, float],
) -> Table:
    digits = [_decimals([interval.mean for interval in column]) for column in zip(*means.values(), strict=True)]
    verdicts = [_verdict(decision, label) for label in means]
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("explainer", overflow="fold", min_width=min(max(map(len, means), default=0), 30))
    table.add_column("rank", no_wrap=True, justify="right")
    for name, up in directions.items():
        words = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", name)
        arrow = "" if up is None else " ↑" if up else " ↓"
        least = min(max(map(len, words.split())), 12)
        table.add_column(f"{words}{arrow}", min_width=least, overflow="fold", justify="right")
    if gains:
        table.add_column("gain", no_wrap=True, justify="right")
    table.add_column("verdict", overflow="fold", min_width=min(max(map(len, verdicts)), 15))
    for (label, of), verdict in zip(means.items(), verdicts, strict=True):
        rank = decision.mean_rank.get(label)
        row = [
            "" if rank is None else f"{rank.mean:.2f}",
            *(_mean(i, d, decision.n) for i, d in zip(of, digits, strict=True)),
        ]
        row += [f"{gains[label]:+.2f}" if label in gains else ""] if gains else []
        style = "bold" if label == decision.best else "dim" if label in controls else ""
        table.add_row(label, *row, verdict, style=style)
    return table


def _mean(interval: Interval, digits: int, n: int) -> str:
    """Return a mean, with its number of examples where that is not all of them."""
    return f"{interval.mean:.{digits}f}" + ("" if interval.n == n else f" (of {interval.n})")


def _decimals(values: Sequence[float]) -> int:
    """Return how many decimals give the largest of the values three digits."""
    largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    return 2 if not largest else min(max(2 - math.floor(math.log10(largest)), 0), 9)


def _verdict(decision: Decision, label: str) -> str:
    if label == decision.best:
        return "best"
    words = "ties" if label in decision.set else decision.dropped.get(label, "")
    return words.replace("a control", "control")
