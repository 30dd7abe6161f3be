"""What a trial keeps in the study beside its parameters and values, written to and read from its user attributes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

import optuna
from optuna.trial import FrozenTrial

from pnpxai.tuning.storage.optuna_private import stored
from pnpxai.tuning.trials.shared_runs import RowCount

__all__ = ["TrialRecord", "trial_checksum"]

Means = Mapping[str, float | None]
"""Limited metric or cost -> value, None where it is undefined."""


@dataclass(frozen=True)
class TrialRecord:
    """What is known of a trial. Each field is the user attribute of its name, with spaces for underscores.

    Attributes:
        settings: the candidate's settings as JSON, once it was evaluated.
        reason: why the settings cannot work; None if they do.
        undefined: example -> why it has no value.
        stopped_after: on how many examples a trial was evaluated that ended early.
        same_as: the number of an earlier trial with equal settings, whose values were taken.
        rows: what the trial cost.
        limited: the mean values of what is limited.
        limited_on: the same for each example, by its number, as far as the trial has come.
        checksum: of a trial's parameters and values, written when it ends; see ``trial_checksum``.
    """

    settings: str | None = None
    reason: str | None = None
    undefined: Mapping[int, str] = field(default_factory=dict)
    stopped_after: int | None = None
    same_as: int | None = None
    rows: RowCount = RowCount(0, 0)
    limited: Means = field(default_factory=dict)
    limited_on: Mapping[str, Mapping[int, float | None]] = field(default_factory=dict)
    checksum: str | None = None

    @classmethod
    def read(cls, trial: optuna.Trial | FrozenTrial) -> TrialRecord:
        """Return the record of a trial; of one that has none, an empty record."""
        # as the storage has them: a trial that runs hands out deep copies
        attributes = (trial if isinstance(trial, FrozenTrial) else stored(trial)).user_attrs
        known = {f.name: attributes[name] for f in fields(cls) if (name := _attribute(f.name)) in attributes}
        if "undefined" in known:
            known["undefined"] = {int(number): reason for number, reason in known["undefined"].items()}
        if "rows" in known:
            known["rows"] = RowCount(*known["rows"])
        if "limited_on" in known:
            known["limited_on"] = {
                name: {int(number): value for number, value in values.items()}
                for name, values in known["limited_on"].items()
            }
        return cls(**known)

    def write(self, trial: optuna.Trial, **changes: object) -> TrialRecord:
        """Return the record with some fields changed; these are written to the trial."""
        changed = replace(self, **changes)
        for name in changes:
            value = getattr(changed, name)
            trial.set_user_attr(_attribute(name), [value.used, value.separate] if name == "rows" else value)
        return changed


def trial_checksum(trial: FrozenTrial, values: Sequence[float] | None) -> str:
    """Return a checksum of a trial's parameters, reported values and final values, which a database does not have."""
    reported = sorted(trial.intermediate_values.items())
    text = json.dumps([trial.params, reported, None if values is None else list(values)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _attribute(field_name: str) -> str:
    return field_name.replace("_", " ")
