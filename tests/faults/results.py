"""Faults of results: wrong numbers, words and decisions."""

from __future__ import annotations

from tests.faults.cells import cell
from tests.faults.planting import Fault

__all__ = ["RESULTS"]

RESULTS = (
    # engine
    Fault(
        "all draws are the same",
        "pnpxai.engine.running.seeds:RandomStream.draws",
        "self.seed, *path",
        "self.seed",
        ("tests/engine/running/test_seeds.py::test_a_draw_depends_on_seed_and_path",),
    ),
    Fault(
        "a chunk of the steps is weighted by the first step",
        "pnpxai.engine.running.loops:gradient_sum",
        "weight[block.steps.start : block.steps.stop]",
        "weight[:1].expand(len(block.steps))",
        (cell("IntegratedGradients", "cnn"),),
    ),
    Fault(
        "scores of the steps are mixed up",
        "pnpxai.engine.running.loops:perturbed_scores",
        "len(examples)).T",
        "len(examples)).flip(0).T",
        (cell("Occlusion", "cnn"), cell("FeatureAblation", "mlp")),
    ),
    Fault(
        "every example is explained for the first target",
        "pnpxai.engine.running.score:Score.select",
        "*indices.unbind(1)",
        "*indices[:1].expand(rows, -1).unbind(1)",
        ("tests/engine/running/test_score.py::test_every_form_of_target_selects", cell("Gradient", "mlp")),
    ),
    Fault(
        "of a tuple the last output is read",
        "pnpxai.engine.running.score:select_output",
        "return output[0]",
        "return output[-1]",
        ("tests/engine/running/test_score.py::test_every_form_of_output_is_read",),
    ),
    # attributors
    Fault(
        "a quadrature's weights are all alike",
        "pnpxai.attributors.gradient.paths:quadrature",
        "list(0.5 * weights)",
        "[1 / n_steps] * n_steps",
        (cell("IntegratedGradients", "mlp"),),
    ),
    Fault(
        "the path starts at the input",
        "pnpxai.attributors.gradient.paths:_points",
        "b[part] + nodes[step] * (x[part] - b[part])",
        "x[part] - nodes[step] * (x[part] - b[part]) / 2",
        (cell("IntegratedGradients", "cnn"),),
    ),
    Fault(
        "gradients along the path are multiplied by the input alone",
        "pnpxai.attributors.gradient.paths:IntegratedGradients.attribute",
        "g * (x - b) if",
        "g * x.abs() if",
        (cell("IntegratedGradients", "series"),),
    ),
    Fault(
        "a Shapley value takes another order's gains",
        "pnpxai.attributors.perturbation.estimates:_from_orders",
        "gains.gather(2,",
        "gains.flip(1).gather(2,",
        (cell("ShapleyValueSampling", "mlp"),),
    ),
    Fault(
        "channels count by their size",
        "pnpxai.attributors.cam.maps:_summed",
        "channels.sum(1, keepdim=True)",
        "channels.abs().sum(1, keepdim=True)",
        (cell("GradCam", "cnn"),),
    ),
    # strategies
    Fault(
        "the smallest value is not zero",
        "pnpxai.strategies.normalization:MinMax.__call__",
        "values - _along(low, values)",
        "values",
        ("tests/strategies/test_normalization.py::test_minmax_ends_at_zero_and_one_and_keeps_order",),
    ),
    Fault(
        "a norm is a sum",
        "pnpxai.strategies.pooling:L1Norm.__call__",
        ".abs()",
        "",
        ("tests/strategies/test_pooling.py::test_definition",),
    ),
    # metrics
    Fault(
        "the least relevant features go first",
        "pnpxai.metrics.faithfulness.flipping:order",
        "descending=descending, stable",
        "descending=not descending, stable",
        (
            "tests/metrics/faithfulness/test_flipping.py",
            "tests/metrics/test_planted.py::test_right_beats_random_beats_reversed[MoRF]",
        ),
    ),
    Fault(
        "the curves are exchanged",
        "pnpxai.metrics.faithfulness.flipping:AbPC.judge",
        'curves["lerf"] - curves["morf"]',
        'curves["morf"] - curves["lerf"]',
        ("tests/metrics/test_planted.py::test_right_beats_random_beats_reversed[AbPC]",),
    ),
    Fault(
        "ranks of ties are not shared",
        "pnpxai.metrics.rank_correlation:average_ranks",
        "(sums / sizes.clamp(min=1))",
        "sums",
        ("tests/metrics/test_oracles.py::test_values_that_differ_by_rounding_share_their_rank",),
    ),
    Fault(
        "negative mass counts",
        "pnpxai.metrics.localisation:RelevanceMassAccuracy.hits",
        "values.clamp(min=0)",
        "values.abs()",
        ("tests/metrics/test_localisation.py::test_negative_mass_does_not_count_and_no_mass_gives_no_number",),
    ),
    Fault(
        "a complexity is that of signed values",
        "pnpxai.metrics.complexity:Complexity.judge",
        "m.abs() for m",
        "m.clamp(min=0) for m",
        ("tests/metrics/test_complexity.py",),
    ),
    # statistics
    Fault(
        "p-values are not corrected for their number",
        "pnpxai.statistics.simultaneous:holm",
        "np.arange(len(p), 0, -1)",
        "1",
        ("tests/statistics/test_simultaneous.py",),
    ),
    Fault(
        "intervals are of the spread, not of the mean",
        "pnpxai.statistics.intervals:student",
        "/ math.sqrt(n)",
        "",
        ("tests/statistics/test_intervals.py",),
    ),
    Fault(
        "the largest value has the last rank",
        "pnpxai.statistics.ranks:ranks",
        "-values if higher_is_better",
        "values if higher_is_better",
        ("tests/statistics",),
    ),
    Fault(
        "a sure test of two examples",
        "pnpxai.statistics.simultaneous:smallest_sample",
        "math.ceil(",
        "1 + 0 * math.ceil(",
        ("tests/statistics/test_simultaneous.py",),
    ),
    # detector, explainers
    Fault(
        "what an explainer needs is not asked for",
        "pnpxai.explainers.base:Explainer.reason_against",
        "if cls.needs and not",
        "if False and not",
        ("tests/test_recommender.py::test_every_explainer_is_recommended_or_has_a_reason",),
    ),
    Fault(
        "ids are explained at no embedding",
        "pnpxai.explainers.base:Explainer.takes",
        "embedded = traits.discrete and",
        "embedded = False and",
        ("tests/explainers/test_token_ids.py::test_baselines_of_ids_and_of_their_embeddings_are_searched",),
    ),
    # targets
    Fault(
        "a contrast is a sum",
        "pnpxai.targets.classes:Contrast.__call__",
        "index_rows(classes, self.index) - index_rows",
        "index_rows(classes, self.index) + index_rows",
        ("tests/targets",),
    ),
    Fault(
        "a probability is taken over the examples",
        "pnpxai.targets.classes:Probability.__call__",
        "torch.softmax(classes, 1)",
        "torch.softmax(classes, 0)",
        ("tests/targets",),
    ),
    # detector
    Fault(
        "attention of other libraries is not seen",
        "pnpxai.detector:_attends",
        'return "attention" in',
        'return False and "attention" in',
        ("tests/test_detector.py",),
    ),
    # pictures
    Fault(
        "colours are turned around",
        "pnpxai.pictures.colours:_shares",
        "np.clip(finite / largest, -1, 1)",
        "-np.clip(finite / largest, -1, 1)",
        ("tests/pictures/test_pictures.py",),
    ),
    Fault(
        "what is not finite scales a map",
        "pnpxai.pictures.colours:coloured",
        "np.where(np.isnan(share)[..., None], np.uint8(0), colours[index])",
        "colours[index]",
        ("tests/pictures/test_pictures.py::test_what_is_not_finite_is_transparent_and_does_not_scale",),
    ),
    # examples, comparisons, files
    Fault(
        "an explainer is beaten by its equal",
        "pnpxai.comparisons:pareto",
        "and other != own",
        "",
        ("tests/test_comparisons.py",),
    ),
    Fault(
        "a probability of one score is that of the other class",
        "pnpxai.targets.classes:Probability.__call__",
        "torch.sigmoid(_signed(classes, self.index))",
        "1 - torch.sigmoid(_signed(classes, self.index))",
        ("tests/targets",),
    ),
    Fault(
        "bars stand on their heads",
        "pnpxai.pictures.colours:_bars",
        "np.arange(_BAR, -_BAR - 1, -1)",
        "np.arange(-_BAR, _BAR + 1)",
        ("tests/pictures/test_pictures.py",),
    ),
    Fault(
        "everything is one example",
        "pnpxai.report.words:counted",
        'else f"{count} {noun}s"',
        'else f"{count} {noun}"',
        ("tests/report/test_words.py",),
    ),
    # tuning
    Fault(
        "the worst settings win",
        "pnpxai.tuning.search.best_settings:_winner",
        "return max(ranked",
        "return min(ranked",
        ("tests/tuning/search/test_study.py::test_the_defaults_come_first_and_the_best_is_never_worse",),
    ),
)
