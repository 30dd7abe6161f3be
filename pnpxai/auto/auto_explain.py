"""One front door: what the data is, is worked out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pnpxai.auto.data import Data
from pnpxai.auto.explanation import AutoExplanation

__all__ = ["auto_explain"]

_log = logging.getLogger("pnpxai")


def auto_explain(model: Callable[..., Any], data: Data, modality: Any = None, **facts: Any) -> AutoExplanation:
    """Return an ``AutoExplanation`` of a model on data, after reading a first batch to see what it is.

    What was assumed is in ``assumed``, in ``repr``, and in the log. Nothing is explained yet: ask ``recommended``,
    ``explain()``, ``tune(...)``, ``compare()``, ``rank()``.

    Args:
        model: the model.
        data: whatever form it has, see ``AutoExplanation``.
        modality: what the data is, if it should not be worked out.
        **facts: further arguments of ``AutoExplanation`` by name: ``display``, ``class_names``, ``feature_names``,
            ``tokenizer``, ``target``, extractors.

    Raises:
        ArgumentError: what the data is cannot be told, or the model cannot be run on it as it is.
    """
    auto = AutoExplanation(model, data, modality, **facts)
    for line in auto.assumed:
        _log.info("%s", line)
    return auto
