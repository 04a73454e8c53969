"""The epoch reaches every row: with the plain Trainer, with workers, with several processes and after a resume."""

import itertools

import pytest
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import TrainerControl, TrainerState, TrainingArguments

from mblip.data import EpochCallback, training_rows
from mblip.data.training_rows import TrainingRows, TrainingStream, add_length
from tests.data.recorded_training import collate, recorded


def numbers(count=6):
    return Dataset.from_dict({"number": list(range(count))})


def epochs(batches):
    return [sorted({epoch for _, epoch in batch}) for batch in batches]


@pytest.mark.parametrize(
    "workers",
    [
        {"dataloader_num_workers": 0},
        {"dataloader_num_workers": 1},
        {"dataloader_num_workers": 1, "dataloader_persistent_workers": True},
    ],
)
def test_every_row_of_the_trainer_carries_its_epoch(tmp_path, workers):
    batches = recorded(tmp_path, TrainingRows(numbers()), **workers)
    assert epochs(batches) == [[0]] * 3 + [[1]] * 3 + [[2]] * 3
    for epoch in range(3):
        shown = itertools.chain(*batches[3 * epoch : 3 * epoch + 3])
        assert sorted(number for number, _ in shown) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_every_row_of_a_stream_carries_its_epoch(tmp_path, num_workers):
    stream = TrainingStream(numbers().to_iterable_dataset())
    batches = recorded(tmp_path, stream, max_steps=9, dataloader_num_workers=num_workers)
    assert epochs(batches) == [[0]] * 3 + [[1]] * 3 + [[2]] * 3


def test_a_shuffled_stream_is_shuffled_anew_each_epoch(tmp_path):
    shuffled = numbers(64).to_iterable_dataset(num_shards=4).shuffle(seed=0, buffer_size=64)
    batches = recorded(tmp_path, TrainingStream(shuffled), max_steps=2, per_device_train_batch_size=64)
    first, second = ([number for number, _ in batch] for batch in batches)
    assert sorted(first) == sorted(second) == list(range(64))
    assert first != second


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 3, 5])
def test_a_resumed_training_sees_the_rows_and_epochs_it_would_have_seen(tmp_path, step):
    rows = TrainingRows(numbers())
    whole = recorded(tmp_path / "whole", rows)
    saving = {"save_strategy": "steps", "save_steps": step, "save_total_limit": 1}
    first = recorded(tmp_path / "parts", rows, **saving, max_steps=step)
    second = recorded(tmp_path / "parts", TrainingRows(numbers()), resume=True)
    assert first + second == whole


def test_the_callback_tells_rows_of_several_processes_their_epoch():
    rows = TrainingRows(numbers())
    loader = prepare_data_loader(
        DataLoader(rows, batch_size=1, shuffle=True, collate_fn=collate),
        num_processes=2,
        process_index=1,
        use_seedable_sampler=True,
    )
    state = TrainerState(epoch=2.0)
    EpochCallback().on_epoch_begin(TrainingArguments(use_cpu=True), state, TrainerControl(), train_dataloader=loader)
    assert {epoch for batch in loader for _, epoch in batch["batch"].tolist()} == {2}


def test_rows_keep_everything_but_gain_their_epoch():
    rows = TrainingRows(numbers(3))
    rows.set_epoch(4)
    assert rows[1] == {"number": 1, "epoch": 4}
    assert list(rows) == rows.__getitems__([0, 1, 2]) == [{"number": number, "epoch": 4} for number in range(3)]
    assert rows["number"][:] == [0, 1, 2]
    assert len(rows) == 3
    assert [row["number"] for row in TrainingRows(numbers(3).select([2, 0]))] == [2, 0]


def test_the_length_of_a_row_is_that_of_its_longest_texts():
    texts = {"prompts": [["a", "abc"], ["ab"]], "targets": [["abcd", "a"], ["a"]]}
    assert add_length(Dataset.from_dict(texts))["length"][:] == [7, 3]


def test_the_trainer_groups_rows_by_their_length(tmp_path):
    """32 short and 32 long rows: drawn at random, 16 of 32 pairs would be mixed; grouped, one in each of four
    mega-batches and
    the two that the longest row's place in front costs."""
    lengths = [1, 50] * 32
    rows = TrainingRows(Dataset.from_dict({"number": list(range(64)), "length": lengths}))
    batches = recorded(tmp_path, rows, train_sampling_strategy="group_by_length", num_train_epochs=1)
    mixed = [batch for batch in batches if len({lengths[number] for number, _ in batch}) > 1]
    assert len(mixed) <= 6


def asking(*counts):
    """Rows with so many prompts each."""
    return Dataset.from_dict({"number": list(range(len(counts))), "prompts": [["?"] * count for count in counts]})


@pytest.mark.parametrize("of", [lambda rows: rows, lambda rows: rows.select([0, 1, 2]).flatten_indices()])
def test_a_row_of_many_prompts_comes_once_for_each_turn(of):
    rows = TrainingRows(of(asking(1, 4, 9)), prompts_per_image=4)
    expected = [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]
    assert len(rows) == 5
    assert [(row["number"], row["turn"]) for row in rows] == expected
    assert [(rows[i]["number"], rows[i]["turn"]) for i in range(5)] == expected
    assert [(row["number"], row["turn"]) for row in rows.__getitems__([4, 0])] == [(2, 2), (0, 0)]


def test_rows_chosen_from_others_have_their_own_turns():
    rows = TrainingRows(asking(1, 9, 4).select([1, 0]), prompts_per_image=4)
    assert [(row["number"], row["turn"]) for row in rows] == [(1, 0), (1, 1), (1, 2), (0, 0)]


def test_the_turns_of_a_stream_come_apart_and_each_once(monkeypatch):
    monkeypatch.setattr(training_rows, "TURN_SPACING", 3)
    rows = [(row["number"], row["turn"]) for row in TrainingStream(asking(9, 1, 5, 1, 1, 4), prompts_per_image=4)]
    assert sorted(rows) == [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1), (3, 0), (4, 0), (5, 0)]
    positions = {row: position for position, row in enumerate(rows)}
    assert positions[0, 1] - positions[0, 0] >= 3
    assert positions[0, 2] > positions[0, 1]
