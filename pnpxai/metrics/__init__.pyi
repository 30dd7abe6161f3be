# Written by docs/hooks/stubs.py from the declarations: do not edit.
from collections.abc import Callable
from pnpxai.explainers.base import Explainer
from pnpxai.metrics.base import Metric as Metric
from pnpxai.metrics.complexity import Complexity as _Complexity
from pnpxai.metrics.complexity import Sparseness as _Sparseness
from pnpxai.metrics.faithfulness.completeness import CompletenessError as _CompletenessError
from pnpxai.metrics.faithfulness.correlation import FaithfulnessCorrelation as _FaithfulnessCorrelation
from pnpxai.metrics.faithfulness.correlation import MuFidelity as _MuFidelity
from pnpxai.metrics.faithfulness.correlation import SensitivityN as _SensitivityN
from pnpxai.metrics.faithfulness.elsewhere import Elsewhere
from pnpxai.metrics.faithfulness.erasure import AtShares as AtShares
from pnpxai.metrics.faithfulness.erasure import Comprehensiveness as _Comprehensiveness
from pnpxai.metrics.faithfulness.erasure import Sufficiency as _Sufficiency
from pnpxai.metrics.faithfulness.flipping import AbPC as _AbPC
from pnpxai.metrics.faithfulness.flipping import Flipping as Flipping
from pnpxai.metrics.faithfulness.flipping import LeRF as _LeRF
from pnpxai.metrics.faithfulness.flipping import MoRF as _MoRF
from pnpxai.metrics.faithfulness.imputation import Imputer
from pnpxai.metrics.faithfulness.infidelity import Infidelity as _Infidelity
from pnpxai.metrics.faithfulness.insertion import Deletion as _Deletion
from pnpxai.metrics.faithfulness.insertion import Insertion as _Insertion
from pnpxai.metrics.faithfulness.insertion import InsertionDeletion as _InsertionDeletion
from pnpxai.metrics.faithfulness.removal import Removal as Removal
from pnpxai.metrics.faithfulness.road import ROAD as _ROAD
from pnpxai.metrics.faithfulness.scales import MultiScaleCorrelation as _MultiScaleCorrelation
from pnpxai.metrics.localisation import AUROC as _AUROC
from pnpxai.metrics.localisation import AveragePrecision as _AveragePrecision
from pnpxai.metrics.localisation import Localisation as Localisation
from pnpxai.metrics.localisation import PointingGame as _PointingGame
from pnpxai.metrics.localisation import RelevanceMassAccuracy as _RelevanceMassAccuracy
from pnpxai.metrics.localisation import RelevanceRankAccuracy as _RelevanceRankAccuracy
from pnpxai.metrics.randomisation.randomisation import EfficientMPRT as _EfficientMPRT
from pnpxai.metrics.randomisation.randomisation import MPRT as _MPRT
from pnpxai.metrics.randomisation.randomisation import RandomLogit as _RandomLogit
from pnpxai.metrics.randomisation.randomisation import Randomisation as Randomisation
from pnpxai.metrics.robustness.sensitivity import AvgSensitivity as _AvgSensitivity
from pnpxai.metrics.robustness.sensitivity import LocalLipschitz as _LocalLipschitz
from pnpxai.metrics.robustness.sensitivity import RelativeOutputStability as _RelativeOutputStability
from pnpxai.metrics.robustness.sensitivity import Robustness as Robustness
from pnpxai.metrics.robustness.sensitivity import Sensitivity as _Sensitivity
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.strategies.postprocessing import PostProcessor
from torch import Tensor
from typing import Any

