"""The files of a Space on the Hub that runs `mblip demo` of a published model.

A Space installs what requirements.txt pins and runs app.py. The packages of this project go with it.
"""

import platform
from importlib.metadata import version
from pathlib import Path

from huggingface_hub import SpaceCardData

from .published_files import Files

ROOT = Path(__file__).parents[2]
PACKAGES = ("mblip", "modeling_mblip", "processing_mblip")
# What `mblip demo` imports; the extra `demo` brings more, for other commands.
NEEDED = (
    *("torch", "transformers", "Pillow", "safetensors", "huggingface-hub", "accelerate", "datasets", "peft", "PyYAML"),
    *("sentencepiece", "protobuf", "xxhash", "py3langid", "gradio"),
)
APP = 'from mblip.demo import launch\n\nlaunch("{}")\n'


def space_files(repo: str) -> Files:
    """The Space of the model `repo`, with the releases that are installed here. A README.md with its settings."""
    pins = [f"{name}=={version(name).partition('+')[0]}\n" for name in NEEDED]  # without torch's "+cpu"
    settings = SpaceCardData(
        title=repo.split("/")[-1],
        sdk="gradio",
        sdk_version=version("gradio"),
        python_version=".".join(platform.python_version_tuple()[:2]),
        app_file="app.py",
        models=[repo],
    )
    text = f"---\n{settings.to_yaml()}\n---\n\n`mblip demo` of the model `{repo}`.\n"
    made = {"app.py": APP.format(repo), "requirements.txt": "".join(pins), "README.md": text}
    code = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*")))
    files: Files = {p.relative_to(ROOT).as_posix(): p for p in code if p.is_file() and "__pycache__" not in p.parts}
    return files | {name: text.encode() for name, text in made.items()}
