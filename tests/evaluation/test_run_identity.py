"""A digest of weights differs wherever the answers might."""

import accelerate
import pytest
import torch
from torch import nn

from mblip.evaluation.run_identity import digest_weights


def two_layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 400), nn.BatchNorm1d(400))


def flip_last_bit(model):
    model[0].weight.data.view(torch.int32)[-1, -1] ^= 1


CHANGES = {
    "the last bit of the last number": flip_last_bit,
    "a buffer": lambda model: model[1].running_mean.fill_(1),
    "another shape": lambda model: setattr(model[0], "weight", nn.Parameter(model[0].weight.data.T)),
    "another dtype": lambda model: model[0].half(),
    "a sign of zero": lambda model: model[1].running_mean.fill_(-0.0),
    "another name": lambda model: model.add_module("1", nn.Sequential(model[1])),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_every_change_of_weights_changes_their_digest(kind):
    model = two_layers()
    CHANGES[kind](model)
    assert digest_weights(model) != digest_weights(two_layers())


def test_weights_in_another_place_or_order_of_memory_have_the_same_digest(tmp_path):
    expected = digest_weights(two_layers())
    model = two_layers()
    model[0].weight.data = model[0].weight.data.T.contiguous().T
    assert digest_weights(model) == expected
    assert digest_weights(accelerate.cpu_offload(two_layers(), "cpu")) == expected
    assert digest_weights(accelerate.disk_offload(two_layers(), tmp_path, "cpu")) == expected


def test_weights_of_any_dtype_and_none_have_a_digest():
    model = nn.Module()
    for dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.int8, torch.bool, torch.complex64):
        model.register_buffer(f"zeros in {str(dtype).removeprefix('torch.')}", torch.zeros(3).to(dtype))
    model.register_buffer("scalar", torch.tensor(1.0))
    model.register_buffer("empty", torch.zeros(0, 4))
    assert len(digest_weights(model)) == 32
