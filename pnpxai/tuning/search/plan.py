"""Running a search: its trials are planned, shared among processes, and taken up again after a crash."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess

import optuna
from optuna.trial import FrozenTrial, TrialState
from tqdm.auto import tqdm

from pnpxai.errors import ArgumentError
from pnpxai.examples import Examples
from pnpxai.processes import ignoring_interrupts, own_progress_lock
from pnpxai.tuning.search.samplers import Sampling
from pnpxai.tuning.space.parameters import Parameters
from pnpxai.tuning.space.space import Space
from pnpxai.tuning.storage.optuna_private import Callback, callbacks_stop, stored
from pnpxai.tuning.storage.queue import Queue
from pnpxai.tuning.storage.storages import StorageSpec, TrialStorage, opened
from pnpxai.tuning.trials.judging import Judge, Judges
from pnpxai.tuning.trials.objective import Objective
from pnpxai.tuning.trials.record import TrialRecord, trial_checksum
from pnpxai.tuning.trials.requirements import Limit
from pnpxai.tuning.trials.shared_runs import Shared

__all__ = ["SearchPlan", "quiet"]

_DIRECTION = {True: optuna.study.StudyDirection.MAXIMIZE, False: optuna.study.StudyDirection.MINIMIZE}
_IDENTITY = "of"
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class SearchPlan:
    """All that a process needs to take part in a search.

    Attributes:
        space: what is searched.
        judges: what is searched for.
        examples: the examples that settings are judged on.
        sampling: how settings are chosen.
        identity: what the search is of, in words; a storage that holds another search of this name is refused.
        n_trials: how many trials the study gets in all; None without a limit.
        deadline: stop at this time (``time.time()``).
        seed: fixes all draws.
        storage: where the trials are kept.
        name: the study's name.
        prune: whether trials that are clearly worse end early.
        several_workers: whether other processes take part.
        limits: what the best settings must keep within.
    """

    space: Space
    judges: tuple[Judge, ...]
    examples: Examples
    sampling: Sampling
    identity: Mapping[str, object]
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
        storage = opened(self.storage)
        study, queue = self._study(storage)
        objective = self._objective(shared)
        with storage.errors_named():
            queue.plan(self._planned())
            with self._bar(study, queue, show_progress) as note, queue.seen():
                helpers = self._helpers(workers, storage) if workers > 1 else []
                try:
                    self._work(study, queue, objective, [note, *callbacks])
                except BaseException:
                    for helper in helpers:
                        helper.terminate()  # their trials are taken up again when the search goes on
                    raise
                finally:
                    for helper in helpers:
                        helper.join()
        if storage.common:
            study = _copied(study)
            storage.close()
        return study, objective

    def help(self) -> None:
        """Work off trials that others planned, until none waits; for a process of its own."""
        own_progress_lock()
        with quiet():
            storage = opened(self.storage)
            study, queue = self._study(storage)
            with queue.seen():
                self._loop(study, queue, self._objective(Shared()), [])
            storage.close()

    def _work(self, study: optuna.Study, queue: Queue, objective: Objective, callbacks: list[Callback]) -> None:
        """Work until all trials are done, also those of other processes that end."""
        while self._loop(study, queue, objective, callbacks):
            if not queue.running():
                return
            time.sleep(_POLL_SECONDS)  # others are at work; what they leave is taken up here

    def _loop(self, study: optuna.Study, queue: Queue, objective: Objective, callbacks: list[Callback]) -> bool:
        """Work until no trial waits; return whether it is worth looking again."""
        endless = self.n_trials is None and not self.sampling.enumerates
        while self.deadline is None or time.time() < self.deadline:
            trial = queue.claim(self._sampler, endless=endless)
            if trial is None:
                return True
            try:
                ended = self._evaluated(study, objective, trial)
            except BaseException:
                queue.give_back(trial)
                raise
            if callbacks_stop(study, ended, callbacks):
                return False
        return False

    @staticmethod
    def _evaluated(study: optuna.Study, objective: Objective, trial: optuna.Trial) -> FrozenTrial:
        """Evaluate a trial, and tell the study its values."""
        try:
            values = objective(trial)
        except optuna.TrialPruned:
            values = None
        TrialRecord().write(trial, checksum=trial_checksum(stored(trial), values))
        return study.tell(trial, state=TrialState.PRUNED) if values is None else study.tell(trial, values)

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        return self.sampling.sampler(number, several_workers=self.several_workers)

    def _objective(self, shared: Shared) -> Objective:
        names = {judge.name for judge in self.judges}
        further = [limit.judge for limit in self.limits if limit.judge.name not in names]
        judges = Judges([*self.judges, *further], self.seed, shared)
        count = len(self.judges)
        return Objective(self.space, judges, self.examples, objectives=count, limits=self.limits, prune=self.prune)

    def _planned(self) -> list[Parameters]:
        """Return the trials that are known beforehand: the defaults first, then the sampler's."""
        defaults = [self.space.parameters(start) for start in self.space.starts if self.space.contains(start)]
        if self.sampling.enumerates:
            others = [p for p in self.sampling.planned(self.space, self.n_trials) if p not in defaults]
            planned = defaults + others
            return planned if self.n_trials is None else planned[: self.n_trials]
        if self.n_trials is None:
            return defaults
        return (defaults + [{}] * self.n_trials)[: self.n_trials]

    def _study(self, storage: TrialStorage) -> tuple[optuna.Study, Queue]:
        directions = [_DIRECTION[judge.higher_is_better] for judge in self.judges]
        with storage.errors_named(reading=True), storage.exclusive():
            study = optuna.create_study(
                study_name=self.name, storage=storage.backend, directions=directions, load_if_exists=True
            )
            present = study.user_attrs.get(_IDENTITY)
            if present is None:
                study.set_user_attr(_IDENTITY, self.identity)
            for trial in study.get_trials(deepcopy=False):
                checksum = TrialRecord.read(trial).checksum
                if trial.state.is_finished() and checksum not in (None, trial_checksum(trial, trial.values)):
                    raise ValueError(f"trial {trial.number} is not as it was written")
        if present is not None and present != self.identity:
            differs = [name for name in self.identity if present.get(name) != self.identity[name]]
            raise ArgumentError(
                f"storage: {storage.place} holds another run called {self.name!r} "
                f"(it differs in {', '.join(differs)}); give another folder, or study_name="
            )
        return study, Queue(study, storage)

    def _helpers(self, workers: int, storage: TrialStorage) -> list[BaseProcess]:
        """Start the other processes."""
        if not storage.common:
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
        helpers: list[BaseProcess] = [context.Process(target=part.help, daemon=True) for _ in range(workers - 1)]
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
    copy = optuna.create_study(study_name=study.study_name, directions=study.directions)
    for name, value in study.user_attrs.items():
        copy.set_user_attr(name, value)
    copy.add_trials(study.get_trials(deepcopy=False))
    return copy


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
