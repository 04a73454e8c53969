"""For every test: no network, quiet libraries, one seed."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
import transformers


@pytest.fixture(autouse=True)
def _seeded() -> None:
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)
