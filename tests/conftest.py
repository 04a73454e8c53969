"""For every test: no network, quiet libraries, one seed, and no use of what transformers says is deprecated.

The drawn world of quickstart/ is on the path, as if every recipe of a test stood there.
"""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ["PYTHONPATH"] = f"{os.environ.get('PYTHONPATH', '')}:{Path(__file__).parents[1] / 'quickstart'}".strip(":")
os.environ["HF_HUB_OFFLINE"] = "1"
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side, on tiny models
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest
import torch
import transformers

from mblip.data import languages


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--chaos-length",
        type=int,
        default=150,
        help="inputs that each fuzz test of tests/chaos tries, and fifty times its kills; nightly: 10000",
    )


@pytest.fixture(autouse=True)
def _seeded() -> None:
    transformers.utils.logging.disable_progress_bar()
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _nothing_deprecated() -> Iterator[None]:
    """transformers logs some deprecations, where `filterwarnings = error` does not see them; each only once a run."""
    found: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "deprecated" in record.getMessage():
                found.append(f"{record.pathname}:{record.lineno}: {record.getMessage()}")

    logging.Logger.warning_once.cache_clear()  # type: ignore[attr-defined]  # transformers' own addition
    listener, logger = Listener(), logging.getLogger("transformers")
    logger.addHandler(listener)
    yield
    logger.removeHandler(listener)
    assert found == []


@pytest.fixture(autouse=True)
def _own_modules_are_forgotten(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Modules that a test wrote and imported, and where they lay: another test's may have the same name."""
    path, names = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    written = str(tmp_path_factory.getbasetemp())
    for name in sys.modules.keys() - names:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(written):
            del sys.modules[name]


@pytest.fixture
def table_of_96(monkeypatch):
    """The languages that the test adds are forgotten after it."""
    before = dict(languages._LANGUAGES)
    monkeypatch.setenv(languages.ADDED, "[]")
    yield
    languages._LANGUAGES.clear()
    languages._LANGUAGES.update(before)
