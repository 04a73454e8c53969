"""transformers' own test files, importable as the package `transformers_tests`.

They come from the source distribution of exactly the installed version; nothing of them is copied here. What they
import from places that no distribution holds is stood in for by three stubs: a mixin for export tests, a mixin for
generation tests, and a function that maps the address of an image to a local file.
"""

import importlib
import sys
import tarfile
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from subprocess import check_call
from types import ModuleType

import transformers
from PIL import Image

PACKAGE = "transformers_tests"
IMAGES = tempfile.TemporaryDirectory(prefix="mblip-common-tests-")  # deleted when Python ends


def find_source(cache: Path) -> Path:
    """The folder `tests` of transformers' source distribution in `cache`, downloaded and unpacked where missing."""
    root = cache / f"transformers-{transformers.__version__}"
    archive = root.with_name(root.name + ".tar.gz")
    if not root.is_dir():
        if not archive.is_file():
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--no-deps",
                "--no-binary",
                ":all:",
                "--no-build-isolation",
            ]
            check_call([*command, f"transformers=={transformers.__version__}", "-d", str(cache)])
        with tarfile.open(archive) as source:
            source.extractall(cache, filter="data")
    tests = root / "tests"
    if not (tests / "test_modeling_common.py").is_file():
        raise SystemExit(f"{tests} holds no test_modeling_common.py. Remove {root} and run again to unpack it afresh.")
    return tests


def install(tests: Path) -> None:
    """Make the test files in `tests` importable from `transformers_tests`."""
    _add_module(PACKAGE, path=[str(tests)])
    _add_module(f"{PACKAGE}.exporters", path=[])
    _add_module(f"{PACKAGE}.exporters.test_export", ExportTesterMixin=type("ExportTesterMixin", (), {}))
    _add_module(f"{PACKAGE}.generation", path=[])
    _add_module(f"{PACKAGE}.generation.test_utils", GenerationTesterMixin=type("GenerationTesterMixin", (), {}))
    _add_module("fetch_hub_objects_for_ci", url_to_local_path=draw_for_address)


def load(name: str) -> ModuleType:
    """A test file, such as `test_modeling_common`."""
    return importlib.import_module(f"{PACKAGE}.{name}")


def draw_for_address(url: str) -> str:
    """A drawn image of its own for every call: the tests count images by their number, not by their contents."""
    path = Path(tempfile.mkdtemp(dir=IMAGES.name)) / (Path(url).stem + ".png")
    Image.linear_gradient("L").convert("RGB").save(path)
    return str(path)


def _add_module(name: str, path: list[str] | None = None, **contents: object) -> None:
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None, is_package=path is not None)
    if path is not None:
        module.__path__ = path
    vars(module).update(contents)
    sys.modules[name] = module
