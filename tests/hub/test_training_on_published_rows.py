"""Training on a mix that lies on the Hub: `data.rows` names it with a commit, and the true client reads it."""

import json
import re

import pytest

from mblip.mix.build.command import main as build
from tests.hub.client import run_python
from tests.hub.published import upload
from tests.hub.repositories import StoredFile
from tests.mix.build.mix_files import SCENES, write_mix_recipe
from tests.training.tiny_run import ROOT, run_training, write_components, write_recipe

pytestmark = pytest.mark.slow

MIX = "tester/mix"
STAGE = {"stage": "warm_up", "max_steps": 4, "batch_size": 2, "learning_rate": 5e-3, "warmup_steps": 1}
LOAD_ROWS = """
import json, sys
from mblip.data import load_rows
path, revision, streaming = json.loads(sys.argv[1])
rows = load_rows(path, revision=revision, streaming=streaming)
print(json.dumps([row | {"images": [image["bytes"].hex() for image in row["images"]]} for row in rows]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a mix that is built, `mix`, and two tiny components."""
    folder = tmp_path_factory.mktemp("mix")
    build([str(write_mix_recipe(folder, SCENES)), "--output", str(folder / "mix")])
    write_components(folder)
    return folder


@pytest.fixture
def commit(hub, folder):
    """The commit of the mix on the Hub, whose head has lost its data since."""
    repository = upload(hub, f"datasets/{MIX}", folder / "mix")
    commit = repository.head
    repository.commit("main", {"README.md": StoredFile(b"Gone.", False)}, "taken away")
    return commit


def train(folder, name, rows, hub=None):
    """Train on rows in `folder/name`; the weights that came out."""
    data = {"rows": rows, "prompts_per_image": 2}
    recipe = write_recipe(folder, output_dir=str(folder / name), data=data, stages=[STAGE])
    command = [str(ROOT / "train.py"), str(recipe)]
    ended = run_training(str(recipe)) if hub is None else run_python(hub, folder / "home", *command)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return (folder / name / "model" / "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("streaming", [False, True])
def test_training_on_a_mix_of_the_hub_equals_training_on_its_files(hub, folder, commit, streaming):
    way = {"streaming": streaming}
    expected = train(folder, f"here-{streaming}", {"path": str(folder / "mix" / "data")} | way)
    assert train(folder, f"there-{streaming}", {"path": MIX, "revision": commit} | way, hub) == expected
    card = (folder / f"there-{streaming}" / "model" / "README.md").read_text(encoding="utf-8")
    assert f"{MIX}, commit {commit}" in card


def test_rows_of_a_commit_are_those_of_its_files_whole_and_as_a_stream(hub, folder, commit, tmp_path):
    local = [str(folder / "mix" / "data"), None, False]
    asked = [local, *([MIX, commit, streaming] for streaming in (False, True))]
    read = [run_python(hub, tmp_path, "-c", LOAD_ROWS, json.dumps(arguments)) for arguments in asked]
    assert [answer.stderr for answer in read if answer.returncode] == []
    rows = [json.loads(answer.stdout) for answer in read]
    assert len(rows[0]) == 8
    assert rows[0] == rows[1] == rows[2]


@pytest.mark.parametrize(
    ("path", "revision", "message"),
    [
        (MIX, "0" * 40, f"Revision '{'0' * 40}' doesn't exist for dataset '{MIX}' on the Hub"),
        ("tester/none", "main", "Dataset 'tester/none' doesn't exist on the Hub"),
        (
            "tester/others",
            "main",
            r"The dataset tester/others has the columns \['text'\], but lacks \['images', 'image",
        ),
        (MIX, None, rf"Found no parquet file at {MIX}\. .* or give the `revision` of a dataset on the Hub"),
    ],
)
def test_what_is_no_mix_on_the_hub_is_named(hub, commit, tmp_path, path, revision, message):
    hub.add("datasets/tester/others", {"train.jsonl": StoredFile(b'{"text": "a"}\n', False)})
    read = run_python(hub, tmp_path, "-c", LOAD_ROWS, json.dumps([path, revision, False]))
    assert read.returncode == 1
    assert re.search(message, read.stderr)
