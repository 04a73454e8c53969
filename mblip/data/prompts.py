"""The tasks, and their prompt templates.

The original mBLIP was trained on five or six templates per task. With an unknown template it lost most of its quality
(3.1 CIDEr on XM100 in Pangea, arXiv 2410.16153). So every task has many templates of different forms: question or
command, with and without a colon, the language first or last. One template per task is held out of training and
measures how much the template matters.

The templates are in prompts/*.yaml (see prompt_files.py). English templates name the example's language in English;
native templates are written in it. Yes-or-no tasks are answered in English, whatever the language of the prompt.
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

# task: its `inputs`, and the parts that are in the example's language (`translated`)
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
    """A task's `inputs`, its English templates for training, and the held-out template.

    `translated` names the parts of an example that are in its language: "target" or names of inputs. These parts are
    translated into the language allotted to an English example. The other parts stay as the source wrote them.
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
        assert held_out is not None  # read_templates refuses English without one
        tasks[name] = Task(inputs, translated, english[name].templates, held_out)
    return MappingProxyType(tasks)


TASKS: Mapping[str, Task] = _read_tasks()


def get_task(name: str) -> Task:
    """The task of a name. Raises ValueError for an unknown name."""
    if name not in TASKS:
        raise ValueError(f"Found the task {name!r}, expected one of {', '.join(TASKS)}.")
    return TASKS[name]


def native_templates(language: str, task: str, folder: Path | None = None) -> tuple[PromptTemplate, ...]:
    """The native templates of a task in `language`. Empty for English, and for a language without any.

    Templates from a file in `folder`, as `mblip translate-prompts` writes it, follow the package's own.
    """
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
    """The example with its prompt, from a template of its task filled with its inputs.

    The template is drawn by (seed, source, id) and nothing else. `held_out` uses the held-out English template.

    Args:
        native_share: the share of examples that get a native template, where their language has one.
        native_folder: a folder of further templates; see `native_templates`.
        templates: "as_released" repeats two faults of the original. It asks for questions in English, whatever
            language they are in. And one reasoning template in six teaches "<answer> because <answer>".
    Raises:
        ValueError: the example already has a prompt, its task is unknown, or its inputs are not those of the task.
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
    inputs = {input: text.strip() for input, text in example.inputs.items()}
    text = template.text.format(language=name or prompt_name(example.language, as_released), **inputs)
    if as_released and example.task == "reasoning" and template == task.templates[-1]:
        answer = example.target.partition(" because ")[0]
        return replace(example, prompt=text, target=f"{answer} because {answer}")
    return replace(example, prompt=text)


def _task_of(example: Example) -> Task:
    if example.prompt:
        raise ValueError(
            f"{example.name} already has the prompt {example.prompt!r}. "
            "`apply_prompt` takes examples with the prompt ''."
        )
    try:
        task = get_task(example.task)
    except ValueError as error:
        raise ValueError(f"{example.name}: {error}") from error
    if set(example.inputs) != set(task.inputs):
        raise ValueError(
            f"{example.name} has the inputs {sorted(example.inputs)}, "
            f"but the task {example.task!r} takes {sorted(task.inputs)}."
        )
    return task


def _draw_native(example: Example, seed: int, native_share: float, folder: Path | None) -> PromptTemplate | None:
    """A native template if the example falls into `native_share` and its language has one; else None."""
    draw = stable_random(seed, "native wording", example.source, example.id)
    found = native_templates(example.language, example.task, folder)
    return draw.choice(found) if draw.random() < native_share and found else None
