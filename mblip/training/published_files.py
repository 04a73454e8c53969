"""The files of a finished run that go to the Hub.

Weights and tokenizer are pushed unchanged. In cards and configurations we replace local paths, which others cannot
load.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard
from safetensors import SafetensorError, safe_open

from mblip.atomic_write import MANIFEST_FILE, read_json
from modeling_mblip import MBlipConfig, MBlipForConditionalGeneration
from modeling_mblip.loading_mblip import Components
from processing_mblip import MBlipImageProcessor, MBlipProcessor

from .divergence import check_finite
from .model_card import USE, use_in
from .run_folder import RECIPE_FILE

Files = dict[str, Path | bytes]  # by their path in the repository

MODEL_FILES = ("config.json", "README.md", "processor_config.json", "tokenizer_config.json")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
INDEX_FILE = "model.safetensors.index.json"
RESTORE = "Restore the folder."
DIVERGED = "It is of a training that diverged: train again with a lower learning rate."


def check_finished(run_folder: Path, *, is_adapter: bool) -> None:
    """Check that the run is finished and has all files to publish.

    Raises:
        ValueError: the folder is not that of a run, the run is not finished, or files are missing. The message names
            them.
    """
    if not (run_folder / RECIPE_FILE).is_file():
        raise ValueError(f"{run_folder} holds no {RECIPE_FILE}, expected the output folder of `mblip train`.")
    if not (run_folder / "model").is_dir():
        raise ValueError(
            f"{run_folder} has no `model/`, so the run is not finished. Run `mblip train` again with the same recipe: "
            "it resumes from its last checkpoint."
        )
    _check_whole(run_folder / "model", MODEL_FILES)
    if is_adapter:
        if not (run_folder / "adapter").is_dir():
            raise ValueError(f"{run_folder} has no `adapter/`: the run trained none. Leave out --adapter.")
        _check_whole(run_folder / "adapter", ADAPTER_FILES)


def model_files(run_folder: Path, repo: str, is_on_hub: Callable[[str], bool], *, with_code: bool) -> Files:
    """The finished model: weights, processor and card.

    We remove the components from the configuration, because only a folder without weights needs them. In the card we
    put the repository's name, and keep only those base models that are on the Hub.
    """
    folder = run_folder / "model"
    card = ModelCard.load(folder / "README.md")
    base_models = card.data.get("base_model") or []
    names = [base_models] if isinstance(base_models, str) else base_models
    card.data["base_model"] = [name for name in names if is_on_hub(name)] or None
    card.text = use_in(repo, card.text, with_code=with_code)
    files: Files = {**_files_in(folder)}
    files |= _code_files(folder, folder) if with_code else {}
    config = _without_folders(_read(files["config.json"]))
    config.pop("parents", None)
    return files | {"README.md": str(card).encode(), "config.json": _json(config)}


def adapter_files(run_folder: Path, repo: str, base: str, *, with_code: bool) -> Files:
    """The adapter with processor and card, for a base on the Hub. Its code is that of the processor."""
    config = _read(run_folder / "adapter" / "adapter_config.json") | {"base_model_name_or_path": base}
    model = run_folder / "model"
    files: Files = {name: path for name, path in _files_in(model).items() if _is_of_processor(path)}
    files |= _code_files(model, model, is_adapter=True) if with_code else {}
    files["adapter_model.safetensors"] = run_folder / "adapter" / "adapter_model.safetensors"
    files["adapter_config.json"] = _json(config)
    return files | {"README.md": _adapter_card(ModelCard.load(model / "README.md"), repo, base, with_code)}


def base_files(run_folder: Path, components: Mapping[str, Any], *, with_code: bool) -> Files:
    """A base without weights, which is composed from its components when it is loaded."""
    folder = run_folder / "base"
    files: Files = {**_files_in(folder)}
    files |= _code_files(folder, None) if with_code else {}
    names = [*Components.of(dict(components)).names]
    text = BASE_TEXT.format(" and ".join(f"`{name}`" for name in names[:-1]), names[-1])
    card = ModelCard("---\nlibrary_name: transformers\ntags: [mblip]\n---\n" + text)
    card.data["base_model"] = names
    config = _without_folders(_read(files["config.json"])) | {"parents": dict(components)}
    return files | {"config.json": _json(config), "README.md": str(card).encode()}


BASE_TEXT = """
# An mBLIP without weights

