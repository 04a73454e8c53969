"""`mblip build`: from a recipe and published files to a dataset with its card, each example once."""

import io
import json
import zipfile
from collections import Counter
from pathlib import Path

import datasets
import pytest
from PIL import Image

from mblip.atomic_write import locked
from mblip.data import TrainingRows, load_rows
from mblip.data.prompts import native_templates
from mblip.mix.build.command import main
from mblip.mix.build.folder import BuildFolder
from mblip.mix.build.reading import examples_of
from tests.mix.build.mix_files import (
    BROKEN,
    NUM_PHOTOS,
    SCENES,
    captions_source,
    contents,
    write_captions,
    write_mix_recipe,
)

ROOT = Path(__file__).parents[3]


def build(recipe, output, *options):
    main([str(recipe), "--output", str(output), *options])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of a mix of drawn scenes and captions of photos, one of which is broken."""
    folder = tmp_path_factory.mktemp("mix")
    write_captions(folder)
    build(write_mix_recipe(folder, SCENES, captions_source(folder), name="two sources"), folder / "out")
    return folder / "out"


def test_every_example_is_in_it_once_but_those_of_the_broken_photo(built):
    rows = load_rows(built / "data")
    found = Counter((source, name) for row in rows for source, name in zip(row["sources"], row["ids"], strict=True))
    assert set(found.values()) == {1}
    assert Counter(source for source, _ in found) == {"scenes": 24, "coco_captions": 2 * (NUM_PHOTOS - 1)}


def test_a_row_holds_all_prompts_about_its_images(built):
    rows = list(load_rows(built / "data"))
    assert len({row["image_id"] for row in rows}) == len(rows) == 8 + NUM_PHOTOS - 1
    assert {len(row["prompts"]) for row in rows if row["sources"][0] == "coco_captions"} == {2}


def test_load_dataset_reads_it_whole_and_as_a_stream_with_its_images_open(built):
    whole = datasets.load_dataset(str(built), split="train", cache_dir=str(built.parent / "cache"))
    stream = datasets.load_dataset(str(built), split="train", streaming=True)
    assert whole[0]["images"][0].size == next(iter(stream))["images"][0].size
    assert whole["image_id"] == [row["image_id"] for row in stream]


def test_it_can_be_trained_on(built):
    row = TrainingRows(load_rows(built / "data"))[0]
    assert isinstance(row["images"][0]["bytes"], bytes)
    assert row["epoch"] == 0


def test_the_card_names_sources_licences_counts_and_what_was_skipped(built):
    card = (built / "README.md").read_text(encoding="utf-8")
    assert "| `coco_captions` | captions of photos | COCO | CC BY 4.0; photos: their Flickr licences | 24 |" in card
    assert "| 3 languages |" in card
    photo = BROKEN.removesuffix(".jpg")
    names = [f"coco_captions/{photo}/{10 * int(photo) + turn}" for turn in (0, 1)]
    assert f"| image refused: not an image | 2 | {', '.join(names)} |" in card
    assert str(built.parent) not in card
    assert "license_name: of-each-source" in card
    assert (built / "languages.png").stat().st_size > 1000


def test_table_and_chart_are_there_before_anything_is_built(tmp_path, capsys):
    write_captions(tmp_path)
    build(write_mix_recipe(tmp_path, captions_source(tmp_path)), tmp_path / "out", "--tables_only")
    printed = capsys.readouterr().out
    assert "| English (en) | 24 | 24 |" in printed
    with Image.open(printed.split("As a chart: ")[1].strip()) as chart:
        assert chart.format == "PNG"
    assert not (tmp_path / "out" / "data").exists()


def test_built_again_nothing_is_written_again(built, capsys):
    times = {path: path.stat().st_mtime_ns for path in (built / "data").iterdir()}
    before = contents(built)
    build(built.parent / "mix.yaml", built)
    assert {path: path.stat().st_mtime_ns for path in (built / "data").iterdir()} == times
    assert contents(built) == before


def test_another_recipe_wants_another_folder(built, tmp_path):
    with pytest.raises(ValueError, match=r"was started with another recipe.* Give another --output"):
        build(write_mix_recipe(tmp_path, SCENES), built)


def test_equal_recipes_give_equal_bytes(built, tmp_path):
    (tmp_path / "mix.yaml").write_bytes((built.parent / "mix.yaml").read_bytes())
    build(tmp_path / "mix.yaml", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(built)


@pytest.mark.slow
def test_two_workers_give_the_bytes_of_one(built, tmp_path):
    (tmp_path / "mix.yaml").write_bytes((built.parent / "mix.yaml").read_bytes())
    build(tmp_path / "mix.yaml", tmp_path / "out", "--workers", "2")
    assert contents(tmp_path / "out") == contents(built)


def test_an_example_stays_in_its_shard_and_language_when_a_source_is_added(built, tmp_path):
    write_captions(tmp_path)
    build(write_mix_recipe(tmp_path, captions_source(tmp_path)), tmp_path / "out", "--tables_only")
    alone, together = BuildFolder(tmp_path / "out"), BuildFolder(built)
    for shard in range(2):
        expected = [(example.id, example.language) for example in examples_of(0, shard, alone)]
        assert [(example.id, example.language) for example in examples_of(1, shard, together)] == expected


def test_a_share_of_a_source_is_drawn_by_the_examples_themselves(tmp_path):
    ids = {}
    for share in (0.3, 0.6):
        folder = tmp_path / str(share)
        folder.mkdir()
        build(write_mix_recipe(folder, SCENES | {"num_images": 60, "share": share}), folder / "out", "--tables_only")
        read = (example.id for shard in range(2) for example in examples_of(0, shard, BuildFolder(folder / "out")))
        ids[share] = set(read)
    assert ids[0.3] < ids[0.6]
    assert 0.2 * 180 < len(ids[0.3]) < 0.4 * 180


def test_photos_that_several_sources_show_share_a_row(tmp_path):
    write_captions(tmp_path)
    again = captions_source(tmp_path, images=f"{tmp_path}/./photos")  # the same photos by another path
    build(write_mix_recipe(tmp_path, captions_source(tmp_path, share=0.5), again), tmp_path / "out")
    rows = list(load_rows(tmp_path / "out" / "data"))
    assert len({row["image_id"] for row in rows}) == len(rows)
    assert max(len(row["prompts"]) for row in rows) > 2


def test_a_photo_is_taken_from_the_first_location_that_has_it(tmp_path):
    """Of the archive, which is the first location, photo 2 is missing, 4 broken, and 5 broken in both."""
    write_captions(tmp_path)
    (tmp_path / "photos" / "000000000005.jpg").write_bytes(b"no image either")
    Image.new("RGB", (60, 60)).save(tmp_path / "square.jpg")
    square = (tmp_path / "square.jpg").read_bytes()
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        for number in {*range(1, NUM_PHOTOS + 1)} - {2}:
            archive.writestr(f"{number:012d}.jpg", square[:-200] if number in (4, 5) else square)
    first = captions_source(tmp_path, images=f"zip://::{tmp_path}/photos.zip")
    build(write_mix_recipe(tmp_path, first, captions_source(tmp_path)), tmp_path / "out")
    sizes = {
        int(row["image_id"].removeprefix("coco/")): Image.open(io.BytesIO(row["images"][0]["bytes"])).size
        for row in load_rows(tmp_path / "out" / "data")
    }
    squares = dict.fromkeys((1, 3, *range(6, NUM_PHOTOS + 1)), (60, 60))
    assert sizes == squares | {2: (42, 30), 4: (44, 30)}
    assert "| image refused: cut off | 4 | coco_captions/" in (tmp_path / "out" / "README.md").read_text()


def test_the_card_says_why_an_archive_is_refused_without_the_folders_of_this_machine(tmp_path):
    write_captions(tmp_path)
    (tmp_path / "photos.tar.gz").write_bytes(b"\x1f\x8b\x08\x00")
    source = captions_source(tmp_path, images=f"tar://::{tmp_path}/photos.tar.gz")
    build(write_mix_recipe(tmp_path, SCENES, source), tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    told = "image refused: unreadable: photos.tar.gz is packed with gzip, expected a plain tar"
    assert f"| {told}" in card
    assert f"| {2 * NUM_PHOTOS} | coco_captions/" in card
    assert str(tmp_path) not in card
    with pytest.raises(ValueError, match=rf"Every example is skipped(.|\n)*{told}"):
        build(write_mix_recipe(tmp_path, source), tmp_path / "empty")


def test_a_build_takes_no_picture_of_this_machine(tmp_path):
    write_captions(tmp_path)
    (tmp_path / "photos" / "000000000007.jpg").unlink()
    (tmp_path / "photos" / "000000000007.jpg").symlink_to(tmp_path / "secret.jpg")
    with pytest.raises(ValueError, match=r"captions\.json, .*07\.jpg', expected a file in .*photos/ \(links"):
        build(write_mix_recipe(tmp_path, captions_source(tmp_path)), tmp_path / "out")


def test_a_file_that_is_not_there_ends_a_build_and_a_folder_of_images_is_warned_about(tmp_path, caplog):
    write_captions(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"coco_captions: there is no file or folder .*gone\.json \(`path`\)"):
        build(write_mix_recipe(tmp_path, captions_source(tmp_path, path=f"{tmp_path}/gone.json")), tmp_path / "out")
    with pytest.raises(ValueError, match="fotos"):
        build(write_mix_recipe(tmp_path, captions_source(tmp_path, images=f"{tmp_path}/fotos")), tmp_path / "other")
    assert "fotos (`images`). Its images count as missing." in caplog.text


def test_as_released_an_image_that_cannot_be_read_is_black_and_counted(tmp_path):
    """Defect 5."""
    write_captions(tmp_path)
    build(write_mix_recipe(tmp_path, captions_source(tmp_path), images={"as_released": True}), tmp_path / "out")
    rows = {row["image_id"]: row for row in load_rows(tmp_path / "out" / "data")}
    assert len(rows) == NUM_PHOTOS
    black = {
        image_id
        for image_id, row in rows.items()
        if Image.open(io.BytesIO(row["images"][0]["bytes"])).getextrema() == ((0, 0), (0, 0), (0, 0))
    }
    assert black == {f"coco/{BROKEN.removesuffix('.jpg')}"}
    assert (
        "image refused and made black, as released: not an image | 2 |" in (tmp_path / "out" / "README.md").read_text()
    )


def test_a_build_takes_a_worker_at_least(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        build(write_mix_recipe(tmp_path, SCENES), tmp_path / "out", "--workers", "0")
    assert "argument --workers: found 0, expected at least 1" in capsys.readouterr().err


def test_two_builds_in_one_folder_at_once_are_refused(tmp_path):
    recipe = write_mix_recipe(tmp_path, SCENES)
    (tmp_path / "out" / ".build").mkdir(parents=True)
    refused = pytest.raises(OSError, match=r"Another process is building .*out")
    with locked(tmp_path / "out" / ".build", "building.lock", "building"), refused:
        build(recipe, tmp_path / "out")
    build(recipe, tmp_path / "out")


@pytest.mark.parametrize(
    ("images", "size", "is_as_published"),
    [({}, (341, 256), False), ({"shorter_side": 128}, (171, 128), False), ({"store": "as_is"}, (640, 480), True)],
)
def test_a_recipe_says_how_large_images_are_stored(tmp_path, images, size, is_as_published):
    write_captions(tmp_path)
    photo = tmp_path / "photos" / "000000000001.jpg"
    Image.effect_noise((640, 480), 50).save(photo)
    build(write_mix_recipe(tmp_path, captions_source(tmp_path), images=images), tmp_path / "out")
    rows = load_rows(tmp_path / "out" / "data")
    (stored,) = [row["images"][0] for row in rows if row["image_id"] == "coco/000000000001"]
    assert Image.open(io.BytesIO(stored["bytes"])).size == size
    assert (stored["bytes"] == photo.read_bytes()) == is_as_published


def test_a_source_that_gives_nothing_is_an_error_that_names_it(tmp_path):
    write_captions(tmp_path)
    with pytest.raises(ValueError, match=r"'coco_captions' \(number 0 of the recipe\) gave no examples"):
        build(write_mix_recipe(tmp_path, captions_source(tmp_path, share=1e-9)), tmp_path / "out")


def test_native_templates_of_a_folder_are_drawn(tmp_path):
    (tmp_path / "templates").mkdir()
    templates = {"captioning": {"templates": [{"text": "Picha hii inaonyesha:", "source": "a test"}]}}
    (tmp_path / "templates" / "sw.yaml").write_text(json.dumps(templates))
    prompts = {"native_share": 1.0, "native_folder": str(tmp_path / "templates")}
    swahili = SCENES | {"languages": ["sw"], "num_images": 20, "question_share": 0.0}
    build(write_mix_recipe(tmp_path, swahili, prompts=prompts), tmp_path / "out")
    asked = {prompt for row in load_rows(tmp_path / "out" / "data") for prompt in row["prompts"]}
    assert asked == {template.text for template in native_templates("sw", "captioning")} | {"Picha hii inaonyesha:"}


@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # SWIG types of sentencepiece's, which the tokenizer asks for
def test_english_examples_are_translated_into_the_languages_allotted_to_them(tmp_path, capsys):
    """By the quickstart's translator, which knows the drawn world."""
    allocation = {"kind": "uniform", "languages": ["de", "sw", "zh"]}
    translation = {"model": str(ROOT / "quickstart" / "translator")}
    english = SCENES | {"languages": ["en"], "num_images": 12, "question_share": 0.0}
    recipe = write_mix_recipe(tmp_path, english, allocation=allocation, translation=translation, num_shards=1)
    build(recipe, tmp_path / "out")
    planned = capsys.readouterr().out
    rows = list(load_rows(tmp_path / "out" / "data"))
    translated = [
        (language, target, json.loads(provenance))
        for row in rows
        for language, target, provenance in zip(row["languages"], row["targets"], row["provenance"], strict=True)
    ]
    assert {language for language, _, _ in translated} == {"de", "sw", "zh"}
    assert len(translated) > 0.9 * 36
    for language, target, provenance in translated:
        assert provenance["target.model"] == "translator"
        assert provenance["target.source_text"].isascii()
        assert target != provenance["target.source_text"]
        assert (language == "zh") == any("\u4e00" <= letter <= "\u9fff" for letter in target)
    assert "| 3 languages | 36 | 36 |" in planned
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "By `translator` (transformers), whose licence holds for what it wrote, too." in card
    assert "| Swahili | " in card.split("## Translation")[1]
