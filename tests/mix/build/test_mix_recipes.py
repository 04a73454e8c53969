"""What recipes of mixes say: those of the project, own data that are called alike, and mistakes."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from mblip.data import load_rows
from mblip.data.recipes.sources import Source
from mblip.data.sources import NOT_STATED, SOURCES
from mblip.mix.build.command import main
from mblip.mix.build.recipe import read_mix_recipe
from tests.mix.build.mix_files import SCENES, write_mix_recipe

ROOT = Path(__file__).parents[3]
RECIPES = ROOT / "mblip" / "recipes"
MIXES = sorted([*RECIPES.glob("mix_*.yaml"), *ROOT.glob("quickstart/mix_*.yaml")])


def build(recipe, output, *options):
    main([str(recipe), "--output", str(output), *options])


def write_own_photo(folder, colour):
    """A folder `photos` of one's own, with a photo called as any other folder's."""
    photos = folder / "photos"
    photos.mkdir(parents=True)
    Image.new("RGB", (40, 40), colour).save(photos / "1.png")
    (photos / "metadata.jsonl").write_text(json.dumps({"file_name": "1.png", "text": f"all {colour}"}))
    return {"source": "own_folder", "path": str(photos), "task": "captioning", "columns": {"target": "text"}}


def test_own_data_of_one_name_are_told_apart_by_a_name_or_refused(tmp_path):
    red, blue = (write_own_photo(tmp_path / colour, colour) | {"language": "en"} for colour in ("red", "blue"))
    with pytest.raises(
        (ValueError, OSError), match=r"have the name 'photos': .*red/photos and .*blue/photos.* another `name`"
    ):
        build(write_mix_recipe(tmp_path, red, blue), tmp_path / "out")
    build(write_mix_recipe(tmp_path, red, blue | {"name": "blues"}), tmp_path / "out")
    shown = {
        row["targets"][0]: Image.open(io.BytesIO(row["images"][0]["bytes"])).getpixel((20, 20))[0] > 127
        for row in load_rows(tmp_path / "out" / "data")
    }
    assert shown == {"all red": True, "all blue": False}


def test_own_data_may_be_asked_about_in_several_ways(tmp_path):
    captions = write_own_photo(tmp_path, "red") | {"language": "en"}
    names = captions | {"task": "image_naming"}
    matching = {"source": "matching", "captions": captions}
    build(write_mix_recipe(tmp_path, captions, names, matching), tmp_path / "out")
    (row,) = load_rows(tmp_path / "out" / "data")
    assert {"captioning", "image_naming"} <= set(row["tasks"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_shards": 0}, "`num_shards` is 0, expected at least 1"),
        ({"images": {"quality": 96}}, "`images.quality` is 96, expected at least 1 and at most 95"),
        ({"images": {"shorter_side": 0}}, "`images.shorter_side` is 0, expected at least 1"),
        ({"images": {"max_bytes": -1}}, "`images.max_bytes` is -1, expected at least 1"),
        ({"images": {"store": "as is"}}, "`images.store` is 'as is', text, expected one of at_size, as_is"),
        ({"sauces": []}, "the key `sauces` is unknown. Did you mean `sources`"),
        ({"allocation": {"kind": "mc4"}}, "there is no `translation`"),
        ({"prompts": {"native_folder": "templates"}}, "`native_folder` is templates, but `native_share` is 0"),
        (
            {"prompts": {"native_folder": "nowhere", "native_share": 0.5}},
            "`native_folder` is nowhere, which holds no YAML files",
        ),
        ({"allocation": {"kind": "mc5"}}, "`allocation.kind` is 'mc5', text, expected one of mc4, mt5, uniform"),
    ],
)
def test_what_is_wrong_in_a_recipe_is_named(tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        build(write_mix_recipe(tmp_path, SCENES, **change), tmp_path / "out")


def test_every_source_states_what_it_is_and_its_licence_in_its_own_file():
    stated = {name: Source(name, {}).stated for name in SOURCES}
    assert len(stated) == 20
    assert [name for name, origin in stated.items() if origin == NOT_STATED] == ["own_folder", "own_dataset"]
    assert all(origin.what and origin.publisher and origin.license for origin in stated.values())


OWN = """
from collections.abc import Iterator
from pathlib import Path

from mblip.data import Example
from mblip.data.sources import published


@published("images of one colour", "Jane Doe", "CC0")
def colours(seed: int, skipped, *, names: list[str]) -> Iterator[Example]:
    for name in names:
        if name == "octarine":
            skipped.add("no colour", f"colours/{name}")
            continue
        path = Path(__file__).with_name(f"{name}.png")
        about = {"language": "en", "task": "captioning", "source": "colours", "id": name, "image_id": name}
        yield Example(images=(path,), prompt="", target=name, **about)


def unpublished(seed, *, names: list[str]):
    yield from colours(seed, None, names=names)
"""


@pytest.mark.parametrize("workers", ["1", pytest.param("2", marks=pytest.mark.slow)])
def test_a_source_in_one_file_beside_the_recipe_is_built(tmp_path, workers):
    (tmp_path / "colours_beside.py").write_text(OWN)
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    source = {"source": "colours_beside:colours", "names": ["red", "octarine"]}
    nothing_stated = {"source": "colours_beside:unpublished", "names": ["red"], "license": "CC BY 4.0"}
    build(write_mix_recipe(tmp_path, source, nothing_stated), tmp_path / "out", "--workers", workers)
    (row,) = load_rows(tmp_path / "out" / "data")
    assert (row["targets"], row["sources"]) == (["red", "red"], ["colours", "colours"])
    card = (tmp_path / "out" / "README.md").read_text()
    assert "| `colours_beside:colours` | images of one colour | Jane Doe | CC0 | 1 |" in card
    assert "| `colours_beside:unpublished` | own data | not stated | CC BY 4.0 | 1 |" in card
    assert "| no colour | 1 | colours/octarine |" in card


@pytest.mark.parametrize("path", MIXES, ids=lambda path: path.stem)
def test_every_mix_of_the_project_is_read(path):
    assert read_mix_recipe(path).name == path.stem


@pytest.mark.parametrize("name", ["v2", "corrected", "balanced"])
def test_matching_asks_about_the_web_captions_of_the_mix(name):
    """26 % of the 2,273,005 are the original's 600,000; of the file that they were chosen from it would be more."""
    sources = {source.source: source for source in read_mix_recipe(RECIPES / f"mix_{name}.yaml").sources}
    assert sources["matching"].arguments["captions"] == Source("capfilt", sources["capfilt"].arguments)
    assert sources["matching"].share * 2_273_005 == pytest.approx(600_000, rel=0.02)


@pytest.mark.parametrize("name", ["v2", "corrected", "balanced"])
def test_the_full_mixes_hold_no_name_back(name):
    sources = {source.source: source for source in read_mix_recipe(RECIPES / f"mix_{name}.yaml").sources}
    assert sources["babel_imagenet"].arguments["held_out_share"] == 0


def test_the_first_version_of_the_mix_is_the_second_without_matching_and_imagenet():
    first, second = (read_mix_recipe(RECIPES / f"mix_{version}.yaml") for version in ("v1", "v2"))
    kept = tuple(source for source in second.sources if source.source not in ("matching", "babel_imagenet"))
    assert len(kept) == len(second.sources) - 2
    assert replace(first, name="mix_v2", sources=second.sources) == second
    assert first.sources == kept
