# Written by docs/hooks/stubs.py from the declarations: do not edit.
from pnpxai.strategies.base import Strategy as Strategy
from pnpxai.strategies.baselines import Baseline as Baseline
from pnpxai.strategies.baselines import EachBaseline as _EachBaseline
from pnpxai.strategies.baselines import GaussianBlur as _GaussianBlur
from pnpxai.strategies.baselines import Invert as _Invert
from pnpxai.strategies.baselines import LocalMean as _LocalMean
from pnpxai.strategies.baselines import Mean as _Mean
from pnpxai.strategies.baselines import Zeros as _Zeros
from pnpxai.strategies.drawn_baselines import Background as _Background
from pnpxai.strategies.drawn_baselines import ClassConditional as _ClassConditional
from pnpxai.strategies.drawn_baselines import Uniform as _Uniform
from pnpxai.strategies.feature_masks import EachMask as _EachMask
from pnpxai.strategies.feature_masks import FeatureMask as FeatureMask
from pnpxai.strategies.feature_masks import Grid as _Grid
from pnpxai.strategies.feature_masks import Patches as _Patches
from pnpxai.strategies.feature_masks import Positions as _Positions
from pnpxai.strategies.known_features import Columns as _Columns
from pnpxai.strategies.known_features import Given as _Given
from pnpxai.strategies.known_features import Words as _Words
from pnpxai.strategies.normalization import EachNormalization as _EachNormalization
from pnpxai.strategies.normalization import MaxAbs as _MaxAbs
from pnpxai.strategies.normalization import MinMax as _MinMax
from pnpxai.strategies.normalization import NoNormalization as _NoNormalization
from pnpxai.strategies.normalization import Normalization as Normalization
from pnpxai.strategies.normalization import Robust as _Robust
from pnpxai.strategies.normalization import Standard as _Standard
from pnpxai.strategies.pooling import EachPooling as _EachPooling
from pnpxai.strategies.pooling import L1Norm as _L1Norm
from pnpxai.strategies.pooling import L2Norm as _L2Norm
from pnpxai.strategies.pooling import L2NormSq as _L2NormSq
from pnpxai.strategies.pooling import MaxNorm as _MaxNorm
from pnpxai.strategies.pooling import NoPooling as _NoPooling
from pnpxai.strategies.pooling import Pooling as Pooling
from pnpxai.strategies.pooling import PosL2Norm as _PosL2Norm
from pnpxai.strategies.pooling import PosL2NormSq as _PosL2NormSq
from pnpxai.strategies.pooling import PosMaxNorm as _PosMaxNorm
from pnpxai.strategies.pooling import PosSum as _PosSum
from pnpxai.strategies.pooling import Sum as _Sum
from pnpxai.strategies.pooling import SumAbs as _SumAbs
from pnpxai.strategies.pooling import SumPos as _SumPos
from pnpxai.strategies.postprocessing import PostProcessor as PostProcessor
from pnpxai.strategies.superpixels import Auto as _Auto
from pnpxai.strategies.superpixels import Felzenszwalb as _Felzenszwalb
from pnpxai.strategies.superpixels import Quickshift as _Quickshift
from pnpxai.strategies.superpixels import Slic as _Slic
from pnpxai.strategies.superpixels import Superpixels as Superpixels
from pnpxai.strategies.superpixels import Watershed as _Watershed
from pnpxai.strategies.token_baselines import MeanEmbedding as _MeanEmbedding
from pnpxai.strategies.token_baselines import OneToken as OneToken
from pnpxai.strategies.token_baselines import Pad as _Pad
from pnpxai.strategies.token_baselines import Token as _Token
from torch import Tensor
from typing import Literal

class Auto(_Auto):
    """Chooses by the data: ``Felzenszwalb`` on pictures, ``Positions`` elsewhere."""
    def __init__(
        self,
    ) -> None: ...

class Background(_Background):
    """Takes the values of other examples, such as some of the training data, for features that are absent."""
    def __init__(
        self,
        examples: Tensor,
        seed: int = 0,
        draw: Literal['all', 'one'] = 'all',
    ) -> None: ...

