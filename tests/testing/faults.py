"""A sound method, and methods that differ from it in one planted fault each."""

from __future__ import annotations

import warnings

import torch

from pnpxai.attributors import Saliency
from pnpxai.engine.running.seeds import RandomStream
from pnpxai.testing.subject import Subject


def sound(model, x, targets, seed):
    """Return the gradient, by every rule of the house."""
    return Saliency(model).attribute(x, targets, abs=False)


def careless(model, x, targets):
    """Return the gradient as one writes it in a hurry, without touching the caller's tensor."""
    leaf = x.detach().clone().requires_grad_()
    score = model(leaf)[range(len(x)), targets].sum()
    return torch.autograd.grad(score, leaf)[0]


def subject(call, *, cost=lambda model, x: len(x), **facts):
    """Return a method, given as a function of (model, inputs, targets, seed)."""
    return Subject(call.__name__, lambda model: model, call, cost, **facts)


def leaves_a_hook(model, x, targets, seed):
    model.head.register_forward_hook(lambda module, args, output: None)
    return sound(model, x, targets, seed)


def leaves_a_hook_after_a_failure(model, x, targets, seed):
    handle = model.head.register_forward_hook(lambda module, args, output: None)
    found = sound(model, x, targets, seed)
    handle.remove()
    return found


def leaves_an_attribute(model, x, targets, seed):
    model.head.activations = sound(model, x, targets, seed)
    return model.head.activations.clone()


def leaves_train_mode(model, x, targets, seed):
    found = sound(model, x, targets, seed)
    model.bn1.train()
    return found


def leaves_eval_mode(model, x, targets, seed):
    model.eval()
    return sound(model, x, targets, seed)


def runs_in_the_mode_it_finds(model, x, targets, seed):
    buffers = [b.clone() for b in model.buffers()]
    found = careless(model, x, targets)
    for buffer, value in zip(model.buffers(), buffers, strict=True):
        buffer.copy_(value)
    return found


def changes_a_buffer(model, x, targets, seed):
    found = sound(model, x, targets, seed)
    model.bn2.running_mean += 1e-6
    return found


def changes_a_parameter(model, x, targets, seed):
    found = sound(model, x, targets, seed)
    with torch.no_grad():
        model.head.weight.clamp_(min=-0.1)
    return found


def leaves_gradients(model, x, targets, seed):
    leaf = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        model(leaf)[range(len(x)), targets].sum().backward()
    return leaf.grad


def leaves_requires_grad(model, x, targets, seed):
    x.requires_grad_()
    return sound(model, x, targets, seed)


def leaves_parameters_frozen(model, x, targets, seed):
    model.requires_grad_(False)
    return sound(model, x, targets, seed)


def leaves_grad_mode_off(model, x, targets, seed):
    found = sound(model, x, targets, seed)
    torch.set_grad_enabled(False)
    return found


def edits_the_input(model, x, targets, seed):
    with torch.no_grad():
        x -= x.mean()
    return sound(model, x, targets, seed)


def hands_the_callers_tensor_to_the_model(model, x, targets, seed):
    model(x)
    return sound(model, x, targets, seed)


def flips_the_sign(model, x, targets, seed):
    return -sound(model, x, targets, seed)


def detaches_a_branch(model, x, targets, seed):
    return sound(lambda x: model(torch.cat([x[:, :3], x[:, 3:].detach()], 1)), x, targets, seed)


def gives_something_to_what_is_ignored(model, x, targets, seed):
    return sound(model, x, targets, seed) + 0.01 * x


def normalises_over_the_batch(model, x, targets, seed):
    found = sound(model, x, targets, seed)
    return found / found.abs().max()


