"""A build that is killed, finds the disk full or is shared by workers ends with the bytes of one undisturbed.

The mix is translated, by the quickstart's translator, which knows the drawn world.
"""

import multiprocessing
import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mblip.mix.build.command import main
from tests.mix.build.mix_files import SCENES, captions_source, contents, write_captions, write_mix_recipe

# Children of a server that has imported the build already: they are killed at their work, not at their imports.
CHILDREN = multiprocessing.get_context("forkserver")
CHILDREN.set_forkserver_preload(["mblip.mix.build.command"])
NUM_KILLS = 10
ROOT = Path(__file__).parents[3]
TRANSLATOR = ROOT / "quickstart" / "translator"
pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # SWIG types of sentencepiece's, which the tokenizer asks for


def write_mix(folder):
    write_captions(folder)
    allocation = {"kind": "uniform", "languages": ["en", "sw", "zh"]}
    scenes = SCENES | {"num_images": 60, "languages": ["en"], "allocation": allocation}
    translation = {"model": str(TRANSLATOR)}
    return write_mix_recipe(folder, scenes, captions_source(folder), num_shards=5, translation=translation)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The contents of a mix that was built in one go, and the seconds that it took."""
    folder = tmp_path_factory.mktemp("undisturbed")
    recipe, start = write_mix(folder), time.monotonic()
    main([str(recipe), "--output", str(folder / "out")])
    return contents(folder / "out"), time.monotonic() - start


def run_child(arguments, seconds=None):
    """Run the command in a child, which is killed after `seconds`; whether it came to its end."""
    child = CHILDREN.Process(target=main, args=(arguments,))
    child.start()
    child.join(seconds)
    if child.is_alive():
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    return child.exitcode == 0


def test_killed_ten_times_it_ends_with_the_bytes_of_one_undisturbed(undisturbed, tmp_path):
    expected, seconds = undisturbed
    arguments = [str(write_mix(tmp_path)), "--output", str(tmp_path / "out")]
    draw, num_killed = random.Random(0), 0
    for _ in range(NUM_KILLS):
        num_killed += not run_child(arguments, draw.uniform(0.05, 0.6) * seconds)
    assert num_killed >= 3  # the last ones may find all done
    assert run_child(arguments)
    assert contents(tmp_path / "out") == expected


@pytest.mark.slow
def test_two_workers_translate_as_one_does(undisturbed, tmp_path):
    main([str(write_mix(tmp_path)), "--output", str(tmp_path / "out"), "--workers", "2"])
    assert contents(tmp_path / "out") == undisturbed[0]
    assert "| Swahili | " in (tmp_path / "out" / "README.md").read_text(encoding="utf-8").split("## Translation")[1]


@pytest.mark.slow
@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_every_process_and_hash_seed_of_python_gives_the_same_bytes(undisturbed, tmp_path, hash_seed):
    command = [sys.executable, "-m", "mblip", "build", str(write_mix(tmp_path)), "--output", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    assert contents(tmp_path / "out") == undisturbed[0]


def run_with_little_room(num_bytes, arguments, messages):
    """What a full disk is like for a process: files end at `num_bytes`."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))
    try:
        main(arguments)
    except (ValueError, OSError) as ended:
        messages.send(str(ended))


@pytest.mark.parametrize("num_bytes", [200, 3_000, 20_000])
def test_with_the_disk_full_it_says_so_and_goes_on_when_there_is_room(undisturbed, tmp_path, num_bytes):
    arguments = [str(write_mix(tmp_path)), "--output", str(tmp_path / "out")]
    received, messages = CHILDREN.Pipe(duplex=False)
    child = CHILDREN.Process(target=run_with_little_room, args=(num_bytes, arguments, messages))
    child.start()
    message = received.recv()
    child.join()
    assert re.search("There is no room for .* run the same command again", message)
    main(arguments)
    assert contents(tmp_path / "out") == undisturbed[0]


def run_with_few_open_files(hard_limit, arguments, messages):
    resource.setrlimit(resource.RLIMIT_NOFILE, (80, hard_limit))
    try:
        main(arguments)
    except (ValueError, OSError) as ended:
        messages.send(str(ended))
    else:
        messages.send("built")


@pytest.mark.parametrize(
    ("hard_limit", "message"),
    [
        (1000, "built"),
        (
            300,
            r"limit is 300 open files per process, but the mix needs 350, .* Lower `num_shards`, or raise the limit",
        ),
    ],
)
def test_more_shards_than_a_process_may_have_files_open(tmp_path, hard_limit, message):
    recipe = write_mix_recipe(tmp_path, SCENES | {"num_images": 300, "num_prompts": 1}, num_shards=150)
    arguments = [str(recipe), "--output", str(tmp_path / "out"), "--tables_only"]
    received, messages = CHILDREN.Pipe(duplex=False)
    child = CHILDREN.Process(target=run_with_few_open_files, args=(hard_limit, arguments, messages))
    child.start()
    assert re.search(message, received.recv())
    child.join()
