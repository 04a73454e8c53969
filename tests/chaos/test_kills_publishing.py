"""A push that is killed, or loses the Hub, at any of its requests leaves every repository old or new, and can be run
again."""

import copy
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.chaos.file_operations import Ending, check_refusal, chosen, run
from tests.chaos.outcomes import count
from tests.hub.client import Client
from tests.hub.faults import Fault
from tests.hub.published import add_components, finish_run
from tests.hub.repositories import Repository, StoredFile
from tests.hub.server import LoopbackHub

REPOSITORIES = ("tester/model", "tester/model-base")
STATES = ("repositories", "objects", "parts")


class LostHub(LoopbackHub):
    """A Hub that hangs up on every request but the first `num_answers`; None: it answers all."""

    num_answers: int | None = None

    def take_fault(self, method: str, path: str) -> Fault | None:
        is_lost = self.num_answers is not None and len(self.requests) > self.num_answers
        return Fault(method, path, upload_bytes=0) if is_lost else None


@dataclass
class Push:
    """A push of a finished run to a Hub.

    Attributes:
        before: what the Hub holds before it.
        files: of the repositories after it.
        num_operations, num_requests: what it does undisturbed.
    """

    hub: LostHub
    command: list[str]
    folder: Path
    before: dict[str, dict]
    files: dict[str, dict[str, StoredFile]]
    num_operations: int = 0
    num_requests: int = 0

    def run(self, **stop: int) -> Ending:
        return run(self.command, self.folder, hub=self.hub.url, **stop)

    def reset(self) -> None:
        for name, state in self.before.items():
            setattr(self.hub, name, copy.deepcopy(state))
        self.hub.num_answers = None
        self.hub.requests.clear()

    def check(self, *, is_done: bool) -> None:
        """Every repository is as it was or as it is after an undisturbed push; `is_done`: the latter."""
        for name, files in self.files.items():
            found = files_of(self.hub.repositories.get(name))
            assert found == files or (not is_done and found in ({}, files_of(Repository(name)))), name


def files_of(repository: Repository | None) -> dict[str, StoredFile]:
    return {} if repository is None else repository.files


@pytest.fixture(scope="module", params=[[], ["--adapter"]], ids=["model", "adapter"])
def push(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Push]:
    folder = tmp_path_factory.mktemp("push")
    with LostHub() as hub, pytest.MonkeyPatch.context() as monkeypatch:
        Client(hub, folder / "home", monkeypatch)
        add_components(hub, folder)
        run_folder, _ = finish_run(folder, "parents/blip2", "parents/text")
        before = {name: copy.deepcopy(getattr(hub, name)) for name in STATES}
        push = Push(hub, ["publish", str(run_folder), REPOSITORIES[0], *request.param], run_folder, before, {})
        push.reset()
        ending = push.run()
        assert ending.status == 0, ending.output[-3000:]
        push.files = {name: hub.repositories[name].files for name in REPOSITORIES if name in hub.repositories}
        push.num_operations, push.num_requests = len(ending.operations), len(hub.requests)
        assert push.files
        yield push


def test_killed_at_a_request_every_repository_is_old_or_new(push: Push, num_kills: int) -> None:
    for number in chosen(push.num_operations, num_kills):
        push.reset()
        assert push.run(killed_at=number).status == -signal.SIGKILL
        push.check(is_done=False)
        again = push.run()
        assert again.status == 0, (number, again.output[-3000:])
        push.check(is_done=True)
        count("publish, killed", "same files")


def test_a_hub_that_is_lost_is_named_in_a_message_and_the_same_command_completes_the_push(
    push: Push, num_kills: int
) -> None:
    for number in chosen(push.num_requests, num_kills):
        push.reset()
        push.hub.num_answers = number
        check_refusal(push.run())
        push.check(is_done=False)
        push.hub.num_answers = None
        again = push.run()
        assert again.status == 0, (number, again.output[-3000:])
        push.check(is_done=True)
        count("publish, Hub lost", "same files")
