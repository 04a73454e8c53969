"""Reading recipes: from YAML file and command line to `Recipe`, and from `Recipe` back to plain values."""

import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from mblip.data.languages import LanguageCode
from mblip.data.recipes.dotted import is_dotted
from mblip.data.recipes.ranges import Positive
from mblip.data.recipes.sources import Source, convert_language, convert_source, prepared
from mblip.data.recipes.strict_loading import Converter, convert, join, to_plain
from mblip.data.recipes.yaml_values import Located, found_beside, parse_scalar, read_yaml, replace_field, write_yaml
from mblip.evaluation.recipe import EvaluationRecipe, convert_evaluation
from mblip.recipes import find_recipe

from .options import (
    LoraOptions,
    QFormerOptions,
    TrainingOptions,
    convert_lora,
    convert_qformer,
    convert_training,
    lora_fields,
    training_fields,
)
from .recipe import DataRecipe, ModelRecipe, Recipe, RowsRecipe, SourceRecipe, StageRecipe

STAGE_LENGTH = re.compile(r"--(stages\.\d+)\.(max_steps|num_epochs)")


def parse_command_line(arguments: Sequence[str]) -> Recipe:
    """Read the recipe that a command line names, with the fields that it overrides.

    A stage's `max_steps` on the command line replaces its `num_epochs`, and the reverse.

    Raises:
        ValueError: the recipe cannot be read, or a field does not exist or has the wrong type. The message names file
            and line, or the option.
    """
    if not arguments or arguments[0].startswith("--"):
        raise ValueError("Found no recipe, expected its path or short name first. `mblip recipes` lists short names.")
    name, *rest = arguments
    found = read_yaml(find_recipe(name))
    lengths: dict[str, str] = {}  # the field that the command line gives for the length of each stage
    while rest:
        name, separator, text = rest.pop(0).partition("=")
        if not name.startswith("--") or not (separator or rest):
            raise ValueError(
                f"Found {name!r} on the command line, expected `--field value`. See `mblip train --help`."
            )
        value = parse_scalar(text if separator else rest.pop(0), name, found.folder)
        found = replace_field(found, name.removeprefix("--"), value)
        if (length := STAGE_LENGTH.fullmatch(name)) and value.value is not None:
            stage, field = length.groups()
            if lengths.setdefault(stage, field) == field:
                other = "num_epochs" if field == "max_steps" else "max_steps"
                found = replace_field(found, f"{stage}.{other}", Located(None, name, found.folder))
    return to_recipe(found)


def read_recipe(path: Path) -> Recipe:
    """Read the recipe in a YAML file. Raises the errors of `parse_command_line`."""
    return to_recipe(read_yaml(path))


def to_recipe(found: Located) -> Recipe:
    """Convert YAML values to a recipe. If it uses code of its own, set `modules` to the folder to find it in."""
    modules = found.value.get("modules") if isinstance(found.value, dict) else None
    if modules is not None and isinstance(modules.value, str):
        found = found_beside(found, Path(modules.value).absolute())
    _check_nesting(found)
    recipe: Recipe = convert(prepared(found), Recipe, "", CONVERTERS)
    if recipe.modules is not None or not (recipe.imports or _names_its_own(to_plain(recipe))):
        return recipe
    folder, here = found.folder.absolute(), Path.cwd()
    return dataclasses.replace(recipe, modules=folder.relative_to(here) if folder.is_relative_to(here) else folder)


@to_plain.register
def _plain_source(value: Source) -> dict[str, Any]:
    weight = {"weight": value.weight} if isinstance(value, SourceRecipe) else {}
    return {"source": value.source} | weight | to_plain(value.arguments)


def to_yaml(recipe: Recipe) -> str:
    """The recipe as YAML, including defaults."""
    return write_yaml(to_plain(recipe))


def _check_nesting(found: Located) -> None:
    """Refuse a key that belongs deeper in the recipe. The error says where, which no nearest name would."""
    training, lora, data = training_fields(), lora_fields(), _fields(DataRecipe)
    below = {"stages.N": _fields(StageRecipe), "model": _fields(ModelRecipe), "data": data, "training": training}
    _refuse_outside(found, "", _fields(Recipe), below | {"stages.N.lora": lora})
    stages = found.value.get("stages") if isinstance(found.value, dict) else None
    for i, stage in enumerate(stages.value if stages is not None and isinstance(stages.value, list) else ()):
        _refuse_outside(stage, f"stages.{i}", _fields(StageRecipe), {"training": training, "lora": lora, "data": data})


def _refuse_outside(found: Located, path: str, known: Collection[str], below: Mapping[str, Collection[str]]) -> None:
    for key, value in found.value.items() if isinstance(found.value, dict) else ():
        part = next((part for part, keys in below.items() if key in keys), None)
        if key in known or part is None:
            continue
        argument = value.location.partition(",")[0]
        is_argument = f"{argument}.".startswith(f"--{join(path, key)}.")
        name = argument.removeprefix(f"--{join(path, '')}") if is_argument else key
        meant = f"{'--' if is_argument else ''}{join(path, part)}.{name}"
        raise ValueError(f"{value.location}: the key `{join(path, key)}` is unknown. Did you mean `{meant}`?")


def _fields(part: type) -> set[str]:
    return {field.name for field in dataclasses.fields(part)}


def _names_its_own(plain: Any) -> bool:
    """Whether a plain recipe names a source or a task by a dotted path."""
    if isinstance(plain, dict):
        names = [*(plain.get("evaluation") or ()), str(plain.get("source", ""))]
        return any(map(is_dotted, names)) or any(map(_names_its_own, plain.values()))
    return isinstance(plain, list) and any(map(_names_its_own, plain))


def _convert_source(found: Located, path: str) -> SourceRecipe:
    source, own = convert_source(found, path, {"weight": Positive}, CONVERTERS)
    return SourceRecipe(source.source, source.arguments, folder=source.folder, **own)


def _convert_rows(found: Located, path: str) -> tuple[RowsRecipe, ...]:
    """Convert `rows`: one mapping or a list of them."""
    if not isinstance(found.value, list):
        return (convert(found, RowsRecipe, path, CONVERTERS),)
    return tuple(convert(entry, RowsRecipe, join(path, str(i)), CONVERTERS) for i, entry in enumerate(found.value))


CONVERTERS: Mapping[Any, Converter] = {
    SourceRecipe: _convert_source,
    tuple[RowsRecipe, ...]: _convert_rows,
    LanguageCode: convert_language,
    EvaluationRecipe: convert_evaluation,
    TrainingOptions: convert_training,
    LoraOptions: convert_lora,
    QFormerOptions: convert_qformer,
}
