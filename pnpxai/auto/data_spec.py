"""Data as the user describes it, and a batch of it as it is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from pnpxai.auto.data import Data
from pnpxai.auto.explained_arguments import Extract
from pnpxai.auto.signatures import refuse_uncallable
from pnpxai.engine.running.score import Target
from pnpxai.examples import EvidenceMasks
from pnpxai.modalities import Modality, ModalitySpec, SeveralModalities
from pnpxai.model_types import ModelInputs
from pnpxai.tables.table import Table

__all__ = ["DataSpec", "ReadBatch"]


class ReadBatch(NamedTuple):
    """One batch as ``Examples.of`` takes it.

    Attributes:
        inputs: the model's arguments.
        targets: which output of each example is explained.
        labels: (examples,) the true classes.
        masks: which positions are known to matter.
    """

    inputs: ModelInputs
    targets: Target
    labels: Tensor | None
    masks: EvidenceMasks


@dataclass(frozen=True)
class DataSpec:
    """Data as the user describes it; the fields but ``facts`` are arguments of ``AutoExplanation``.

    Attributes:
        data: the data.
        modality: what kind of data it is.
        input_extractor: takes the inputs out of a batch.
        label_extractor: takes the true classes out of a batch.
        mask_extractor: takes out of a batch which positions are known to matter.
        target_extractor: returns, of the model's output, which outputs to explain.
        target_labels: whether the true classes are explained.
        target: the output that is explained.
        forward_arg_extractor: takes the explained arguments out of the inputs.
        additional_forward_arg_extractor: takes the further arguments out of the inputs.
        facts: what is known of the data, by the names of the fields of modalities.
        class_names: the names of the model's classes, in the order of its outputs.
        table: what the columns of a frame hold.
        table_given: whether the user said what the columns hold.
        encoding: what turns the values of a frame's columns into numbers, where they may be words.
    """

    data: Data
    modality: ModalitySpec = None
    input_extractor: Extract = None
    label_extractor: Extract = None
    mask_extractor: Extract = None
    target_extractor: Extract = None
    target_labels: bool = False
    target: Target = None
    forward_arg_extractor: Extract = None
    additional_forward_arg_extractor: Extract = None
    facts: Mapping[str, object] | None = None
    class_names: tuple[str, ...] = ()
    table: Table | None = None
    table_given: bool = False
    encoding: Table | None = None

    def __post_init__(self) -> None:
        extractors = {name: value for name, value in vars(self).items() if name.endswith("_extractor")}
        refuse_uncallable(**extractors)

    @property
    def count(self) -> int:
        """How many inputs are explained, 1 if the user did not say."""
        parts = self.modality.parts if isinstance(self.modality, SeveralModalities) else self.modality
        return len(parts) if isinstance(parts, (tuple, list)) else 1

    @property
    def is_one_input(self) -> bool:
        """Whether the user said that one input is explained."""
        one = isinstance(self.modality, Modality) and not isinstance(self.modality, SeveralModalities)
        return one or isinstance(self.modality, str)