class ClassConditional(_ClassConditional):
    """Takes the mean of another class: a typical example of that class, computed from labelled background rows."""
    def __init__(
        self,
        examples: Tensor,
        labels: Tensor,
        label: int | None = None,
    ) -> None: ...

class Columns(_Columns):
    """Joins columns of a table that belong together, such as the indicators of one category; others stay alone."""
    def __init__(
        self,
        groups: tuple[tuple[int, ...], ...],
    ) -> None: ...

class EachBaseline(_EachBaseline):
    """Uses another baseline for each input of a model."""
    def __init__(
        self,
        strategies: tuple[Baseline, ...],
    ) -> None: ...

class EachMask(_EachMask):
    """Uses another feature mask for each input of a model."""
    def __init__(
        self,
        strategies: tuple[FeatureMask, ...],
    ) -> None: ...

class EachNormalization(_EachNormalization):
    """Uses another normalisation for the map of each input of a model."""
    def __init__(
        self,
        strategies: tuple[Normalization, ...],
    ) -> None: ...

class EachPooling(_EachPooling):
    """Uses another pooling for the map of each input of a model."""
    def __init__(
        self,
        strategies: tuple[Pooling, ...],
    ) -> None: ...

class Felzenszwalb(_Felzenszwalb):
    """Joins pixels to regions that differ more from each other than within. Felzenszwalb and Huttenlocher, 2004."""
    def __init__(
        self,
        scale: float = 250.0,
        sigma: float = 1.0,
        min_size: int = 50,
    ) -> None: ...

class GaussianBlur(_GaussianBlur):
    """Blurs pictures (examples, channels, height, width) with a Gaussian kernel."""
    def __init__(
        self,
        kernel_size_x: int = 3,
        kernel_size_y: int = 3,
        sigma_x: float = 0.5,
        sigma_y: float = 0.5,
    ) -> None: ...

class Given(_Given):
    """Uses ids that the user has computed, such as a segmentation made by another program."""
    def __init__(
        self,
        ids: Tensor,
    ) -> None: ...

class Grid(_Grid):
    """Cuts every axis of a picture (of a series) into the same number of parts, whatever its length."""
    def __init__(
        self,
        cells: int = 8,
    ) -> None: ...

class Invert(_Invert):
    """Turns a picture x into its negative, low + high - x: dark becomes bright, and shapes stay."""
    def __init__(
        self,
        low: float | tuple[float, ...] | None = None,
        high: float | tuple[float, ...] | None = None,
    ) -> None: ...

class L1Norm(_L1Norm):
    """Pools to sum |a|: contributions of opposite signs do not cancel."""
    def __init__(
        self,
    ) -> None: ...

class L2Norm(_L2Norm):
    """Pools to the Euclidean norm, sqrt(sum a^2)."""
    def __init__(
        self,
    ) -> None: ...

class L2NormSq(_L2NormSq):
    """Pools to the squared Euclidean norm, sum a^2."""
    def __init__(
        self,
    ) -> None: ...

class LocalMean(_LocalMean):
    """Averages a series over a window that moves along time: slow changes stay, sudden ones go."""
    def __init__(
        self,
        size: int = 9,
        dim: int = -1,
    ) -> None: ...

class MaxAbs(_MaxAbs):
    """Rescales a map a to -1 ... 1: a / max |a|, which keeps the signs."""
    def __init__(
        self,
    ) -> None: ...

class MaxNorm(_MaxNorm):
    """Pools to max |a|: the channel with the largest attribution speaks for the position."""
    def __init__(
        self,
    ) -> None: ...

class Mean(_Mean):
    """Replaces every value by its example's mean: over the positions of its channel, or over the channels."""
    def __init__(
        self,
        over: Literal['positions', 'channels'] = 'positions',
    ) -> None: ...

class MeanEmbedding(_MeanEmbedding):
    """Puts a mean embedding in the place of every token, at an embedding layer (examples, tokens, features)."""
    def __init__(
        self,
        embeddings: Tensor | None = None,
    ) -> None: ...

