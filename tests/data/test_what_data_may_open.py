"""Data come from strangers: the files of this machine that their rows name are neither opened nor quoted."""

import json
import shutil
import tarfile
import zipfile

import datasets
import pyarrow.parquet
import pytest
from PIL import Image
from tiny_inputs import ENCODER_DECODER, row, tiny_processor

from mblip.data import MBlipCollator, TrainingRows, TrainingStream, apply_prompt, load_rows, to_rows, write_rows
from mblip.data.collator import GenerationCollator
from mblip.data.example import FEATURES, rows_to_dataset
from mblip.data.images import TrustedLocation
from mblip.data.images.locations import check_inside
from mblip.data.sources.babel_imagenet_files import read_photos
from mblip.data.sources.coco_files import CocoLocations
from mblip.data.sources.image_names import image_location
from mblip.data.sources.own import own_dataset, own_folder
from mblip.data.sources.own_rows import Columns
from mblip.evaluation.records import DatasetLocation, images_in

COLUMNS = Columns(target="text", image="image")
OUTSIDE = r"found '.*', expected a file in .* \(links are followed\)\. Copy it there, or name the folder"
IMAGE_FEATURES = datasets.Features({"text": datasets.Value("string"), "image": datasets.Image()})


@pytest.fixture
def data(tmp_path):
    """A stranger's folder, with links that lead out of it, beside a picture and an archive that are not his."""
    data, private = tmp_path / "data", tmp_path / "private"
    private.mkdir()
    data.mkdir()
    Image.new("RGB", (4, 4), "red").save(private / "secret.png")
    Image.new("RGB", (4, 4), "blue").save(data / "good.png")
    (data / "good_link.png").symlink_to("good.png")
    for folder in (private, data):
        with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
            archive.write(folder / ("good.png" if folder == data else "secret.png"), "a.png")
    (data / "link.png").symlink_to(private / "secret.png")
    (data / "folder").symlink_to(private)
    (data / "link.zip").symlink_to(private / "photos.zip")
    return data


FOREIGN = {
    "an absolute path": "{private}/secret.png",
    "a URL of a file": "file://{private}/secret.png",
    "another spelling of it": "FILE://{private}/secret.png",
    "a way back": "../private/secret.png",
    "an absolute way back": "{data}/../private/secret.png",
    "a way back in a URL": "file://{data}/../private/secret.png",
    "a linked file": "link.png",
    "a linked file by its whole path": "{data}/link.png",
    "a linked folder": "folder/secret.png",
    "an archive": "zip://a.png::{private}/photos.zip",
    "an archive by URL": "zip://a.png::file://{private}/photos.zip",
    "a linked archive": "zip://a.png::{data}/link.zip",
    "a table": "parquet://0::{private}/rows.parquet",
    "a device": "/dev/zero",
    "the environment": "/proc/self/environ",
    "a scheme": "s3://bucket/secret.png",
    "an intermediate file of a build": "example-image:../../secret.png://",
    "a zero byte": "/a\0b.png",
}
MISSING = {
    "long": "a" * 300 + ".png",
    "encoded": "%2e%2e/private/secret.png",
    "home": "~/secret.png",
    "Windows": "..\\private\\secret.png",
}


def at(data, location):
    return location.format(data=data, private=data.parent / "private")


def write_table(path, cells):
    """Cells, texts or `datasets`' records of images, as a table of a kind."""
    rows = [{"image": cell, "text": "a dog"} for cell in cells]
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    elif path.suffix == ".csv":
        path.write_text("image,text\n" + "".join(f'"{cell}",a dog\n' for cell in cells))
    else:
        features = IMAGE_FEATURES if isinstance(cells[0], dict) else None
        datasets.Dataset.from_list(rows, features=features).to_parquet(path)
    return path


def read_folder(path, **arguments):
    path = path.rename(path.with_name(f"metadata{path.suffix}"))
    return list(own_folder(0, path=path.parent, task="captioning", columns=COLUMNS, language="en", **arguments))


def read_dataset(path, **arguments):
    return list(own_dataset(0, path=path, task="captioning", columns=COLUMNS, language="en", **arguments))


