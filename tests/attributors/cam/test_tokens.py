"""Tokens of the libraries' vision transformers come back in the place of their patches.

Attention is taken out (its output layers are zero), so that what is planted in one patch stays in its token: the values
that differ from those without the plant must be those of one cell of the map, and no other.
"""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from pnpxai.attributors import HiResCAM, LayerCAM, ScoreCAM
from pnpxai.attributors.cam.feature_maps import feature_maps, last_feature_map
from pnpxai.engine.running.guard import borrowed
from pnpxai.engine.running.score import Score

pytestmark = pytest.mark.slow
MIXING = re.compile(r"(attn|attention)\.(proj|out_proj|o_proj|dense|output\.dense)$")
SMALL = {
    "image_size": 32, "patch_size": 8, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 32,
}  # fmt: skip
WINDOWS = {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": 4}


def timm_vit(**settings):
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(**{"img_size": 32} | settings, patch_size=8, embed_dim=16, depth=2, num_heads=2)


def timm_deit():
    from timm.models.deit import VisionTransformerDistilled

    return VisionTransformerDistilled(img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2)


def timm_swin():
    from timm.models.swin_transformer import SwinTransformer

    return SwinTransformer(img_size=32, patch_size=2, embed_dim=8, depths=(2, 2), num_heads=(2, 2), window_size=4)


def torchvision_vit():
    from torchvision.models import VisionTransformer

    model = VisionTransformer(32, 8, 2, 2, 16, 32)
    nn.init.normal_(model.heads.head.weight)
    return model


def torchvision_swin():
    from torchvision.models import SwinTransformer

    return SwinTransformer([2, 2], 8, [2, 2], [2, 2], [4, 4])


def hugging_face(name, **settings):
    import transformers

    config = getattr(transformers, f"{name}Config")(**settings)
    return getattr(transformers, f"{name}ForImageClassification")(config)


MODELS = {
    "timm ViT": (timm_vit, "blocks.1.norm1", (4, 4)),
    "timm ViT, registers, not square": (
        lambda: timm_vit(reg_tokens=4, img_size=(32, 48)),
        "blocks.1.norm1",
        (4, 6),
    ),
    "timm ViT, mean": (lambda: timm_vit(class_token=False, global_pool="avg"), "blocks.1.norm1", (4, 4)),
    "timm ViT, norms of queries and keys": (lambda: timm_vit(qk_norm=True), "blocks.1.norm1", (4, 4)),
    "timm DeiT, distilled": (timm_deit, "blocks.1.norm1", (4, 4)),
    "timm Swin": (timm_swin, "layers.1.blocks.1.norm1", (8, 8)),
    "torchvision ViT": (torchvision_vit, "encoder.layers.encoder_layer_1.ln_1", (4, 4)),
    "torchvision Swin": (torchvision_swin, "features.3.1.norm1", (8, 8)),
    "transformers ViT": (lambda: hugging_face("ViT", **SMALL), "vit.*layer.*1.layernorm_before", (4, 4)),
    "transformers DINOv2, registers": (
        lambda: hugging_face("Dinov2WithRegisters", **SMALL),
        "dinov2_with_registers.*1.norm1",
        (4, 4),
    ),
    "transformers Swin": (lambda: hugging_face("Swin", **WINDOWS), "swin.*1.blocks.1.layernorm_before", (8, 8)),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_planted_patch_is_in_its_cell(name):
    build, layer, grid = MODELS[name]
    torch.manual_seed(0)
    model, cell = build().double().eval(), (1, 2)
    plain = torch.randn(2, 3, *(8 * side if side < 8 else 4 * side for side in grid), dtype=torch.float64)
    planted = plain.clone()
    rows, columns = (
        slice(at * length // side, (at + 1) * length // side)
        for at, side, length in zip(cell, grid, plain.shape[2:], strict=True)
    )
    planted[..., rows, columns] += torch.randn(3, rows.stop - rows.start, columns.stop - columns.start).double()
    with borrowed(model):
        site, layout = last_feature_map(Score.of(model, (plain,), 0), (plain,))
        assert re.fullmatch(layer, site.name)
        assert layout.sides == grid
        taken_out = [m for n, m in model.named_modules() if isinstance(m, nn.Linear) and MIXING.search(n)]
        assert taken_out
    for module in taken_out:
        nn.init.zeros_(module.weight)
    with borrowed(model):
        one, other = (
            feature_maps(Score.of(model, (x,), 0), (x,), site.name, differentiate=False)[0] for x in (plain, planted)
        )
    changed = ((one.values - other.values).abs() > 1e-12).any(1)
    expected = torch.zeros(grid, dtype=torch.bool)
    expected[cell] = True
    assert torch.equal(changed, expected.expand(2, *grid))


@pytest.mark.parametrize(
    ("build", "side"),
    [(torchvision_swin, 4), (timm_swin, 4), (lambda: timm_vit(class_token=False, global_pool="avg"), 8)],
)
def test_evidence_that_is_planted_in_one_patch_is_the_maximum(build, side):
    """The head looks for what the planted token, wherever that is, has more of than the others."""
    torch.manual_seed(0)
    model = build().double().eval()
    plain = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    planted = plain.clone()
    planted[..., 16 : 16 + side, 8 : 8 + side] += 3 * torch.randn(3, side, side, dtype=torch.float64)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and MIXING.search(name):
            nn.init.zeros_(module.weight)
    head = [m for m in model.modules() if isinstance(m, nn.Linear)][-1]
    with borrowed(model):
        one, other = (feature_maps(Score.of(model, (x,), 0), (x,), None)[0].values for x in (plain, planted))
        changed = ((other - one).abs() > 1e-12).any(1)
        assert changed.sum() == 1
        with torch.no_grad():
            head.weight[0] = other.movedim(1, -1)[changed][0] - other.mean((0, 2, 3))
    maps = HiResCAM(model).attribute(planted, 0)[0, 0]
    row, column = divmod(int(maps.argmax()), 32)
    assert 16 <= row < 16 + side
    assert 8 <= column < 8 + side


def stripes(count, seed):
    """Return noise with one of three kinds of stripes in one of sixteen patches, the kinds, and the patches."""
    draw = torch.Generator().manual_seed(seed)
    x = 0.3 * torch.randn(count, 3, 32, 32, generator=draw)
    kinds, cells = torch.randint(3, (count,), generator=draw), torch.randint(16, (count,), generator=draw)
    at = torch.arange(8) % 2
    glyphs = 2.0 * torch.stack([at.expand(8, 8), at[:, None].expand(8, 8), at[:, None] ^ at]) - 1
    for k, cell in enumerate(cells):
        row, column = divmod(int(cell), 4)
        x[k, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] += 0.8 * glyphs[kinds[k]]
    return x, kinds, cells


def share_found(explainer, model, layer, x, kinds, cells):
    maps = explainer(model, layer).attribute(x, kinds)[:, 0]
    of_cells = maps.unfold(1, 8, 8).unfold(2, 8, 8).sum((-1, -2)).flatten(1)
    return float((of_cells.argmax(1) == cells).double().mean())


@pytest.mark.parametrize("name", ["mean", "Swin"])
def test_a_trained_transformer_is_read_where_evidence_still_is_in_its_patch(name):
    """All tokens are averaged: behind the last attention evidence is in any but its own; before, gradients find it."""
    torch.manual_seed(0)
    if name == "Swin":
        from timm.models.swin_transformer import SwinTransformer

        model = SwinTransformer(img_size=32, window_size=4, embed_dim=16, depths=(2, 2), num_heads=(2, 4),
                                num_classes=3, drop_path_rate=0.0)  # fmt: skip
    else:
        from timm.models.vision_transformer import VisionTransformer

        model = VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4, num_classes=3,
                                  global_pool="avg", fc_norm=False)  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=300)
    for step in range(300):
        x, kinds, _ = stripes(64, step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), kinds).backward()
        optimizer.step()
        schedule.step()
    planted = stripes(64, 1000)
    assert (model.eval()(planted[0]).argmax(1) == planted[1]).all()
    found = {e.__name__: share_found(e, model, None, *planted) for e in (HiResCAM, LayerCAM, ScoreCAM)}
    assert min(found.values()) > 4 / 16, found
    assert share_found(HiResCAM, model, "norm", *planted) < 1 / 16
