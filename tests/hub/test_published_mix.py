"""`mblip build --push`: a mix pushed by the true client, read by `load_dataset` as anybody would."""

import hashlib
import json
import shutil

import pytest

from mblip.data import load_rows
from mblip.mix.build.command import main
from tests.hub.client import run_python
from tests.hub.faults import Fault
from tests.hub.repositories import StoredFile
from tests.mix.build.mix_files import SCENES, write_mix_recipe

pytestmark = pytest.mark.slow

MIX = "tester/mix"
SHARDS = [f"data/train-0000{number}-of-00002.parquet" for number in (0, 1)]
READER = """
import hashlib, json, sys
from datasets import Image, List, load_dataset
rows = load_dataset("tester/mix", split="train", streaming=sys.argv[1] == "streaming")
for row in rows:
    assert [image.size for image in row["images"]] == [(96, 96)]
for row in rows.cast_column("images", List(Image(decode=False))):
    row["images"] = [hashlib.sha256(image["bytes"]).hexdigest() for image in row["images"]]
    print(json.dumps(row))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with a mix that is built and was not pushed."""
    folder = tmp_path_factory.mktemp("mix")
    build(write_mix_recipe(folder, SCENES), folder / "out")
    return folder


@pytest.fixture
def mix(built, tmp_path):
    return shutil.copytree(built, tmp_path / "mix")


def build(recipe, output, *options):
    main([str(recipe), "--output", str(output), *options])


def push(folder, *options):
    """What a second call does once the mix is built: nothing but pushing."""
    build(folder / "mix.yaml", folder / "out", "--push", MIX, *options)


def with_hashes(row):
    return row | {"images": [hashlib.sha256(image["bytes"]).hexdigest() for image in row["images"]]}


def read_by_others(hub, home, way="whole", **environment):
    return run_python(hub, home, "-c", READER, way, **environment)


@pytest.mark.parametrize("way", ["whole", "streaming"])
def test_a_mix_that_was_pushed_is_read_as_it_was_built(hub, client, mix, way, capsys):
    push(mix)
    repository = hub.repositories[f"datasets/{MIX}"]
    assert capsys.readouterr().out.endswith(f"{MIX}, commit {repository.head}\n")
    assert set(repository.files) == {".gitattributes", "README.md", "languages.png", *SHARDS}
    read = read_by_others(hub, mix / "home", way)
    assert read.returncode == 0, read.stderr
    expected = [with_hashes(row) for row in load_rows(mix / "out" / "data")]
    assert len(expected) == 8
    assert [json.loads(line) for line in read.stdout.splitlines()] == expected


def test_shards_that_are_there_are_not_sent_again_and_others_of_the_mix_are_taken_away(hub, client, mix):
    push(mix)
    repository = hub.repositories[f"datasets/{MIX}"]
    old = {"data/train-00000-of-00009.parquet": StoredFile(b"of an earlier mix", is_large=True)}
    repository.commit("main", repository.files | old, "as if it had had nine shards")
    sent = len(hub.asked("PUT", ""))
    push(mix)
    assert [path for path in repository.files if path.startswith("data/")] == SHARDS
    assert len(hub.asked("PUT", "")) == sent


def test_a_push_that_breaks_off_leaves_the_dataset_as_it_was_and_goes_on(hub, client, mix):
    hub.fail(Fault("POST", "/commit/main", status=403))
    with pytest.raises(OSError, match=r"403"):
        push(mix)
    repository = hub.repositories[f"datasets/{MIX}"]
    assert set(repository.files) == {".gitattributes"}
    sent = len(hub.asked("PUT", ""))
    push(mix)
    assert set(SHARDS) < set(repository.files)
    assert len(hub.asked("PUT", "")) == sent


def test_a_private_mix_is_for_its_owner(hub, client, mix):
    push(mix, "--private")
    assert read_by_others(hub, mix / "home").returncode == 0
    read = read_by_others(hub, mix / "stranger", HF_TOKEN="")
    assert read.returncode == 1
    assert "Dataset 'tester/mix' doesn't exist on the Hub or cannot be accessed" in read.stderr


def test_nothing_private_is_put_into_a_public_repository(hub, client, mix):
    hub.add(f"datasets/{MIX}", {})
    with pytest.raises(ValueError, match=rf"{MIX} is already public\. Make it private"):
        push(mix, "--private")
    assert set(hub.repositories[f"datasets/{MIX}"].files) == {".gitattributes"}
