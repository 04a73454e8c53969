"""The true client, pointed at a loopback Hub: in a process of its own, or in this one.

The client reads its environment when it is imported. A process of its own gets the environment a user would set, but
takes seconds to import transformers; so most tests run here, with the constants replaced that the client and
transformers look up when they are called (`file_download.py`, `hf_api.py`, transformers' `utils/hub.py`).
"""

import os
import subprocess
import sys
import types
from pathlib import Path

import huggingface_hub
import pytest
import transformers
from huggingface_hub import constants

from tests.hub.server import TOKEN, LoopbackHub

ROOT = Path(__file__).parents[2]


def environment(hub: LoopbackHub, home: Path, **changes: str) -> dict[str, str]:
    """The environment of a user whose Hub this is. xet, the client's other way to move files, has a server of its own
    kind; without it the client moves them by HTTP."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return inherited | {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": "1",
        **changes,
    }


def run_python(hub: LoopbackHub, home: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run Python as a user would, to its end; the code sees the project's packages."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment(hub, home, **changes),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


class Client:
    """The client of this process: its cache, its token, and whether it may use the network."""

    def __init__(self, hub: LoopbackHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        self._set(ENDPOINT=hub.url, HUGGINGFACE_CO_URL_TEMPLATE=template, HF_HUB_DISABLE_XET=True)
        self._set(HF_HUB_DISABLE_TELEMETRY=True)
        monkeypatch.setattr(huggingface_hub.hf_api.api, "endpoint", hub.url)
        monkeypatch.setattr(transformers.utils.hub, "_hf_api", None)
        # Waiting before a retry is the client's business and only costs time here.
        waiting = types.SimpleNamespace(**vars(huggingface_hub.utils._http.time) | {"sleep": lambda seconds: None})
        monkeypatch.setattr(huggingface_hub.utils._http, "time", waiting)
        monkeypatch.setattr(huggingface_hub.file_download, "time", waiting)
        self.sign_in(TOKEN)
        self.use_home(home)
        self.go_online()

    def use_home(self, home: Path) -> None:
        """Another user's machine: nothing is cached there."""
        self.cache = home / "hub"
        self._set(HF_HUB_CACHE=str(self.cache), HF_TOKEN_PATH=str(home / "token"))

    def sign_in(self, token: str) -> None:
        self._monkeypatch.setenv("HF_TOKEN", token)

    def sign_out(self) -> None:
        self._monkeypatch.delenv("HF_TOKEN")

    def go_offline(self) -> None:
        self._set(HF_HUB_OFFLINE=True)
        self._monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # PEFT looks here

    def go_online(self) -> None:
        self._set(HF_HUB_OFFLINE=False)
        self._monkeypatch.setenv("HF_HUB_OFFLINE", "0")

    def cached(self) -> set[str]:
        """The paths of all files in the cache, as they are named in their repositories."""
        return {
            path.relative_to(snapshot).as_posix()
            for snapshot in self.cache.glob("models--*/snapshots/*")
            for path in snapshot.rglob("*")
            if path.is_file()
        }

    def partial(self) -> list[str]:
        """Files in the cache that are not whole."""
        return [path.name for path in self.cache.rglob("*.incomplete")]

    def _set(self, **values: object) -> None:
        for name, value in values.items():
            self._monkeypatch.setattr(constants, name, value)
