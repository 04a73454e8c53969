"""Slurm and Ray on this machine, for tests that build on them: on free ports, in a folder, always stopped.

    PYTHONPATH=.:quickstart python -m tests.mix.build.clusters quickstart/mix_sample.yaml FOLDER

builds a mix here, on Slurm and on Ray, with two tasks at a time, and prints the seconds and the SHA-256 of each.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.mix.build.mix_files import contents

ROOT = Path(__file__).parents[3]
NEEDS_SLURM = "needs Slurm: apt install slurm-wlm munge, as root"
NEEDS_RAY = "needs Ray: pip install ray"
SLURM_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol")
HOST = socket.gethostname().partition(".")[0]
SLURM_CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
ReturnToService=2
KillWait=1
MpiDefault=none
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000
PartitionName=all Nodes={host} Default=YES MaxTime=1:00:00
"""


class Slurm:
    """A Slurm of one node, with two cores and 8,000 MB. The node can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.environment = folder, {"SLURM_CONF": str(folder / "slurm.conf")}
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        ports = {"controller": free_port(), "node": free_port()}
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(folder=self.folder, host=HOST, **ports))
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        files = [f"--{option}={self.folder}/munge.{ending}" for option, ending in names.items()]
        self._start("munged", "--foreground", "--force", *files)
        self._start("slurmctld", "-D")
        self.start_node()

    def start_node(self) -> None:
        self._start("slurmd", "-D", "-N", HOST)
        wait_until(lambda: set(self.ask("sinfo", "-h", "-o", "%t").split()) <= {"idle", "mix", "alloc"} != set(), 60)

    def kill_node(self) -> None:
        self._daemons["slurmd"].kill()
        self._daemons["slurmd"].wait()

    def ask(self, *command: str) -> str:
        environment = os.environ | self.environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

    def jobs(self) -> list[str]:
        """Everything that was submitted, for the test that nothing is."""
        return self.ask("scontrol", "--oneliner", "show", "jobs").splitlines()

    def cancel_all(self) -> None:
        self.ask("scancel", "--user=root")
        wait_until(lambda: not self.ask("squeue", "-h"), 60)

    def stop(self) -> None:
        if "slurmctld" in self._daemons:
            self.cancel_all()
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
            daemon.wait(30)

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as log:
            environment = os.environ | self.environment
            self._daemons[command[0]] = subprocess.Popen(command, env=environment, stdout=log, stderr=log)


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    if os.geteuid() != 0 or not all(map(shutil.which, SLURM_PROGRAMS)):
        pytest.skip(NEEDS_SLURM)
    slurm = Slurm(folder)
    with ExitStack() as stack:
        stack.callback(slurm.stop)
        slurm.start()
        yield slurm


@contextmanager
def running_ray(folder: Path) -> Iterator[dict[str, str]]:
    """A Ray of one node, with two CPUs and 4 GB, started elsewhere and without PYTHONPATH; what a driver needs."""
    if find_spec("ray") is None:
        pytest.skip(NEEDS_RAY)
    port = free_port()
    environment = os.environ | {"RAY_AUTH_MODE": "disabled"}
    del environment["PYTHONPATH"]
    options = ["--node-ip-address=127.0.0.1", f"--port={port}", f"--temp-dir={folder}", "--num-cpus=2"]
    options += [
        "--memory=4000000000",
        "--object-store-memory=100000000",
        "--include-dashboard=false",
        "--dashboard-agent-listen-port=0",
    ]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--disable-usage-stats"]
    with (folder / "ray.out").open("wb") as log:
        ray = subprocess.Popen([*command, *options], env=environment, cwd="/", stdout=log, stderr=log)
    try:
        wait_until(lambda: "Ray runtime started" in (folder / "ray.out").read_text(), 120)
        yield {"RAY_ADDRESS": f"127.0.0.1:{port}", "RAY_AUTH_MODE": "disabled"}
    finally:
        ray.terminate()
        ray.wait(60)
        wait_until(lambda: not processes(str(folder)), 60)


def processes(*texts: str) -> list[int]:
    """The processes whose command line holds all texts, but this one."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has ended
            continue
        if all(text in command for text in texts) and int(path.parent.name) != os.getpid():
            found.append(int(path.parent.name))
    return found


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def wait_until(holds: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} seconds in vain"
        time.sleep(0.05)


def _measure(recipe: str, folder: Path) -> None:
    with ExitStack() as stack:
        clusters = {"processes": {}, "slurm": {}, "ray": {}}
        for name, running in (("slurm", running_slurm), ("ray", running_ray)):
            (folder / f"{name}d").mkdir(parents=True)
            started = stack.enter_context(running(folder / f"{name}d"))
            clusters[name] = started if isinstance(started, dict) else started.environment
        for name, environment in clusters.items():
            command = [sys.executable, "-m", "mblip", "build", recipe, "--output", str(folder / name)]
            command += ["--workers", "2", "--executor", name, "--wait"]
            if name == "slurm":
                (folder / "slurm.yaml").write_text("mem-per-cpu: 2G\n")
                command += ["--executor_options", str(folder / "slurm.yaml")]
            start = time.monotonic()
            subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.DEVNULL)
            digest = hashlib.sha256(json.dumps(contents(folder / name)).encode()).hexdigest()
            print(f"{name}: {time.monotonic() - start:.0f} s, {digest}", flush=True)


if __name__ == "__main__":
    _measure(sys.argv[1], Path(sys.argv[2]).absolute())
