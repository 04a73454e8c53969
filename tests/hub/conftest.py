"""A Hub for every test of this folder, and a client of it."""

from pathlib import Path

import pytest
from huggingface_hub import close_session

from tests.hub.client import Client
from tests.hub.server import LoopbackHub

UPSTREAM_WARNINGS = (
    # huggingface_hub 2.4 hands files to httpx2 as `data=`, which httpx2 would have be `content=`.
    "ignore:Use 'content=<...>' to upload raw bytes/text content.:DeprecationWarning",
)


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in UPSTREAM_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture
def hub():
    with LoopbackHub() as hub:
        yield hub


@pytest.fixture
def client(hub, tmp_path, monkeypatch):
    yield Client(hub, tmp_path / "home", monkeypatch)
    close_session()
