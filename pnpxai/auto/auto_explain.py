"""One function for any model and data: the kind of data is worked out from a first batch."""

from __future__ import annotations

import logging
from typing import Any

from pnpxai.auto.data import Data
from pnpxai.auto.explanation import AutoExplanation
from pnpxai.modalities import ModalitySpec
from pnpxai.model_types import Model

__all__ = ["auto_explain"]

_log = logging.getLogger("pnpxai")


def auto_explain(model: Model, data: Data, modality: ModalitySpec = None, **facts: Any) -> AutoExplanation:
    """Return an ``AutoExplanation`` of a model on data, after reading a first batch to learn what kind of data it is.

    What it assumed stands in ``assumed``, in ``repr``, and in the log. Nothing is explained yet: ``recommended``,
    ``explain()``, ``tune(...)``, ``compare()`` and ``rank()`` do that.

    Args:
        model: the model.
        data: in any of the forms that ``AutoExplanation`` takes.
        modality: the kind of data, if it should not be worked out.
        **facts: further arguments of ``AutoExplanation`` by name: ``display``, ``class_names``, ``feature_names``,
            ``tokenizer``, ``target``, extractors.

    Raises:
        ArgumentError: the kind of data cannot be worked out, or the model does not run on the data.
    """
    auto = AutoExplanation(model, data, modality, **facts)
    for line in auto.assumed:
        _log.info("%s", line)
    return auto
