"""The tasks, and the wordings that ask for them.

The original mBLIP was trained on five or six wordings a task and, asked in another one, lost most of what it could do
(3.1 CIDEr on XM100 in Pangea, arXiv 2410.16153). So every task has many wordings that differ in form: question or
order, with and without a colon, the language first or last. One wording a task is held out of training and measures
how much wording matters.

The wordings stand in prompts/*.yaml (prompt_files.py). English ones name the example's language in English, native
ones are in it. Tasks of yes and no answer in English, whatever the language of the prompt.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from .example import Example
from .languages import ENGLISH, prompt_name
from .prompt_files import TaskWordings, Wording, read_wordings
from .stable_random import stable_random

Wordings = Literal["ours", "as_released"]

# task: what its examples bring (`inputs`), and which parts are in the example's language (`translated`)
PARTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "captioning": ((), ("target",)),
        "vqa": (("question",), ("question", "target")),
        "question_generation": (("answer",), ("target",)),
        "image_naming": ((), ()),
        "image_deciding": (("label",), ()),
        "matching": (("caption",), ("caption",)),
        "detailed_captioning": ((), ("target",)),
        "vqa_in_english": (("question",), ()),
        "reasoning": (("question",), ()),
        "explaining": (("question", "answer"), ()),
        "conversation": (("question",), ("question", "target")),
        "entailment": (("hypothesis",), ()),
        "two_image_statement": (("statement",), ()),
    }
)
INPUTS = MappingProxyType({task: inputs for task, (inputs, _) in PARTS.items()})


@dataclass(frozen=True)
class Task:
    """What a task's examples bring (`inputs`), the English wordings to train with, and the one only ever tested with.

    `translated` are the parts of an example that are in its language, "target" or names of inputs: what is turned into
    the language allotted to an English example. The other parts stay as the source wrote them.
    """

    inputs: tuple[str, ...]
    translated: tuple[str, ...]
    wordings: tuple[Wording, ...]
    held_out: Wording


def _read_tasks() -> Mapping[str, Task]:
    english = read_wordings(ENGLISH, INPUTS)
    tasks = {}
    for name, (inputs, translated) in PARTS.items():
        held_out = english[name].held_out
        assert held_out is not None  # read_wordings refuses English without
        tasks[name] = Task(inputs, translated, english[name].wordings, held_out)
    return MappingProxyType(tasks)


TASKS: Mapping[str, Task] = _read_tasks()


def get_task(name: str) -> Task:
    """The task of a name; ValueError for an unknown one."""
    if name not in TASKS:
        raise ValueError(f"Found the task {name!r}, expected one of {', '.join(TASKS)}.")
    return TASKS[name]


def native_wordings(language: str, task: str, folder: Path | None = None) -> tuple[Wording, ...]:
    """The wordings of a task in `language` itself; none where there are none, and none in English. Those of a file in
    `folder`, as `mblip translate-prompts` writes it, come behind the package's own."""
    get_task(task)
    if language == ENGLISH:
        return ()
    sources = [_read_native(language), *([] if folder is None else [_read_native(language, folder)])]
    found = (wording for read in sources if task in read for wording in read[task].wordings)
    return tuple({wording.text: wording for wording in found}.values())


@cache
def _read_native(language: str, folder: Path | None = None) -> Mapping[str, TaskWordings]:
    return read_wordings(language, INPUTS, folder)


def apply_prompt(
    example: Example,
    *,
    seed: int,
    held_out: bool = False,
    native_share: float = 0.0,
    native_folder: Path | None = None,
    wordings: Wordings = "ours",
) -> Example:
    """The example with a wording of its task around its inputs.

    The wording is drawn by (seed, source, id) and nothing else. `held_out` takes the English one that training never
    sees.

    Args:
        native_share: so large a share of the examples gets a wording in its own language, where it has one.
        native_folder: more of these wordings; see `native_wordings`.
        wordings: "as_released" repeats what the original's wordings did wrong: questions are asked for in English
            whatever language they are in, and one wording in six has a reasoning example learn
            "<answer> because <answer>".

    Raises:
        ValueError: the example has a prompt already, its task is unknown, or its inputs are not those of the task.
    """
    if not 0 <= native_share <= 1:
        raise ValueError(f"Found native_share {native_share}, expected a share from 0 to 1.")
    task = _task_of(example)
    draw = stable_random(seed, example.source, example.id)
    wording = task.held_out if held_out else draw.choice(task.wordings)
    if native_share and not held_out:
        wording = _draw_native(example, seed, native_share, native_folder) or wording
    as_released = wordings == "as_released"
    name = "English" if as_released and example.task == "question_generation" else None
    text = wording.text.format(language=name or prompt_name(example.language, as_released), **example.inputs)
    if as_released and example.task == "reasoning" and wording == task.wordings[-1]:
        answer = example.target.partition(" because ")[0]
        return replace(example, prompt=text, target=f"{answer} because {answer}")
    return replace(example, prompt=text)


def _task_of(example: Example) -> Task:
    if example.prompt:
        raise ValueError(
            f"{example.name} has a prompt already: {example.prompt!r}. Wordings go around examples whose prompt is ''."
        )
    try:
        task = get_task(example.task)
    except ValueError as error:
        raise ValueError(f"{example.name}: {error}") from error
    if set(example.inputs) != set(task.inputs):
        raise ValueError(
            f"{example.name} brings the inputs {sorted(example.inputs)}, "
            f"but the task {example.task!r} takes {sorted(task.inputs)}."
        )
    return task


def _draw_native(example: Example, seed: int, native_share: float, folder: Path | None) -> Wording | None:
    """A native wording, if the example is among `native_share` and its language has one."""
    draw = stable_random(seed, "native wording", example.source, example.id)
    found = native_wordings(example.language, example.task, folder)
    return draw.choice(found) if draw.random() < native_share and found else None
