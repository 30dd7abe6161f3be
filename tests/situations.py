"""What people bring, and what happens: each situation with the test that holds it. The docs show them as a table.

A situation is ``right`` (the test compares with an independent answer) or ``refused`` (the test expects an error that
says what to do); there is no third way, so nothing goes wrong in silence.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["SITUATIONS", "Situation"]


@dataclass(frozen=True)
class Situation:
    """One situation.

    Attributes:
        room: what it is about: the model, the rules, or captum's interface.
        text: the situation.
        outcome: whether the result is right or refused.
        words: what happens.
        test: the file below ``tests/`` and the function that hold it.
    """

    room: Literal["models", "rules", "attributors"]
    text: str
    outcome: Literal["right", "refused"]
    words: str
    test: str


def _of(room: Literal["models", "rules", "attributors"], *rows: tuple[str, str, str, str]) -> list[Situation]:
    return [Situation(room, text, outcome, words, test) for text, outcome, words, test in rows]  # type: ignore[arg-type]


_INDEPENDENCE = "engine/running/test_row_independence.py"
_MISSING = "engine/running/test_missing_gradients.py"
_PATH = "engine/running/test_one_path.py"
_AXIS = "engine/running/test_examples_axis.py"
_OPERATIONS = "attributors/propagation/test_every_operation.py"
_TARGETS = "targets/test_targets.py"
_OWN = "test_situations.py"

SITUATIONS: tuple[Situation, ...] = (
    *_of(
        "models",
        ("Rows of a batch depend on each other: nodes of a graph, attention over rows, statistics of the batch",
         "right", "every pass holds one step of the whole batch",
         f"{_INDEPENDENCE}::test_integrated_gradients_are_the_loop"),
        ("The same, with noisy copies", "right", "noise of size zero gives the plain map",
         f"{_INDEPENDENCE}::test_noise_of_size_zero"),
        ("The same, with perturbations", "right", "equal to a loop over single perturbations",
         f"{_INDEPENDENCE}::test_ablation_is_the_loop"),
        ("The same, with more rows than fit into a pass", "refused", "the rows must stay together; it says so",
         f"{_INDEPENDENCE}::test_rows_that_must_stay_together_and_do_not_fit_are_refused"),
        ("One row of outputs for a whole batch, as of a graph", "right", "the batch is run whole",
         "engine/running/test_loops.py::test_a_model_with_one_value_for_its_batch_is_run_whole"),
        ("The model takes one size of batch only: a fixed state, a mask of edges, an exported program", "right",
         "passes have the user's size", f"{_INDEPENDENCE}::test_an_exported_program_takes_its_own_batch_alone"),
        ("A recurrent layer has as many states as there are examples, or drops its states", "right",
         "the examples' axis is found by running them twice over",
         f"{_AXIS}::test_a_recurrent_layer_is_explained_alike_alone_and_in_a_batch"),
        ("A layer holds time first, with as many steps as examples", "right", "as above",
         f"{_AXIS}::test_the_axis_that_grows_is_the_examples_whatever_the_sizes"),
        ("A layer's value is packed, of several lengths", "refused", "explainers say that it has no axis of examples",
         f"{_AXIS}::test_a_packed_layer_of_several_lengths_is_refused"),
        ("A function hides its operations: autograd functions, scripted or traced modules, vmap, jvp", "refused",
         "relevance and DeepLIFT name what is out of sight", f"{_OPERATIONS}::test_what_is_hidden_is_refused_by_name"),
        ("A ReLU written by hand (where, mask, clamp, maximum) under guided backpropagation", "right",
         "it is a ReLU", "attributors/gradient/test_rectifiers.py::test_a_relu_by_hand_is_one"),
        ("A ReLU that is out of sight there", "refused", "the hidden part is named",
         "attributors/gradient/test_rectifiers.py::test_a_hidden_relu_is_refused"),
        ("Strides are read, so that a faster layout in memory would change values", "right",
         "one pass in both layouts is compared first",
         f"{_OWN}::test_strides_that_a_faster_layout_would_change_are_read_as_they_are"),
        ("Blocks are checkpointed, or branches of torch.cond", "right", "they run once, under the same rules",
         f"{_PATH}::test_a_checkpointed_block_has_the_map_of_a_plain_one"),
        ("A module runs another path without gradients", "right", "the path that is differentiated is run throughout",
         f"{_PATH}::test_scores_are_those_of_the_path_that_is_differentiated"),
        ("A quantised layer ends every gradient", "refused", "the layer is named; zeros that are zeros stay",
         f"{_MISSING}::test_a_quantized_layer_is_named"),
        ("A function is written into a slice in place", "right", "it is written out of place meanwhile",
         f"{_OWN}::test_a_function_written_into_a_slice_is_explained"),
        ("A forward pass differentiates, as for forces", "right", "it is perturbed with gradients on",
         f"{_PATH}::test_a_forward_pass_that_differentiates_is_perturbed"),
        ("Lazy modules that were never run", "refused", "run the model once",
         f"{_MISSING}::test_layers_that_were_never_run_are_named"),
        ("A rule on a parametrized layer", "right", "as on a layer with the same weights",
         f"{_OWN}::test_a_rule_on_a_parametrized_layer_is_that_of_its_weights"),
        ("Relevance under autocast", "right", "as outside, to the rounding of half precision",
         f"{_OWN}::test_relevance_under_autocast_is_that_outside"),
        ("Complex inputs", "refused", "explain their real view",
         f"{_MISSING}::test_complex_numbers_are_told_from_ids"),
        ("One example without its batch dimension", "refused", "unsqueeze(0) is named",
         f"{_MISSING}::test_an_example_without_a_batch_dimension_is_told_what_is_missing"),
        ("A model that squeezes a batch of one", "refused", "what is missing is said",
         f"{_MISSING}::test_a_model_that_squeezes_a_batch_of_one_is_told"),
        ("DeepLIFT of a plain function", "right", "its operations are seen",
         f"{_OWN}::test_deeplift_of_a_plain_function_is_complete"),
        ("Relevance of a plain function that calls layers", "refused", "give the module; rules need its layers",
         f"{_OWN}::test_a_function_that_hides_its_layers_has_differences_and_no_relevance"),
        ("A name that is not there is asked for with hasattr", "right", "False, whatever the name",
         f"{_OWN}::test_asking_for_a_name_that_is_not_there_is_no_error"),
    ),
    *_of(
        "rules",
        ("The target is a function of the output: a sum, a contrast, a mean over pixels", "right",
         "it runs under the rules; relevance sums to it", f"{_TARGETS}::test_rules_reach_through_them"),
        ("The target is a mean over pixels of a segmentation", "right", "relevance stays where these pixels look",
         f"{_TARGETS}::test_relevance_of_pixels_stays_in_their_reach"),
        ("Transformers without biases under DeepLIFT", "right", "complete to 1e-6 in double precision",
         "attributors/propagation/test_transformers.py::test_differences_are_complete_without_parts_that_cancel"),
        ("Logits far apart in a softmax", "right", "the rescale rule does not underflow",
         f"{_OWN}::test_logits_far_apart_do_not_underflow_under_deeplift"),
        ("Inputs and baselines that are equal, or close", "right", "the multiplier is the gradient",
         f"{_OWN}::test_baselines_close_to_inputs_have_the_gradient_as_multiplier"),
        ("A condition carries the nonlinearity: where, masks, masked_fill", "right", "it has its function's rule",
         "attributors/propagation/test_conditions.py::test_relevance_is_conserved_through_conditions"),
        ("A condition that no single value decides", "refused", "the operation is named",
         "attributors/propagation/test_conditions.py::test_what_no_single_value_decides_is_refused"),
        ("Texts padded on either side", "right", "maps and metrics are those of the text alone; FullGrad refuses",
         "explainers/test_sweep.py::test_padding_changes_nothing"),
        ("Texts padded on the left, so that rows of the attention mask are empty", "right",
         "padding changes nothing",
         "attributors/propagation/test_transformers.py::test_padding_on_the_left_changes_nothing"),
        ("A log-probability, a norm, a sort, an exponential and other operations", "right",
         "each has a rule of relevance", f"{_OPERATIONS}::test_relevance_is_conserved"),
        ("An operation without a rule", "refused", "it is named, with what to use instead",
         "attributors/propagation/test_operation_rules.py::test_what_has_no_rule_is_refused_by_its_name"),
        ("Operations of an exported program", "right", "they have the rules of the model that was exported",
         f"{_OPERATIONS}::test_an_exported_program_has_the_map_of_the_model"),
        ("RAP on a network with its trained weights", "right", "relevance sums to the score",
         "attributors/propagation/test_real_networks.py::test_relevance_sums_to_the_score"),
        ("FullGrad where biases are rounding", "right", "the map does not scale rounding up",
         f"{_OWN}::test_full_gradients_do_not_scale_rounding"),
        ("A gap larger than the score itself, on all examples", "refused", "there is no map",
         "explainers/test_explain.py::test_where_no_example_has_a_map_that_is_an_error"),
        ("Such a gap on some examples", "right", "these are NaN and named, the others stay",
         "explainers/test_explain.py::test_an_example_whose_gap_exceeds_its_scale_has_no_map_and_is_named"),
        ("A law that is missed on the example that is tried", "refused",
         "the explainer is not recommended, with the share",
         "recommender/test_dry_runs.py::test_what_misses_its_law_is_not_recommended"),
    ),
    *_of(
        "attributors",
        ("DeepLIFT at a layer, with inputs that require gradients", "right", "what comes before the layer is detached",
         f"{_OWN}::test_deeplift_at_a_layer_of_inputs_that_require_gradients_is_captums"),
        ("NoiseTunnel's deltas", "right", "(examples x samples), as captum returns them",
         "attributors/test_captum_errors.py::test_deltas_of_noisy_copies_stand_side_by_side"),
        ("LRP with verbose=True", "right", "a line for each module and rule",
         "attributors/propagation/test_lrp.py::test_a_line_for_each_layer_and_rule_is_printed"),
        ("Draws of the examples of a batch", "right", "examples with ids have draws of their own",
         "attributors/gradient/test_expectations.py::test_examples_with_ids_have_draws_of_their_own"),
        ("A function runs the layer once for each part of the batch", "refused", "the layer runs more than once",
         f"{_OWN}::test_a_layer_that_runs_for_each_part_of_a_batch_is_refused"),
        ("A model wrapped in DataParallel on one device", "right", "explained as what it wraps",
         "attributors/test_layers_run.py::test_a_data_parallel_model_is_explained_as_what_it_wraps"),
        ("A subclass computes the convergence delta itself", "right", "its delta is returned",
         "attributors/test_base.py::test_a_subclass_may_compute_the_delta_in_its_own_way"),
        ("Baselines are missing or of another form", "refused", "what was expected is said",
         "attributors/propagation/test_deeplift.py::test_wrong_baselines_are_refused"),
        ("Sizes of passes that are given", "right", "upper bounds; they change time, not results",
         "engine/running/test_batching.py::test_the_asked_number_of_rows_is_an_upper_bound"),
        ("The names of PnPXAI 0.1 on explainers", "right", "they are there",
         "explainers/gradient/test_smooth_grad.py::test_the_names_of_pnpxai_0_1"),
        ("Several layers of which one depends on another", "right", "each gets its whole gradient",
         "attributors/test_layers.py::test_of_layers_that_depend_on_each_other_each_gets_its_whole_gradient"),
    ),
)  # fmt: skip
"""All situations, in the order of the table."""
