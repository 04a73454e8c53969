"""What all tests on a GPU want."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _exact_products():
    """TF32 would hide differences, or make some. (torch has matrix products without it, unless told otherwise.)"""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield
