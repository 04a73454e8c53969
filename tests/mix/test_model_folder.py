import shutil
from pathlib import Path

import pytest

from mblip.mix.model_folder import open_model_folder

TRANSLATOR = Path(__file__).parents[2] / "quickstart" / "translator"


def test_the_revision_of_a_folder_is_of_its_files(tmp_path):
    copy = Path(shutil.copytree(TRANSLATOR, tmp_path / "translator"))
    folder, original = open_model_folder(copy), open_model_folder(TRANSLATOR)
    assert (folder.name, folder.revision) == ("translator", original.revision)
    (copy / "README.md").write_text("other words")
    assert open_model_folder(copy).revision == original.revision
    with (copy / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert open_model_folder(copy).revision != original.revision


def test_a_revision_on_the_hub_is_its_commit(tmp_path, monkeypatch):
    snapshot = tmp_path / "0123abc"
    snapshot.mkdir()
    asked = {}

    def download(name, **options):
        asked.update(options, name=name)
        return str(snapshot)

    monkeypatch.setattr("mblip.mix.model_folder.snapshot_download", download)
    folder = open_model_folder("facebook/nllb-200-distilled-1.3B", revision="main")
    assert (folder.path, folder.name, folder.revision) == (snapshot, "facebook/nllb-200-distilled-1.3B", "0123abc")
    assert (asked["name"], asked["revision"]) == ("facebook/nllb-200-distilled-1.3B", "main")


def test_a_folder_without_a_model_or_with_a_revision_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        open_model_folder(tmp_path)
    with pytest.raises(ValueError, match="but the revision 'main' is given"):
        open_model_folder(TRANSLATOR, revision="main")