Image encoder and Q-Former of {} and the language model `{}`, composed when you load this repository. It is the base
of adapters. These hold the projection between the two.
"""

ADAPTER_USE = """# {title}

An mBLIP adapter: LoRA of the language model, Q-Former, query tokens and projection. Its base is `{base}`, which is
loaded automatically.

## Use

{use}

"""


def _adapter_card(model_card: ModelCard, repo: str, base: str, with_code: bool) -> bytes:
    """The card of the adapter. From the results on, it equals the model's card: both give the same results."""
    _, results, rest = model_card.text.partition("## Results")
    use = use_in(repo, USE, with_code=with_code).replace("Install", "Install `peft`,", 1)
    model_card.text = ADAPTER_USE.format(title=repo.split("/")[-1], use=use, base=base) + results + rest
    model_card.data["base_model"], model_card.data["library_name"] = base, "peft"
    return str(model_card).encode()


def _files_in(folder: Path) -> dict[str, Path]:
    """The files of a folder by relative path. A subfolder may hold a tokenizer's named chat templates."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST_FILE)
    return {path.relative_to(folder).as_posix(): path for path in files}


def _is_of_processor(path: Path) -> bool:
    is_of_model = path.suffix == ".safetensors" or path.name in ("config.json", "generation_config.json", INDEX_FILE)
    return path.is_file() and not is_of_model and path.name != "README.md"


def _check_whole(folder: Path, names: tuple[str, ...]) -> None:
    """Check that a folder has all its files, and that they can be read. You may have changed them."""
    found = {path.name: _read(path) for path in folder.glob("*.json")}
    shards = found.get(INDEX_FILE, {}).get("weight_map", {}).values()
    needed = {*names, *shards, *found.get(MANIFEST_FILE, ())}
    if missing := sorted(name for name in needed if not (folder / name).is_file()):
        raise ValueError(f"{folder} lacks {', '.join(missing)}, which `mblip train` wrote. {RESTORE}")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ValueError(f"{folder} holds no weights, expected *.safetensors, which `mblip train` wrote. {RESTORE}")
    for path in weights:
        try:
            with safe_open(path, framework="pt") as file:
                check_finite(((name, file.get_tensor(name)) for name in file.keys()), str(path), DIVERGED)  # noqa: SIM118
        except SafetensorError as error:
            raise ValueError(f"{path} is not complete ({error}). Restore the file.") from error


def _code_files(config_folder: Path, processor_folder: Path | None, *, is_adapter: bool = False) -> Files:
    """The code of model and processor, and the configurations that refer to it; of an adapter, the processor's."""
    with tempfile.TemporaryDirectory() as name, _registered():
        folder = Path(name)
        with torch.device("meta"):
            model = MBlipForConditionalGeneration(MBlipConfig.from_pretrained(config_folder))
        model.save_pretrained(folder, state_dict={})
        if processor_folder is not None:
            MBlipProcessor.from_pretrained(processor_folder).save_pretrained(folder)
        files: Files = {path.name: path.read_bytes() for path in folder.glob("*.py")}
        auto_map = _read(folder / "config.json")["auto_map"]
        auto_map["AutoModel"] = auto_map["AutoModelForImageTextToText"]
        if not is_adapter:
            files["config.json"] = _json(_read(config_folder / "config.json") | {"auto_map": auto_map})
        if processor_folder is not None:
            files["processor_config.json"] = (folder / "processor_config.json").read_bytes()
        return files


@contextmanager
def _registered() -> Iterator[None]:
    """In this context, our classes save their code. Outside of it, checkpoints must not contain code."""
    classes: tuple[Any, ...] = (MBlipConfig, MBlipForConditionalGeneration, MBlipProcessor, MBlipImageProcessor)
    before = [shipped._auto_class for shipped in classes]
    MBlipConfig.register_for_auto_class()
    MBlipForConditionalGeneration.register_for_auto_class("AutoModelForImageTextToText")
    MBlipProcessor.register_for_auto_class()
    try:
        yield
    finally:
        for shipped, auto_class in zip(classes, before, strict=True):
            shipped._auto_class = auto_class


def _without_folders(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the local path of its language model."""
    text_config = {name: value for name, value in config["text_config"].items() if name != "_name_or_path"}
    return config | {"text_config": text_config}


def _read(content: Path | bytes) -> dict[str, Any]:
    return json.loads(content) if isinstance(content, bytes) else read_json(content, RESTORE)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
