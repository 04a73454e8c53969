"""The tasks, and the prompt templates that ask for them.

The original mBLIP was trained on five or six templates a task and, asked in another one, lost most of what it could do
(3.1 CIDEr on XM100 in Pangea, arXiv 2410.16153). So every task has many templates that differ in form: question or
order, with and without a colon, the language first or last. One template a task is held out of training and measures
how much the template matters.

The templates stand in prompts/*.yaml (prompt_files.py). English ones name the example's language in English, native
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
from .prompt_files import PromptTemplate, TaskTemplates, read_templates
from .stable_random import stable_random

Templates = Literal["ours", "as_released"]

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
    """What a task's examples bring (`inputs`), the English templates to train with, and the one only ever tested with.

    `translated` are the parts of an example that are in its language, "target" or names of inputs: what is turned into
    the language allotted to an English example. The other parts stay as the source wrote them.
    """

    inputs: tuple[str, ...]
    translated: tuple[str, ...]
    templates: tuple[PromptTemplate, ...]
    held_out: PromptTemplate


def _read_tasks() -> Mapping[str, Task]:
    english = read_templates(ENGLISH, INPUTS)
    tasks = {}
    for name, (inputs, translated) in PARTS.items():
        held_out = english[name].held_out
        assert held_out is not None  # read_templates refuses English without
        tasks[name] = Task(inputs, translated, english[name].templates, held_out)
    return MappingProxyType(tasks)


TASKS: Mapping[str, Task] = _read_tasks()


def get_task(name: str) -> Task:
    """The task of a name; ValueError for an unknown one."""
    if name not in TASKS:
        raise ValueError(f"Found the task {name!r}, expected one of {', '.join(TASKS)}.")
    return TASKS[name]


def native_templates(language: str, task: str, folder: Path | None = None) -> tuple[PromptTemplate, ...]:
    """The templates of a task in `language` itself; none where there are none, and none in English. Those of a file in
    `folder`, as `mblip translate-prompts` writes it, come behind the package's own."""
    get_task(task)
    if language == ENGLISH:
        return ()
    sources = [_read_native(language), *([] if folder is None else [_read_native(language, folder)])]
    found = (template for read in sources if task in read for template in read[task].templates)
    return tuple({template.text: template for template in found}.values())


@cache
def _read_native(language: str, folder: Path | None = None) -> Mapping[str, TaskTemplates]:
    return read_templates(language, INPUTS, folder)


def apply_prompt(
    example: Example,
    *,
    seed: int,
    held_out: bool = False,
    native_share: float = 0.0,
    native_folder: Path | None = None,
    templates: Templates = "ours",
) -> Example:
    """The example with a template of its task around its inputs.

    The template is drawn by (seed, source, id) and nothing else. `held_out` takes the English one that training never
    sees.

    Args:
        native_share: so large a share of the examples gets a template in its own language, where it has one.
        native_folder: more of these templates; see `native_templates`.
        templates: "as_released" repeats what the original's templates did wrong: questions are asked for in English
            whatever language they are in, and one template in six has a reasoning example learn
            "<answer> because <answer>".

    Raises:
        ValueError: the example has a prompt already, its task is unknown, or its inputs are not those of the task.
    """
    if not 0 <= native_share <= 1:
        raise ValueError(f"Found native_share {native_share}, expected a share from 0 to 1.")
    task = _task_of(example)
    draw = stable_random(seed, example.source, example.id)
    template = task.held_out if held_out else draw.choice(task.templates)
    if native_share and not held_out:
        template = _draw_native(example, seed, native_share, native_folder) or template
    as_released = templates == "as_released"
    name = "English" if as_released and example.task == "question_generation" else None
    text = template.text.format(language=name or prompt_name(example.language, as_released), **example.inputs)
    if as_released and example.task == "reasoning" and template == task.templates[-1]:
        answer = example.target.partition(" because ")[0]
        return replace(example, prompt=text, target=f"{answer} because {answer}")
    return replace(example, prompt=text)


def _task_of(example: Example) -> Task:
    if example.prompt:
        raise ValueError(
            f"{example.name} has a prompt already: {example.prompt!r}. Templates go around examples whose prompt is "
            "''."
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


def _draw_native(example: Example, seed: int, native_share: float, folder: Path | None) -> PromptTemplate | None:
    """A native template, if the example is among `native_share` and its language has one."""
    draw = stable_random(seed, "native wording", example.source, example.id)
    found = native_templates(example.language, example.task, folder)
    return draw.choice(found) if draw.random() < native_share and found else None
