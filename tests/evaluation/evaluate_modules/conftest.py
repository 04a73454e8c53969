"""`evaluate` copies modules into a cache that it imports from: one for the whole run, not the user's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MODULES = Path(__file__).parents[3] / "mblip" / "evaluation" / "evaluate_modules"


@pytest.fixture(scope="session")
def _modules_cache(tmp_path_factory):
    # Python remembers where it imported the cache from, so a second one would not be looked at.
    return tmp_path_factory.mktemp("evaluate_modules_cache")


@pytest.fixture
def load_module(_modules_cache, tmp_path, monkeypatch) -> Callable[[str], Any]:
    """Load one of our modules by the name of its folder."""
    evaluate = pytest.importorskip("evaluate", reason="evaluate is not installed: `pip install mblip[eval]`")
    monkeypatch.setattr(evaluate.config, "HF_MODULES_CACHE", _modules_cache)
    return lambda name: evaluate.load(str(MODULES / name), cache_dir=str(tmp_path))
