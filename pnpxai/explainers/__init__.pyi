# Written by docs/hooks/stubs.py from the declarations: do not edit.
from collections.abc import Callable
from pnpxai.explainers.attention import AttentionRollout as _AttentionRollout
from pnpxai.explainers.attention import OfAttention as OfAttention
from pnpxai.explainers.attention import TransformerAttribution as _TransformerAttribution
from pnpxai.explainers.base import Explainer as Explainer
from pnpxai.explainers.cam.class_activation import ClassActivation as ClassActivation
from pnpxai.explainers.cam.class_activation import EigenCAM as _EigenCAM
from pnpxai.explainers.cam.class_activation import GradCamPlusPlus as _GradCamPlusPlus
from pnpxai.explainers.cam.class_activation import HiResCAM as _HiResCAM
from pnpxai.explainers.cam.class_activation import LayerCAM as _LayerCAM
from pnpxai.explainers.cam.class_activation import ScoreCAM as _ScoreCAM
from pnpxai.explainers.cam.grad_cam import GradCam as _GradCam
from pnpxai.explainers.cam.grad_cam import GuidedGradCam as _GuidedGradCam
from pnpxai.explainers.controls import InputOnly as _InputOnly
from pnpxai.explainers.controls import RandomMap as _RandomMap
from pnpxai.explainers.ensemble import Ensemble as _Ensemble
from pnpxai.explainers.gradient.backprop import Deconvolution as _Deconvolution
from pnpxai.explainers.gradient.backprop import GuidedBackprop as _GuidedBackprop
from pnpxai.explainers.gradient.backprop import ThroughReLU as ThroughReLU
from pnpxai.explainers.gradient.gradient_shap import GradientShap as _GradientShap
from pnpxai.explainers.gradient.integrated_gradients import IntegratedGradients as _IntegratedGradients
from pnpxai.explainers.gradient.saliency import Gradient as _Gradient
from pnpxai.explainers.gradient.saliency import GradientXInput as _GradientXInput
from pnpxai.explainers.gradient.smooth_grad import NoisyGradient as NoisyGradient
from pnpxai.explainers.gradient.smooth_grad import SmoothGrad as _SmoothGrad
from pnpxai.explainers.gradient.smooth_grad import SmoothGradSquared as _SmoothGradSquared
from pnpxai.explainers.gradient.smooth_grad import VarGrad as _VarGrad
from pnpxai.explainers.perturbation.feature_ablation import FeatureAblation as _FeatureAblation
from pnpxai.explainers.perturbation.grouped import GroupedPerturbation as GroupedPerturbation
from pnpxai.explainers.perturbation.grouped import Perturbation as Perturbation
from pnpxai.explainers.perturbation.lime import Lime as _Lime
from pnpxai.explainers.perturbation.occlusion import MultiScaleOcclusion as _MultiScaleOcclusion
from pnpxai.explainers.perturbation.occlusion import Occlusion as _Occlusion
from pnpxai.explainers.perturbation.occlusion import _Windowed as _Windowed
from pnpxai.explainers.perturbation.rise import RISE as _RISE
from pnpxai.explainers.perturbation.shapley import KernelShap as _KernelShap
from pnpxai.explainers.perturbation.shapley import ShapleyValueSampling as _ShapleyValueSampling
from pnpxai.explainers.perturbation.shapley import ShapleyValues as _ShapleyValues
from pnpxai.explainers.propagation.deeplift import DeepLift as _DeepLift
from pnpxai.explainers.propagation.deeplift import DeepLiftShap as _DeepLiftShap
from pnpxai.explainers.propagation.full_grad import FullGrad as _FullGrad
from pnpxai.explainers.propagation.lrp import CompositeLRP as CompositeLRP
from pnpxai.explainers.propagation.lrp import LRPEpsilonAlpha2Beta1 as _LRPEpsilonAlpha2Beta1
from pnpxai.explainers.propagation.lrp import LRPEpsilonGammaBox as _LRPEpsilonGammaBox
from pnpxai.explainers.propagation.lrp import LRPEpsilonPlus as _LRPEpsilonPlus
from pnpxai.explainers.propagation.lrp import LRPUniformEpsilon as _LRPUniformEpsilon
from pnpxai.explainers.propagation.lrp_rules import AttnLRP as _AttnLRP
from pnpxai.explainers.propagation.lrp_rules import LRP as _LRP
from pnpxai.explainers.propagation.lrp_rules import RAP as _RAP
from pnpxai.explainers.sampled import Sampled as Sampled
from pnpxai.strategies.baselines import Baseline
from pnpxai.strategies.feature_masks import FeatureMask
from pnpxai.strategies.normalization import Normalization
from torch import Tensor
from typing import Any
from typing import Literal