@pytest.mark.parametrize("location", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("read", [read_folder, read_dataset])
def test_own_data_that_name_a_file_outside_their_folder_are_refused_by_row_and_file(data, read, location):
    path = write_table(data / "rows.jsonl", ["good.png", at(data, location)])
    expected = f"{OUTSIDE}|found the image name .*, expected the name of a file below"
    with pytest.raises(ValueError, match=rf"(line 2|row 1): ({expected})"):
        read(path)


@pytest.mark.parametrize("location", MISSING.values(), ids=MISSING)
def test_a_name_is_taken_as_it_is_written(data, location):
    with pytest.raises(ValueError, match=r"images are missing in 1 of 1 rows"):
        read_folder(write_table(data / "rows.jsonl", [location]))


@pytest.mark.parametrize(
    ("kind", "streaming"), [("csv", False), ("parquet", False), ("parquet", True), ("record", False), ("record", True)]
)
def test_every_table_and_every_way_to_read_it_refuses(data, kind, streaming):
    secret = f"{data.parent}/private/secret.png"
    cell = {"bytes": None, "path": secret} if kind == "record" else secret
    path = write_table(data / ("rows.csv" if kind == "csv" else "rows.parquet"), [cell])
    with pytest.raises(ValueError, match=rf"(line 2|row 0): {OUTSIDE}"):
        read_dataset(path, streaming=streaming)
    with pytest.raises(ValueError, match=rf"(line 2|row 0): {OUTSIDE}"):
        read_folder(path)


def test_files_in_the_folder_and_in_a_folder_that_you_give_are_read(data):
    inside = [data / "good.png", data / "good_link.png", f"zip://a.png::{data}/photos.zip", f"file://{data}/good.png"]
    path = write_table(data / "rows.jsonl", [*map(str, inside), "good_link.png"])
    images = [*map(str, inside), str(data / "good_link.png")]
    assert [str(example.images[0]) for example in read_dataset(path)] == images
    secret = data.parent / "private" / "secret.png"
    given = read_dataset(write_table(data / "rows.jsonl", [str(secret)]), images=str(secret.parent))
    assert given[0].images == (secret,)
    (data.parent / "linked").symlink_to(data)
    examples = read_dataset(data.parent / "linked" / "rows.jsonl", images=str(data.parent / "linked" / ".."))
    assert examples[0].images == (secret,)


def test_a_snapshot_of_the_hub_is_a_folder_of_links_into_its_cache(tmp_path):
    snapshot, blobs = tmp_path / "datasets--me--mine/snapshots/c0ffee", tmp_path / "datasets--me--mine/blobs"
    for folder in (snapshot, blobs):
        folder.mkdir(parents=True)
    Image.new("RGB", (4, 4)).save(blobs / "sha.png")
    for name, goal in {"a.png": "sha.png", "b.png": "../../../secret.png"}.items():
        (snapshot / name).symlink_to(blobs / goal)
    check_inside(snapshot / "a.png", [snapshot], row="row 0")
    goal = tmp_path.parent / "secret.png"
    with pytest.raises(ValueError, match=rf"row 0: {OUTSIDE}.*It leads to {goal}\."):
        check_inside(snapshot / "b.png", [snapshot], row="row 0")


def test_a_table_that_is_a_link_is_not_read(data):
    (data.parent / "private" / "passwd").write_text("root:x:0:0\n")
    (data / "folder").unlink()
    (data / "metadata.csv").symlink_to(data.parent / "private" / "passwd")
    for read in (own_folder, own_dataset):
        with pytest.raises(ValueError, match=OUTSIDE) as refusal:
            list(read(0, path=data, task="captioning", columns=COLUMNS, language="en"))
        assert ":x:" not in str(refusal.value)


def write_secret_tables(private):
    """Tables of this machine: each of another kind, with the same text."""
    private.mkdir(exist_ok=True)
    rows = datasets.Dataset.from_dict({"text": ["secret"], "image": ["good.png"]})
    rows.to_csv(private / "s.csv")
    rows.to_parquet(private / "s.parquet")
    rows.save_to_disk(private / "saved")
    with tarfile.open(private / "s.tar", "w") as shard:
        shard.add(private / "s.csv", "a.txt")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    "table", ["{private}/s.csv", "../private/s.csv", "file://{private}/s.parquet", "../*/s.parquet"]
)
def test_the_card_of_a_dataset_names_no_table_of_this_machine(tmp_path, table, streaming):
    write_secret_tables(tmp_path / "private")
    (tmp_path / "data").mkdir()
    files = table.format(private=tmp_path / "private")
    (tmp_path / "data" / "README.md").write_text(
        f"---\nconfigs: [{{config_name: default, data_files: '{files}'}}]\n---\n"
    )
    with pytest.raises(ValueError, match=OUTSIDE):
        read_dataset(tmp_path / "data", streaming=streaming)
    with pytest.raises(ValueError, match=OUTSIDE):
        list(DatasetLocation(str(tmp_path / "data"), split="train").records())
    with pytest.raises(ValueError, match=OUTSIDE):
        load_rows(tmp_path / "data", revision="main")


