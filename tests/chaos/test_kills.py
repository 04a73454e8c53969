"""Killed or with the disk full at any of its file operations, a command can be run again and loses nothing."""

import hashlib
import shutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mblip.data.recipes.yaml_values import write_yaml
from tests.chaos.file_operations import Ending, check_refusal, chosen, run
from tests.chaos.outcomes import count
from tests.mix.build.mix_files import SCENES, write_mix_recipe
from tests.tiny import tiny_model, tiny_processor
from tests.training.tiny_run import write_components, write_recipe, write_tiny_rows

LITTLE_ROOM = (0, 200, 4000, 20_000)  # bytes
HOLD_TIMES = ("trainer_state.json", "manifest.json", "results.json", "table.md", "report.md")


def train_command(folder: Path) -> list[str]:
    """Two stages of two steps and two checkpoints each."""
    write_components(folder, dropout=0.1)
    write_tiny_rows(folder / "rows.parquet", num_rows=8, text_only_from=6)
    stage = {"batch_size": 2, "warmup_steps": 1, "max_steps": 2, "learning_rate": 1e-3}
    stages = [stage | {"stage": "warm_up"}, stage | {"stage": "re_alignment", "lora": {"r": 2, "lora_dropout": 0.1}}]
    training = {"save_steps": 1, "logging_steps": 1}
    data = {"rows": {"path": str(folder / "rows.parquet")}}
    recipe = write_recipe(folder, data=data, stages=stages, training=training)
    return ["train", str(recipe), "--output_dir", str(folder / "out")]


def encode_command(folder: Path) -> list[str]:
    """Two feature sets."""
    _, *recipe, _, _ = train_command(folder)
    return ["encode", *recipe, "--features.path", str(folder / "out")]


def eval_command(folder: Path) -> list[str]:
    """Two tasks of three languages."""
    tiny_model().save_pretrained(folder / "model")
    tiny_processor().save_pretrained(folder / "model")
    tasks = {
        name: {"languages": ["en", "sw", "hi"], "num_images": 3}
        for name in ("scenes.task:scenes", "scenes.counts:scene_counts")
    }
    settings = {"batch_size": 3, "generation": {"max_new_tokens": 3}}
    recipe = {
        "model": str(folder / "model"),
        "output_dir": str(folder / "out"),
        "evaluation": tasks | {"settings": settings},
    }
    (folder / "recipe.yaml").write_text(write_yaml(recipe), encoding="utf-8")
    return ["eval", str(folder / "recipe.yaml")]


def build_command(folder: Path) -> list[str]:
    """A mix of two shards."""
    return ["build", str(write_mix_recipe(folder, SCENES)), "--output", str(folder / "out")]


@dataclass(frozen=True)
class Work:
    """A command, and what it does undisturbed.

    Attributes:
        contents: the digests of the files that it writes, by name; None for those that differ from run to run.
        num_operations: how many file operations it does.
    """

    command: list[str]
    output: Path
    contents: Mapping[str, str | None]
    num_operations: int

    def run(self, **stop: Any) -> Ending:
        return run(self.command, self.output, **stop)

    def check(self) -> None:
        """The output holds what an undisturbed run writes."""
        found = digests(self.output)
        assert found.keys() == self.contents.keys()
        assert {name: found[name] for name, digest in self.contents.items() if digest} == {
            name: digest for name, digest in self.contents.items() if digest
        }


def digests(folder: Path) -> dict[str, str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".build" not in path.parts]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.fixture(scope="module", params=[train_command, encode_command, eval_command, build_command])
def work(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Work:
    folder = tmp_path_factory.mktemp("work")
    command, found = request.param(folder), []
    for _ in range(2):
        shutil.rmtree(folder / "out", ignore_errors=True)
        ending = run(command, folder / "out")
        assert ending.status == 0, ending.output[-3000:]
        found.append(digests(folder / "out"))
    contents = {
        name: digest if found[1].get(name) == digest and not name.endswith(HOLD_TIMES) else None
        for name, digest in found[0].items()
    }
    assert any(contents.values())
    return Work(command, folder / "out", contents, len(ending.operations))


def test_killed_at_a_file_operation_the_same_command_ends_with_the_same_bytes(work: Work, num_kills: int) -> None:
    for number in chosen(work.num_operations, num_kills):
        shutil.rmtree(work.output)
        assert work.run(killed_at=number).status == -signal.SIGKILL
        again = work.run()
        assert again.status == 0, (number, again.output[-3000:])
        work.check()
        count(f"{work.command[0]}, killed", "same bytes")


def test_with_the_disk_full_it_says_so_and_goes_on_when_there_is_room(work: Work, num_kills: int) -> None:
    stops = [{"full_from": number} for number in chosen(work.num_operations, num_kills)]
    for stop in stops + [{"most_bytes": size} for size in LITTLE_ROOM[:num_kills]]:
        shutil.rmtree(work.output)
        ending = work.run(**stop)
        if ending.status != 0:  # what is left may be removing files, or smaller than the room
            check_refusal(ending)
        again = work.run()
        assert again.status == 0, (stop, again.output[-3000:])
        work.check()
        count(f"{work.command[0]}, disk full", "same bytes")
