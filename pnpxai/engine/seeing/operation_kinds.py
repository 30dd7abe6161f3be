"""Sorts torch's operations by what they do to a value, under the names of ``operations.operation_name``."""

from __future__ import annotations

__all__ = [
    "ACTIVATIONS", "AFFINE", "ATTENTION", "BILINEAR", "ELEMENTWISE", "JOINS", "MAX_POOLS", "ROUTES", "SCALES",
    "SELECTIONS", "SUMS", "UNCARRIED", "WRITES",
]  # fmt: skip

ACTIVATIONS = frozenset(
    "relu relu6 gelu silu elu selu celu leaky_relu hardtanh hardswish hardsigmoid mish softplus tanh sigmoid rrelu "
    "prelu softsign tanhshrink softshrink hardshrink threshold logsigmoid log_sigmoid".split()
)
"""Nonlinear functions of one value, applied to each on its own."""

ELEMENTWISE = ACTIVATIONS | frozenset(
    "abs absolute exp expm1 exp2 log log1p log2 log10 sqrt rsqrt reciprocal square pow erf erfc erfinv sin cos tan "
    "sinh cosh asin acos atan arctan asinh acosh atanh clamp clamp_min clamp_max clip logit sign sgn floor ceil "
    "rpow round trunc fix frac nan_to_num float_power sinc special_expit expit i0 lgamma digamma special_erf".split()
)
"""Nonlinear functions of one value: ``ACTIVATIONS`` and others."""

SUMS = frozenset("add sub subtract rsub index_add scatter_add".split())
"""Operations that are affine in all operands together."""

AFFINE = frozenset(
    "neg negative mean sum linear conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d "
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d mul multiply div "
    "divide true_divide truediv matmul mm bmm mv addmm addcmul addcdiv baddbmm addmv addbmm einsum batch_norm "
    "interpolate upsample fold col2im cumsum nansum nanmean lerp convolution bilinear inner dot tensordot kron vdot "
    "outer roi_align ps_roi_align deform_conv2d grid_sample grid_sampler "
    "dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout sparse_mm "
    "trace diff fft ifft fft2 ifft2 fftn ifftn rfft irfft rfft2 irfft2 rfftn irfftn "
    "fft_fft fft_ifft fft_fft2 fft_ifft2 fft_fftn fft_ifftn fft_rfft fft_irfft fft_rfft2 fft_irfft2 fft_rfftn "
    "fft_irfftn stft istft grouped_mm".split()
)
"""Operations that are affine in one operand while the others are constant."""

BILINEAR = frozenset("mul multiply matmul mm bmm mv einsum bilinear inner dot tensordot outer vdot kron".split())
"""Products, which are linear in each of two operands."""

ATTENTION = frozenset("scaled_dot_product_attention multi_head_attention_forward".split())
"""Attention in one operation."""

SCALES = frozenset("sqrt rsqrt std var norm frobenius_norm vector_norm linalg_vector_norm linalg_norm".split())
"""Operations that multiply or divide a value to give it a certain size."""

MAX_POOLS = frozenset(
    "max_pool1d max_pool2d max_pool3d adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d".split()
)
"""Operations that take the largest value of each window."""

ROUTES = frozenset(
    "get getitem reshape reshape_as view view_as flatten unflatten ravel permute transpose t swapaxes swapdims "
    "movedim moveaxis contiguous clone squeeze unsqueeze cat concat concatenate stack hstack vstack chunk split "
    "tensor_split split_with_sizes unsafe_chunk unbind expand expand_as repeat repeat_interleave tile index_select "
    "gather take_along_dim narrow select pad dropout dropout1d dropout2d dropout3d alpha_dropout "
    "feature_alpha_dropout to float double half bfloat16 type type_as cpu cuda roll flip rot90 unfold im2col "
    "pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle masked_fill where tril triu diagonal "
    "atleast_1d atleast_2d as_subclass alias lift_fresh_copy lift_fresh unsafe_view real imag view_as_real "
    "view_as_complex complex conj resolve_conj resolve_neg adjoint broadcast_to broadcast_tensors meshgrid fftshift "
    "ifftshift fft_fftshift fft_ifftshift dsplit hsplit vsplit dstack column_stack row_stack block_diag diag "
    "diag_embed take masked_select unsafe_split slice unsafe_split_with_sizes as_strided atleast_3d cartesian_prod "
    "select_scatter slice_scatter diagonal_scatter masked_scatter scatter index_copy index_fill index_put index "
    "fill zero setitem requires_grad detach data positive copy set_grad_enabled _pack_padded_sequence "
    "pack_padded_sequence _pad_packed_sequence pad_packed_sequence".split()
)
"""Operations that move, drop or copy values, or replace them by constants; every value that stays is unchanged."""

JOINS = frozenset("cat concat concatenate stack hstack vstack where".split())
"""Moves that put values of several tensors side by side."""

WRITES = frozenset(
    "masked_fill masked_scatter scatter index_copy index_fill index_put fill setitem select_scatter slice_scatter "
    "diagonal_scatter copy".split()
)
"""Moves that write other values, also constants, into a value."""

SELECTIONS = frozenset("topk sort kthvalue median nanmedian mode cummax cummin".split())
"""Operations that select values by their size; all relevance goes to the selected values, as the gradient does."""

UNCARRIED = frozenset(
    "detach data grad zeros_like ones_like empty_like full_like rand_like randn_like randint_like new_zeros "
    "new_ones new_empty new_full new_tensor get bernoulli multinomial isfinite sign heaviside one_hot bincount "
    "histc searchsorted bucketize set_grad_enabled frexp arange linspace item tolist numpy finfo empty_strided "
    "new_empty_strided".split()
)
"""Operations whose floating point result does not depend on the values of its operand, on purpose."""
