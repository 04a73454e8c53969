"""What may import what: the one-way rule between the packages, what the shipped files need, and the Hub's rules.

The Hub's rules are those of `register_for_auto_class`: transformers finds the files to ship by a regular expression
and copies them flat, so only `from .sibling import X` survives.
"""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from setuptools import find_namespace_packages

ROOT = Path(__file__).parents[1]
PACKAGES = ("modeling_mblip", "processing_mblip", "mblip")
PARTS = (
    "modeling_mblip",
    "processing_mblip",
    "mblip.atomic_write",
    "mblip.data",
    "mblip.mix",
    "mblip.evaluation",
    "mblip.loading",
    "mblip.training",
    "mblip.lmms_eval",
)
MAY_IMPORT = {
    "modeling_mblip": set(),
    "processing_mblip": set(),
    "mblip.atomic_write": set(),
    "mblip.data": {
        "mblip.atomic_write",
        "processing_mblip",
    },  # an image is opened in one way, which ships with the processor
    "mblip.mix": {"mblip.atomic_write", "mblip.data"},
    "mblip.evaluation": {"mblip.atomic_write", "mblip.data"},
    "mblip.loading": {"modeling_mblip", "processing_mblip", "mblip.evaluation"},
    "mblip.training": {
        *("modeling_mblip", "processing_mblip", "mblip.atomic_write", "mblip.data", "mblip.evaluation"),
        "mblip.loading",
    },
    "mblip.lmms_eval": {"mblip.atomic_write", "mblip.data", "mblip.evaluation", "mblip.loading"},
}
DOORS = {"mblip.cli", "mblip.train", "mblip.eval", "mblip.demo"}
NO_PACKAGES = DOORS | {"train", "eval", "demo", "tests", "quickstart", "scenes", "benchmarks"}
# Where the files that the Hub gets begin: the modules of the classes that are registered for an Auto class.
SHIPPED_FROM = {
    "modeling_mblip": ("configuration_mblip", "modeling_mblip"),
    "processing_mblip": ("processing_mblip", "image_processing_mblip"),
}
SHIPPED_MAY_IMPORT = {
    "modeling_mblip": {"torch", "transformers", "safetensors", "huggingface_hub"},
    # torch brings jinja2, transformers the last two
    "processing_mblip": {"torch", "transformers", "PIL", "numpy", "jinja2", "tokenizers", "huggingface_hub"},
}
# PyYAML and numpy come with huggingface-hub and transformers.
NEEDED_ONLY_BY_OTHERS = (
    "datasets",
    "peft",
    "accelerate",
    "bitsandbytes",
    "matplotlib",
    "sentencepiece",
    "torchvision",
    "aiohttp",
    "ctranslate2",
    "ray",
    "faiss",
    "py3langid",
    "spacy",
    "evaluate",
    "nltk",
    "pythainlp",
    "sacrebleu",
    "sudachipy",
)


def files(package):
    folder = ROOT / package.replace(".", "/")
    found = sorted(folder.rglob("*.py")) or [path for path in [folder.with_suffix(".py")] if path.is_file()]
    assert found, f"{package} holds no Python files"
    return found


def imports(path):
    """(level, module, names) of every import in a file, those inside functions included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.level, node.module or "", tuple(alias.name for alias in node.names)


def imported_parts(path):
    """The parts of this project, and the folders that no package may know, that a file imports."""
    package = path.relative_to(ROOT).parent.parts
    for level, module, names in imports(path):
        base = ".".join(package[: len(package) - level + 1]) if level else ""
        full = ".".join(part for part in (base, module) if part)
        for name in (full, *(f"{full}.{name}" for name in names)):
            yield from (part for part in (*PARTS, *NO_PACKAGES) if name == part or name.startswith(f"{part}."))


def shipped(package):
    """The files that go to the Hub: the registered modules and all siblings they import, directly or not."""
    waiting = [ROOT / package / f"{name}.py" for name in SHIPPED_FROM[package]]
    found = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += [path.parent / f"{module}.py" for level, module, _ in imports(path) if level]
    assert len(found) > len(SHIPPED_FROM[package])
    return sorted(found)


@pytest.mark.parametrize("part", PARTS)
def test_imports_between_the_parts_flow_one_way(part):
    found = {path.relative_to(ROOT).as_posix(): set(imported_parts(path)) - {part} for path in files(part)}
    wrong = {name: parts - MAY_IMPORT[part] for name, parts in found.items() if parts - MAY_IMPORT[part]}
    assert wrong == {}


def code_words(path):
    """The names and texts in a file's code, without comments and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) not in docstrings:
            yield from (value for _, value in ast.iter_fields(node) if isinstance(value, str))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_knows_the_drawn_world_of_the_quickstart(package):
    words = {path.relative_to(ROOT).as_posix(): set(code_words(path)) for path in files(package)}
    assert sum(map(len, words.values())) > 100
    drawn_world = re.compile(r"scenes|quickstart|drawn world", re.IGNORECASE)
    found = {name: sorted(filter(drawn_world.search, of_file)) for name, of_file in words.items()}
    assert {name: known for name, known in found.items() if known} == {}
    assert not (ROOT / package / "scenes").exists()


