"""The common tests that cannot apply, each with its reason. They must fail: one that passes has to leave the table."""

import pytest

PROCESSOR: dict[str, str] = {}

MODEL: dict[str, str] = {
    "test_model_base_model_prefix": "The state dict has BLIP-2's keys, so there is no base model inside: nothing to "
    "prefix.",
    "test_generation_tester_mixin_inheritance": "The generation tests are in no distribution of transformers; those "
    "of tests/modeling_mblip take their place.",
}


def declare(case: type, table: dict[str, str]) -> type:
    """Mark the tests of `table` in a test class as expected to fail."""
    for name, reason in table.items():
        if not hasattr(case, name):
            raise ValueError(f"{case.__name__} has no test {name}. Remove it from the table in {__file__}.")
        setattr(case, name, pytest.mark.xfail(reason=reason, strict=True)(getattr(case, name)))
    return case