class MinMax(_MinMax):
    """Rescales a map a to 0 ... 1: (a - min) / (max - min)."""
    def __init__(
        self,
    ) -> None: ...

class NoNormalization(_NoNormalization):
    """Leaves maps as they are."""
    def __init__(
        self,
    ) -> None: ...

class NoPooling(_NoPooling):
    """Leaves maps as they are."""
    def __init__(
        self,
    ) -> None: ...

class Pad(_Pad):
    """Puts the padding token everywhere (``tokenizer.pad_token_id``). Attention still sees these tokens."""
    def __init__(
        self,
        token_id: int = 0,
    ) -> None: ...

class Patches(_Patches):
    """Cuts a picture into squares (a series into windows) of a fixed size; the last of each axis may be smaller."""
    def __init__(
        self,
        size: int = 4,
    ) -> None: ...

class PosL2Norm(_PosL2Norm):
    """Pools to the Euclidean norm of positive attributions, sqrt(sum relu(a)^2)."""
    def __init__(
        self,
    ) -> None: ...

class PosL2NormSq(_PosL2NormSq):
    """Pools to the squared norm of positive attributions, sum relu(a)^2."""
    def __init__(
        self,
    ) -> None: ...

class PosMaxNorm(_PosMaxNorm):
    """Pools to max relu(a): the largest positive attribution."""
    def __init__(
        self,
    ) -> None: ...

class PosSum(_PosSum):
    """Pools to sum relu(a): only positive attributions count."""
    def __init__(
        self,
    ) -> None: ...

class Positions(_Positions):
    """Makes every pixel, token, time step or column a feature, with all its channels."""
    def __init__(
        self,
    ) -> None: ...

class Quickshift(_Quickshift):
    """Groups pixels around the modes of their density in colour and place. Vedaldi and Soatto, 2008."""
    def __init__(
        self,
        ratio: float = 1.0,
        kernel_size: float = 5.0,
        max_dist: int = 10,
        sigma: float = 0.0,
    ) -> None: ...

class Robust(_Robust):
    """Rescales a map a to (a - median) / (third quartile - first quartile), which a few extreme values hardly change."""
    def __init__(
        self,
    ) -> None: ...

class Slic(_Slic):
    """Groups pixels by k-means in colour and place. Achanta et al., 2012."""
    def __init__(
        self,
        n_segments: int = 150,
        compactness: float = 1.0,
        sigma: float = 0.0,
    ) -> None: ...

class Standard(_Standard):
    """To standard deviation 1, which keeps signs."""
    def __init__(
        self,
    ) -> None: ...

class Sum(_Sum):
    """Pools to sum a: the position's contribution, with its sign."""
    def __init__(
        self,
    ) -> None: ...

class SumAbs(_SumAbs):
    """Pools to |sum a|: the size of the contribution."""
    def __init__(
        self,
    ) -> None: ...

class SumPos(_SumPos):
    """Pools to relu(sum a): the contribution where it is positive."""
    def __init__(
        self,
    ) -> None: ...

class Token(_Token):
    """Puts the mask token everywhere (``tokenizer.mask_token_id``)."""
    def __init__(
        self,
        token_id: int = 0,
    ) -> None: ...

class Uniform(_Uniform):
    """Draws independent uniform numbers between the smallest and the largest value of each example's channel."""
    def __init__(
        self,
        seed: int = 0,
    ) -> None: ...

class Watershed(_Watershed):
    """Floods a picture from a grid of seeds; regions end where they meet, at edges. Neubert and Protzel, 2014."""
    def __init__(
        self,
        markers: int = 100,
        compactness: float = 0.001,
    ) -> None: ...

class Words(_Words):
    """Joins the sub-word tokens of each word, for token ids (examples, tokens)."""
    def __init__(
        self,
        continues: Tensor,
        special: tuple[int, ...] = (),
    ) -> None: ...

class Zeros(_Zeros):
    """Is zero everywhere."""
    def __init__(
        self,
    ) -> None: ...

checker = Grid
windows = Patches
no_mask_1d = Positions
no_mask_2d = Positions