@pytest.mark.parametrize("table", ["s.csv", "s.parquet", "s.tar", "photos.zip"])
def test_a_link_to_a_table_or_an_archive_is_not_followed(data, table):
    write_secret_tables(data.parent / "private")
    shutil.rmtree(data)
    data.mkdir()
    (data / table).symlink_to(data.parent / "private" / table)
    with pytest.raises(ValueError, match=OUTSIDE):
        read_dataset(data)
    if table == "s.parquet":
        with pytest.raises(ValueError, match=OUTSIDE):
            load_rows(data)


@pytest.mark.parametrize("has_splits", [False, True])
def test_a_saved_dataset_reads_its_own_files_alone(tmp_path, has_splits):
    write_secret_tables(tmp_path / "private")
    rows = datasets.Dataset.from_dict({"text": ["a dog"], "image": ["good.png"]})
    (datasets.DatasetDict(train=rows) if has_splits else rows).save_to_disk(tmp_path / "data")
    assert read_dataset(tmp_path / "data")[0].target == "a dog"
    state = tmp_path / "data" / ("train" if has_splits else "") / "state.json"
    other = tmp_path / "private" / "saved" / "data-00000-of-00001.arrow"
    state.write_text(json.dumps(json.loads(state.read_text()) | {"_data_files": [{"filename": str(other)}]}))
    with pytest.raises(ValueError, match=OUTSIDE):
        read_dataset(tmp_path / "data")


def test_published_sources_follow_no_link_out_of_the_folder_of_images(data):
    (data / "n01440764").mkdir()
    (data / "imagenet_classes.json").write_text('{"n01440764": 0}')
    for name in ("n01440764/7.jpg", "000000000007.jpg"):
        (data / name).symlink_to(data.parent / "private" / "secret.png")
    for find in (
        lambda: image_location(data, "link.png", location="here"),
        lambda: image_location(f"file://{data}", "folder/secret.png", location="here"),
        lambda: CocoLocations(data).find(7, location="here"),
        lambda: read_photos(data / "n01440764"),
    ):
        with pytest.raises(ValueError, match=OUTSIDE):
            find()
    (data / "images.jsonl").write_text(json.dumps({"file": "../private/secret.png", "class_index": 0}))
    with pytest.raises(ValueError, match=rf"images\.jsonl, line 1: {OUTSIDE}"):
        read_photos(data)
    assert image_location("zip://::photos.zip", "a/b.png", location="here") == "zip://a/b.png::photos.zip"


def test_a_benchmark_opens_the_files_of_its_own_dataset_alone(data):
    secret = data.parent / "private" / "secret.png"
    cells = [{"bytes": None, "path": str(data / "good.png")}, {"bytes": None, "path": str(secret)}]
    path = write_table(data / "rows.parquet", cells)
    records = DatasetLocation(str(path), split="train").records()
    location, record = next(records)
    assert images_in(record, location=location) == (data / "good.png",)
    with pytest.raises(ValueError, match=rf"\(train\), row 1: {OUTSIDE}"):
        next(records)
    with pytest.raises(ValueError, match="here: `image` holds an object of 2, expected an image"):
        images_in({"image": {"bytes": None, "path": str(secret)}}, location="here")


def published(data, cell, features=FEATURES):
    """Rows that name an image in a file, as a stranger publishes them."""
    path = data / "rows.parquet"
    rows = [row("r") | {"images": [{"bytes": (data / "good.png").read_bytes(), "path": "a.png"}, cell]}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema=features.arrow_schema), path)
    return path