@pytest.mark.parametrize("package", SHIPPED_FROM)
def test_shipped_files_import_siblings_by_name_and_nothing_that_the_hub_would_lose(package):
    for path in shipped(package):
        for level, module, names in imports(path):
            location = f"{path.name}: from {'.' * level}{module} import {', '.join(names)}"
            if level:
                assert level == 1, f"{location}: only siblings are shipped"
                assert re.fullmatch(r"\w+", module), f"{location}: name the sibling, `from .sibling import X`"
                assert (path.parent / f"{module}.py").is_file(), f"{location}: there is no such sibling"
            else:
                allowed = SHIPPED_MAY_IMPORT[package] | set(sys.stdlib_module_names)
                assert module.split(".")[0] in allowed, location


@pytest.mark.parametrize("package", SHIPPED_FROM)
def test_no_text_of_a_shipped_file_looks_like_an_import_to_the_hub(package):
    # transformers searches the text itself, docstrings included.
    for path in shipped(package):
        text = path.read_text(encoding="utf-8")
        found = set(re.findall(r"^\s*(?:from|import)\s+\.(\S*)", text, flags=re.MULTILINE))
        real = {module for level, module, _ in imports(path) if level}
        assert found == real, f"{path.name}: {found ^ real}"


@pytest.mark.parametrize("package", SHIPPED_FROM)
def test_the_hub_gets_every_file_it_needs(package):
    from transformers.dynamic_module_utils import get_relative_import_files

    wanted = {path.name for path in shipped(package)}
    entries = [ROOT / package / f"{name}.py" for name in SHIPPED_FROM[package]]
    found = {path.name for path in entries}
    for entry in entries:
        found |= {Path(file).name for file in get_relative_import_files(str(entry))}
    assert found == wanted


def test_no_file_name_is_in_both_shipped_packages():
    names = [{path.name for path in files(package)} - {"__init__.py"} for package in SHIPPED_FROM]
    assert names[0] & names[1] == set()


@pytest.mark.parametrize("package", SHIPPED_FROM)
def test_no_class_is_defined_in_an_init_file(package):
    tree = ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))
    assert not [node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]


def test_model_and_processor_need_only_their_five_dependencies_and_register_the_auto_classes():
    code = f"""
import sys
import tomllib
from importlib.machinery import PathFinder

class WithoutOthers(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in {NEEDED_ONLY_BY_OTHERS!r} else PathFinder.find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = WithoutOthers
import modeling_mblip, processing_mblip
from transformers import AutoConfig, AutoModel, AutoModelForImageTextToText
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

config = AutoConfig.for_model("mblip")
assert type(config) is modeling_mblip.MBlipConfig
for auto in (AutoModel, AutoModelForImageTextToText):
    assert auto._model_mapping[type(config)] is modeling_mblip.MBlipForConditionalGeneration
assert processing_mblip.MBlipProcessor in PROCESSOR_MAPPING._extra_content.values()
print(sorted(name for name in sys.modules if name.split(".")[0] in {NEEDED_ONLY_BY_OTHERS!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_the_wheel_holds_every_package_and_every_data_file():
    """An installation that is not editable has what pyproject finds, and nothing else of our folders."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    found = {path.parent for package in PACKAGES for path in files(package)}
    in_wheel = set(find_namespace_packages(str(ROOT), include=settings["packages"]["find"]["include"]))
    assert {folder.relative_to(ROOT).as_posix().replace("/", ".") for folder in found} <= in_wheel
    assert {name.split(".")[0] for name in in_wheel} == set(PACKAGES)
    for package in PACKAGES:
        patterns = settings["package-data"].get(package, ())
        held = {path for pattern in patterns for path in (ROOT / package).glob(pattern)}
        data = {path for path in (ROOT / package).rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
        assert data == held


def test_the_image_token_is_spelled_once_in_each_of_the_parts_that_may_not_import_one_another():
    """What ships goes to the Hub without the other package, and rows are made without either."""
    spelled = [
        (path.relative_to(ROOT).as_posix(), ast.unparse(node.targets[0]))
        for package in PACKAGES
        for path in files(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value == "<image>"
    ]
    assert spelled == [
        ("modeling_mblip/configuration_mblip.py", "IMAGE_TOKEN"),
        ("processing_mblip/prompt_encoding.py", "IMAGE_TOKEN"),
        ("mblip/data/example.py", "IMAGE_TOKEN"),
    ]
