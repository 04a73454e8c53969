"""A mix built on a real Slurm and a real Ray, each of one node on this machine, has the bytes of one built here.

The mix is translated by the quickstart's translator, and a source of its own, beside the recipe, skips near-duplicates
across all shards. Its folder has a space, and its paths are relative.
"""

import os
import signal
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import pytest

from mblip.mix.build.cluster import run_on_ray
from mblip.mix.build.command import main
from mblip.mix.build.folder import BuildFolder
from tests.mix.build.clusters import NEEDS_RAY, ROOT, processes, running_ray, running_slurm, wait_until
from tests.mix.build.mix_files import SCENES, captions_source, contents, write_captions, write_mix_recipe

pytestmark = [
    pytest.mark.engine,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # SWIG types of sentencepiece's
]
NUM_SHARDS = 3
OWN_SOURCE = """
from pathlib import Path

from mblip.data import Example
from mblip.mix.filters.near_duplicates import drop_near_duplicates

def captions(seed, skipped, *, path: Path, images: Path):
    def examples():
        for number, line in enumerate(path.read_text().splitlines()):
            if not line:
                raise ValueError(f"{path}, line {number + 1}: the caption is empty.")
            name = f"{number % 12 + 1:012d}"
            about = {"task": "captioning", "source": "own", "image_id": name, "language": "en"}
            yield Example(images=(images / f"{name}.jpg",), prompt="", target=line, id=str(number), **about)
    yield from drop_near_duplicates(examples(), skipped=skipped)
"""
OWN_CAPTIONS = "".join(
    f"a thing of number {number} lies on the table beside a cup that nobody has washed since {day}\n"
    for number in range(12)
    for day in ("Monday", "Tuesday")
)


@pytest.fixture(scope="module")
def mix(tmp_path_factory):
    """The folder of a recipe, and the contents of the mix that it makes here."""
    folder = tmp_path_factory.mktemp("a mix")
    write_captions(folder)
    (folder / "own_source_of_clusters.py").write_text(OWN_SOURCE)
    (folder / "own.txt").write_text(OWN_CAPTIONS)
    allocation = {"kind": "uniform", "languages": ["en", "sw", "zh"]}
    write_mix_recipe(
        folder,
        SCENES | {"num_images": 40, "languages": ["en"], "allocation": allocation},
        captions_source(Path()),
        {"source": "own_source_of_clusters:captions", "path": "own.txt", "images": "photos"},
        num_shards=NUM_SHARDS,
        translation={"model": str(ROOT / "quickstart" / "translator")},
    )
    (folder / "slurm.yaml").write_text('time: "0:30:00"\nmem-per-cpu: 2G\n')
    with chdir(folder):
        main(["mix.yaml", "--output", "one worker"])
        main(["mix.yaml", "--output", "two workers", "--workers", "2"])
    expected = contents(folder / "one worker")
    assert len(expected) == NUM_SHARDS + 2
    assert contents(folder / "two workers") == expected
    card = (folder / "one worker" / "README.md").read_text(encoding="utf-8")
    assert "| Swahili | " in card.split("## Translation")[1]
    assert "| caption nearly repeats an earlier one" in card.split("## Skipped")[1]
    return folder, expected


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    with running_slurm(tmp_path_factory.mktemp("s")) as slurm:
        yield slurm


@pytest.fixture(scope="module")
def ray(tmp_path_factory):
    with running_ray(tmp_path_factory.mktemp("r")) as environment:
        yield environment
        import_ray().shutdown()


@pytest.fixture
def on_slurm(mix, slurm, monkeypatch):
    """Build on Slurm, from the recipe's folder, without the environment's programs on PATH."""
    monkeypatch.chdir(mix[0])
    monkeypatch.setenv("SLURM_CONF", slurm.environment["SLURM_CONF"])
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'quickstart'}")
    monkeypatch.setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")

    def build(output, *options, with_options="slurm.yaml"):
        arguments = ["mix.yaml", "--output", output, "--workers", "2", "--executor", "slurm"]
        main([*arguments, "--executor_options", with_options, *options])

    yield build
    slurm.cancel_all()


@pytest.fixture
def on_ray(mix, ray):
    """Start a build on Ray, from the recipe's folder."""
    environment = os.environ | ray | {"PYTHONPATH": f"{ROOT}:{ROOT / 'quickstart'}"}

    def start(output, *options):
        command = [sys.executable, "-m", "mblip", "build", "mix.yaml", "--output", output, "--executor", "ray"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, "--workers", "2", *options], cwd=mix[0], env=environment, **pipes)

    return start


def import_ray():
    return pytest.importorskip("ray", reason=NEEDS_RAY)


def begun(folder, shard):
    """Whether a shard's translations have begun, so that its task is in its middle."""
    return (BuildFolder(folder).translations / f"{shard:05d}.sqlite").exists()


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "data").glob("*.parquet")}


def kill(*texts):
    found = processes(*texts)
    assert found
    for process in found:
        os.kill(process, signal.SIGKILL)


def test_slurm_builds_the_same_bytes_and_the_same_line_then_submits_nothing(mix, slurm, on_slurm, capsys):
    folder, expected = mix
    on_slurm("on slurm")
    printed = capsys.readouterr().out
    assert "Submitted to Slurm: reading, 3 task(s), job" in printed
    assert f"Submitted to Slurm: shards, {NUM_SHARDS} task(s), job" in printed
    on_slurm("on slurm")
    assert "Nothing is submitted, because jobs of this build are in the queue: reading " in capsys.readouterr().out
    on_slurm("on slurm", "--wait")
    printed = capsys.readouterr().out
    assert "shards " in printed
    assert "| 3 languages |" in printed
    assert contents(folder / "on slurm") == expected
    jobs, written = slurm.jobs(), times(folder / "on slurm")
    on_slurm("on slurm")
    assert "Nothing is left to do." in capsys.readouterr().out
    assert slurm.jobs() == jobs
    assert times(folder / "on slurm") == written