OPEN = datasets.Features({**FEATURES, "images": datasets.List(datasets.Image())})
AS_TEXT = datasets.Features({**FEATURES, "images": datasets.List(datasets.Value("string"))})
ROADS = {
    "load_rows": lambda path: TrainingRows(load_rows(path)),
    "load_rows, streaming": lambda path: TrainingStream(load_rows(path, streaming=True)),
    "from_parquet": lambda path: TrainingRows(datasets.Dataset.from_parquet(str(path), keep_in_memory=True)),
    "a stream": lambda path: TrainingStream(
        datasets.load_dataset("parquet", data_files=str(path), split="train", streaming=True)
    ),
    "plain rows": lambda path: load_rows(path),
}


@pytest.mark.parametrize("road", ROADS.values(), ids=ROADS)
@pytest.mark.parametrize("features", [FEATURES, OPEN], ids=["stored", "open"])
def test_published_rows_open_no_file(data, features, road):
    for location in ("../private/secret.png", f"{data.parent}/private/secret.png", "good.png"):
        rows = list(road(published(data, {"bytes": None, "path": at(data, location)}, features)))
        for collator in (MBlipCollator, GenerationCollator):
            with pytest.raises(ValueError, match=r"Row 'r' \(source drawn\): found '.*' in place of an image"):
                collator(tiny_processor(is_encoder_decoder=True), ENCODER_DECODER)(rows)
        with pytest.raises(ValueError, match=r"Row 'r' .*found '.*' in place of an image.*rows hold their"):
            write_rows(rows, data / "embedded.parquet")
        assert not (data / "embedded.parquet").exists()


def test_rows_that_name_their_images_as_text_open_no_file(data):
    path = data / "rows.jsonl"
    path.write_text(json.dumps(row("r") | {"images": [f"{data.parent}/private/secret.png"]}))
    rows = datasets.load_dataset("json", data_files=str(path), split="train")
    for read in (list(TrainingRows(rows)), list(rows)):
        with pytest.raises(ValueError, match=r"Row 'r' .*in place of an image"):
            MBlipCollator(tiny_processor(is_encoder_decoder=True), ENCODER_DECODER)(read)
        with pytest.raises(ValueError, match=r"Row 'r' .*in place of an image"):
            write_rows(read, data / "embedded.parquet")


@pytest.mark.parametrize("collator", [MBlipCollator, GenerationCollator])
def test_rows_open_the_files_of_a_folder_that_the_collator_is_given(data, collator):
    collate = collator(tiny_processor(is_encoder_decoder=True), ENCODER_DECODER, image_root=data)
    absolute = f"file://{data}/good.png"
    for image in ("good.png", {"bytes": None, "path": absolute}, f"zip://a.png::{data}/photos.zip"):
        assert collate([row() | {"images": [image]}])["pixel_values"].shape[0] == 1
    for location in FOREIGN.values():
        foreign = location.format(private=data.parent / "private", data=data)
        with pytest.raises(ValueError, match=r"^Row .*(expected a file in|there is no file)"):
            collate([row() | {"images": [foreign]}])


def test_rows_that_your_own_recipe_makes_open_the_files_where_they_are(data):
    names = [str(data / "good.png"), f"zip://a.png::{data}/photos.zip"]
    examples = read_dataset(write_table(data / "rows.jsonl", names))
    rows = list(to_rows(apply_prompt(example, seed=0) for example in examples))
    assert [type(row["images"][0]) for row in rows] == [type(data), TrustedLocation]
    located = rows_to_dataset(rows, are_images_inside=False)
    collate = MBlipCollator(tiny_processor(is_encoder_decoder=True), ENCODER_DECODER)
    pixels = [collate(list(found))["pixel_values"] for found in (rows, located, TrainingRows(located.shuffle(seed=0)))]
    assert all((mine == pixels[0]).all() for mine in pixels)
    assert located[1]["images"] == [{"bytes": None, "path": names[1]}]
    located.to_parquet(data / "located.parquet")
    with pytest.raises(ValueError, match="in place of an image"):
        collate(list(load_rows(data / "located.parquet")))