class AttentionRollout(_AttentionRollout):
    """Computes the product over layers of (A + I) / 2, A a layer's attention. Abnar and Zuidema, 2020."""
    def __init__(
        self,
        model: Callable[..., Any],
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        head_fusion_method: Literal['min', 'max', 'mean'] = 'min',
        discard_ratio: float = 0.9,
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class AttnLRP(_AttnLRP):
    """Passes relevance through attention: R_i = x_i (R_i - s_i sum_j R_j) at a softmax s. Achtibat et al., 2024."""
    def __init__(
        self,
        model: Callable[..., Any],
        epsilon: float = 1e-06,
        stabilizer: float = 1e-06,
        zennit_canonizers: tuple[Any, ...] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class Deconvolution(_Deconvolution):
    """Computes the gradient with ReLUs that pass back max(g, 0). Zeiler and Fergus, 2014 (arXiv:1311.2901)."""
    def __init__(
        self,
        model: Callable[..., Any],
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class DeepLift(_DeepLift):
    """Computes (x - x') * m with multipliers m by the rescale rule. Shrikumar et al., 2017 (arXiv:1704.02685)."""
    def __init__(
        self,
        model: Callable[..., Any],
        baseline_fn: Baseline | str = 'zeros',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class DeepLiftShap(_DeepLiftShap):
    """Computes the mean of DeepLIFT over baselines, close to SHAP. Lundberg and Lee, 2017 (arXiv:1705.07874)."""
    def __init__(
        self,
        model: Callable[..., Any],
        background_data: Any = 'zeros',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class EigenCAM(_EigenCAM):
    """Computes A v_1, with v_1 the first right singular vector of A. Muhammad and Yeasin, 2020 (arXiv:2008.00299)."""
    def __init__(
        self,
        model: Callable[..., Any],
        centred: bool = True,
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class Ensemble(_Ensemble):
    """Computes 1/n sum_k a_k / std a_k over the maps a_k of n explainers. Rieger and Hansen, 2019 (arXiv:1903.00519)."""
    def __init__(
        self,
        model: Callable[..., Any],
        explainers: tuple[Any, ...] = ...,
        normalization_fn: Normalization | str = 'standard',
        baseline_fn: Baseline | str = 'zeros',
        channel_dim: int | None = None,
        each_channel: bool = False,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class FeatureAblation(_FeatureAblation):
    """Loss of score when a feature is replaced by the baseline, all others present."""
    def __init__(
        self,
        model: Callable[..., Any],
        baseline_fn: Baseline | str = 'zeros',
        feature_mask_fn: FeatureMask | str = 'auto',
        each_channel: bool = False,
        held_ids: tuple[int, ...] = (),
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class FullGrad(_FullGrad):
    """Computes psi(x * dF/dx) + sum over biases b of psi(b * dF/db). Srinivas and Fleuret, 2019 (arXiv:1905.00780)."""
    def __init__(
        self,
        model: Callable[..., Any],
        pooling_method: Literal['abssum', 'possum'] = 'abssum',
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class GradCam(_GradCam):
    """Computes sum_c w_c A_c, w_c = mean over positions of dF/dA_c. Selvaraju et al., 2017 (arXiv:1610.02391)."""
    def __init__(
        self,
        model: Callable[..., Any],
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class GradCamPlusPlus(_GradCamPlusPlus):
    """Computes sum_c w_c A_c, w_c = sum over positions of a_c * max(g_c, 0). Chattopadhay et al., 2018."""
    def __init__(
        self,
        model: Callable[..., Any],
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class Gradient(_Gradient):
    """Computes dF/dx, the gradient of the score, with signs. Simonyan et al., 2014 (arXiv:1312.6034)."""
    def __init__(
        self,
        model: Callable[..., Any],
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class GradientShap(_GradientShap):
    """Computes E[(x - x') * dF/dx(x' + a (x - x'))] over random x' and a. Erion et al., 2021 (arXiv:1906.10670)."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_samples: int = 20,
        noise_level: float = 0.1,
        baseline_fn: Baseline | str = 'zeros',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        column_spread: Tensor | None = None,
        tolerance: float | None = None,
    ) -> None: ...

class GradientXInput(_GradientXInput):
    """Computes x * dF/dx, the input times the gradient of the score. Shrikumar et al., 2016 (arXiv:1605.01713)."""
    def __init__(
        self,
        model: Callable[..., Any],
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class GuidedBackprop(_GuidedBackprop):
    """Computes the gradient with ReLUs that pass back [x > 0] * max(g, 0). Springenberg et al., 2015 (arXiv:1412.6806)."""
    def __init__(
        self,
        model: Callable[..., Any],
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class GuidedGradCam(_GuidedGradCam):
    """Computes guided backpropagation times max(Grad-CAM, 0). Selvaraju et al., 2017 (arXiv:1610.02391)."""
    def __init__(
        self,
        model: Callable[..., Any],
        interpolate_mode: Literal['nearest', 'area', 'bilinear', 'bicubic'] = 'nearest',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class HiResCAM(_HiResCAM):
    """Computes sum_c dF/dA_c * A_c, position by position. Draelos and Carin, 2020 (arXiv:2011.08891)."""
    def __init__(
        self,
        model: Callable[..., Any],
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class InputOnly(_InputOnly):
    """Computes |x - mean(x)| for each example: what the input shows without any model."""
    def __init__(
        self,
        model: Callable[..., Any],
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class IntegratedGradients(_IntegratedGradients):
    """Computes (x - x') * integral over a of dF/dx(x' + a (x - x')). Sundararajan et al., 2017 (arXiv:1703.01365)."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_steps: int = 20,
        baseline_fn: Baseline | str = 'zeros',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class KernelShap(_KernelShap):
    """Computes Shapley values by a weighted linear fit. Lundberg and Lee, 2017 (arXiv:1705.07874)."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_samples: int | Literal['auto'] = 'auto',
        baseline_fn: Baseline | str = 'zeros',
        feature_mask_fn: FeatureMask | str = 'auto',
        mask_token_id: int | None = None,
        estimator: Literal['auto', 'exact', 'permutation', 'leverage', 'odd'] = 'auto',
        each_channel: bool = False,
        held_ids: tuple[int, ...] = (),
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        tolerance: float | None = None,
    ) -> None: ...

class LRP(_LRP):
    """Passes relevance back with a rule for each part of a model, which tuning can search."""
    def __init__(
        self,
        model: Callable[..., Any],
        composite: Any = 'auto',
        convolution: Literal['epsilon', 'gamma', 'alpha_beta', 'z_plus', 'w_square', 'flat'] = 'gamma',
        linear: Literal['epsilon', 'gamma', 'alpha_beta', 'z_plus', 'w_square', 'flat'] = 'epsilon',
        first: Literal['same', 'flat', 'box', 'w_square'] = 'same',
        attention: Literal['taylor', 'constant'] = 'taylor',
        epsilon: float = 1e-06,
        gamma: float = 0.25,
        low: float = -3.0,
        high: float = 3.0,
        stabilizer: float = 1e-06,
        zennit_canonizers: tuple[Any, ...] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class LRPEpsilonAlpha2Beta1(_LRPEpsilonAlpha2Beta1):
    """Applies the rule alpha = 2, beta = 1 at convolutions, and the epsilon rule elsewhere."""
    def __init__(
        self,
        model: Callable[..., Any],
        epsilon: float = 1e-06,
        stabilizer: float = 1e-06,
        zennit_canonizers: tuple[Any, ...] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class LRPEpsilonGammaBox(_LRPEpsilonGammaBox):
    """Applies the box rule at convolutions of the inputs, the gamma rule at others, the epsilon rule elsewhere."""
    def __init__(
        self,
        model: Callable[..., Any],
        low: float = -3.0,
        high: float = 3.0,
        epsilon: float = 1e-06,
        gamma: float = 0.25,
        stabilizer: float = 1e-06,
        zennit_canonizers: tuple[Any, ...] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class LRPEpsilonPlus(_LRPEpsilonPlus):
    """Applies the z-plus rule at convolutions, R_i = sum_j (x_i w_ij)^+ / z_j^+ R_j, and the epsilon rule elsewhere."""
    def __init__(
        self,
        model: Callable[..., Any],
        epsilon: float = 1e-06,
        stabilizer: float = 1e-06,
        zennit_canonizers: tuple[Any, ...] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class LRPUniformEpsilon(_LRPUniformEpsilon):
    """Computes R_i = sum_j x_i w_ij / (z_j + epsilon sign(z_j)) R_j at every layer. Bach et al., 2015."""
    def __init__(
        self,
        model: Callable[..., Any],
        epsilon: float = 0.25,
        stabilizer: float = 1e-06,
        zennit_canonizers: tuple[Any, ...] | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class LayerCAM(_LayerCAM):
    """Computes sum_c max(dF/dA_c, 0) * A_c, position by position. Jiang et al., 2021 (doi:10.1109/TIP.2021.3089943)."""
    def __init__(
        self,
        model: Callable[..., Any],
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class Lime(_Lime):
    """Computes w that minimises sum_k p_k (F(z_k) - w z_k - c)^2 + |w|^2 over random sets z_k. Ribeiro et al., 2016."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_samples: int = 30,
        baseline_fn: Baseline | str = 'zeros',
        feature_mask_fn: FeatureMask | str = 'auto',
        perturb_fn: Callable[..., Any] | None = None,
        each_channel: bool = False,
        held_ids: tuple[int, ...] = (),
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class MultiScaleOcclusion(_MultiScaleOcclusion):
    """Computes the mean of ``Occlusion`` maps for several sizes of windows, each scaled to standard deviation 1."""
    def __init__(
        self,
        model: Callable[..., Any],
        windows: tuple[float | int | tuple[int, ...], ...] | Literal['auto'] = 'auto',
        each_channel: bool = False,
        baseline_fn: Baseline | str = 'zeros',
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class Occlusion(_Occlusion):
    """Computes the mean of F(x) - F(x without w) over the windows w at a position. Zeiler and Fergus, 2014."""
    def __init__(
        self,
        model: Callable[..., Any],
        window: float | int | tuple[int, ...] | Literal['auto'] = 'auto',
        stride: float | int | tuple[int, ...] | Literal['auto'] = 'auto',
        each_channel: bool = False,
        baseline_fn: Baseline | str = 'zeros',
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class RAP(_RAP):
    """Passes relevance back relative to its mean: inputs that helped the output less than others become negative."""
    def __init__(
        self,
        model: Callable[..., Any],
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class RISE(_RISE):
    """Computes 1/(n p) sum_k m_k (F(x * m_k) - mean F) over n smooth random masks m_k. Petsiuk et al., 2018."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_masks: int = 500,
        grid_size: int = 7,
        probability: float = 0.5,
        each_channel: bool = False,
        baseline_fn: Baseline | str = 'zeros',
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        tolerance: float | None = None,
    ) -> None: ...

class RandomMap(_RandomMap):
    """Draws independent normal numbers for each example, from its content and the seed."""
    def __init__(
        self,
        model: Callable[..., Any],
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class ScoreCAM(_ScoreCAM):
    """Computes sum_c w_c A_c, w = softmax over channels of F(x * s(A_c)). Wang et al., 2020 (arXiv:1910.01279)."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_channels: int | None = None,
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class ShapleyValueSampling(_ShapleyValueSampling):
    """Computes the mean of F(S + i) - F(S) over random orders; S holds the features before i. Castro et al., 2009."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_samples: int | Literal['auto'] = 'auto',
        baseline_fn: Baseline | str = 'zeros',
        feature_mask_fn: FeatureMask | str = 'auto',
        each_channel: bool = False,
        held_ids: tuple[int, ...] = (),
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        tolerance: float | None = None,
    ) -> None: ...

class ShapleyValues(_ShapleyValues):
    """Computes phi_i, the mean of F(S + i) - F(S) over all orders of the features. Shapley, 1953."""
    def __init__(
        self,
        model: Callable[..., Any],
        n_samples: int | Literal['auto'] = 'auto',
        estimator: Literal['auto', 'exact', 'permutation', 'leverage', 'odd'] = 'auto',
        baseline_fn: Baseline | str = 'zeros',
        feature_mask_fn: FeatureMask | str = 'auto',
        each_channel: bool = False,
        held_ids: tuple[int, ...] = (),
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        tolerance: float | None = None,
    ) -> None: ...

class SmoothGrad(_SmoothGrad):
    """Computes the mean of dF/dx(x + e) under noise e ~ N(0, s^2). Smilkov et al., 2017 (arXiv:1706.03825)."""
    def __init__(
        self,
        model: Callable[..., Any],
        noise_level: float = 0.1,
        n_iter: int = 20,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        tolerance: float | None = None,
        column_spread: Tensor | None = None,
    ) -> None: ...

class SmoothGradSquared(_SmoothGradSquared):
    """Computes the mean of (dF/dx(x + e))^2 under noise e ~ N(0, s^2). Hooker et al., 2019 (arXiv:1806.10758)."""
    def __init__(
        self,
        model: Callable[..., Any],
        noise_level: float = 0.1,
        n_iter: int = 20,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        tolerance: float | None = None,
        column_spread: Tensor | None = None,
    ) -> None: ...

class TransformerAttribution(_TransformerAttribution):
    """Computes the product over layers of I + max(R * dF/dA, 0). Chefer et al., 2021 (arXiv:2012.09838)."""
    def __init__(
        self,
        model: Callable[..., Any],
        interpolate_mode: Literal['bilinear', 'bicubic', 'nearest'] = 'bilinear',
        head_fusion_method: Literal['min', 'max', 'mean'] = 'mean',
        discard_ratio: float = 0.9,
        alpha: float = 2.0,
        beta: float = 1.0,
        stabilizer: float = 1e-06,
        channel_dim: int | None = None,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
    ) -> None: ...

class VarGrad(_VarGrad):
    """Computes the variance of dF/dx(x + e) under noise e ~ N(0, s^2). Adebayo et al., 2018 (arXiv:1810.03307)."""
    def __init__(
        self,
        model: Callable[..., Any],
        noise_level: float = 0.1,
        n_iter: int = 20,
        forward_arg_extractor: Callable[[Any], Any] | None = None,
        additional_forward_arg_extractor: Callable[[Any], Any] | None = None,
        layer: Any = None,
        n_classes: int | None = None,
        *,
        column_spread: Tensor | None = None,
    ) -> None: ...

EigenCam = EigenCAM
GradCAM = GradCam
GradCAMPlusPlus = GradCamPlusPlus
GradCamPP = GradCamPlusPlus
ExpectedGradients = GradientShap
GuidedGradCAM = GuidedGradCam
HiResCam = HiResCAM
LayerCam = LayerCAM
ScoreCam = ScoreCAM
