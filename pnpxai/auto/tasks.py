"""One class for each task, with the arguments and the order that users of PnPXAI 0.1 know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from pnpxai.auto.data import Data
from pnpxai.auto.explained_arguments import Extract
from pnpxai.auto.explanation import AutoExplanation
from pnpxai.engine.running.score import Target, select_output
from pnpxai.errors import ArgumentError
from pnpxai.modalities import ImageModality, TabularModality, TextModality, TimeSeriesModality
from pnpxai.model_types import Layer, Model, ModelOutput, Tokenizer

__all__ = [
    "AutoExplanationForImageClassification",
    "AutoExplanationForTSClassification",
    "AutoExplanationForTabularClassification",
    "AutoExplanationForTabularRegression",
    "AutoExplanationForTextClassification",
    "AutoExplanationForVisualQuestionAnswering",
]


class AutoExplanationForImageClassification(AutoExplanation):
    """Explains an image classifier.

    Args:
        model: maps pictures (examples, channels, height, width) to class scores.
        data: as for ``AutoExplanation``.
        input_extractor: takes the pictures out of a batch.
        label_extractor: takes the true classes out of a batch.
        target_extractor: returns, of the model's output, which outputs to explain.
        target_labels: explain the true classes instead.
        channel_dim: the axis of channels.
        **facts: further arguments of ``AutoExplanation`` by name, such as ``display`` and ``class_names``.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        input_extractor: Extract = None,
        label_extractor: Extract = None,
        target_extractor: Extract = None,
        target_labels: bool = False,
        channel_dim: int = 1,
        **facts: Any,
    ) -> None:
        modality = ImageModality(channel_dim=channel_dim, display=facts.pop("display", None))
        super().__init__(
            model, data, modality, input_extractor, label_extractor, target_extractor, target_labels, **facts
        )


class AutoExplanationForTextClassification(AutoExplanation):
    """Explains a text classifier.

    Args:
        model: maps token ids (examples, tokens) to class scores; a mapping is passed on as keyword arguments.
        data: texts (with ``tokenizer=``), a mapping of ids and masks, or as for ``AutoExplanation``.
        layer: where what differentiates explains; by default the embedding that reads the ids.
        mask_token_id: the id that stands for absence; by default the tokenizer's.
        input_extractor: takes the inputs out of a batch.
        forward_arg_extractor: takes the ids out of the inputs.
        additional_forward_arg_extractor: takes the model's further arguments out of the inputs.
        label_extractor: takes the true classes out of a batch.
        target_extractor: returns, of the model's output, which outputs to explain.
        target_labels: explain the true classes instead.
        channel_dim: the axis of features at the embedding.
        tokenizer: makes ids of texts and words of ids.
        **facts: further arguments of ``AutoExplanation`` by name, such as ``class_names``.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        layer: Layer = None,
        mask_token_id: int | None = None,
        input_extractor: Extract = None,
        forward_arg_extractor: Extract = None,
        additional_forward_arg_extractor: Extract = None,
        label_extractor: Extract = None,
        target_extractor: Extract = None,
        target_labels: bool = False,
        channel_dim: int = -1,
        *,
        tokenizer: Tokenizer = None,
        **facts: Any,
    ) -> None:
        modality = TextModality(tokenizer=tokenizer, mask_token_id=mask_token_id, channel_dim=channel_dim)
        super().__init__(
            model, data, modality, input_extractor, label_extractor, target_extractor, target_labels, layer=layer,
            forward_arg_extractor=forward_arg_extractor,
            additional_forward_arg_extractor=additional_forward_arg_extractor, **facts,
        )  # fmt: skip


class AutoExplanationForTabularClassification(AutoExplanation):
    """Explains a classifier of rows of a table.

    Args:
        model: maps rows (examples, columns) to class scores.
        data: a frame, an array, a tuple (rows, classes), or as for ``AutoExplanation``.
        input_extractor: takes the rows out of a batch.
        label_extractor: takes the true classes out of a batch.
        target_extractor: returns, of the model's output, which outputs to explain.
        target_labels: explain the true classes instead.
        feature_names: the columns' names; by default those of a frame.
        **facts: further arguments of ``AutoExplanation`` by name.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        input_extractor: Extract = None,
        label_extractor: Extract = None,
        target_extractor: Extract = None,
        target_labels: bool = False,
        *,
        feature_names: Sequence[str] = (),
        **facts: Any,
    ) -> None:
        super().__init__(
            model, data, TabularModality(), input_extractor, label_extractor, target_extractor, target_labels,
            feature_names=feature_names, **facts,
        )  # fmt: skip


