"""Explainers x metrics x examples, chunk after chunk: what is known is kept, what is missing is computed."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

import pnpxai
from pnpxai.declare.counts import whole_number
from pnpxai.declare.marks import Settings
from pnpxai.engine.running.guard import module_of
from pnpxai.errors import ArgumentError
from pnpxai.example_targets import largest
from pnpxai.examples import EvidenceMasks, Examples
from pnpxai.experiment.results import Results, decided
from pnpxai.experiment.running.batches import Data, Stream
from pnpxai.experiment.running.chunks import ChunkReader
from pnpxai.experiment.running.work import Job
from pnpxai.experiment.running.workers import carried_out
from pnpxai.experiment.storage.keys import explainer_key, metric_key, run_model_key, settings_of
from pnpxai.experiment.storage.saved_examples import shown_maps
from pnpxai.experiment.storage.store import Store, writing
from pnpxai.experiment.storage.tables import Tables
from pnpxai.files import ReadJson
from pnpxai.metrics.base import Metric
from pnpxai.metrics.evaluation import Candidate
from pnpxai.metrics.faithfulness.scales import ROWS, suited_to_data
from pnpxai.metrics.selection import ExplainerSpec, MetricSpec, as_candidates, as_metrics, several
from pnpxai.model_types import Model, ModelInputs
from pnpxai.recommender import by_facts
from pnpxai.recommender.fit import ModalitySpec, needed_traits
from pnpxai.statistics import DecisionRule, default_rule
from pnpxai.tuning import TuningResult

__all__ = ["DEFAULT_METRICS", "compare"]

DEFAULT_METRICS = ("MultiScaleCorrelation", "AbPC", "Sensitivity", "Complexity")
_CPU_CHUNK, _GPU_CHUNK = 32, 128
_log = logging.getLogger("pnpxai")


def compare(
    model: Model,
    examples: Examples | Stream | Data,
    explainers: Sequence[ExplainerSpec] | None = None,
    metrics: Sequence[MetricSpec] | None = None,
    *,
    traits: ModalitySpec,
    folder: str | Path | None = None,
    executor: Executor | None = None,
    rule: DecisionRule | None = None,
    seed: int = 0,
    keep: int | Sequence[int] = 16,
    map_bytes: int | None = 2**30,
    masks: EvidenceMasks = None,
    controls: bool = True,
    common: Settings | None = None,
    model_id: str | None = None,
    target_extractor: Callable[[ModelInputs], ModelInputs] | None = None,
    chunk: int | None = None,
    facts: Mapping[str, object] | None = None,
    show_progress: bool = True,
) -> Results:
    """Compare explainers on examples.

    Examples are read and done in chunks, so that memory does not grow with their number. With a folder, every chunk is
    kept there when it is done: the same call goes on after any interruption, and with further explainers, metrics or
    examples computes only what is new. Results are known by the model's state, all settings, the source of explainers
    and metrics that are not this package's, and this package's version: by another one, all is computed again, which is
    logged. What an explainer or a metric refuses, or breaks on, is a cell without a value
    but with a reason. Values do not depend on the executor.

    Args:
        model: the model.
        examples: what is explained: examples with their targets, or data; see ``Stream.of``.
        explainers: names, classes, configured explainers or tuning results; by default all that fit, at their defaults.
        metrics: names, classes or configured metrics; by default ``DEFAULT_METRICS``.
        traits: what the data is: facts, a modality, its name such as "image", or a tuple with one for each input.
        folder: the run folder: ``values.parquet``, ``run.json``, ``maps.safetensors``, and ``store`` with what is done.
        executor: does the chunks: any ``concurrent.futures.Executor``, such as a process pool, ``OnDevices`` or what
            ``distributed.Client.get_executor()`` returns. By default they are done here, one after another.
        rule: how it is decided; by default ``WithPrior``, where ``MultiScaleCorrelation`` is measured.
        seed: fixes all draws.
        keep: how many examples' maps are shown, or the numbers of these examples.
        map_bytes: the folder keeps all examples' maps until they take so much room (1 GiB; None for any), so that a
            further metric does not explain them again.
        masks: what is known to matter in each example, for metrics that ask for it: (examples, *positions) truth
            values, or a sequence with one for each example; a tuple with one for each input where there are several.
        controls: add maps that ignore the model, which an explainer must beat.
        common: settings that all explainers and metrics share (extractors, layer, channel_dim).
        model_id: names the model, where its state cannot be seen.
        target_extractor: says from the model's output what is explained, where the examples have no targets; by default
            the largest output.
        chunk: how many examples are done at once at most; by default 32 on a CPU, 128 on a GPU. A batch of the data is
            cut where it is larger; another number may change the last digits.
        facts: what else the run is to remember, ready for JSON.
        show_progress: show a progress bar.

    Raises:
        ArgumentError: a name is unknown, nothing is left to compare, another run is writing to the folder, or settings
            cannot be written to it.
    """
    stream = Stream.of(examples)
    stream = stream if masks is None else replace(stream, beside=masks)
    traits = needed_traits(traits, "traits")
    common = traits.shared(common)
    rule = default_rule(traits) if rule is None else rule
    fit = by_facts(model, traits)
    specs = list(fit.explainers if explainers is None else several(explainers))
    specs += list(fit.controls) if controls else []
    candidates = as_candidates(specs, model, traits, common)
    if not candidates:
        raise ArgumentError("explainers: expected at least one, got none")
    place = getattr(executor, "device_type", None) or _device(model)
    size = chunk if chunk is not None else (_CPU_CHUNK if place == "cpu" else _GPU_CHUNK)
    size, seed = whole_number("chunk", size), whole_number("seed", seed, 0)
    map_bytes = None if map_bytes is None else whole_number("map_bytes", map_bytes, 0)
    judges = as_metrics(DEFAULT_METRICS if metrics is None else metrics, model, common)
    judges = suited_to_data(judges, stream.first(ROWS), traits)
    stored = folder is not None
    known: dict[str, ReadJson] = {
        "seed": seed,
        "model": run_model_key(model, model_id, stored=stored),
        "device": place,
        "chunk": size,
        "versions": {"pnpxai": pnpxai.__version__, "python": platform.python_version(), "torch": torch.__version__},
        "rule": rule.to_dict(),
        "metrics": {label: settings_of(m, stored=stored) for label, m in judges.items()},
    }
    extractor = None if stream.targets is not None else target_extractor or largest
    plan = _Plan.of(candidates, judges, known, extractor, stored=stored)
    job = Job(plan.by_key, plan.metrics_by_key, seed, model, extractor, common, torch.get_num_threads())
    folder = None if folder is None else Path(folder)
    with writing(folder):
        store = Store(None if folder is None else folder / "store", map_bytes)
        for version in store.opened_by(pnpxai.__version__):
            _log.warning(
                "folder: %s holds what version %s of pnpxai computed: it stays, but is computed again by %s",
                folder, version, pnpxai.__version__,
            )  # fmt: skip
        read = ChunkReader(stream, job, store, size, keep)
        _run(job, read, store, executor, show_progress)
        tuned = tuple(_tuning_record(spec) for spec in specs if isinstance(spec, TuningResult))
        results = plan.results(read, store, rule, dict(facts or {}), rejected=fit.reasons, tuned=tuned)
        if folder is not None:
            results.save(folder)
    return results


def _run(job: Job, read: ChunkReader, store: Store, executor: Executor | None, show_progress: bool) -> None:
    """Do what is missing, chunk after chunk."""
    total = len(read.stream) * len(job.candidates) or None
    with tqdm(total=total, desc="comparing", unit="map", disable=not show_progress) as bar:
        read.progress = bar.update
        for task, result in carried_out(job, read.tasks(), executor):
            store.add(result)
            bar.update(task.rows)
    if not read.identities:
        raise ArgumentError("data: expected at least one example, got none")
    store.compact()


@dataclass(frozen=True)
class _Plan:
    """The explainers and metrics of a comparison, and what each is known by in a store.

    Attributes:
        candidates: the explainers with their post-processing.
        settings: label -> settings of an explainer.
        keys: label -> key of an explainer; equal keys mean equal results.
        metrics: label -> metric.
        known: facts about the run.
    """

    candidates: list[Candidate]
    settings: dict[str, Mapping[str, object]]
    keys: dict[str, str]
    metrics: dict[str, Metric]
    known: dict[str, ReadJson]

    @classmethod
    def of(
        cls,
        candidates: list[Candidate],
        judges: dict[str, Metric],
        known: dict[str, ReadJson],
        extractor: Callable[[ModelInputs], ModelInputs] | None,
        *,
        stored: bool,
    ) -> _Plan:
        """Return the plan; ``extractor`` says what is explained where examples have no targets."""
        settings = {c.label: settings_of(c, stored=stored) for c in candidates}
        keys = {c.label: explainer_key(c, settings[c.label], known, extractor, stored=stored) for c in candidates}
        return cls(candidates, settings, keys, judges, known)

    @property
    def by_key(self) -> dict[str, Candidate]:
        """The candidates by key: what has the same settings is done once."""
        return {self.keys[c.label]: c for c in self.candidates}

    @property
    def metrics_by_key(self) -> dict[str, Metric]:
        """The metrics by key."""
        settings = self.known["metrics"]
        return {metric_key(metric, settings[label]): metric for label, metric in self.metrics.items()}

    def results(
        self, read: ChunkReader, store: Store, rule: DecisionRule, facts: dict[str, object], **beside: Any
    ) -> Results:
        """Return the results that the store holds."""
        directions = {label: m.higher_is_better for label, m in self.metrics.items()}
        names = dict(zip(self.metrics_by_key, self.metrics, strict=True))
        need_masks = [key for key, metric in self.metrics_by_key.items() if metric.needs_masks]
        tables = Tables(store.cells(), read.identities, read.with_masks, self.keys, names, need_masks)
        table = tables.values(read.keys, read.labels)
        first, *others = shown_maps(store.maps, self.keys, read.shown)
        return Results(
            table=table,
            seconds=tables.seconds(),
            decision=decided(table, directions, [c.label for c in self.candidates if c.control], rule),
            directions=directions,
            settings={c.label: {**self.settings[c.label], "control": c.control} for c in self.candidates},
            maps=first.maps,
            inputs=first.inputs,
            facts=self.known | {"examples": len(read.identities)} | facts,
            curves=tables.curves(),
            kept=tuple(example.number for example in read.shown),
            further=tuple(others),
            **beside,
        )


def _device(model: Model) -> str:
    module = module_of(model)
    first = next(module.parameters(), None) if module is not None else None
    return "cpu" if first is None else first.device.type


def _tuning_record(result: TuningResult) -> dict[str, object]:
    """Return a tuning result for JSON, with the value of every trial (None where its settings were refused)."""
    trials = getattr(result.study, "trials", ())
    return result.to_dict() | {"curve": [None if t.value is None else float(t.value) for t in trials]}
