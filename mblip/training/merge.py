"""Merge an adapter (LoRA and trained image side) into its base with PEFT's `merge_and_unload`.

    mblip merge ADAPTER FOLDER [--adapter-revision REVISION] [--base BASE] [--max-shard-size 5GB]

This holds the whole model in memory once, in the dtype of the base, and needs no GPU. FOLDER is written atomically.
"""

import argparse
import json
import os
import shutil
import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from peft import PeftConfig, PeftModel
from transformers import PreTrainedConfig

from mblip.atomic_write import atomic_folder
from mblip.loading import is_adapter, merge
from modeling_mblip.checkpoint_reading import check_location, find_file
from modeling_mblip.configuration_mblip import TOKENIZER_FILES, MBlipConfig
from modeling_mblip.loading_mblip import Components, components_to_compose
from modeling_mblip.modeling_mblip import MBlipForConditionalGeneration

from .compose import PROCESSOR_CLASS, save_processor_files
from .divergence import check_finite

IMAGE_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
TEXT_FILES = (
    *("tokenizer*.json", "special_tokens_map.json", "added_tokens.json", "chat_template.*"),
    *("additional_chat_templates/*.jinja", "*.model", "*.spm", "vocab.*", "target_vocab.json", "merges.txt"),
    "tekken.json",
)


def main(arguments: Sequence[str]) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="mblip merge", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("adapter", metavar="ADAPTER", help="the folder of an adapter, or its name on the Hub")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write; it must not exist")
    parser.add_argument("--adapter-revision", metavar="REVISION", help="a branch, tag or commit on the Hub")
    parser.add_argument("--base", help="the base, if it is not where the adapter says")
    parser.add_argument("--base-revision", metavar="REVISION", help="of BASE, or of the base that the adapter names")
    parser.add_argument("--max-shard-size", metavar="SIZE", default="5GB", help="of one file (default: %(default)s)")
    given = parser.parse_args(arguments)
    print(merge_adapter(**vars(given)))