class AUROC(_AUROC):
    """Probability that a position inside the mask has a higher value than one outside (area under the ROC curve)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class AbPC(_AbPC):
    """Area between the curves of LeRF and MoRF. Blücher et al., 2024 (arXiv:2401.06654), "symmetric relevance gain"."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        lb: float | None = None,
        n_steps: int = 10,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class AveragePrecision(_AveragePrecision):
    """Mean precision at every position inside the mask, from the highest value down. Everingham et al., 2010."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class AvgSensitivity(_AvgSensitivity):
    """Mean relative change of the map under small uniform noise on the input. Yeh et al., 2019; Bhatt et al., 2020."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_iter: int = 8,
        epsilon: float = 0.2,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class CompletenessError(_CompletenessError):
    """Gap between a map's sum and what the score gains over the baseline, relative to that gain."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        baseline_fn: Baseline | Imputer = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Complexity(_Complexity):
    """Entropy of a map's mass, in nats: p_i = |a_i| / sum |a|. Bhatt et al., 2020 (arXiv:2005.00631)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_bins: int = 10,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Comprehensiveness(_Comprehensiveness):
    """Mean loss of the target's probability without the most relevant 1, 5, 10, 20 and 50 %. DeYoung et al., 2020."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        fractions: tuple[float, ...] = ...,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Deletion(_Deletion):
    """Area under the target's probability while the most relevant features are removed. Petsiuk et al., 2018 (RISE)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_steps: int = 10,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class EfficientMPRT(_EfficientMPRT):
    """Relative gain of a map's entropy when all parameters are randomised. Hedström et al., 2023 (arXiv:2401.06465)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_bins: int | None = None,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class FaithfulnessCorrelation(_FaithfulnessCorrelation):
    """Pearson correlation over random subsets of features: the map's sum with the loss of score. Bhatt et al., 2020."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_runs: int = 100,
        subset_fraction: float = 0.2,
        prob_fn: Callable[[Tensor], Tensor] | None = None,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Infidelity(_Infidelity):
    """Mean square of what is left of the losses of score when the map's sums are taken away. Yeh et al., 2019."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_runs: int = 100,
        subset_fraction: float = 0.2,
        normalize: bool = True,
        prob_fn: Callable[[Tensor], Tensor] | None = None,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Insertion(_Insertion):
    """Area under the target's probability while the most relevant features are put back. Petsiuk et al., 2018 (RISE)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        baseline_fn: Baseline | Imputer = ...,
        n_steps: int = 10,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class InsertionDeletion(_InsertionDeletion):
    """Area of ``Insertion`` less that of ``Deletion``. Petsiuk et al., 2018 (arXiv:1806.07421)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        insertion_fn: Baseline | Imputer = ...,
        n_steps: int = 10,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class LeRF(_LeRF):
    """Mean probability of the target while the least relevant features are removed first. Samek et al., 2017."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_steps: int = 10,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class LocalLipschitz(_LocalLipschitz):
    """Largest change of the map over change of the input, among noisy copies. Alvarez-Melis and Jaakkola, 2018."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        normalize: bool = True,
        n_iter: int = 8,
        epsilon: float = 0.2,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class MPRT(_MPRT):
    """Mean rank correlation of a map's absolute values with those under a model randomised from the top down."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_stages: int = 10,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class MoRF(_MoRF):
    """Mean probability of the target while the most relevant features are removed first. Samek et al., 2017."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_steps: int = 10,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class MuFidelity(_MuFidelity):
    """Spearman correlation over random subsets of the cells of a grid: the map's mass with the loss of score."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_perturb: int = 150,
        noise_scale: float = 0.2,
        batch_size: int = 32,
        grid_size: int | FeatureMask = 9,
        baseline: Baseline | Imputer | float = 0.0,
        mask_agg_dim: int | None = None,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class MultiScaleCorrelation(_MultiScaleCorrelation):
    """Mean, over scales and sizes, of the correlation over random subsets: a map's sum with the loss of score."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        baseline_fn: Baseline | Imputer = ...,
        elsewhere_fn: Elsewhere | None = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        fractions: tuple[float, ...] = ...,
        n_runs: int = 16,
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class PointingGame(_PointingGame):
    """Whether the highest value lies inside the mask. Zhang et al., 2018 (arXiv:1608.00507)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class ROAD(_ROAD):
    """Mean probability of the target without the most relevant share, filled in from what is left. Rong et al., 2022."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        baseline_fn: Baseline | Imputer = ...,
        fractions: tuple[float, ...] = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class RandomLogit(_RandomLogit):
    """Rank correlation of a map with that of another class, drawn at random. Sixt et al., 2020 (arXiv:1912.09818)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class RelativeOutputStability(_RelativeOutputStability):
    """Largest relative change of the map over change of the model's outputs, among noisy copies. Agarwal et al., 2022."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        floor: float = 0.1,
        eps_min: float = 0.001,
        n_iter: int = 8,
        epsilon: float = 0.2,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class RelevanceMassAccuracy(_RelevanceMassAccuracy):
    """Share of a map's positive mass that lies inside the mask. Arras et al., 2022 (arXiv:2003.07258)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class RelevanceRankAccuracy(_RelevanceRankAccuracy):
    """Share of the highest values, as many as the mask has positions, that lie inside. Arras et al., 2022."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Sensitivity(_Sensitivity):
    """Largest relative change of the map under small uniform noise on the input. Yeh et al., 2019."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_iter: int = 8,
        epsilon: float = 0.2,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class SensitivityN(_SensitivityN):
    """Mean over subset sizes of the correlation over random subsets of one size. Ancona et al., 2018."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        n_runs: int = 30,
        fractions: tuple[float, ...] = ...,
        prob_fn: Callable[[Tensor], Tensor] | None = None,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Sparseness(_Sparseness):
    """Gini index of a map's absolute values. Chalasani et al., 2020 (arXiv:1810.06583)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

class Sufficiency(_Sufficiency):
    """Mean loss of the target's probability with only the most relevant 1, 5, 10, 20 and 50 %. DeYoung et al., 2020."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainer: Explainer | None = None,
        *,
        fractions: tuple[float, ...] = ...,
        baseline_fn: Baseline | Imputer = ...,
        feature_mask_fn: FeatureMask | str = 'positions',
        prob_fn: Callable[[Tensor], Tensor] | None = ...,
        channel_dim: int | None = 1,
        each_channel: bool | None = None,
        postprocessor: PostProcessor | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
    ) -> None: ...

