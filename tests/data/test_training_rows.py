"""The epoch reaches every row: with the plain Trainer, with workers, with several processes and after a resume."""

import copy
import itertools
import pickle
import time
import types

import numpy
import pytest
from accelerate.data_loader import prepare_data_loader
from datasets import Dataset, DatasetDict, concatenate_datasets, interleave_datasets, load_dataset
from torch.utils.data import ConcatDataset, DataLoader, IterableDataset, Subset
from transformers import TrainerControl, TrainerState, TrainingArguments

from mblip.data import EpochCallback, training_rows
from mblip.data.example import PROMPT_COLUMNS, rows_to_dataset
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


def asked(*counts):
    """Rows that can be trained on, with so many prompts each."""
    return rows_to_dataset(
        [
            {"images": []}
            | {"image_id": str(number)}
            | {column: [f"{column}{i}" for i in range(count)] for column in PROMPT_COLUMNS}
            for number, count in enumerate(counts)
        ]
    )


METHODS = [
    ("shuffle", {"seed": 0}),
    ("select", {"indices": [0, 1]}),
    ("train_test_split", {"test_size": 0.5}),
    ("shard", {"num_shards": 2, "index": 0}),
    ("take", {"n": 2}),
    ("sort", {"column_names": "image_id"}),
    ("add_column", {"name": "length", "column": [1] * 12}),
    ("filter", {"function": lambda row: row["image_id"] != "1"}),
    ("map", {"function": lambda row: row}),
    ("with_format", {"type": "numpy"}),
    ("set_format", {"type": "numpy"}),
    ("with_transform", {"transform": lambda rows: rows}),
    ("batch", {"batch_size": 2}),
    ("iter", {"batch_size": 2}),
    ("to_iterable_dataset", {}),
    ("save_to_disk", {"dataset_path": "rows"}),
]


@pytest.mark.parametrize(("name", "arguments"), METHODS, ids=[name for name, _ in METHODS])
def test_no_method_of_datasets_loses_the_epoch_or_the_turns(tmp_path, monkeypatch, name, arguments):
    monkeypatch.chdir(tmp_path)
    rows = TrainingRows(asked(1, 5, 1, 5, 3, 6), prompts_per_image=2)
    with pytest.raises(TypeError, match=rf"no `{name}`.*TrainingRows\(rows\.{name}\(\.\.\.\)"):
        getattr(rows, name)(**arguments)
    assert not list(tmp_path.iterdir())
    assert [row["turn"] for row in rows] == [0, 0, 1, 2, 0, 0, 1, 2, 0, 1, 0, 1, 2]


def test_every_public_name_of_datasets_is_given_or_refused():
    rows = TrainingRows(asked(1, 5), prompts_per_image=2)
    given = {"column_names", "num_rows"}
    for name in dir(Dataset):
        if not name.startswith("_") and name not in given:
            with pytest.raises(TypeError, match=rf"no `{name}`"):
                getattr(rows, name)()


@pytest.mark.parametrize(
    "join", [concatenate_datasets, interleave_datasets, lambda rows: DatasetDict(train=rows[0]).shuffle()]
)
def test_no_function_of_datasets_takes_the_table_alone(join):
    with pytest.raises(TypeError, match="`TrainingRows` have no `"):
        join([TrainingRows(asked(2)), TrainingRows(asked(2))])


@pytest.mark.parametrize("key", [slice(0, 2), [0, 1], True, None])
def test_rows_are_read_one_by_one_or_by_column(key):
    with pytest.raises(TypeError, match="expected a row's number or a column's name"):
        TrainingRows(numbers())[key]


def test_a_row_is_marked_by_whatever_number_it_is_read():
    rows = TrainingRows(asking(1, 4), prompts_per_image=2)
    assert rows[numpy.int64(2)] == rows[2] == rows[-1] == {"number": 1, "prompts": ["?"] * 4, "epoch": 0, "turn": 1}
    with pytest.raises(IndexError):
        rows[3]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda rows: pickle.loads(pickle.dumps(rows))])
def test_a_copy_keeps_epoch_and_turns_and_workers_see_its_epoch_change(copied):
    rows = TrainingRows(asking(1, 4), prompts_per_image=2)
    rows.set_epoch(3)
    mine = copied(rows)
    assert list(mine) == list(rows)
    mine.set_epoch(4)
    assert [(row["epoch"], row["turn"]) for row in mine] == [(4, 0), (4, 0), (4, 1)]
    assert mine._epoch._value.is_shared()


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        ([{"number": 1}], "of type list, expected a `datasets.Dataset`"),
        (DatasetDict(train=numbers()), "of type DatasetDict, expected .*Choose one of its splits: train"),
        (TrainingRows(numbers()), "of type TrainingRows, expected"),
        (numbers().with_format("numpy"), r"the format .*'numpy'.*with_format\(None\)"),
        (numbers().with_transform(lambda rows: rows), "the format .*'custom'"),
        (asked(1).with_format(None, columns=["prompts"]), r"'columns': \['prompts'\].*, expected none"),
    ],
)  # fmt: skip
def test_only_plain_rows_are_wrapped(rows, match):
    with pytest.raises(TypeError, match=match):
        TrainingRows(rows)