def merge_adapter(
    adapter: str,
    folder: Path,
    *,
    adapter_revision: str | None = None,
    base: str | None = None,
    base_revision: str | None = None,
    max_shard_size: str = "5GB",
) -> str:
    """Write the merged model, its generation settings and its processor.

    Args:
        adapter: a PEFT adapter, as a folder or repository.
        folder: where to write; its parent folder must be writable.
        base: a model in mBLIP's or BLIP-2's layout, or a base without weights. None: the base that the adapter names.
        base_revision: None: the revision that the adapter names for its own base, or the newest of another base.
        max_shard_size: of one file, as in `save_pretrained`.

    Returns:
        A report of what was merged.

    Raises:
        ValueError, RuntimeError: adapter and base do not match, or the adapter cannot be merged.
        OSError: a file cannot be read, or the folder already exists.
        pickle.UnpicklingError: a .bin file of the base holds more than tensors.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} already exists. Delete it, or give another folder.")
    check_location(adapter)
    if os.path.isdir(adapter) and not is_adapter(adapter):
        raise ValueError(f"{adapter} holds no adapter_config.json, expected an adapter. Give `adapter/` of a run.")
    with atomic_folder(folder) as partial:
        config = PeftConfig.from_pretrained(adapter, revision=adapter_revision)
        if base is None:
            base, base_revision = config.base_model_name_or_path, base_revision or config.revision
        if not base:
            raise ValueError(f"{adapter} names no base. Give the one it was trained on with --base.")
        adapted = _put_on(_load_base(base, base_revision, config), adapter, config, adapter_revision)
        merged = merge(adapted, adapter)
        check_finite(
            merged.named_parameters(),
            f"the merged model {adapter}",
            "The adapter is broken, or the values overflow the dtype of the base. Check the training run.",
        )
        merged.save_pretrained(partial, max_shard_size=max_shard_size)
        _copy(base, base_revision, ("generation_config.json",), partial)
        _write_processor(((adapter, adapter_revision), (base, base_revision)), merged.config, partial)
    return f"{adapter} is merged into {base}.\n{folder}: {merged.num_parameters():,} parameters."


def _load_base(base: str, revision: str | None, adapter_config: PeftConfig) -> MBlipForConditionalGeneration:
    check_location(base)
    components = components_to_compose(base, revision=revision)
    stored = (
        (base, revision)
        if components is None
        else (components["language_model"], components["language_model_revision"])
    )
    config, _ = PreTrainedConfig.get_config_dict(stored[0], revision=stored[1])
    if config.get("quantization_config") is not None:
        raise ValueError(
            f"{stored[0]} is quantised, and an adapter cannot be merged into quantised weights. Give the base in 16 "
            "or 32 bits with --base."
        )
    if components is not None:
        return MBlipForConditionalGeneration.from_pretrained(base, revision=revision or "main")
    loaded: Any = MBlipForConditionalGeneration.from_pretrained(
        base, revision=revision or "main", output_loading_info=True
    )
    model, info = loaded
    in_adapter = tuple(f"{name}." for name in getattr(adapter_config, "modules_to_save", None) or ())
    if missing := sorted(name for name in info["missing_keys"] if not name.startswith(in_adapter)):
        raise ValueError(
            f"{base} lacks {len(missing)} weights, such as {missing[0]!r}. Give the base that the adapter was trained "
            "on with --base."
        )
    return model


def _put_on(model: MBlipForConditionalGeneration, adapter: str, config: PeftConfig, revision: str | None) -> PeftModel:
    if config.is_prompt_learning:
        raise ValueError(
            f"{adapter} is an adapter of kind {config.peft_type}, which changes no weights, expected one such as "
            "LoRA. Load it with `PeftModel.from_pretrained` instead."
        )
    with warnings.catch_warnings():
        # peft 0.21 reads an attribute that transformers 5.23 has renamed.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        warnings.filterwarnings("error", "Already found a `peft_config`", UserWarning)  # the base is an adapter
        try:
            adapted = PeftModel(model, config)
            found = adapted.load_adapter(adapter, "default", revision=revision, torch_device="cpu")
        except (RuntimeError, UserWarning) as error:
            raise ValueError(_misfit(adapter, f"PEFT says: {textwrap.shorten(str(error), 500)}")) from error
    # PEFT would continue with initial values for missing weights, and ignore unexpected ones.
    if missing := found.missing_keys:
        raise ValueError(_misfit(adapter, f"It lacks {len(missing)} weights, such as {missing[0]!r}."))
    has_biases = getattr(config, "bias", "none") != "none"  # PEFT stores the biases of `modules_to_save` twice
    if unplaced := [name for name in found.unexpected_keys if not (has_biases and name.endswith(".bias"))]:
        raise ValueError(
            _misfit(adapter, f"{len(unplaced)} of its weights are not in the base, such as {unplaced[0]!r}.")
        )
    new = Components.of(model.config.parents).new_parts if model.config.parents else ()
    if lacking := [name for name in new if not hasattr(getattr(model, name), "modules_to_save")]:
        raise ValueError(
            f"{adapter} holds no `{lacking[0]}`, and its base has a random one. Give an adapter that was trained with "
            f"`{lacking[0]}` in `modules_to_save`."
        )
    return adapted


def _misfit(adapter: str, why: str) -> str:
    return f"{adapter} does not fit its base. Give the one it was trained on with --base. {why}"


def _write_processor(sources: Sequence[tuple[str, str | None]], config: MBlipConfig, folder: Path) -> None:
    """Write the processor of the first source that has one, otherwise that of the base's components, if any."""
    for name, revision in sources:
        if _has_any(name, revision, IMAGE_PROCESSOR_FILES):
            _copy(name, revision, (*IMAGE_PROCESSOR_FILES, *TEXT_FILES), folder)
            if not (folder / "processor_config.json").exists():  # BLIP-2's layout names no class, or another one
                text = json.dumps({"processor_class": PROCESSOR_CLASS}) + "\n"
                (folder / "processor_config.json").write_text(text, encoding="utf-8")
            return
    if config.parents is None:
        return
    components = Components.of(config.parents)
    if _has_any(components.vision, components.vision_revision, IMAGE_PROCESSOR_FILES) and _has_any(
        components.language_model, components.language_model_revision, TOKENIZER_FILES
    ):
        save_processor_files(folder, config)


def _has_any(name_or_path: str, revision: str | None, files: Sequence[str]) -> bool:
    return any(find_file(name_or_path, file, revision=revision) for file in files)


def _copy(name_or_path: str, revision: str | None, patterns: Sequence[str], folder: Path) -> None:
    source = name_or_path
    if not os.path.isdir(name_or_path):
        source = snapshot_download(name_or_path, revision=revision, allow_patterns=[*patterns])
    for path in (path for pattern in patterns for path in Path(source).glob(pattern)):
        target = folder / path.relative_to(source)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)
