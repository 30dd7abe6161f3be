"""The elementary form gives what torch's own operation gives."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from pnpxai.engine.seeing.decompositions import DECOMPOSED, decomposed
from pnpxai.engine.seeing.operations import Operations, operation_name
from pnpxai.tensors import flat

pytestmark = pytest.mark.usefixtures("double")


def _both(run: Callable[[], Any]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], list[str]]:
    names: list[str] = []

    def replace(function: Any, args: Any, kwargs: Any) -> Any:
        name = operation_name(function)
        if name not in DECOMPOSED:
            return function(*args, **kwargs)
        names.append(name)
        return decomposed(name, function, lambda compute: compute(), *args, **kwargs)

    whole = run()
    with Operations(replace):
        parts = run()
    return _tensors(whole), _tensors(parts), names


def _tensors(value: Any) -> tuple[Tensor, ...]:
    if isinstance(value, nn.utils.rnn.PackedSequence):
        return (value.data, value.batch_sizes)
    if isinstance(value, tuple):
        return tuple(t for member in value for t in _tensors(member))
    return flat(value)


def _same(run: Callable[[], Any], name: str) -> None:
    whole, parts, names = _both(run)
    assert set(names) == {name}
    assert len(whole) == len(parts) > 0
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("options", [{}, {"dim": -1}, {"p": 1.0}, {"p": 3.0, "dim": (0, 1)}, {"eps": 10.0}], ids=str)
def test_lengths(options: dict[str, Any]) -> None:
    x = torch.randn(3, 4)
    _same(lambda: F.normalize(x, **options), "normalize")


@pytest.mark.parametrize("axis", [-1, 1])
def test_gated_linear_units(axis: int) -> None:
    x = torch.randn(3, 4, 6)
    _same(lambda: F.glu(x, axis), "glu")


RECURRENT = [
    {},
    {"num_layers": 2},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"bias": False},
]


@pytest.mark.parametrize("options", RECURRENT, ids=str)
@pytest.mark.parametrize(("build", "name"), [(nn.LSTM, "lstm"), (nn.GRU, "gru"), (nn.RNN, "rnn_tanh")])
def test_recurrent_networks(build: type[nn.Module], name: str, options: dict[str, Any]) -> None:
    net, x = build(4, 3, **options), torch.randn(5, 3, 4)
    _same(lambda: net(x), name)
    packed = nn.utils.rnn.pack_padded_sequence(
        torch.randn(3, 6, 4) if options.get("batch_first") else torch.randn(6, 3, 4),
        [2, 6, 4],
        batch_first=bool(options.get("batch_first")),
        enforce_sorted=False,
    )
    _same(lambda: net(packed), name)


def test_projections_states_and_other_activations() -> None:
    x = torch.randn(5, 2, 4)
    start = torch.randn(1, 2, 3), torch.randn(1, 2, 3)
    projected, plain, rectified = nn.LSTM(4, 3, proj_size=2), nn.LSTM(4, 3), nn.RNN(4, 3, nonlinearity="relu")
    _same(lambda: projected(x), "lstm")
    _same(lambda: plain(x, start), "lstm")
    _same(lambda: rectified(x), "rnn_relu")


@pytest.mark.parametrize(
    ("build", "name"), [(nn.LSTMCell, "lstm_cell"), (nn.GRUCell, "gru_cell"), (nn.RNNCell, "rnn_tanh_cell")]
)
@pytest.mark.parametrize("bias", [True, False])
def test_cells(build: type[nn.Module], name: str, bias: bool) -> None:
    cell, x = build(4, 3, bias=bias), torch.randn(2, 4)
    _same(lambda: cell(x), name)


ATTENTION = [
    {},
    {"batch_first": True},
    {"bias": False},
    {"add_bias_kv": True},
    {"add_zero_attn": True},
    {"kdim": 6, "vdim": 7},
]


@pytest.mark.parametrize("options", ATTENTION, ids=str)
def test_multi_head_attention(options: dict[str, Any]) -> None:
    net = nn.MultiheadAttention(8, 2, **options).eval()
    length, batch = (5, 3) if options.get("batch_first") else (3, 5)
    shape = (batch, length) if options.get("batch_first") else (length, batch)
    query, key, value = (torch.randn(*shape, n) for n in (8, options.get("kdim", 8), options.get("vdim", 8)))
    padding = torch.zeros(batch, length, dtype=torch.bool)
    padding[0, -1] = True
    bias = torch.randn(length, length)
    for given in (
        {},
        {"need_weights": False},
        {"average_attn_weights": False},
        {"key_padding_mask": padding},
        {"attn_mask": bias},
        {"attn_mask": bias > 1, "key_padding_mask": padding},
        {"attn_mask": torch.randn(batch * 2, length, length)},
    ):
        _same(lambda given=given: net(query, key, value, **given), "multi_head_attention_forward")
    if not options:
        one = query[:, 0], key[:, 0], value[:, 0]
        _same(lambda: net(*one), "multi_head_attention_forward")


def test_scaled_dot_product_attention() -> None:
    q = torch.randn(2, 4, 5, 8)
    for given in (
        {},
        {"is_causal": True},
        {"attn_mask": torch.randn(5, 5)},
        {"attn_mask": torch.eye(5) > 0, "scale": 0.3},
    ):
        _same(
            lambda given=given: F.scaled_dot_product_attention(q, q + 1, q * 2, **given), "scaled_dot_product_attention"
        )
    grouped = q[:, :2]
    _same(lambda: F.scaled_dot_product_attention(q, grouped, grouped, enable_gqa=True), "scaled_dot_product_attention")


def test_norms() -> None:
    x = torch.randn(2, 4, 5, 8)
    for net, name in (
        (nn.LayerNorm(8), "layer_norm"),
        (nn.LayerNorm((5, 8), elementwise_affine=False), "layer_norm"),
        (nn.GroupNorm(2, 4), "group_norm"),
        (nn.InstanceNorm2d(4, affine=True), "instance_norm"),
        (nn.InstanceNorm2d(4, track_running_stats=True).eval(), "instance_norm"),
        (nn.RMSNorm(8), "rms_norm"),
    ):
        for parameter in net.parameters():
            nn.init.normal_(parameter)
        _same(lambda net=net: net(x), name)
