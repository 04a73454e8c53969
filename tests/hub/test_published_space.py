"""`mblip publish --space`: what the Space holds, and that its app starts from the pushed files alone."""

import re
import socket
import subprocess
import sys
import time
import urllib.request
from importlib.metadata import version

import pytest
import yaml

from mblip.training.publish import main
from mblip.training.space import NEEDED
from tests.hub.client import environment
from tests.hub.published import add_components, finish_run


@pytest.fixture
def run(hub, client, tmp_path):
    add_components(hub, tmp_path)
    return finish_run(tmp_path, "parents/blip2", "parents/text")[0]


def test_a_space_is_pushed_beside_the_model_with_its_settings_and_pinned_requirements(hub, run, capsys):
    main([str(run), "tester/model", "--space"])
    space = hub.repositories["spaces/tester/model"]
    assert capsys.readouterr().out.splitlines() == [
        f"{hub.url}/tester/model/commit/{hub.repositories['tester/model'].head}",
        f"{hub.url}/spaces/tester/model/commit/{space.head}",
    ]
    assert space.files["app.py"].data.decode() == 'from mblip.demo import launch\n\nlaunch("tester/model")\n'
    _, header, text = space.files["README.md"].data.decode().split("---\n")
    assert yaml.safe_load(header) == {
        "title": "model",
        "sdk": "gradio",
        "sdk_version": version("gradio"),
        "python_version": f"{sys.version_info.major}.{sys.version_info.minor}",
        "app_file": "app.py",
        "models": ["tester/model"],
    }
    assert "`tester/model`" in text
    pins = space.files["requirements.txt"].data.decode().splitlines()
    assert [pin.partition("==")[0] for pin in pins] == list(NEEDED)
    assert all(re.fullmatch(r"[\w-]+==[\d.]+(post\d+)?", pin) for pin in pins)
    assert {"mblip/demo.py", "mblip/demo.css", "mblip/data/languages.tsv", "modeling_mblip/__init__.py"} < set(
        space.files
    )
    assert not [path for path in space.files if "__pycache__" in path]


def test_with_private_the_space_is_private_too(hub, run):
    main([str(run), "tester/model", "--private", "--space"])
    assert hub.repositories["spaces/tester/model"].is_private


@pytest.mark.slow
def test_the_app_of_a_pushed_space_starts_from_its_files_alone(hub, run, tmp_path):
    main([str(run), "tester/model", "--space"])
    folder = tmp_path / "space"
    for path, file in hub.repositories["spaces/tester/model"].files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(file.data)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shows = "import runpy, mblip; print(mblip.__file__, flush=True); runpy.run_path('app.py', run_name='__main__')"
    settings = environment(hub, tmp_path / "visitor", GRADIO_SERVER_PORT=port, PYTHONPATH="", PYTHONUNBUFFERED="1")
    with open(tmp_path / "log", "w") as log:
        app = subprocess.Popen([sys.executable, "-c", shows], cwd=folder, env=settings, stdout=log, stderr=log)
    try:
        page = ""
        for _ in range(2400):
            assert app.poll() is None, (tmp_path / "log").read_text()
            try:
                page = urllib.request.urlopen(f"http://127.0.0.1:{port}").read().decode()
                break
            except OSError:
                time.sleep(0.1)
    finally:
        app.terminate()
        app.wait()
    assert "mBLIP: tester/model" in page
    printed = (tmp_path / "log").read_text()
    assert str(folder / "mblip" / "__init__.py") in printed
    assert "Loaded tester/model: float32." in printed
