"""What a recipe's `data.sources` may name: every key is readable, and every function reads the files it says."""

import dataclasses
import inspect
import json
import logging
import typing
from contextlib import nullcontext
from dataclasses import MISSING
from pathlib import Path
from typing import Any

import pytest

from mblip import train
from mblip.data.languages import LanguageCode
from mblip.data.recipes.sources import SKIPPED, Source, find_source, with_nested_sources
from mblip.data.recipes.strict_loading import convert, to_plain
from mblip.data.recipes.yaml_values import Located, read_yaml, write_yaml
from mblip.data.sources import SOURCES
from mblip.training.recipe_reading import CONVERTERS, to_recipe, to_yaml
from mblip.training.rows import build_rows
from tests.training.source_files import PAIR, READ, URL, write_files
from tests.training.tiny_run import tiny_recipe, write_components, write_recipe


def source_recipe(folder: Path, *sources: dict[str, Any]) -> Any:
    """The recipe with these sources, read from a file."""
    path = folder / "recipe.yaml"
    path.write_text(write_yaml(tiny_recipe(folder, data={"sources": list(sources)})), encoding="utf-8")
    return to_recipe(read_yaml(path))


@pytest.mark.parametrize("name", READ)
def test_a_source_named_in_a_recipe_reads_its_files(name, tmp_path, monkeypatch):
    files, arguments, expected = READ[name]
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path, files)
    (source,) = source_recipe(tmp_path, {"source": name} | arguments).data.sources
    example = next(source.examples(7))
    assert (example.task, example.language, example.target) == expected


def test_every_source_is_tried():
    assert set(READ) == set(SOURCES) - {"babel_imagenet"}  # this has tests of its own


def keys(name: str) -> dict[str, Any]:
    """The keys that a recipe may say, with their types."""
    function = find_source(name, Path())
    parameters = inspect.signature(function).parameters.values()
    hints = typing.get_type_hints(function)
    return {
        parameter.name: hints[parameter.name]
        for parameter in parameters
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.name != SKIPPED
    }


NESTED = {"source": Located("capfilt", "here"), "path": Located("a/path", "here")}


def value_of(kind: Any) -> Any:
    """A value that a recipe may say for a type."""
    arguments = [argument for argument in typing.get_args(kind) if argument is not type(None)]
    origin = typing.get_origin(kind)
    if origin is typing.Literal:
        return arguments[0]
    if origin is tuple:
        return [Located(value_of(arguments[0]), "here")]
    if arguments:
        return value_of(arguments[0])
    if kind is LanguageCode:
        return "no"
    plain = {int: 3, float: 0.5, bool: True, str: "text", Path: "a/path", Source: NESTED}
    return plain[kind] if kind in plain else {field: Located(value_of(of), "here") for field, of in required(kind)}


def required(kind: Any) -> list[tuple[str, Any]]:
    """The fields that a dataclass cannot do without, with their types."""
    hints = typing.get_type_hints(kind)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(kind) if field.default is MISSING]


@pytest.mark.parametrize("name", SOURCES)
def test_every_key_of_a_source_can_be_said_in_a_recipe(name):
    assert keys(name)
    converters = with_nested_sources(CONVERTERS)
    for key, kind in keys(name).items():
        assert convert(Located(value_of(kind), "here"), kind, key, converters) is not None
        with pytest.raises(ValueError, match=f"`{key}"):
            convert(Located(object(), "here"), kind, key, converters)


@pytest.mark.parametrize("name", SOURCES)
def test_every_source_says_what_it_is(name):
    assert inspect.getdoc(find_source(name, Path()))


OWN = """
from collections.abc import Iterator
from pathlib import Path

from mblip.data import Example

COLOURS = ["red"]


def colours(seed: int, *, folder: Path, names: list[str], language: str = "en") -> Iterator[Example]:
    for name in names:
        about = {"language": language, "task": "captioning", "source": "colours", "id": name, "image_id": name}
        yield Example(images=(folder / f"{name}.png",), prompt="", target=f"{name}, seed {seed}", **about)


def by_position(seed, folder): ...


def untyped(seed, *, folder): ...


def odd(seed, *, folder: bytes): ...
"""


