"""Evaluation recipes: which benchmarks to run, and how.

    evaluation:
      setup: {protocol: paper}
      xgqa: {questions: "xgqa/{language}.json", images: gqa}    # built in: the function `xgqa` of tasks/xgqa.py
      my_module:my_benchmark: {questions: mine.jsonl}           # yours: in my_module.py beside the recipe

The keys of a benchmark are the keyword-only parameters of its function. A training recipe holds an `EvaluationRecipe`
under `evaluation`; a recipe of `mblip eval` is an `EvaluationRun`.
"""

import inspect
import pkgutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self

from mblip.data.languages import Language
from mblip.data.recipes.dotted import import_dotted, is_dotted
from mblip.data.recipes.sources import prepared
from mblip.data.recipes.strict_loading import Converter, arguments_for, convert, join, to_plain, wrong_type
from mblip.data.recipes.yaml_values import Located, read_yaml

from . import tasks
from .languages import mix_code
from .protocol import PROTOCOLS, Setup
from .runner import RunSettings
from .task import EvaluationTask, Origin
from .trial import Trial

DtypeName = Literal["auto", "float32", "bfloat16"]
LoadIn = Literal["8bit", "4bit"]
TaskFunction = Callable[..., EvaluationTask]

BUILT_IN = tuple(sorted(module.name for module in pkgutil.iter_modules(tasks.__path__)))
OWN_KEYS: Mapping[str, Any] = {"setup": Setup, "settings": RunSettings, "trial": Trial}
TASKS = f"{', '.join(BUILT_IN)}, or a function of your own, my_module:my_benchmark"  # in words


@dataclass(frozen=True)
class TaskRecipe:
    """A benchmark in a recipe: its name (built in, or a dotted path), function, arguments and location in the file."""

    name: str
    function: TaskFunction
    arguments: Mapping[str, Any] = field(default_factory=dict)
    location: str = field(default="", compare=False)

    def in_languages(self, codes: Sequence[str]) -> Self:
        """The benchmark in some of the languages it names, so that it reads no files of the others. Itself if it names
        none, or has none or only these."""
        parameter = inspect.signature(self.function).parameters.get("languages")
        known = self.arguments.get("languages", parameter and parameter.default) or ()
        kept = tuple(code for code in known if mix_code(code) in codes)
        is_part = 0 < len(kept) < len(known)
        return replace(self, arguments={**self.arguments, "languages": kept}) if is_part else self

    def build(self, setup: Setup) -> EvaluationTask:
        """The task, with its files read.

        Raises:
            ValueError: arguments or files are wrong; the message begins with the location in the recipe.
        """
        try:
            task = self.function(setup, **self.arguments)
        except ValueError as error:
            text = f"{self.location}: {error}" if self.location else str(error)
            origin = vars(import_module(self.function.__module__)).get("ORIGIN")
            if isinstance(error.__cause__, FileNotFoundError) and isinstance(origin, Origin):
                text = f"{text}\n{origin.instructions}"
            raise ValueError(text) from error
        if not isinstance(task, EvaluationTask):
            raise ValueError(f"`{self.name}` returns {type(task).__name__}, expected an `EvaluationTask`.")
        return task


@dataclass(frozen=True)
class EvaluationRecipe:
    """The benchmarks to run, and how; with a `trial`, only a part of each."""

    tasks: tuple[TaskRecipe, ...]
    setup: Setup = field(default_factory=Setup)
    settings: RunSettings = field(default_factory=RunSettings)
    trial: Trial = field(default_factory=Trial)

    def __post_init__(self) -> None:
        if not self.tasks:
            raise ValueError(f"expected at least one task: {TASKS}.")

    def build_tasks(self) -> list[EvaluationTask]:
        """The tasks with their examples.

        Raises:
            ValueError: a task's data cannot be read, two tasks have one name, or no task has a language of the trial.
        """
        built = [self._build(task) for task in self.tasks]
        if repeated := [name for name, count in Counter(task.name for task in built).items() if count > 1]:
            raise ValueError(f"Found several tasks named {repeated[0]!r}, but results need distinct names. Keep one.")
        return self.trial.of(built)

    def _build(self, recipe: TaskRecipe) -> EvaluationTask:
        part = recipe.in_languages([mix_code(code) for code in self.trial.languages])
        task = part.build(self.setup)
        return task if part is recipe else self.trial.in_languages(task)


