"""Faults of reliability: state left changed, rows and errors lost, results that are stale, rows that mix."""

from __future__ import annotations

from tests.faults.cells import GUARD, cell
from tests.faults.planting import Fault

__all__ = ["RELIABILITY"]

RELIABILITY = (
    # tensors
    Fault(
        "a part of a row is left out of a sum",
        "pnpxai.tensors:sum_rows",
        ".sum(1)",
        "[:, 1:].sum(1)",
        ("tests/test_tensors.py::test_sums_of_rows_add_up",),
    ),
    Fault(
        "rows are taken from tensors that have none",
        "pnpxai.tensors:take_rows",
        "and t.shape[0] == size else t",
        "else t",
        ("tests/test_tensors.py::test_rows_are_taken_from_what_has_one_row_per_example",),
    ),
    Fault(
        "NaN passes for finite",
        "pnpxai.tensors:check_finite",
        "not torch.isfinite(total) and",
        "False and",
        ("tests/test_tensors.py::test_non_finite_numbers_are_located",),
    ),
    # engine
    Fault(
        "frozen parameters stay frozen",
        "pnpxai.engine.running.guard:_Loan.end",
        "parameter.requires_grad_(True)",
        "pass",
        (GUARD, cell("Gradient", "skip_cnn")),
    ),
    Fault(
        "buffers are not given back",
        "pnpxai.engine.running.kept_values:KeptValues.restore",
        "tensor.copy_(value)",
        "pass",
        (GUARD,),
    ),
    Fault(
        "the model stays in eval mode",
        "pnpxai.engine.running.guard:_Loan.end",
        "module.training = mode",
        "pass",
        ("tests/engine/running/test_guard.py::test_a_scripted_model_gets_its_mode_back",),
    ),
    Fault(
        "numpy's random state is moved",
        "pnpxai.engine.running.guard:_Loan.end",
        "np.random.set_state(self.states[1])",
        "pass",
        (GUARD,),
    ),
    Fault(
        "hooks are left in the model",
        "pnpxai.engine.running.kept_values:KeptValues.of",
        "(hooks or name not in _OF_TORCH)",
        "name not in _OF_TORCH",
        (GUARD,),
    ),
    Fault(
        "the model keeps its training mode",
        "pnpxai.engine.running.guard:_Loan.begin",
        "self.model.eval()",
        "pass",
        (cell("Gradient", "skip_cnn"),),
    ),
    Fault(
        "an example's noise depends on its place",
        "pnpxai.engine.running.seeds:RandomStream.of_examples",
        "example_keys(single)",
        "tuple(str(k) for k in range(len(tensors[0])))",
        (cell("SmoothGrad", "skip_cnn"),),
    ),
    Fault(
        "the seed is ignored",
        "pnpxai.engine.running.seeds:RandomStream.draws",
        "seed_of(self.seed,",
        "seed_of(0,",
        (cell("SmoothGrad", "skip_cnn"), "tests/engine/running/test_seeds.py::test_a_draw_depends_on_seed_and_path"),
    ),
    Fault(
        "a replay hands out the first example's values",
        "pnpxai.engine.running.replay:replayed",
        "tensor.index_select(0, rows.to(tensor.device))",
        "tensor[:1].expand(rows.numel(), *tensor.shape[1:])",
        ("tests/engine/running/test_replay.py::test_a_replay_takes_any_number_of_rows",),
    ),
    Fault(
        "any replay is trusted",
        "pnpxai.engine.running.replay:equal_up_to_rounding",
        "return len(",
        "return True or len(",
        ("tests/engine/running/test_replay_models.py",),
    ),
    Fault(
        "an index outside of the outputs is taken",
        "pnpxai.engine.running.score:Score.select",
        "if not -length <= index < length:",
        "if False:",
        ("tests/engine/running/test_score.py::test_wrong_targets_are_refused",),
    ),
    # strategies
    Fault(
        "a map is scaled by the batch's largest value",
        "pnpxai.strategies.normalization:MaxAbs.__call__",
        "_each(values).abs().amax(1)",
        "_each(values).abs().amax().expand(len(values))",
        ("tests/strategies/test_base.py::test_contract[MaxAbs]",),
    ),
    Fault(
        "a baseline shares the input's memory",
        "pnpxai.strategies.baselines:Zeros.__call__",
        "torch.zeros_like(values)",
        "values.view_as(values)",
        ("tests/strategies/test_base.py::test_contract[Zeros]", cell("IntegratedGradients", "skip_cnn")),
    ),
    Fault(
        "a mean over the batch stands in",
        "pnpxai.strategies.baselines:Mean.__call__",
        "values.mean(axes, keepdim=True)",
        "values.mean((0, *axes), keepdim=True)",
        ("tests/strategies/test_base.py::test_contract[Mean]",),
    ),
    # metrics
    Fault(
        "an undefined value has no reason",
        "pnpxai.metrics.base:Measurement.where",
        "None if ok else reason",
        "None",
        ("tests/metrics/test_complexity.py",),
    ),
    # declare
    Fault(
        "True counts as a number of samples",
        "pnpxai.declare.counts:whole_number",
        "isinstance(value, bool) or",
        "",
        ("tests/declare/test_counts.py",),
    ),
    Fault(
        "a setting is left out of JSON",
        "pnpxai.declare.declared:Declared.to_dict",
        "self.settings().items()",
        "list(self.settings().items())[1:]",
        ("tests/declare/test_encoding.py",),
    ),
    Fault(
        "an unknown name of a class finds any other",
        "pnpxai.declare.registry:by_name",
        "if name in (",
        "if True or name in (",
        ("tests/declare/test_registry.py", "tests/strategies/test_base.py::test_an_unknown_name_is_refused"),
    ),
    # report
    Fault(
        "an undefined number is shown as zero",
        "pnpxai.report.words:number",
        'return "undefined"',
        'return "0.000"',
        ("tests/report/test_words.py",),
    ),
    # examples, comparisons, files
    Fault(
        "examples and their names get out of step",
        "pnpxai.examples:Batch.take",
        "self.keys[row] for row in rows",
        "self.keys[0] for row in rows",
        ("tests/test_examples.py",),
    ),
    Fault(
        "the two parts of a split share an example",
        "pnpxai.examples:Examples.split",
        "order[cut:]",
        "order[cut - 1 :]",
        ("tests/test_examples.py",),
    ),
    # experiment
    Fault(
        "the seed is no part of what a run is known by",
        "pnpxai.experiment.storage.keys:explainer_key",
        '("model", "seed", "device")',
        '("model", "device")',
        ("tests/experiment/test_resume.py::test_other_settings_models_seeds_and_targets_are_other_cells",),
    ),
    # engine
    Fault(
        "torch's random state is moved",
        "pnpxai.engine.running.guard:_Loan.end",
        "_draw_from(self.states[2], self.cuda_states)",
        "pass",
        (GUARD,),
    ),
    Fault(
        "Python's random state is moved",
        "pnpxai.engine.running.guard:_Loan.end",
        "random.setstate(self.states[0])",
        "pass",
        (GUARD,),
    ),
    Fault(
        "gradients stay off",
        "pnpxai.engine.running.guard:borrowed",
        "torch.set_grad_enabled(outside)",
        "pass",
        ("tests/engine/running/test_guard.py::test_an_inner_loan_leaves_giving_back_to_the_outer_one",),
    ),
    Fault(
        "two threads share a model",
        "pnpxai.engine.running.guard:_lock_of",
        "lock = _locks.get(owner)",
        "lock = None",
        ("tests/engine/running/test_guard.py::test_a_thread_waits_for_the_other",),
    ),
    Fault(
        "a switch of the process stays off",
        "pnpxai.engine.running.one_path:one_path",
        "torch.backends.mha.set_fastpath_enabled(_before[0])",
        "pass",
        (
            "tests/engine/running/test_one_path.py::test_the_switch_is_given_back_after_blocks_within_blocks_and_failures",
        ),
    ),
    Fault(
        "rows that ran out of memory are lost",
        "pnpxai.engine.running.batching:in_blocks",
        "waiting.append(block)",
        "pass",
        ("tests/engine/running/test_batching.py::test_what_runs_out_of_memory_is_tried_in_halves",),
    ),
    Fault(
        "an error of the model is swallowed",
        "pnpxai.engine.running.batching:in_blocks",
        "if not _is_out_of_memory(error):",
        "if False:",
        ("tests/engine/running/test_batching.py::test_other_errors_come_through_at_once",),
    ),
    Fault(
        "the last steps are never run",
        "pnpxai.engine.running.batching:_blocks",
        "min(start + steps, n_steps)",
        "min(start + steps, max(n_steps - 1, start + 1))",
        ("tests/engine/running/test_batching.py::test_blocks_cover_every_step_of_every_example_once",),
    ),
    Fault(
        "every model is taken to compute its rows apart",
        "pnpxai.engine.running.row_independence:_apart",
        "_unmoved_by_others(score, inputs, rows, run)",
        "True",
        ("tests/engine/running/test_row_independence.py",),
    ),
    Fault(
        "results of earlier parameters are given again",
        "pnpxai.engine.speed.row_cache:RowMemory._keys",
        "count_edits(t)",
        "0",
        ("tests/engine/speed/test_row_cache.py::test_targets_models_and_changed_parameters_are_told_apart",),
    ),
    Fault(
        "results of another target are given again",
        "pnpxai.engine.speed.row_cache:RowMemory._keys",
        "chosen = None if",
        "chosen = None if True or",
        ("tests/engine/speed/test_row_cache.py::test_targets_models_and_changed_parameters_are_told_apart",),
    ),
    Fault(
        "known and new rows change places",
        "pnpxai.engine.speed.row_cache:_gathered",
        ".argsort()",
        ".sort().values",
        ("tests/engine/speed/test_row_cache.py",),
    ),
    # metrics
    Fault(
        "what was made of earlier parameters is used",
        "pnpxai.metrics.shared_runs:SharedRuns.thing",
        "known[0] != state",
        "False",
        ("tests/metrics/test_shared_runs.py::test_of_a_model_that_was_changed_nothing_old_is_outputs",),
    ),
    Fault(
        "the reason of a failure is lost",
        "pnpxai.metrics.evaluation:Cell.refused",
        "[reason] * len(batch)",
        "[None] * len(batch)",
        ("tests/experiment/test_compare.py::test_one_failing_explainer_is_recorded_not_fatal",),
    ),
    # files
    Fault(
        "a file is written where it is read",
        "pnpxai.files:write_file",
        "write(partial)\n            return partial.replace(path)",
        "write(path)\n            return path",
        ("tests/test_files.py::test_a_file_is_whole_or_as_it_was",),
    ),
    Fault(
        "what failed leaves a folder behind",
        "pnpxai.files:write_folder",
        "shutil.rmtree(partial, ignore_errors=True)",
        "pass",
        ("tests/test_files.py::test_a_folder_gets_its_files_when_all_are_done",),
    ),
    Fault(
        "a checksum is not compared",
        "pnpxai.files:read_json",
        "if checksum != ",
        "if False and checksum != ",
        ("tests/test_damage.py::test_a_flipped_bit_never_gives_another_value",),
    ),
    Fault(
        "a number that is not finite is written",
        "pnpxai.files:_strict",
        "None if isinstance(value, float) and not math.isfinite(value) else value",
        "value",
        ("tests/test_damage.py::test_what_is_undefined_is_null_in_json_and_nan_again",),
    ),
    # experiment
    Fault(
        "a file of other bytes is read",
        "pnpxai.experiment.storage.named_by_digest:check_digest",
        "if digest != match[1]:",
        "if False:",
        ("tests/test_damage.py::test_tensors_of_a_map_are_read_only_after_a_check",),
    ),
    Fault(
        "maps of a killed run are taken for done",
        "pnpxai.experiment.storage.maps:Maps.__init__",
        "if any(known(",
        "if True or any(known(",
        ("tests/experiment/storage/test_maps.py::test_maps_without_cells_are_no_maps_and_go",),
    ),
    Fault(
        "what failed is never tried again",
        "pnpxai.experiment.storage.store:Store._note",
        "if retry:",
        "if False:",
        ("tests/experiment/test_resume.py::test_one_broken_example_is_a_cell_with_a_reason_and_is_tried_again",),
    ),
    Fault(
        "of a cell that was tried again the failure is kept",
        "pnpxai.experiment.storage.store:Store.cells",
        'keep="last"',
        'keep="first"',
        ("tests/experiment/test_resume.py::test_one_broken_example_is_a_cell_with_a_reason_and_is_tried_again",),
    ),
    Fault(
        "two runs write one folder",
        "pnpxai.experiment.storage.store:writing",
        "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        ("tests/experiment/test_resume.py::test_a_folder_has_one_writer_and_damage_is_named",),
    ),
    Fault(
        "one bad example costs its batch",
        "pnpxai.experiment.running.work:Job._do_piece",
        "if len(piece.rows) > 1:",
        "if False:",
        ("tests/experiment/test_bad_examples.py::test_it_costs_its_own_cells",),
    ),
    Fault(
        "an example without a target has no cells",
        "pnpxai.experiment.running.work:Job.do",
        "if row in missing:",
        "if False:",
        ("tests/experiment/test_bad_examples.py::test_an_example_without_a_label_is_named",),
    ),
    Fault(
        "of examples that lack the same, one is explained",
        "pnpxai.experiment.running.chunks:ChunkReader._pieces",
        "groups.setdefault(missing, []).append(row)",
        "groups.setdefault(missing, [row])",
        ("tests/experiment/test_compare.py::test_the_table_holds_every_value",),
    ),
    # tuning
    Fault(
        "trials of a process that died are lost",
        "pnpxai.tuning.storage.queue:Queue._take_back",
        "if not self._at_work(",
        "if False and not self._at_work(",
        (
            "tests/tuning/storage/test_storages.py::test_trials_of_the_dead_are_given_back_and_those_of_the_living_are_not",
        ),
    ),
    Fault(
        "a trial whose process died draws its first numbers twice",
        "pnpxai.tuning.storage.queue:Queue.claim",
        "_draw_again(self.study, trial)",
        "pass",
        (
            "tests/tuning/storage/test_storages.py::"
            "test_settings_are_the_same_if_a_process_was_killed_between_two_of_them",
        ),
    ),
    Fault(
        "trials of a process at work are taken from it",
        "pnpxai.tuning.storage.queue:Queue._at_work",
        'return worker["born"] == _born(worker["pid"])',
        "return False",
        (
            "tests/tuning/storage/test_storages.py::test_trials_of_the_dead_are_given_back_and_those_of_the_living_are_not",
        ),
    ),
    Fault(
        "half a line stays in a journal",
        "pnpxai.tuning.storage.journal_file:_cut_torn_line",
        'file.truncate(file.read().rfind(b"\\n") + 1)',
        "pass",
        ("tests/tuning/storage/test_storages.py::test_a_line_that_was_not_written_to_its_end_is_cut_off",),
    ),
)
