"""Rows of several sources by weight: how many of each, each once, and the same ones after a resume."""

import itertools
import types
from collections import Counter

import pytest
import torch
from datasets import Dataset
from torch.utils.data import DataLoader

from mblip.data import interleaving
from mblip.data.example import PROMPT_COLUMNS
from mblip.data.interleaving import EndlessStream, InterleavedRows, InterleavedStreams, rows_an_epoch
from mblip.data.training_rows import PromptChoice, TrainingRows
from tests.data.recorded_training import recorded

WORKERS = pytest.mark.parametrize("num_workers", [0, 2])


def source(first, count):
    """Rows numbered from `first`."""
    return Dataset.from_dict({"number": list(range(first, first + count))})


def interleaved(*, sizes=(60, 12), weights=(2.0, 1.0), seed=0):
    """Sources numbered from 0, 1000, 2000 ..."""
    sources = [TrainingRows(source(1000 * number, size)) for number, size in enumerate(sizes)]
    return InterleavedRows(sources, weights, seed=seed)


def streams(*, sizes=(60, 12), weights=(2.0, 1.0), seed=0, num_shards=4):
    """The same, streamed, each shuffled."""
    made = []
    for number, size in enumerate(sizes):
        rows = source(1000 * number, size).to_iterable_dataset(num_shards=num_shards)
        made.append(EndlessStream(rows, seed=seed, shuffle_buffer_size=8))
    return InterleavedStreams(made, weights, seed=seed)


def numbers_in(rows, epoch):
    rows.set_epoch(epoch)
    return [row["number"] for row in rows]


def first(rows, count):
    """(number, epoch) of the first rows."""
    return [(row["number"], row["epoch"]) for row in itertools.islice(rows, count)]


@pytest.mark.parametrize(
    ("sizes", "weights", "expected"),
    [
        ([100, 10], [1, 1], [10, 10]),
        ([70, 30], [0.7, 0.3], [70, 30]),
        ([60, 12], [2, 1], [24, 12]),
        ([5, 5, 5], [3, 2, 1], [5, 3, 1]),
        ([4], [7], [4]),
    ],
)
def test_an_epoch_has_so_many_rows_of_each_source_as_the_weights_allow(sizes, weights, expected):
    assert rows_an_epoch(sizes, weights) == expected


@pytest.mark.parametrize(
    ("weights", "match"),
    [
        ([1, 0], r"Found the weight 0, expected a number above 0"),
        ([1, -1], r"Found the weight -1, expected a number above 0"),
        ([1, float("nan")], r"Found the weight nan"),
        ([1, float("inf")], r"Found the weight inf"),
        ([1, 1e-9], r"have 60, 12 rows and the weights 1, 1e-09: number 1 \(from 0\) would give no row per epoch"),
    ],
)
def test_a_weight_that_is_none_is_refused(weights, match):
    with pytest.raises(ValueError, match=match):
        rows_an_epoch([60, 12], weights)


def test_in_an_epoch_each_row_comes_once_at_most_and_all_of_the_source_that_is_used_up():
    rows = interleaved()
    for epoch in range(5):
        found = numbers_in(rows, epoch)
        assert len(found) == len(rows) == len(set(found)) == 36
        assert sorted(number for number in found if number >= 1000) == list(range(1000, 1012))


def test_the_rows_of_a_larger_source_differ_from_epoch_to_epoch_and_all_come():
    rows = interleaved()
    epochs = [frozenset(number for number in numbers_in(rows, epoch) if number < 1000) for epoch in range(20)]
    assert len(set(epochs)) == 20
    assert frozenset.union(*epochs) == frozenset(range(60))


def test_the_seed_decides_which_rows_come():
    assert numbers_in(interleaved(), 3) == numbers_in(interleaved(), 3)
    assert numbers_in(interleaved(), 3) != numbers_in(interleaved(seed=1), 3)


def test_rows_are_reached_by_their_numbers_alone():
    rows = interleaved()
    assert rows[35]["number"] >= 1000
    for key in (36, -1):
        with pytest.raises(IndexError, match=rf"Found row number {key}, expected 0 to 35"):
            rows[key]


@WORKERS
def test_the_plain_trainer_sees_every_row_of_an_epoch_once(tmp_path, num_workers):
    batches = recorded(tmp_path, interleaved(), per_device_train_batch_size=4, dataloader_num_workers=num_workers)
    for epoch in range(3):
        shown = list(itertools.chain(*batches[9 * epoch : 9 * epoch + 9]))
        assert {epoch_of_row for _, epoch_of_row in shown} == {epoch}
        assert sorted(number for number, _ in shown) == sorted(numbers_in(interleaved(), epoch))