def test_after_an_error_a_kill_a_cancel_and_a_lost_node_slurm_gets_only_what_is_left(mix, slurm, on_slurm, capsys):
    folder, expected = mix
    output = folder / "broken off"
    # a task fails
    (folder / "own.txt").write_text("a caption\n\n")
    with pytest.raises(
        ValueError, match=r"(?s)reading, no result of task\(s\) 2\..*own.txt, line 2: the caption is e"
    ):
        on_slurm("broken off", "--wait")
    assert slurm.ask("squeue", "-h") == ""  # the steps behind it do not stay there
    (folder / "own.txt").write_text(OWN_CAPTIONS)
    capsys.readouterr()
    # the process of a task is killed
    on_slurm("broken off")
    printed = capsys.readouterr().out
    assert "Submitted to Slurm: reading, 1 task(s), job" in printed
    assert "own.txt, line 2: the caption is empty" in printed
    wait_until(lambda: begun(output, 1), 600)
    kill("shards:1:")
    with pytest.raises(
        ValueError, match=r"Step shards, no result of task\(s\) 1\. The end of .*/shards-00001\.log:\n"
    ):
        on_slurm("broken off", "--wait")
    written = times(output)
    assert len(written) == NUM_SHARDS - 1
    assert not (output / "README.md").exists()
    capsys.readouterr()
    # the array is cancelled
    on_slurm("broken off")
    printed = capsys.readouterr().out
    assert "Submitted to Slurm: shards, 1 task(s), job" in printed
    assert "Submitted to Slurm: reading" not in printed
    wait_until(lambda: processes("shards:1:"), 600)
    slurm.cancel_all()
    assert not processes("shards:1:")
    # the node is lost, and comes back
    on_slurm("broken off")
    assert "CANCELLED" in capsys.readouterr().out  # the last line of the log
    wait_until(lambda: processes("shards:1:"), 600)
    slurm.kill_node()
    slurm.start_node()
    on_slurm("broken off", "--wait")
    assert contents(output) == expected
    assert written.items() <= times(output).items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("{mem-per-cpu: 9000M}", "sbatch refuses: .*Memory specification can not be satisfied"),
        (
            '{mem-per-cpu: 1G, time: "20:00:00"}',
            r"never run job \d+ \(reading\): Partition(TimeLimit|Config)\. All jobs .* canc",
        ),
        (
            "{mem-per-cpu: 1G, cpus-per-task: 3}",
            r"never run job \d+ \(reading\): PartitionConfig\. All jobs .* cancelled",
        ),
        ("{partition: cpu}", "sbatch refuses: .*invalid partition specified: cpu"),
    ],
)
def test_what_slurm_can_never_run_is_refused_at_once(mix, slurm, on_slurm, options, message):
    (mix[0] / "too much.yaml").write_text(options)
    with pytest.raises(ValueError, match=message):
        on_slurm("never", with_options="too much.yaml")
    assert slurm.ask("squeue", "-h") == ""


def test_ray_builds_the_same_bytes_although_a_worker_is_killed_and_then_nothing_is_left(mix, on_ray):
    folder, expected = mix
    build = on_ray("on ray")
    wait_until(lambda: begun(folder / "on ray", 1), 600)
    kill("ray::_run_there")
    printed, errors = build.communicate(timeout=600)
    assert build.returncode == 0, errors
    assert contents(folder / "on ray") == expected
    written = times(folder / "on ray")
    printed, errors = on_ray("on ray").communicate(timeout=600)
    assert "Nothing is left to do." in printed, errors
    assert times(folder / "on ray") == written


def test_after_an_error_and_a_kill_a_build_on_ray_goes_on_with_the_same_line(mix, on_ray):
    folder, expected = mix
    output = folder / "broken off on ray"
    # a task fails
    (folder / "own.txt").write_text("a caption\n\n")
    build = on_ray("broken off on ray")
    _, errors = build.communicate(timeout=600)
    (folder / "own.txt").write_text(OWN_CAPTIONS)
    assert build.returncode == 2
    assert "Step reading: task(s) 2 failed on Ray." in errors
    assert "own.txt, line 2: the caption is empty." in errors
    # the command is killed
    build = on_ray("broken off on ray")
    wait_until(lambda: times(output), 600)
    build.kill()
    build.communicate()
    wait_until(lambda: not processes("ray::_run_there"), 60)
    written = times(output)
    printed, errors = on_ray("broken off on ray").communicate(timeout=600)
    assert "The mix is in" in printed, errors
    assert contents(output) == expected
    assert written.items() <= times(output).items()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"num_cpus": 2, "memory": 16e9},
            r"asks for {'CPU': 2, 'memory': 16000000000.0}, .* have: \[{'CPU': 2.0, 'memory': 4000000000.0}\]",
        ),
        ({"num_gpus": 1}, r"asks for {'CPU': 1, 'GPU': 1}, which no node .* have: \[{'CPU': 2.0, 'GPU': 0}\]"),
        (
            {"resources": {"disk": 1}},
            r"asks for {'CPU': 1, 'disk': 1}, which no node .* have: \[{'CPU': 2.0, 'disk': 0}\]",
        ),
    ],
)
def test_what_no_node_of_ray_has_is_refused_at_once(ray, monkeypatch, options, message):
    for name, value in ray.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        run_on_ray([], "reading", [0], options, 1)