class AutoExplanationForTabularRegression(AutoExplanation):
    """Explains a regression on rows of a table.

    Args:
        model: maps rows (examples, columns) to one number, or to several, of which ``target`` is explained.
        data: a frame, an array, a tuple (rows, values), or as for ``AutoExplanation``.
        input_extractor: takes the rows out of a batch.
        label_extractor: takes the true values out of a batch.
        target: which output, if the model has several.
        feature_names: the columns' names; by default those of a frame.
        **facts: further arguments of ``AutoExplanation`` by name.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        input_extractor: Extract = None,
        label_extractor: Extract = None,
        target: Target = None,
        *,
        feature_names: Sequence[str] = (),
        **facts: Any,
    ) -> None:
        of_output = facts.pop("target_extractor", _only_output)
        super().__init__(
            model, data, TabularModality(), input_extractor, label_extractor, of_output, target=target,
            feature_names=feature_names, **facts,
        )  # fmt: skip


class AutoExplanationForTSClassification(AutoExplanation):
    """Explains a classifier of time series.

    Args:
        model: maps series to class scores.
        data: as for ``AutoExplanation``.
        input_extractor: takes the series out of a batch.
        label_extractor: takes the true classes out of a batch.
        target_extractor: returns, of the model's output, which outputs to explain.
        target_labels: explain the true classes instead.
        sequence_dim: the axis of time, the last or the one before it.
        mask_agg_dim: the axis of channels, the other one; None without.
        feature_names: the channels' names.
        **facts: further arguments of ``AutoExplanation`` by name.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        input_extractor: Extract = None,
        label_extractor: Extract = None,
        target_extractor: Extract = None,
        target_labels: bool = False,
        sequence_dim: int = -1,
        mask_agg_dim: int | None = -2,
        *,
        feature_names: Sequence[str] = (),
        **facts: Any,
    ) -> None:
        # of a series with channels, counted from either end
        axes = {-1: 2, -2: 1, 1: 1, 2: 2}
        if sequence_dim not in axes or (mask_agg_dim is not None and mask_agg_dim not in axes):
            raise ArgumentError(f"sequence_dim, mask_agg_dim: expected -1 or -2, got {sequence_dim} and {mask_agg_dim}")
        if mask_agg_dim == -2 and sequence_dim in (-2, 1):  # the axis of time moved, and the other one with it
            mask_agg_dim = -1
        channel_dim = None if mask_agg_dim is None else axes[mask_agg_dim]
        if channel_dim == axes[sequence_dim]:
            raise ArgumentError("sequence_dim, mask_agg_dim: expected two axes, got the same twice")
        super().__init__(
            model, data, TimeSeriesModality(channel_dim=channel_dim), input_extractor, label_extractor,
            target_extractor, target_labels, feature_names=feature_names, **facts,
        )  # fmt: skip


class AutoExplanationForVisualQuestionAnswering(AutoExplanation):
    """Explains a model of a picture and a question, each with strategies of its own.

    Args:
        model: maps a picture and token ids to scores of answers.
        data: batches ((picture, ids), answers), (picture, ids, answers), or mappings such as a processor makes them.
        layer: where what differentiates explains, such as ``["pixel_values", "text_embeddings.word_embeddings"]``; by
            default the picture, and the embedding that reads the ids.
        mask_token_id: the id that stands for an absent word; by default the tokenizer's.
        input_extractor: takes the inputs out of a batch.
        forward_arg_extractor: takes picture and ids out of the inputs, in this order.
        additional_forward_arg_extractor: takes the model's further arguments out of the inputs.
        label_extractor: takes the true answers out of a batch.
        target_extractor: returns, of the model's output, which outputs to explain.
        target_labels: explain the true answers instead.
        channel_dim: the axes of channels, of the picture and of the ids' embeddings.
        tokenizer: makes words of ids.
        display: how pictures were scaled.
        **facts: further arguments of ``AutoExplanation`` by name.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        layer: Layer = None,
        mask_token_id: int | None = None,
        input_extractor: Extract = None,
        forward_arg_extractor: Extract = None,
        additional_forward_arg_extractor: Extract = None,
        label_extractor: Extract = None,
        target_extractor: Extract = None,
        target_labels: bool = False,
        channel_dim: tuple[int, int] = (1, -1),
        *,
        tokenizer: Tokenizer = None,
        display: object = None,
        **facts: Any,
    ) -> None:
        picture = ImageModality(channel_dim=channel_dim[0], display=display)
        question = TextModality(tokenizer=tokenizer, mask_token_id=mask_token_id, channel_dim=channel_dim[1])
        super().__init__(
            model, data, (picture, question), input_extractor, label_extractor, target_extractor, target_labels,
            layer=layer, forward_arg_extractor=forward_arg_extractor,
            additional_forward_arg_extractor=additional_forward_arg_extractor, **facts,
        )  # fmt: skip


def _only_output(output: ModelOutput) -> Tensor | None:
    scores = select_output(output)
    if scores.ndim > 1 and scores[0].numel() > 1:
        raise ArgumentError(
            f"target: the model gives {scores[0].numel()} numbers for each example; say which to explain, such as "
            "target=0"
        )
    return None
