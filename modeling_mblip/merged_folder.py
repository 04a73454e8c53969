"""What a merged model's folder holds beside its weights: configuration, generation settings, processor. Not shipped:
no method of the model needs it.
"""

import copy
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.utils.hub import CHAT_TEMPLATE_DIR, list_repo_templates

from .checkpoint_reading import find_file
from .configuration_mblip import TOKENIZER_FILES
from .marry import PROCESSOR_CLASS, save_processor_files
from .merge_plan import MergePlan
from .modeling_mblip import MBlipForConditionalGeneration

IMAGE_PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json")
TEXT_FILES = (
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "source.spm",
    "target.spm",
    "target_vocab.json",
    "tekken.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "chat_template.jinja",
    "chat_template.json",
)


def write_companions(plan: MergePlan, folder: Path) -> None:
    """Write everything but the weights; no processor where neither adapter nor base nor parents have one."""
    config = copy.deepcopy(plan.config)
    config.parents = None
    config.architectures = [MBlipForConditionalGeneration.__name__]
    config.dtype = plan.weights.dtypes["vision_model.embeddings.class_embedding"]
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # of the run that trained the adapter; the merged weights are whole
    config.save_pretrained(folder)
    _copy(plan.base, ("generation_config.json",), folder, revision=plan.base_revision)
    _copy_processor(plan, folder)


def _copy_processor(plan: MergePlan, folder: Path) -> None:
    """The adapter's own processor where it has one, else the base's, else its parents'."""
    for name, revision in ((plan.adapter, plan.adapter_revision), (plan.base, plan.base_revision)):
        if any(find_file(name, file, revision=revision) for file in IMAGE_PROCESSOR_FILES):
            _copy(name, IMAGE_PROCESSOR_FILES + TEXT_FILES, folder, revision=revision)
            _copy(name, _named_templates(name, revision), folder, revision=revision)
            if not (folder / "processor_config.json").exists():  # BLIP-2's layout names another class, or none
                text = json.dumps({"processor_class": PROCESSOR_CLASS}) + "\n"
                (folder / "processor_config.json").write_text(text, encoding="utf-8")
            return
    if plan.parents is not None and _have_processor(plan.parents):
        save_processor_files(folder, plan.config)


def _have_processor(parents: Mapping[str, Any]) -> bool:
    blip2, language_model = (
        any(find_file(parents[name], file, revision=parents[f"{name}_revision"]) for file in files)
        for name, files in (("blip2", IMAGE_PROCESSOR_FILES), ("language_model", TOKENIZER_FILES))
    )
    return blip2 and language_model


def _named_templates(name_or_path: str, revision: str | None) -> tuple[str, ...]:
    """The files of a tokenizer's named chat templates; few have any but the default one."""
    if os.path.isdir(name_or_path):
        names = [file.name for file in sorted(Path(name_or_path, CHAT_TEMPLATE_DIR).glob("*.jinja"))]
    else:
        names = list_repo_templates(name_or_path, local_files_only=False, revision=revision)
    # transformers lists them with their ending where it is online, else without.
    return tuple(f"{CHAT_TEMPLATE_DIR}/{name.removesuffix('.jinja')}.jinja" for name in names)


def _copy(name_or_path: str | os.PathLike, files: tuple[str, ...], folder: Path, **location: Any) -> None:
    for file in files:
        if (path := find_file(name_or_path, file, **location)) is not None:
            (folder / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(path, folder / file)
