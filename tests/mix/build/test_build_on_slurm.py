"""What a build tells Slurm, and does with its answers, by stand-ins for Slurm's programs that run the jobs at once.

test_build_on_clusters.py builds on a real Slurm.
"""

import os
import re
import subprocess
import sys
from contextlib import chdir

import pytest

from mblip.mix.build.cluster import last_failure, slurm_queue
from mblip.mix.build.command import main
from mblip.mix.build.folder import BuildFolder
from tests.mix.build.clusters import ROOT
from tests.mix.build.mix_files import SCENES, captions_source, contents, write_captions, write_mix_recipe

SBATCH = """#!/bin/bash
printf '%s\\n' "$@" >> "$STANDS/sbatch.log"
while [[ $# -gt 0 ]]; do
  case "$1" in
    --array=*) array=${1#--array=}; array=${array%\\%*} ;;
    --wrap) script=$2; shift ;;
  esac
  shift
done
for number in ${array//,/ }; do
  SLURM_ARRAY_TASK_ID=$number sh -c "$script" >> "$STANDS/tasks.log" 2>&1 || exit 1
done
echo "7;of_two_clusters"
"""


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """The folder of the stand-ins. What `queue.txt` holds is in the queue."""
    folder = tmp_path / "stand_ins"
    folder.mkdir()
    for name, text in (
        ("sbatch", SBATCH),
        ("squeue", "cat $STANDS/queue.txt"),
        ("scancel", "echo $@ > $STANDS/ended"),
    ):
        (folder / name).write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    (folder / "queue.txt").write_text("")
    monkeypatch.setenv("STANDS", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'quickstart'}")
    return folder


def write_mix(folder):
    write_captions(folder)
    return write_mix_recipe(folder, SCENES, captions_source(folder))


@pytest.mark.slow
def test_jobs_of_slurm_build_the_same_dataset_and_then_nothing_is_submitted(tmp_path, stand_ins, capsys):
    recipe = write_mix(tmp_path)
    main([str(recipe), "--output", str(tmp_path / "here")])
    (tmp_path / "options.yaml").write_text('time: "1:00:00"\nrequeue: true\n')
    arguments = [str(recipe), "--output", "in $HOME 100% there", "--workers", "2", "--executor", "slurm"]
    with chdir(tmp_path):
        main([*arguments, "--executor_options", "options.yaml"])
        built = tmp_path / "in $HOME 100% there"
        assert contents(built) == contents(tmp_path / "here"), (stand_ins / "tasks.log").read_text()[-3000:]
        told = (stand_ins / "sbatch.log").read_text().splitlines()
        assert [flag for flag in told if flag.startswith("--array=")] == [
            f"--array={n}%2" for n in ("0,1",) * 3 + ("0",)
        ]
        assert told.count("--dependency=afterok:7") == 3
        assert {"--time=1:00:00", "--requeue", f"--comment={built}"} <= set(told)
        assert f"--output={str(built).replace('%', '%%')}/.build/logs/shards-%5a.log" in told
        capsys.readouterr()
        (stand_ins / "sbatch.log").unlink()
        main(arguments)
    assert "Nothing is left to do." in capsys.readouterr().out
    assert not (stand_ins / "sbatch.log").exists()


def test_while_jobs_are_in_the_queue_nothing_is_submitted(tmp_path, stand_ins, capsys):
    output = tmp_path / "a | mix"
    (stand_ins / "queue.txt").write_text(
        f"7|reading|RUNNING|None|{output}\n8|shards|PENDING|Dependency|{output}\n"
        f"8|shards|PENDING|Dependency|{output}\n9|shards|RUNNING|None|{tmp_path}\n"
    )
    main([str(write_mix(tmp_path)), "--output", str(output), "--executor", "slurm"])
    printed = capsys.readouterr().out
    assert "in the queue: reading 7: running x 1; shards 8: pending (Dependency) x 2\n" in printed
    assert "the same command submits what is left" in printed
    assert not (stand_ins / "sbatch.log").exists()


