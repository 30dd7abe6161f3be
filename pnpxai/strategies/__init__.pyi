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
    """Superpixels (``Felzenszwalb``) on pictures; elsewhere every position is alone, its channels together."""
    def __init__(
        self,
    ) -> None: ...

class Background(_Background):
    """Other examples, such as some of the training data, in the place of what is absent."""
    def __init__(
        self,
        examples: Tensor,
        seed: int = 0,
        draw: Literal['all', 'one'] = 'all',
    ) -> None: ...

class ClassConditional(_ClassConditional):
    """The mean of another class of a background with labels: what an example would be if it were one of those."""
    def __init__(
        self,
        examples: Tensor,
        labels: Tensor,
        label: int | None = None,
    ) -> None: ...

class Columns(_Columns):
    """Groups of columns that belong together, such as the indicators of one category; all others are alone."""
    def __init__(
        self,
        groups: tuple[tuple[int, ...], ...],
    ) -> None: ...

class EachBaseline(_EachBaseline):
    """A baseline of its own for each input of a model."""
    def __init__(
        self,
        strategies: tuple[Baseline, ...],
    ) -> None: ...

class EachMask(_EachMask):
    """A mask of its own for each input of a model."""
    def __init__(
        self,
        strategies: tuple[FeatureMask, ...],
    ) -> None: ...

class EachNormalization(_EachNormalization):
    """A normalisation of its own for the map of each input of a model."""
    def __init__(
        self,
        strategies: tuple[Normalization, ...],
    ) -> None: ...

class EachPooling(_EachPooling):
    """A pooling of its own for the map of each input of a model."""
    def __init__(
        self,
        strategies: tuple[Pooling, ...],
    ) -> None: ...

class Felzenszwalb(_Felzenszwalb):
    """Regions that differ more from each other than within. Felzenszwalb and Huttenlocher, 2004."""
    def __init__(
        self,
        scale: float = 250.0,
        sigma: float = 1.0,
        min_size: int = 50,
    ) -> None: ...

class GaussianBlur(_GaussianBlur):
    """A blurred picture (examples, channels, height, width)."""
    def __init__(
        self,
        kernel_size_x: int = 3,
        kernel_size_y: int = 3,
        sigma_x: float = 0.5,
        sigma_y: float = 0.5,
    ) -> None: ...

class Given(_Given):
    """Ids that are known beforehand, such as a segmentation of one's own."""
    def __init__(
        self,
        ids: Tensor,
    ) -> None: ...

class Grid(_Grid):
    """A picture (a series) cut into as many parts along each axis, whatever its size."""
    def __init__(
        self,
        cells: int = 8,
    ) -> None: ...

class Invert(_Invert):
    """A picture's negative, low + high - x: dark becomes bright, shapes stay."""
    def __init__(
        self,
        low: float | tuple[float, ...] | None = None,
        high: float | tuple[float, ...] | None = None,
    ) -> None: ...

class L1Norm(_L1Norm):
    """sum |a|."""
    def __init__(
        self,
    ) -> None: ...

class L2Norm(_L2Norm):
    """sqrt(sum a^2)."""
    def __init__(
        self,
    ) -> None: ...

class L2NormSq(_L2NormSq):
    """sum a^2."""
    def __init__(
        self,
    ) -> None: ...

class LocalMean(_LocalMean):
    """A moving average along time: what is slow stays, what is sudden goes."""
    def __init__(
        self,
        size: int = 9,
        dim: int = -1,
    ) -> None: ...

class MaxAbs(_MaxAbs):
    """By the largest absolute value, which keeps signs: to -1 ... 1."""
    def __init__(
        self,
    ) -> None: ...

class MaxNorm(_MaxNorm):
    """max |a|."""
    def __init__(
        self,
    ) -> None: ...

class Mean(_Mean):
    """Each example's mean: over its positions, per channel where there are channels; or over its channels."""
    def __init__(
        self,
        over: Literal['positions', 'channels'] = 'positions',
    ) -> None: ...