@pytest.mark.slow
@WORKERS
def test_resumed_in_mid_epoch_rows_come_as_they_would_have_come(tmp_path, num_workers):
    step = 11  # the second of the second epoch
    settings = {"per_device_train_batch_size": 4, "dataloader_num_workers": num_workers}
    whole = recorded(tmp_path / "whole", interleaved(), **settings)
    saving = {"save_strategy": "steps", "save_steps": step, "save_total_limit": 1, "max_steps": step}
    begun = recorded(tmp_path / "parts", interleaved(), **settings, **saving)
    assert begun + recorded(tmp_path / "parts", interleaved(), resume=True, **settings) == whole


def test_an_endless_stream_begins_again_as_the_next_epoch_in_another_order():
    rows = source(0, 40).to_iterable_dataset(num_shards=4)
    found = first(EndlessStream(rows, seed=0, shuffle_buffer_size=40), 90)
    assert [epoch for _, epoch in found] == [0] * 40 + [1] * 40 + [2] * 10
    passes = [[number for number, _ in found[start : start + 40]] for start in (0, 40)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(40))
    assert passes[0] != passes[1]


def test_streams_give_rows_by_weight_each_once_a_pass_and_begin_anew_each_on_its_own():
    found = first(streams(), 360)
    small = [row for row in found if row[0] >= 1000]
    large = [row for row in found if row[0] < 1000]
    assert 90 < len(small) < 150
    for part, size in ((small, 12), (large, 60)):
        passes = [part[start : start + size] for start in range(0, len(part) - size, size)]
        assert len(passes) >= 3
        for epoch, rows in enumerate(passes):
            assert len({number for number, _ in rows}) == size
            assert {epoch_of_row for _, epoch_of_row in rows} == {epoch}


def test_the_streams_of_workers_share_the_files_out():
    loader = DataLoader(streams(), batch_size=1, num_workers=2, collate_fn=lambda rows: rows[0])
    rows = [(row["number"], row["epoch"]) for row in itertools.islice(loader, 60)]
    counts = Counter(number for number, epoch in rows if epoch == 0)
    assert set(counts.values()) == {1}
    assert len([number for number in counts if number >= 1000]) == 12


@pytest.mark.slow
@WORKERS
def test_resumed_streams_go_on_where_they_were(tmp_path, num_workers):
    step = 14  # in the second pass of the smaller stream
    settings = {"per_device_train_batch_size": 4, "dataloader_num_workers": num_workers}
    whole = recorded(tmp_path / "whole", streams(), **settings, max_steps=25)
    saving = {"save_strategy": "steps", "save_steps": step, "save_total_limit": 1, "max_steps": step}
    begun = recorded(tmp_path / "parts", streams(), **settings, **saving)
    resumed = recorded(tmp_path / "parts", streams(), resume=True, **settings, max_steps=25)
    assert begun + resumed == whole
    assert len({tuple(row) for batch in whole for row in batch}) == 100  # each row once a pass


@pytest.mark.parametrize("worker", [0, 1])
def test_a_stream_of_fewer_files_than_workers_is_an_error_that_says_so(monkeypatch, worker):
    """As in a worker of a data loader, whose processes take seconds to end."""
    for module in (torch.utils.data, interleaving):
        info = types.SimpleNamespace(id=worker, num_workers=2, seed=0)
        monkeypatch.setattr(module, "get_worker_info", lambda info=info: info)
    rows = iter(streams(num_shards=1))
    if worker == 0:
        assert next(rows)["epoch"] == 0
        return
    with pytest.raises(ValueError, match=r"The stream gave no rows\. Data loader worker 1 of 2 read it"):
        next(rows)


def test_a_bad_row_of_an_endless_stream_is_named_with_its_file():
    columns = {column: [["a"]] for column in PROMPT_COLUMNS} | {"images": [[]], "image_id": ["7"], "ids": [[None]]}
    rows = Dataset.from_dict(columns).to_iterable_dataset()
    with pytest.raises(ValueError, match=r"^mine\.parquet: Row '7' \(source a\) has null in `ids`"):
        next(iter(EndlessStream(rows, seed=0, shuffle_buffer_size=8, name="mine.parquet")))


def test_only_rows_with_epochs_are_interleaved():
    with pytest.raises(
        TypeError, match=r"A source is of type Dataset, which has no epoch\. Wrap it in `TrainingRows`"
    ):
        InterleavedRows([TrainingRows(source(0, 4)), source(0, 4)], [1, 1], seed=0)


def test_a_stream_without_a_chosen_prompt_is_an_error_and_no_endless_loop():
    columns = {"prompts": [["a"]], "tasks": [["vqa"]], "languages": [["sw"]], "sources": [["vqav2"]]}
    rows = Dataset.from_dict(columns).to_iterable_dataset()
    stream = EndlessStream(rows, seed=0, shuffle_buffer_size=8, choice=PromptChoice(frozenset({"captioning"})))
    with pytest.raises(
        ValueError, match=r"The stream gave no rows\. Check its files, and the chosen tasks and languages"
    ):
        next(iter(stream))