def test_a_source_in_one_file_beside_the_recipe_is_trained_on(tmp_path):
    (tmp_path / "my_colours.py").write_text(OWN)
    write_files(tmp_path, {"red.png": None, "blue.png": None})
    source = {"source": "my_colours:colours", "folder": str(tmp_path), "names": ["red", "blue"]}
    recipe = source_recipe(tmp_path, source)
    assert [row["targets"] for row in build_rows(recipe.data, seed=7)] == [["red, seed 7"], ["blue, seed 7"]]
    plain = {"source": "my_colours:colours", "weight": 1.0, "folder": str(tmp_path), "names": ["red", "blue"]}
    assert to_plain(recipe)["data"]["sources"] == [plain]


OWN_FOLDER = {
    "source": "own_folder",
    "path": "mine",
    "task": "captioning",
    "columns": {"target": "text"},
    "language": "en",
}
NO_MINE = r"The source own_folder: there is no file or folder mine \(`path`\)\. Paths are relative to the working"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"sources": [OWN_FOLDER]}, NO_MINE),
        ({"sources": [{"source": "matching", "captions": OWN_FOLDER}]}, NO_MINE),
        ({"rows": {"path": "mine"}}, "Found no parquet file at mine"),
    ],
)
def test_a_missing_folder_is_an_error_before_a_model_is_loaded(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=message):
        train.main([str(write_recipe(tmp_path, data=data))])  # no component is there either


def test_all_missing_images_of_the_rows_are_counted(tmp_path):
    (tmp_path / "counted_colours.py").write_text(OWN)
    write_files(tmp_path, {"red.png": None})
    source = {"source": "counted_colours:colours", "folder": str(tmp_path), "names": ["red", "blue", "green"]}
    with pytest.raises(ValueError, match=r"Images are missing in 2 of 3 rows\. Row 'blue' .*no file .*blue\.png"):
        build_rows(source_recipe(tmp_path, source).data, seed=7)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"source": "my_errors:colour"}, r"line \d+: `data.sources.0.source`: .*Did you mean `colours`"),
        ({"source": "my_errors:COLOURS"}, r"`COLOURS` is not a function or class in .*my_errors.py"),
        ({"source": "no_such_file:colours"}, r"`data.sources.0.source`: .*found no module `no_such_file`"),
        ({"source": "my_errors:colours"}, r"line \d+: `data.sources.0` lacks `folder`, `names`"),
        ({"source": "my_errors:colours", "seed": 3}, r"key `data.sources.0.seed` is unknown"),
        ({"source": "my_errors:by_position"}, r"takes \(seed, folder\) by position, expected \(seed\) or"),
        ({"source": "my_errors:untyped", "folder": "f"}, r"line \d+: `data.sources.0.folder` has no type in the code"),
        ({"source": "my_errors:odd", "folder": "f"}, r"`data.sources.0.folder` has the type <class 'bytes'>"),
        ({"source": 7}, r"`data.sources.0.source` is 7, a number, expected the name of a source"),
    ],
)
def test_what_is_wrong_with_a_source_of_ones_own_is_named_with_its_location(tmp_path, source, message):
    (tmp_path / "my_errors.py").write_text(OWN)
    with pytest.raises(ValueError, match=message):
        source_recipe(tmp_path, source)


def test_columns_survive_being_written_and_read(tmp_path):
    columns = {"image": "photo", "target": "caption", "language": "lang"}
    recipe = source_recipe(
        tmp_path, {"source": "own_dataset", "path": "me/mine", "task": "captioning", "columns": columns}
    )
    (tmp_path / "again.yaml").write_text(to_yaml(recipe), encoding="utf-8")
    assert to_recipe(read_yaml(tmp_path / "again.yaml")) == recipe


def test_a_wrong_column_key_is_named_with_its_location(tmp_path):
    with pytest.raises(ValueError, match=r"key `data\.sources\.0\.columns\.targt` is unknown\. Did you mean `target`"):
        source_recipe(
            tmp_path, {"source": "own_folder", "path": "p", "task": "captioning", "columns": {"targt": "caption"}}
        )


