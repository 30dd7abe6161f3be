"""Torch operations by what they do to a value, under the names of ``engine.operations.operation_name``."""

from __future__ import annotations

__all__ = [
    "ACTIVATIONS", "AFFINE", "ATTENTION", "BILINEAR", "ELEMENTWISE", "JOINS", "MAX_POOLS", "ROUTES", "SCALES", "SUMS",
]  # fmt: skip

ACTIVATIONS = frozenset(
    "relu relu6 gelu silu elu selu celu leaky_relu hardtanh hardswish hardsigmoid mish softplus tanh sigmoid rrelu "
    "prelu softsign tanhshrink softshrink hardshrink threshold logsigmoid".split()
)
"""Nonlinear functions of one value, applied to each on its own."""

ELEMENTWISE = ACTIVATIONS | frozenset(
    "abs exp expm1 exp2 log log1p log2 log10 sqrt rsqrt reciprocal square pow erf erfc sin cos tan sinh cosh asinh "
    "atan clamp clamp_min clamp_max clip logit sign floor ceil round trunc nan_to_num float_power".split()
)
"""As ``ACTIVATIONS``, with the other functions of one value."""

SUMS = frozenset("add sub".split())
"""Affine in all operands together."""

AFFINE = frozenset(
    "neg mean sum linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d avg_pool1d avg_pool2d "
    "avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d mul div truediv matmul mm bmm mv addmm "
    "addcmul baddbmm einsum batch_norm interpolate upsample fold cumsum nansum lerp".split()
)
"""Affine in one operand, while the others are constant."""

BILINEAR = frozenset("mul matmul mm bmm mv einsum".split())
"""Products: linear in each of two operands."""

ATTENTION = frozenset("scaled_dot_product_attention multi_head_attention_forward".split())
"""Attention in one operation."""

SCALES = frozenset("sqrt rsqrt std var norm frobenius_norm vector_norm linalg_vector_norm linalg_norm".split())
"""What a value is multiplied with or divided by, to be of a certain size."""

MAX_POOLS = frozenset(
    "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d".split()
)
"""The largest value of each window."""

ROUTES = frozenset(
    "get getitem reshape reshape_as view view_as flatten unflatten ravel permute transpose t swapaxes swapdims movedim "
    "moveaxis contiguous clone squeeze unsqueeze cat concat concatenate stack hstack vstack chunk split tensor_split "
    "split_with_sizes unsafe_chunk unbind expand expand_as repeat repeat_interleave tile index_select gather "
    "take_along_dim narrow select pad dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout to "
    "float double half bfloat16 type type_as cpu cuda roll flip rot90 unfold im2col pixel_shuffle pixel_unshuffle "
    "channel_shuffle native_channel_shuffle masked_fill where tril triu diagonal atleast_1d atleast_2d as_subclass "
    "alias requires_grad detach data positive copy set_grad_enabled _pack_padded_sequence pack_padded_sequence "
    "_pad_packed_sequence pad_packed_sequence".split()
)
"""Values change places, or are dropped, copied, or replaced by constants; each goes where it goes unchanged."""

JOINS = frozenset("cat concat concatenate stack hstack vstack where".split())
"""Those of them that put values of several tensors side by side."""
