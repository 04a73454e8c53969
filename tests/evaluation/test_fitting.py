import pytest
import torch

from mblip.evaluation.model_inputs import Fitting


def with_room_for(size, calls):
    def work(items):
        calls.append(len(items))
        if len(items) > size:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item * 10 for item in items]

    return work


def test_a_batch_that_does_not_fit_is_done_in_halves_and_so_are_those_after_it(caplog):
    fitting, calls = Fitting("prompts"), []
    work = with_room_for(3, calls)
    assert fitting.run(work, list(range(8))) == [i * 10 for i in range(8)]
    assert calls == [8, 4, 2, 2, 2, 2]
    calls.clear()
    assert fitting.run(work, list(range(5))) == [0, 10, 20, 30, 40]
    assert calls == [2, 2, 1]
    assert "Out of memory with 8 prompts at once; continuing with 4." in caplog.text


def test_batches_that_fit_are_done_whole():
    calls = []
    assert Fitting("prompts").run(with_room_for(8, calls), [1, 2]) == [10, 20]
    assert calls == [2]


def test_no_room_for_a_single_item_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        Fitting("images").run(with_room_for(0, []), [1, 2])
