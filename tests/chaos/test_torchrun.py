"""One of two processes is killed: the other ends, and the same command goes on to the same weights."""

from pathlib import Path

from tests.chaos.outcomes import count
from tests.training.tiny_run import torchrun, write_components, write_recipe, write_tiny_rows

DIES = ("-m", "tests.chaos.one_process_dies")
WEIGHTS = "model/model.safetensors"


def test_with_one_of_two_processes_killed_the_other_ends_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """What torchrun returns says little (gloo may abort at exit), so the files are compared."""
    write_components(tmp_path, dropout=0.1)
    write_tiny_rows(tmp_path / "rows.parquet")
    recipe = write_recipe(tmp_path, data={"rows": {"path": str(tmp_path / "rows.parquet")}})
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    whole = torchrun(2, str(recipe), "--output_dir", str(undisturbed))
    assert (undisturbed / WEIGHTS).is_file(), whole.stderr[-3000:]
    broken = torchrun(2, str(recipe), "--output_dir", str(killed), target=DIES)  # fails if it does not end
    assert broken.returncode != 0
    assert (killed / "0_warm_up" / "checkpoint-2").is_dir(), broken.stderr[-3000:]
    assert not (killed / "model").exists()
    again = torchrun(2, str(recipe), "--output_dir", str(killed))
    assert (killed / WEIGHTS).is_file(), again.stderr[-3000:]
    assert (killed / WEIGHTS).read_bytes() == (undisturbed / WEIGHTS).read_bytes()
    count("train on two processes, one killed", "same weights")
