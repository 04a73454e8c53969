"""Settings of the fuzz and chaos tests: their length, their seed, and the table of what came out."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis.configuration import set_hypothesis_home_dir

from tests.chaos.outcomes import TRIED


def pytest_configure(config: pytest.Config) -> None:
    hypothesis.settings.register_profile(
        "chaos",
        max_examples=config.getoption("chaos_length"),
        derandomize=True,  # the same inputs in every run
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    hypothesis.settings.load_profile("chaos")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What libraries log about bad input, thousands of times."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True, scope="session")
def _nothing_is_left_in_the_tree(tmp_path_factory: pytest.TempPathFactory) -> None:
    set_hypothesis_home_dir(tmp_path_factory.mktemp("hypothesis"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.filterwarnings("ignore"))  # what libraries say of bad input


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for kind, counts in sorted(TRIED.items()):
        outcomes = ", ".join(f"{number} {outcome}" for outcome, number in counts.most_common())
        terminalreporter.write_line(f"chaos: {kind}: {counts.total()} tried: {outcomes}")


@pytest.fixture(scope="session")
def num_kills(pytestconfig: pytest.Config) -> int:
    """How often a command is killed: three times, at a nightly length at all of its operations."""
    return pytestconfig.getoption("chaos_length") // 50