def depends_on_its_place_in_the_batch(model, x, targets, seed):
    place = 1 + torch.arange(len(x), dtype=x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return sound(model, x, targets, seed) * place


def draws_once_for_the_batch(model, x, targets, seed):
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    return sound(model, x + 0.1 * drawn, targets, seed)


def draws_from_the_global_state(model, x, targets, seed):
    return sound(model, x + 0.1 * torch.randn(x.shape[1:], dtype=x.dtype), targets, seed)


def seeds_the_global_state(model, x, targets, seed):
    torch.manual_seed(seed)
    return sound(model, x + 0.1 * torch.randn(x.shape[1:], dtype=x.dtype), targets, seed)


def draws_without_a_seed(model, x, targets, seed):
    generator = torch.Generator()
    generator.seed()
    return sound(model, x + 0.1 * torch.randn(x.shape[1:], generator=generator, dtype=x.dtype), targets, seed)


def noise(x, seed):
    return 0.1 * RandomStream(seed).of_examples((x,)).draws("noise").normal(x.shape[1:], x)


def ignores_the_seed(model, x, targets, seed):
    return sound(model, x + noise(x, 0), targets, seed)


def draws_though_it_says_not(model, x, targets, seed):
    return sound(model, x + noise(x, seed), targets, seed)


def forces_float32(model, x, targets, seed):
    return sound(model, x, targets, seed).float()


def keeps_the_graph(model, x, targets, seed):
    return Saliency(model).attribute(x, targets, abs=False, grad_kwargs={"create_graph": True})


def returns_the_callers_memory(model, x, targets, seed):
    return x[:]


def returns_an_expanded_map(model, x, targets, seed):
    return sound(model, x, targets, seed).mean(1, keepdim=True).expand(x.shape)


def returns_another_shape(model, x, targets, seed):
    return sound(model, x, targets, seed).flatten(1)


def returns_a_constant(model, x, targets, seed):
    return torch.ones_like(x) * sound(model, x, targets, seed).flatten(1).sum(1)[:, None, None, None]


def ignores_the_target(model, x, targets, seed):
    return sound(model, x, [0] * len(x), seed)


def ignores_the_input(model, x, targets, seed):
    at_zero = sound(model, torch.zeros_like(x), targets, seed)
    return at_zero[:1].repeat(len(x), 1, 1, 1)


def explains_nan(model, x, targets, seed):
    return sound(model, x.nan_to_num(0, 0, 0), targets, seed)


def needs_gradients_switched_on(model, x, targets, seed):
    return careless(model, x, targets)


def needs_contiguous_inputs(model, x, targets, seed):
    x.view(-1)
    return sound(model, x, targets, seed)


def needs_parameters_that_require_gradients(model, x, targets, seed):
    leaf = x.detach().clone()
    with torch.enable_grad():
        score = model(leaf)[range(len(x)), targets].sum()
        torch.autograd.grad(score, next(model.parameters()))
    return sound(model, x, targets, seed)


def takes_lists_of_targets_only(model, x, targets, seed):
    assert isinstance(targets, list)
    assert isinstance(targets[0], int)
    return sound(model, x, targets, seed)


def crashes_in_half_precision(model, x, targets, seed):
    noise = torch.zeros(x.shape, dtype=torch.float32 if x.dtype == torch.bfloat16 else x.dtype)
    return sound(model, x + noise, targets, seed)


def wraps_the_models_exception(model, x, targets, seed):
    try:
        return sound(model, x, targets, seed)
    except Exception as error:
        raise RuntimeError("could not explain") from error


def swallows_an_interrupt(model, x, targets, seed):
    try:
        return sound(model, x, targets, seed)
    except KeyboardInterrupt:
        return torch.zeros_like(x)


def takes_no_lock(model, x, targets, seed):
    kept = []
    handle = model.conv1.register_forward_hook(lambda module, args, output: kept.append(output.detach()))
    with torch.no_grad():
        training = model.training
        model.eval()
        model(x.clone())
        model.train(training)
    handle.remove()
    return sound(model, x, targets, seed) * kept[0].mean()


def warns(model, x, targets, seed):
    warnings.warn("input requires grad", stacklevel=1)
    return sound(model, x, targets, seed)


CACHE = []


def caches_without_end(model, x, targets, seed):
    CACHE.append(sound(model, x, targets, seed))
    return CACHE[-1].clone()