@pytest.mark.parametrize("prompts_per_image", [0, -1])
def test_a_turn_has_a_prompt_at_least(prompts_per_image):
    for train_on in (TrainingRows, lambda rows, **turns: list(TrainingStream(rows, **turns))):
        with pytest.raises(ValueError, match=f"`prompts_per_image` is {prompts_per_image}, expected at least 1"):
            train_on(asked(1, 5), prompts_per_image=prompts_per_image)


def test_turns_need_prompts():
    with pytest.raises(ValueError, match=r"columns \['number'\], but lack \['prompts'\]"):
        TrainingRows(numbers(), prompts_per_image=2)
    with pytest.raises(ValueError, match=r"columns \['number'\], but lacks \['images'"):
        list(TrainingStream(numbers(), prompts_per_image=2))


@pytest.mark.parametrize("prompts_per_image", [None, 2])
def test_no_rows_are_an_error(prompts_per_image):
    with pytest.raises(ValueError, match="There are no rows, expected at least one"):
        TrainingRows(asked(2).select([]), prompts_per_image=prompts_per_image)


def test_a_stream_of_batches_or_arrays_is_no_stream_of_rows():
    stream = asked(1, 2).to_iterable_dataset()
    for changed in (stream.batch(2), stream.with_format("numpy")):
        with pytest.raises(ValueError, match=r"of type (list|ndarray) in `(image_id|images)`, expected"):
            list(TrainingStream(changed))


def test_the_callback_reaches_rows_in_a_part_or_a_chain_and_refuses_what_knows_no_epoch():
    rows = [TrainingRows(numbers(2)), TrainingRows(numbers(3))]
    control, state = TrainerControl(), TrainerState(epoch=2.0)

    def begin(dataset):
        loader = DataLoader(dataset)
        EpochCallback().on_epoch_begin(TrainingArguments(use_cpu=True), state, control, train_dataloader=loader)

    chained = ConcatDataset([Subset(rows[0], [1]), rows[1]])
    begin(chained)
    assert [row["epoch"] for row in chained] == [2] * 4
    begin(TrainingStream([]))
    for dataset in (numbers(), ConcatDataset([rows[0], numbers()]), numbers().to_iterable_dataset()):
        with pytest.raises(
            TypeError, match=r"found a (Iterable)?Dataset, which has no epoch.*Wrap the rows in `TrainingRows`"
        ):
            begin(dataset)


class Own(IterableDataset):
    def __iter__(self):
        return iter(numbers())


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize(
    "rows",
    [numbers(7), list(numbers(7)), numbers(7).to_iterable_dataset(), numbers(7).to_iterable_dataset(num_shards=4)],
    ids=["dataset", "list", "one shard", "shards"],
)
def test_every_row_of_a_stream_comes_once_whatever_the_number_of_workers(num_workers, rows):
    loader = DataLoader(TrainingStream(rows), num_workers=num_workers, collate_fn=lambda rows: rows[0]["number"])
    assert sorted(loader) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("rows", "match"),
    [
        (
            (row for row in numbers()),
            r"a generator, which can be read only once.*`datasets.IterableDataset.from_generator",
        ),
        (TrainingRows(numbers()), "of type TrainingRows, expected .*without epochs"),
        (DatasetDict(train=numbers()), "of type DatasetDict, expected .*Choose one of its splits: train"),
        (3, "of type int"),
    ],
)
def test_what_is_no_stream_of_rows_is_refused(rows, match):
    with pytest.raises(TypeError, match=match):
        TrainingStream(rows)


def test_a_stream_that_may_share_its_rows_itself_is_refused_in_a_worker(monkeypatch):
    assert len(list(TrainingStream(Own()))) == 6
    monkeypatch.setattr(training_rows, "get_worker_info", lambda: types.SimpleNamespace(id=1, num_workers=2))
    with pytest.raises(ValueError, match=r"Data loader worker 1 of 2.*`dataloader_num_workers=0`"):
        list(TrainingStream(Own()))


def test_a_pass_over_a_shuffled_stream_of_files_does_not_wait(tmp_path):
    path = tmp_path / "rows.parquet"
    numbers(12).to_parquet(path)
    stream = load_dataset("parquet", data_files=str(path), split="train", streaming=True).shuffle(
        seed=0, buffer_size=4
    )
    start = time.perf_counter()
    assert len(list(TrainingStream(stream))) == 12
    assert time.perf_counter() - start < 2
