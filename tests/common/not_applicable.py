"""The common tests that cannot apply, each with its reason. They must fail: one that passes has to leave the table."""

import pytest

PROCESSOR: dict[str, str] = {}

MODEL: dict[str, str] = {}


def declare(case: type, table: dict[str, str]) -> type:
    """Mark the tests of `table` in a test class as expected to fail."""
    for name, reason in table.items():
        if not hasattr(case, name):
            raise ValueError(f"{case.__name__} has no test {name}. Remove it from the table in {__file__}.")
        setattr(case, name, pytest.mark.xfail(reason=reason, strict=True)(getattr(case, name)))
    return case
