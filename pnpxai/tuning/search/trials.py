"""Running a study: its trials planned, worked off by this process or several, and taken up again after a crash."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm.auto import tqdm

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.processes import ignoring_interrupts, own_progress_lock
from pnpxai.tuning.search.judging import Judge, Judges
from pnpxai.tuning.search.objective import Objective
from pnpxai.tuning.search.requirements import Limit
from pnpxai.tuning.search.samplers import Sampling
from pnpxai.tuning.search.shared_runs import Shared
from pnpxai.tuning.space.candidates import Space
from pnpxai.tuning.storage.queue import Queue
from pnpxai.tuning.storage.storages import StorageSpec, Store, opened

__all__ = ["Callback", "Search", "quiet"]

Callback: TypeAlias = Callable[[optuna.Study, FrozenTrial], None]
_DIRECTION = {True: optuna.study.StudyDirection.MAXIMIZE, False: optuna.study.StudyDirection.MINIMIZE}
_IDENTITY = "of"
_POLL = 0.2


@dataclass(frozen=True)
class Search:
    """All that a process needs to take part in a search.

    Attributes:
        space: what is searched.
        judges: what is searched for.
        examples: on what.
        sampling: how settings are chosen.
        identity: what the search is of, in words; a storage that holds another one of this name is refused.
        n_trials: how many trials the study gets in all; None without a limit.
        deadline: stop at this time (``time.time()``).
        seed: fixes all draws.
        storage: where the trials are kept.
        name: the study's name.
        prune: whether trials that are clearly worse end early.
        several_workers: whether others take part.
        limits: what the best must keep within.
    """

    space: Space
    judges: tuple[Judge, ...]
    examples: Examples
    sampling: Sampling
    identity: dict[str, Any]
    n_trials: int | None
    deadline: float | None
    seed: int
    storage: StorageSpec
    name: str
    prune: bool = True
    several_workers: bool = False
    limits: tuple[Limit, ...] = ()

    def run(
        self,
        shared: Shared,
        *,
        workers: int = 1,
        callbacks: Sequence[Callback] = (),
        show_progress: bool = True,
    ) -> tuple[optuna.Study, Objective]:
        """Do what is left to do of the search, and return its study.

        Args:
            shared: what trials have in common.
            workers: how many processes take part.
            callbacks: called after each trial that this process ran.
            show_progress: show a bar with the best value so far.
        """
        store = opened(self.storage)
        study, queue = self._study(store)
        queue.plan(self._planned())
        objective = self._objective(shared)
        with self._bar(study, queue, show_progress) as note, queue.seen():
            helpers = self._helpers(workers, store) if workers > 1 else []
            try:
                self._work(study, queue, objective, [note, *callbacks], helpers)
            except BaseException:
                for helper in helpers:
                    helper.terminate()  # their trials are taken up again when the search goes on
                raise
            finally:
                for helper in helpers:
                    helper.join()
        if store.common:
            study = _copied(study)
            store.close()
        return study, objective

    def help(self) -> None:
        """Work off trials that others planned, until none waits; for a process of its own."""
        own_progress_lock()
        with quiet():
            store = opened(self.storage)
            study, queue = self._study(store)
            with queue.seen():
                self._loop(study, queue, self._objective(Shared()), [])
            store.close()

    def _work(
        self, study: optuna.Study, queue: Queue, objective: Objective, callbacks: list[Callback], helpers: list[Any]
    ) -> None:
        while self._loop(study, queue, objective, callbacks):
            if not queue.running():
                return
            time.sleep(_POLL)  # others are at work; what they leave is taken up here

    def _loop(self, study: optuna.Study, queue: Queue, objective: Objective, callbacks: list[Callback]) -> bool:
        """Work until no trial waits; return whether it is worth looking again."""
        endless = self.n_trials is None and not self.sampling.enumerates
        while self.deadline is None or time.time() < self.deadline:
            trial = queue.claim(self._sampler, endless=endless)
            if trial is None:
                return True
            try:
                told = self._told(study, objective, trial)
            except BaseException:
                queue.give_back(trial)
                raise
            if _wants_to_stop(study, told, callbacks):
                return False
        return False

    @staticmethod
    def _told(study: optuna.Study, objective: Objective, trial: optuna.Trial) -> FrozenTrial:
        try:
            values = objective(trial)
        except optuna.TrialPruned:
            return study.tell(trial, state=TrialState.PRUNED)
        return study.tell(trial, values)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return self.sampling.sampler(number, several_workers=self.several_workers)

    def _objective(self, shared: Shared) -> Objective:
        names = {judge.name for judge in self.judges}
        further = [limit.judge for limit in self.limits if limit.judge.name not in names]
        judges = Judges([*self.judges, *further], self.seed, shared)
        count = len(self.judges)
        return Objective(self.space, judges, self.examples, objectives=count, limits=self.limits, prune=self.prune)

    def _planned(self) -> list[dict[str, Any]]:
        """Return the trials that are known beforehand: the defaults first, then the sampler's."""
        defaults = [self.space.parameters(start) for start in self.space.starts if self.space.contains(start)]
        if self.sampling.enumerates:
            others = [p for p in self.sampling.planned(self.space, self.n_trials) if p not in defaults]
            planned = defaults + others
            return planned if self.n_trials is None else planned[: self.n_trials]
        if self.n_trials is None:
            return defaults
        return (defaults + [{}] * self.n_trials)[: self.n_trials]

    def _study(self, store: Store) -> tuple[optuna.Study, Queue]:
        directions = [_DIRECTION[judge.higher_is_better] for judge in self.judges]
        with store.exclusive():
            study = optuna.create_study(
                study_name=self.name, storage=store.storage, directions=directions, load_if_exists=True
            )
            held = study.user_attrs.get(_IDENTITY)
            if held is None:
                study.set_user_attr(_IDENTITY, self.identity)
        if held is not None and held != self.identity:
            differs = [name for name in self.identity if held.get(name) != self.identity[name]]
            raise ArgumentError(
                f"storage: {store.place} holds another run called {self.name!r} (it differs in {', '.join(differs)}); "
                "give another folder, or study_name="
            )
        return study, Queue(study, store)

    def _helpers(self, workers: int, store: Store) -> list[Any]:
        """Start the other processes."""
        if not store.common:
            raise ArgumentError("workers: several processes need a common storage: storage='folder', a file or a URL")
        part = replace(self, several_workers=True)
        try:
            pickle.dumps(part)
        except (pickle.PicklingError, AttributeError, TypeError) as problem:
            raise ArgumentError(
                f"workers: other processes must be able to import all that the search needs: {problem}; define "
                "functions (extractors, targets) and the model's class in a module, or use workers=1"
            ) from problem
        context = multiprocessing.get_context("spawn")
        helpers = [context.Process(target=part.help, daemon=True) for _ in range(workers - 1)]
        with ignoring_interrupts():
            for helper in helpers:
                helper.start()
        return helpers

    @contextlib.contextmanager
    def _bar(self, study: optuna.Study, queue: Queue, show: bool) -> Iterator[Callback]:
        total = len(study.get_trials(deepcopy=False)) if self.n_trials is not None or self.sampling.enumerates else None
        with tqdm(total=total, desc=self.name, unit="trial", disable=not show) as bar:

            def note(study: optuna.Study, trial: FrozenTrial) -> None:
                if not show:
                    return
                bar.n = len(queue.finished())
                if len(self.judges) == 1:
                    with contextlib.suppress(ValueError):  # no trial has a value yet
                        bar.set_postfix(best=f"{study.best_value:.3f}", refresh=False)
                bar.refresh()

            yield note


def _copied(study: optuna.Study) -> optuna.Study:
    """Return the study as it is now, in memory: a result needs no connection."""
    found = optuna.create_study(study_name=study.study_name, directions=study.directions)
    for name, value in study.user_attrs.items():
        found.set_user_attr(name, value)
    found.add_trials(study.get_trials(deepcopy=False))
    return found


def _wants_to_stop(study: optuna.Study, trial: FrozenTrial, callbacks: Sequence[Callback]) -> bool:
    """Call the callbacks, which may call ``study.stop()``."""
    local = study._thread_local
    local.in_optimize_loop = True
    study._stop_flag = False
    try:
        for callback in callbacks:
            callback(study, trial)
    finally:
        local.in_optimize_loop = False
    return study._stop_flag


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's log lines and warnings about experimental options to itself."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # what is refused is of value to the other samplers
            warnings.filterwarnings("ignore", "Constraints have been set, but")
            # a trial that is taken up again had got so far
            warnings.filterwarnings("ignore", "The constraint value is ignored because")
            yield
    finally:
        optuna.logging.set_verbosity(level)