class MeanEmbedding(_MeanEmbedding):
    """A mean embedding in the place of every token, at an embedding layer (examples, tokens, features)."""
    def __init__(
        self,
        embeddings: Tensor | None = None,
    ) -> None: ...

class MinMax(_MinMax):
    """To 0 ... 1."""
    def __init__(
        self,
    ) -> None: ...

class NoNormalization(_NoNormalization):
    """As they are."""
    def __init__(
        self,
    ) -> None: ...

class NoPooling(_NoPooling):
    """Maps that have no channels stay as they are."""
    def __init__(
        self,
    ) -> None: ...

class Pad(_Pad):
    """The padding token everywhere (``tokenizer.pad_token_id``). It is not masked from attention."""
    def __init__(
        self,
        token_id: int = 0,
    ) -> None: ...

class Patches(_Patches):
    """Squares of pixels (windows of a series) of a fixed size; those at the far border may be smaller."""
    def __init__(
        self,
        size: int = 4,
    ) -> None: ...

class PosL2Norm(_PosL2Norm):
    """sqrt(sum relu(a)^2)."""
    def __init__(
        self,
    ) -> None: ...

class PosL2NormSq(_PosL2NormSq):
    """sum relu(a)^2."""
    def __init__(
        self,
    ) -> None: ...

class PosMaxNorm(_PosMaxNorm):
    """max relu(a)."""
    def __init__(
        self,
    ) -> None: ...

class PosSum(_PosSum):
    """sum relu(a)."""
    def __init__(
        self,
    ) -> None: ...

class Positions(_Positions):
    """Every pixel, token, time step or column is a feature of its own, all its channels together."""
    def __init__(
        self,
    ) -> None: ...

class Quickshift(_Quickshift):
    """Regions around the modes of colour and place. Vedaldi and Soatto, 2008."""
    def __init__(
        self,
        ratio: float = 1.0,
        kernel_size: float = 5.0,
        max_dist: int = 10,
        sigma: float = 0.0,
    ) -> None: ...

class Robust(_Robust):
    """By median and interquartile range, which a few extreme values do not move; zero is the median."""
    def __init__(
        self,
    ) -> None: ...

class Slic(_Slic):
    """Regions from k-means in colour and place. Achanta et al., 2012."""
    def __init__(
        self,
        n_segments: int = 150,
        compactness: float = 1.0,
        sigma: float = 0.0,
    ) -> None: ...

class Sum(_Sum):
    """sum a: the position's share, with its sign."""
    def __init__(
        self,
    ) -> None: ...

class SumAbs(_SumAbs):
    """|sum a|."""
    def __init__(
        self,
    ) -> None: ...

class SumPos(_SumPos):
    """relu(sum a)."""
    def __init__(
        self,
    ) -> None: ...

class Token(_Token):
    """The mask token everywhere (``tokenizer.mask_token_id``)."""
    def __init__(
        self,
        token_id: int = 0,
    ) -> None: ...

class Uniform(_Uniform):
    """Independent numbers, uniform over each example's range, per channel where there are channels."""
    def __init__(
        self,
        seed: int = 0,
    ) -> None: ...

class Watershed(_Watershed):
    """Regions that flood from a grid of seeds and meet at edges. Neubert and Protzel, 2014."""
    def __init__(
        self,
        markers: int = 100,
        compactness: float = 0.001,
    ) -> None: ...

class Words(_Words):
    """Sub-word tokens of one word together, for token ids (examples, tokens)."""
    def __init__(
        self,
        continues: Tensor,
        special: tuple[int, ...] = (),
    ) -> None: ...

class Zeros(_Zeros):
    """Zero everywhere."""
    def __init__(
        self,
    ) -> None: ...

checker = Grid
windows = Patches
no_mask_1d = Positions
no_mask_2d = Positions
