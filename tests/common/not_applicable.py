"""The common tests that cannot apply, each with its reason. They must fail: one that passes has to leave the table."""

import unittest
from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from unittest.mock import patch

import pytest

PROCESSOR: dict[str, str] = {}

IMAGE_PROCESSOR: dict[str, str] = {
    "test_call_numpy_4_channels": "Every image becomes RGB, with transparency laid on white: four channels fit no "
    "ViT of BLIP-2's.",
}

MODEL: dict[str, str] = {
    "test_reverse_loading_mapping": "BLIP-2's name of the query tokens is read and never written: on disk they have "
    "the name that they have in the model, under which every reader of weights finds them.",
    "test_generation_tester_mixin_inheritance": "The generation tests are in no distribution of transformers; those "
    "of tests/modeling_mblip take their place.",
}

# transformers has this test from 5.24 on.
DECODER_ONLY: dict[str, str] = {
    "test_multimodal_outputs_are_returned": "The output is flat: `image_hidden_states` holds the images' features, "
    "and `get_image_features` gives the ViT's states, where transformers' newer models nest both in `image_outputs`.",
}

BLOOM: dict[str, str] = {
    "test_can_capture_specific_layers_hidden_states": "transformers' BLOOM gives the hidden states of all layers or "
    "of none; the test asks only whether any part of the model, here the ViT, can choose.",
}


def declare(case: type, table: dict[str, str]) -> None:
    """Mark the tests of `table` in a test class as expected to fail."""
    for name, reason in table.items():
        if not hasattr(case, name):
            raise ValueError(f"{case.__name__} has no test {name}. Remove it from the table in {__file__}.")
        test = _without_subtests(getattr(case, name))
        setattr(case, name, pytest.mark.xfail(reason=reason, strict=True)(test))


def _without_subtests(test: Callable) -> Callable:
    """A failure inside a subtest is the test's own, or pytest would report the test around it as passed."""

    @wraps(test)
    def run(self: unittest.TestCase) -> None:
        with patch.object(self, "subTest", lambda *args, **kwargs: nullcontext()):
            test(self)

    return run