@dataclass(frozen=True)
class EvaluationRun:
    """A recipe of `mblip eval`: `model` is a folder or Hub name; results go to `output_dir`.

    `dtype` is the dtype of ViT and language model; "auto" depends on the hardware. `load_in` quantises the language
    model (4 bit: nf4), or with "none" does not. Without it, the protocol decides: the paper's is 8 bit. `features` is
    the folder of `mblip encode` with the features of all images. The image encoder is then not loaded.
    `add_languages` are languages that `languages.tsv` does not have. `imports` are modules of your own, beside the
    recipe, to import first, such as one that registers an image encoder.
    """

    model: str
    output_dir: Path
    evaluation: EvaluationRecipe
    dtype: DtypeName = "auto"
    load_in: Literal["none", "8bit", "4bit"] | None = None
    features: Path | None = None
    add_languages: tuple[Language, ...] = ()
    imports: tuple[str, ...] = ()

    def quantisation(self, tasks: Sequence[EvaluationTask]) -> LoadIn | None:
        """How the language model is quantised for these tasks. Tasks with their own protocol do not decide it."""
        if self.load_in is None:
            protocol = self.evaluation.setup.protocol
            return PROTOCOLS[protocol].load_in if protocol in {task.protocol for task in tasks} else None
        return None if self.load_in == "none" else self.load_in


def read_evaluation_run(path: Path) -> EvaluationRun:
    """Read a recipe of `mblip eval` from a YAML file. Errors name the line."""
    return to_evaluation_run(read_yaml(path))


def to_evaluation_run(found: Located) -> EvaluationRun:
    """Convert YAML values to a recipe of `mblip eval`."""
    run: EvaluationRun = convert(prepared(found), EvaluationRun, "", CONVERTERS)
    return run


def convert_evaluation(found: Located, path: str) -> EvaluationRecipe:
    """Convert the `evaluation` of a recipe: a mapping of benchmarks to their arguments, and the keys `OWN_KEYS`."""
    if not isinstance(found.value, dict):
        raise wrong_type(found, path, "a mapping of benchmarks to their arguments")
    own = {
        key: convert(value, OWN_KEYS[key], join(path, key), {})
        for key, value in found.value.items()
        if key in OWN_KEYS
    }
    named = [convert_task(key, value, join(path, key)) for key, value in found.value.items() if key not in OWN_KEYS]
    try:
        return EvaluationRecipe(tuple(named), **own)
    except ValueError as error:
        raise ValueError(f"{found.location}: `{path}`: {error}") from error


def convert_task(name: str, found: Located, path: str) -> TaskRecipe:
    """The benchmark `name` with the arguments `found`.

    Raises:
        ValueError: the benchmark or an argument is unknown; the message gives the nearest name.
    """
    try:
        function = find_task(name, found.folder)
    except ValueError as error:
        raise ValueError(f"{found.location}: {error}") from error
    return TaskRecipe(name, function, arguments_for(function, found, path, {}), f"{found.location}: `{path}`")


@to_plain.register
def _plain_evaluation(recipe: EvaluationRecipe) -> dict[str, Any]:
    own = {key: to_plain(getattr(recipe, key)) for key in OWN_KEYS}
    return own | {task.name: to_plain(task.arguments) for task in recipe.tasks}


def find_task(name: str, folder: Path) -> TaskFunction:
    """The function of a benchmark: a built-in one, or a dotted path, looked up in `folder`.

    Raises:
        ValueError: there is no such function (the message gives the nearest name), or it does not take a set-up.
    """
    if not is_dotted(name):
        if name not in BUILT_IN:
            nearest = get_close_matches(name, (*BUILT_IN, *OWN_KEYS), n=1, cutoff=0.5)
            hint = f"Did you mean `{nearest[0]}`?" if nearest else f"Expected one of {TASKS}."
            raise ValueError(f"the task `{name}` is unknown. {hint}")
        return getattr(import_module(f"{tasks.__name__}.{name}"), name)
    function = import_dotted(name, folder)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if sum(parameter.kind in positional for parameter in inspect.signature(function).parameters.values()) != 1:
        raise ValueError(
            f"`{name}` takes {inspect.signature(function)}, expected the set-up and keyword-only arguments: "
            "`def my_benchmark(setup, *, questions: Path)`."
        )
    return function


CONVERTERS: Mapping[Any, Converter] = {EvaluationRecipe: convert_evaluation}