def test_what_a_source_leaves_out_is_logged_as_a_table(tmp_path, caplog):
    write_files(tmp_path, {"train.jsonl": [PAIR | {"Flickr30K_ID": "1", "gold_label": "-"}]})
    with caplog.at_level(logging.INFO):
        source = Source("snli_ve", {"path": tmp_path / "train.jsonl", "images": URL})
        assert list(source.examples(7)) == []
    assert "Skipped in the source snli_ve:\n| skipped because" in caplog.text
    assert "| annotators disagree (label `-`) | 1 | snli_ve/en/1.jpg#2r1c |" in caplog.text


def test_rows_of_own_photos_hold_their_paths_and_templates_of_the_task(tmp_path):
    write_files(tmp_path, READ["own_folder"][0])
    source = {"source": "own_folder", "path": str(tmp_path), "task": "captioning", "language": "de"}
    (row,) = build_rows(source_recipe(tmp_path, source | {"columns": {"target": "text"}}).data, seed=7)
    assert (row["targets"], row["languages"], row["tasks"]) == (["ein Hund"], ["de"], ["captioning"])
    assert row["images"] == [{"bytes": None, "path": str(tmp_path / "a.png")}]
    assert "German" in row["prompts"][0]


def test_a_photo_that_is_not_there_is_named_before_training_begins(tmp_path):
    files, arguments, _ = READ["gqa"]
    write_files(tmp_path, files)
    source = {"source": "gqa"} | arguments | {"path": str(tmp_path / "train.json")}
    for images, message in (("nowhere", "there is no file nowhere/n1.jpg"), (URL, "it is a URL. Fetch it first")):
        with pytest.raises(ValueError, match=f"Row 'gqa/n1' .*{message}"):
            build_rows(source_recipe(tmp_path, source | {"images": images}).data, seed=7)


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        ({"images": "{here}/nowhere"}, r"nowhere \(`images`\)"),
        ({"images": "tar://x::{here}/nowhere.tar"}, r"nowhere\.tar \(`images`\)"),
        ({"images": "s3://bucket"}, r"s3:/bucket \(`images`\)"),
        ({"path": "./nowhere"}, r"nowhere \(`path`\)"),
        ({"path": "{here}/nowhere", "images": "{here}"}, r"nowhere \(`path`\)"),
        ({"images": "https://host/photos"}, None),
        ({"images": "zip://::{here}/here.zip"}, None),
    ],
)
def test_a_mistyped_folder_or_archive_of_a_source_is_told_before_anything_is_read(tmp_path, arguments, missing):
    (tmp_path / "here.zip").touch()
    source = Source("own_dataset", {"path": "me/mine"} | {k: v.format(here=tmp_path) for k, v in arguments.items()})
    refused = (
        nullcontext() if missing is None else pytest.raises(FileNotFoundError, match=f"no file or folder .*{missing}")
    )
    with refused:
        source.check_paths()


@pytest.mark.slow
def test_own_photos_train(tmp_path):
    write_components(tmp_path)
    photos = tmp_path / "photos"
    photos.mkdir()
    write_files(photos, {"a.png": None, "b.png": None})
    rows = [{"file_name": f"{name}.png", "text": "ein rotes Bild", "lang": "de"} for name in "ab"]
    write_files(photos, {"metadata.jsonl": rows})
    source = {"source": "own_folder", "path": str(photos), "task": "captioning"}
    recipe = write_recipe(
        tmp_path,
        data={"sources": [source | {"columns": {"target": "text", "language": "lang"}}]},
        stages=[{"stage": "warm_up", "max_steps": 2, "batch_size": 2, "learning_rate": 5e-3}],
    )
    train.main([str(recipe)])
    log = [json.loads(line) for line in (tmp_path / "out" / "training_log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in log if "loss" in entry][-1] == 2
    assert (tmp_path / "out" / "model" / "model.safetensors").is_file()
