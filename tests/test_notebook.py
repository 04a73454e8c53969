"""The notebook runs as it stands, on a tiny model, from the project's root and from its own folder."""

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.tiny import tiny_model, tiny_processor

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "notebooks" / "quickstart.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def run_cells() -> dict:
    """What a kernel does with the cells: one after the other, in one namespace."""
    names: dict = {"__name__": "__main__"}
    for number, source in enumerate(CODE):
        exec(compile(source, f"{NOTEBOOK.name}, code cell {number}", "exec"), names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize(("family", "start"), [("mt5", ROOT), ("llama", NOTEBOOK.parent)])
def test_the_notebook_runs_from_the_root_and_from_its_folder(family, start, tmp_path, monkeypatch, capsys):
    tiny_model(family).save_pretrained(tmp_path / "tiny")
    tiny_processor(family).save_pretrained(tmp_path / "tiny")
    settings = {"MODEL": tmp_path / "tiny", "OUTPUT": tmp_path / "out", "MAX_STEPS": 2}
    for name, value in settings.items():
        monkeypatch.setenv(f"MBLIP_{name}", str(value))
    monkeypatch.chdir(start)
    names = run_cells()
    printed = capsys.readouterr().out
    assert names["ROOT"] == ROOT
    assert len(names["captions"]) == 5
    assert "features: (2, 4, 32)" in printed
    assert all(f"right {when}: " in printed for when in ("before", "after"))
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").is_file()
    assert (tmp_path / "out" / "model" / "processor_config.json").is_file()


@pytest.mark.engine
@pytest.mark.skipif(find_spec("nbclient") is None, reason='needs Jupyter: pip install -e ".[notebook]"')
def test_a_kernel_runs_the_notebook_to_its_end(tmp_path, monkeypatch):
    import nbformat
    from nbclient import NotebookClient

    tiny_model("mt5").save_pretrained(tmp_path / "tiny")
    tiny_processor("mt5").save_pretrained(tmp_path / "tiny")
    for name, value in {"MODEL": tmp_path / "tiny", "OUTPUT": tmp_path / "out", "MAX_STEPS": 2}.items():
        monkeypatch.setenv(f"MBLIP_{name}", str(value))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, sys.path)]))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    at = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=at).execute()
    outputs = [output for output in notebook.cells[-1].outputs if output.get("name") == "stdout"]
    assert outputs[0].text.strip()


def test_the_last_answer_is_to_the_prompt_that_was_trained():
    """Trained on one prompt alone, the model has unlearned the others: its answers to them are loops."""
    assert "answer(image, PROMPT, again)[0]" in CODE[-1]
    assert "Caption in English: " not in CODE[-1]


def test_the_notebook_is_committed_without_outputs():
    """Outputs grow stale, and name paths of the machine that made them."""
    assert len(CODE) > 8
    for cell in CELLS:
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | (
            {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        )
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)


def test_the_notebook_starts_from_the_quickstarts_folder():
    assert 'os.environ.get("MBLIP_MODEL", str(ROOT / "outputs/quickstart/model"))' in CODE[0]
