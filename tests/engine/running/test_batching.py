"""Blocks cover everything once; what does not fit is halved."""

from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pnpxai.engine.running.batching import Block, in_blocks, row_limit
from pnpxai.errors import ArgumentError, OutOfMemoryError

SIZES = st.integers(1, 9)


def _cells(block):
    return [(e, s) for s in block.steps for e in block.examples]


@given(SIZES, SIZES, st.integers(1, 100))
def test_blocks_cover_every_step_of_every_example_once(examples, steps, limit):
    blocks = []
    in_blocks(examples, steps, limit, blocks.append)
    cells = [cell for block in blocks for cell in _cells(block)]
    assert sorted(cells) == [(e, s) for e in range(examples) for s in range(steps)]
    assert all(len(block) <= limit for block in blocks)


@given(st.integers(0, 5), SIZES, st.integers(0, 5), SIZES)
def test_rows_name_their_example_step_after_step(first, examples, start, steps):
    block = Block(range(first, first + examples), range(start, start + steps))
    assert block.rows.tolist() == [e for e, _ in _cells(block)]
    assert len(block) == examples * steps


@given(SIZES, SIZES)
def test_halves_cover_a_block(examples, steps):
    block = Block(range(examples), range(steps))
    if len(block) > 1:
        one, other = block.split()
        assert sorted(_cells(one) + _cells(other)) == sorted(_cells(block))
        assert min(len(one), len(other)) > 0


@given(SIZES, SIZES, st.integers(1, 100), st.integers(1, 20))
def test_what_runs_out_of_memory_is_tried_in_halves(examples, steps, limit, room):
    done = []

    def visit(block):
        if len(block) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        done.extend(_cells(block))

    in_blocks(examples, steps, limit, visit)
    assert sorted(done) == [(e, s) for e in range(examples) for s in range(steps)]


def test_the_limit_stays_halved():
    tried = []

    def visit(block):
        tried.append(len(block))
        if len(block) > 3:
            raise torch.OutOfMemoryError

    in_blocks(1, 32, 8, visit)
    assert tried[:3] == [8, 4, 2]
    assert max(tried[2:]) == 2


def test_the_user_is_told_once(caplog):
    def visit(block):
        if len(block) > 1:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")

    with caplog.at_level(logging.WARNING, logger="pnpxai"):
        in_blocks(4, 4, 16, visit)
    assert [r.message for r in caplog.records] == ["out of memory: going on with at most 8 rows per pass"]


def test_a_single_row_that_does_not_fit_is_an_error():
    def visit(block):
        raise torch.OutOfMemoryError

    with pytest.raises(OutOfMemoryError, match="a single row does not fit in memory; use smaller inputs"):
        in_blocks(2, 2, 4, visit)


def test_other_errors_come_through_at_once():
    tried = []

    def visit(block):
        tried.append(block)
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        in_blocks(2, 2, 4, visit)
    assert len(tried) == 1


@given(st.integers(1, 10**7), st.integers(1, 300))
def test_the_asked_number_of_rows_is_an_upper_bound(width, asked):
    rows = torch.empty(1, device="cpu").expand(2, width)
    assert 1 <= row_limit(rows, at_most=asked) <= asked
    assert 4 <= row_limit(rows) <= 1024


def test_wide_rows_come_a_few_at_a_time():
    assert row_limit(torch.zeros(1, 10)) == 1024
    assert row_limit(torch.zeros(1, 10, dtype=torch.long)) == row_limit(torch.zeros(1, 100)) == 256
    assert row_limit(torch.zeros(1, 1, 32, 32)) == 64
    assert row_limit(torch.zeros(1, 3, 224, 224)) == 8
    assert row_limit(torch.zeros(1, 3, 1024, 1024)) == 4


@pytest.mark.parametrize("asked", [0, -1, 2.5, True, "8"])
def test_wrong_sizes_are_refused_by_name(asked):
    with pytest.raises(ArgumentError, match="internal_batch_size: expected a whole number >= 1, got"):
        row_limit(torch.zeros(2, 2), at_most=asked)


def test_progress_is_shown_on_request(capsys):
    in_blocks(2, 3, 6, lambda block: None, show_progress=True, label="windows")
    assert "windows" in capsys.readouterr().err
    in_blocks(2, 3, 6, lambda block: None, label="windows")
    assert capsys.readouterr().err == ""
