"""Lists names of captum and of PnPXAI 0.1 that have another name here, for error messages and the docs."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import NoReturn

__all__ = ["CAPTUM", "ORIGINAL", "MissingModules", "missing_attribute", "replacement_hint"]

ORIGINAL = {
    "core": "pnpxai itself (detect, recommend, Recommender, Experiment, AutoExplanation), and pnpxai.modalities",
    "evaluator": "pnpxai.metrics; for evaluator.optimizer, pnpxai.tuning",
    "explainers.utils": "pnpxai.strategies",
    "utils": "nothing, it was the inside of it (for set_seed, seed= where something is drawn)",
    "messages": "nothing, it was the inside of it",
    "detect_model_architecture": "pnpxai.detect(model).parts",
    "set_seed": "seed=, where something is drawn",
    "AVAILABLE_EXPLAINERS": "pnpxai.every(Explainer), or pnpxai.recommend(model, traits) for those that fit",
    "CAM_BASED_EXPLAINERS": "pnpxai.recommend(model, traits)",
    "GRADIENT_BASED_EXPLAINERS": "pnpxai.recommend(model, traits)",
    "PERTURBATION_BASED_EXPLAINERS": "pnpxai.recommend(model, traits)",
    "ATTENTION_SPECIFIC_EXPLAINERS": "pnpxai.recommend(model, traits)",
    "EXPLAINERS_FOR_TABULAR": "pnpxai.recommend(model, Traits.table())",
    "EXPLAINERS": "pnpxai.recommend(model, modality.traits)",
    "LRPBase": "LRP, a rule for each part of the model, or pnpxai.attributors.LRP with a composite of zennit",
    "UtilFunction": "pnpxai.strategies.base.Strategy",
    "BaselineFunction": "pnpxai.strategies.baselines.Baseline",
    "FeatureMaskFunction": "pnpxai.strategies.feature_masks.FeatureMask",
    "PoolingFunction": "pnpxai.strategies.pooling.Pooling",
    "NormalizationFunction": "pnpxai.strategies.normalization.Normalization",
    "ZeroBaselineFunction": "Zeros",
    "MeanBaselineFunction": "Mean",
    "InvertBaselineFunction": "Invert",
    "GaussianBlurBaselineFunction": "GaussianBlur",
    "TokenBaselineFunction": "Token",
    "NoMask1d": "Positions",
    "NoMask2d": "Positions",
    "NoMaskAdaptive": "Positions",
    "FunctionSelector": "names: a strategy is found by the class's own name, as in baseline_fn='gaussian_blur'",
    "from_method": "from_name('gaussian_blur'), or the class with its settings",
    "dim": "over='positions' or over='channels'",
    "set_kwargs": "replace(...), which gives a new, checked one",
    "copy": "it as it is, as it never changes, or replace(...)",
    "device": "the device of the model's parameters",
    "TUNABLES": "get_tunables()",
    "set_target_layer": "replace(layer=...)",
    "baseline_fn_selector": "the explainer's baseline_fn=",
    "feature_mask_fn_selector": "the explainer's feature_mask_fn=",
    "pooling_fn_selector": "PostProcessor(pooling_fn=...)",
    "normalization_fn_selector": "PostProcessor(normalization_fn=...)",
    "map_fn_selector": "suits(traits) of strategies",
    "get_default_baseline_fn": "common(inputs), which has it where it is not 'zeros'",
    "get_default_feature_mask_fn": "feature_mask_fn='auto', the default everywhere",
    "get_default_postprocessors": "PostProcessor.on(modality.traits); tuning searches all that suit",
    "PixelFlipping": "MoRF(model).measure(...).curves",
    "AVAILABLE_METRICS": "pnpxai.every(Metric)",
    "PIXEL_FLIPPING_METRICS": "MoRF, LeRF and AbPC",
    "set_explainer": "replace(explainer=...)",
    "pred_fn": "nothing, as no value depended on it",
    "optimize": "pnpxai.tune(explainer, data, metric)",
    "manager": "experiment, with explainers, postprocessors and metrics in tuples",
    "ExperimentManager": "Experiment, with explainers, postprocessors and metrics in tuples",
    "get_explainers_ranks": "compare(), whose results have a table and a verdict",
    "get_inputs_flattened": "run_batch(...)['inputs']",
    "get_labels_flattened": "run_batch(...)['labels']",
    "get_targets_flattened": "run_batch(...)['targets']",
    "get_outputs_flattened": "predict_batch(...)",
    "get_explanations_flattened": "explain_batch(...)",
    "get_evaluations_flattened": "compare(), whose results have a table",
    "subscribe": "show_progress=, or the log 'pnpxai'",
    "Gfgp": "RISE or Occlusion: methods that load a diffusion model are not offered",
    "LEAR": "RISE or Occlusion: methods that load a counterfactual model are not offered",
}
"""Names of PnPXAI 0.1, and what replaces each of them here."""

_TAKEN_OVER = {"dim": "over"}
"""Names of settings in PnPXAI 0.1, and their names here."""

CAPTUM = {
    "LimeBase": "Lime with perturb_func=, or the class in pnpxai.attributors.perturbation.lime_base",
    "ImageMaskInput": "nothing, pictures beside a prompt are held fixed",
    "RemoteLLMAttribution": "LLMAttribution, with a model on this machine",
}
"""Names of captum that ``pnpxai.attributors`` lacks, and what replaces them."""


def replacement_hint(name: str, settings: Collection[str] | None = None) -> str:
    """Return the end of an error message that names the replacement of a name, or nothing if none is known.

    Args:
        name: the name that does not exist.
        settings: names of a class's settings, if ``name`` was used as a setting; the replacement must be one of them.
    """
    if settings is not None and name in _TAKEN_OVER and _TAKEN_OVER[name] not in settings:
        return ""
    known = ORIGINAL.get(name) or CAPTUM.get(name)
    return f"; instead: {known}" if known else ""


class MissingModules:
    """Names the replacement of a missing module or name. It is the last entry of ``sys.meta_path``.

    ``from pnpxai.attributors import X`` arrives here if the package has no attribute X, so that the import fails with a
    helpful ImportError, while ``hasattr(pnpxai.attributors, "X")`` is simply False.
    """

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> None:
        """Refuse a module of this package that does not exist, with the text of ``replacement_hint``."""
        package, _, inside = name.partition(".")
        owner, _, last = name.rpartition(".")
        if package == "pnpxai" and (hint := replacement_hint(inside)):
            raise ModuleNotFoundError(f"No module named {name!r}{hint}")
        if package == "pnpxai" and (hint := replacement_hint(last)):
            raise ModuleNotFoundError(f"{owner} has no {last!r}{hint}")


class _MissingAttributeError(AttributeError):
    """Says that an object lacks an attribute. The nearest name is computed when the message is read."""

    def __str__(self) -> str:
        owner, name = self.obj, str(self.name)
        near = difflib.get_close_matches(name, [n for n in dir(owner) if not n.startswith("_")], n=1, cutoff=0.75)
        hint = replacement_hint(name) or (f"; did you mean {near[0]!r}?" if near else "")
        return f"{type(owner).__name__!r} object has no attribute {name!r}{hint}"


def missing_attribute(owner: object, name: str) -> NoReturn:
    """Refuse an attribute that an object does not have, with a hint. It serves as ``__getattr__``."""
    if hasattr(type(owner), name):  # a property that failed raises its own error again
        object.__getattribute__(owner, name)
    raise _MissingAttributeError(name=name, obj=owner)
