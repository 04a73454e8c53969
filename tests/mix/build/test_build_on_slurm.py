"""The jobs that a build gives Slurm, run one after another by stand-ins for its programs, make the same dataset."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mblip.mix.build.command import main
from tests.mix.build.mix_files import SCENES, captions_source, contents, write_captions, write_mix_recipe

ROOT = Path(__file__).parents[3]
# Runs an array of jobs at once, which is what waiting for the jobs before comes to.
SBATCH = """#!/bin/bash
script="${@: -1}"
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$script")
for number in $(seq 0 "${last:-0}"); do
  SLURM_ARRAY_TASK_ID=$number SLURM_NODELIST=localhost RUN_OFFSET=0 bash "$script" >> "$SLURM_TEST_LOG" 2>&1 || exit 1
done
echo "Submitted batch job 7"
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == -n ]] && shift; shift; done
exec "$@"
"""
SCONTROL = "#!/bin/bash\necho localhost\n"


@pytest.mark.slow
def test_jobs_of_slurm_build_the_same_dataset(tmp_path, monkeypatch):
    pytest.importorskip("datatrove", reason="datatrove makes the jobs")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SCONTROL)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    write_captions(tmp_path)
    recipe = write_mix_recipe(tmp_path, SCENES, captions_source(tmp_path))
    main([str(recipe), "--output", str(tmp_path / "here")])
    (tmp_path / "options.yaml").write_text('time: "1:00:00"\npartition: cpu\nqos: ""\n')
    log = tmp_path / "log.txt"
    path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {
        "PATH": path,
        "PYTHONPATH": f"{ROOT}:{ROOT / 'quickstart'}",
        "SLURM_TEST_LOG": str(log),
    }
    options = ["--executor", "slurm", "--executor_options", str(tmp_path / "options.yaml"), "--workers", "2"]
    command = [sys.executable, "-m", "mblip", "build", str(recipe), "--output", str(tmp_path / "there"), *options]
    ended = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:] + (log.read_text()[-3000:] if log.exists() else "")
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