@pytest.mark.parametrize("reason", ["PartitionTimeLimit", "BadConstraints", "QOSMaxCpuPerJobLimit", "InvalidAccount"])
def test_jobs_that_slurm_will_never_run_are_cancelled(tmp_path, stand_ins, reason):
    lines = [f"7|reading|PENDING|{reason}|{tmp_path}", f"8|shards|PENDING|Dependency|{tmp_path}"]
    (stand_ins / "queue.txt").write_text("\n".join(lines) + "\n")
    with pytest.raises(
        ValueError, match=rf"will never run job 7 \(reading\): {reason}\. All .* cancelled\. Ask for less"
    ):
        slurm_queue(BuildFolder(tmp_path))
    assert (stand_ins / "ended").read_text().split() == ["7", "8"]


@pytest.mark.parametrize("reason", ["Resources", "Priority", "JobArrayTaskLimit", "QOSMaxJobsPerUserLimit", "None"])
def test_jobs_that_will_run_later_stay(tmp_path, stand_ins, reason):
    (stand_ins / "queue.txt").write_text(f"7|reading|PENDING|{reason}|{tmp_path}\n")
    assert slurm_queue(BuildFolder(tmp_path)) == f"reading 7: pending ({reason}) x 1"
    assert not (stand_ins / "ended").exists()


def test_where_slurm_is_missing_or_refuses_the_error_says_so(tmp_path, stand_ins, monkeypatch):
    (stand_ins / "squeue").write_text("#!/bin/sh\necho 'slurm_load_jobs error: no controller' >&2\nexit 1\n")
    with pytest.raises(ValueError, match="squeue refuses: slurm_load_jobs error: no controller"):
        slurm_queue(BuildFolder(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ValueError, match=r"There is no squeue on this machine\. Run this on a login node of Slurm"):
        slurm_queue(BuildFolder(tmp_path))


def test_the_last_step_that_began_tells_why_it_failed(tmp_path):
    folder = BuildFolder(tmp_path)
    folder.logs.mkdir(parents=True)
    (folder.logs / "fetching-00003.log").write_text("nothing to fetch")
    (folder.logs / "shards-00003.log").write_text("\n".join(f"line {number}" for number in range(30)))
    left = {"fetching": [3, 1003], "shards": [2, 3], "finishing": [0]}
    lines = "\n".join(f"  line {number}" for number in range(18, 30))
    where = folder.logs / "shards-00003.log"
    assert last_failure(left, folder) == f"Step shards, no result of task(s) 3. The end of {where}:\n{lines}"
    assert last_failure({"reading": [0]}, folder) == ""


@pytest.mark.parametrize("task", ["shard:0", "shards", "shards:x", "shards:0:2:1"])
def test_a_task_has_a_step_and_a_number(tmp_path, task):
    with pytest.raises(
        ValueError, match=f"--task is '{re.escape(task)}', expected such as `shards:3`; steps: reading, "
    ):
        main([str(write_mix(tmp_path)), "--output", str(tmp_path / "out"), "--task", task])


@pytest.mark.slow
def test_a_task_does_not_wait_for_the_import_of_the_trainer():
    code = "import sys, mblip.mix.build.command; print({'transformers.trainer_utils', 'peft'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_task_of_a_long_array_does_every_thousandth(tmp_path):
    recipe = write_mix_recipe(tmp_path, SCENES, num_shards=5)
    for task in ("reading:0:1000", "shards:1:3"):
        main([str(recipe), "--output", str(tmp_path / "out"), "--task", task])
    assert [path.name[:11] for path in sorted((tmp_path / "out" / "data").iterdir())] == ["train-00001", "train-00004"]


def test_pushing_from_slurm_waits(tmp_path, stand_ins):
    arguments = [
        str(write_mix(tmp_path)),
        "--output",
        str(tmp_path / "out"),
        "--executor",
        "slurm",
        "--push",
        "me/mix",
    ]
    with pytest.raises(ValueError, match=r"Slurm's jobs end later\. Add --wait, or give --push"):
        main(arguments)


def test_options_are_named(tmp_path, stand_ins):
    (tmp_path / "options.yaml").write_text("- time\n")
    arguments = [str(write_mix(tmp_path)), "--output", str(tmp_path / "out"), "--executor", "slurm"]
    with pytest.raises(ValueError, match=r"options\.yaml holds a list, expected options by their names"):
        main([*arguments, "--executor_options", str(tmp_path / "options.yaml")])
