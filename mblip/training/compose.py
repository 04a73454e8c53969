"""Compose the image side of a BLIP-2 and any language model of transformers into a folder for `from_pretrained`.

    mblip compose Salesforce/blip2-flan-t5-xl bigscience/mt0-xl FOLDER
    mblip compose Salesforce/blip2-flan-t5-xl bigscience/mt0-xl FOLDER --weightless

The folder holds model, tokenizer and image processor. With --weightless, it holds no weights, and none are read.
Loading the folder then composes the components again, so you only need to share the adapters trained on it.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, ImageProcessingMixin

from mblip.atomic_write import atomic_folder
from modeling_mblip.configuration_mblip import MBlipConfig
from modeling_mblip.loading_mblip import composition_config
from modeling_mblip.modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.quantisation import IMAGE_SIDE

from .divergence import check_finite

DTYPES = ("float32", "bfloat16", "float16")
PROCESSOR_CLASS = "MBlipProcessor"  # by name: this file does not import processing_mblip


def main(arguments: Sequence[str]) -> None:
    """The command."""
    print(compose_into_folder(**vars(_parse(arguments))))


def compose_into_folder(
    blip2: str,
    language_model: str,
    folder: Path,
    *,
    projection: str,
    dtype: str | None,
    weightless: bool,
    blip2_revision: str | None,
    language_model_revision: str | None,
    max_shard_size: str = "5GB",
) -> str:
    """Write the composed model into a folder, atomically.

    Args:
        max_shard_size: of one file, as in `save_pretrained`.

    Returns:
        A report: where each part came from, and which were initialised.

    Raises:
        ValueError: a component has the wrong type, or the arguments contradict each other.
        OSError: a component cannot be read, or the folder already exists.
    """
    if weightless and dtype is not None:
        raise ValueError("A base without weights has no dtype. Leave it out, and give `dtype` to `from_pretrained`.")
    if folder.exists():
        raise FileExistsError(f"{folder} already exists. Delete it, or give another folder.")
    components: dict[str, Any] = {
        "blip2": _location(blip2),
        "language_model": _location(language_model),
        "projection": projection,
        "blip2_revision": blip2_revision,
        "language_model_revision": language_model_revision,
    }
    with atomic_folder(folder) as partial:
        config, report = (
            _write_base(components, partial)
            if weightless
            else _write_model(components, partial, dtype, max_shard_size)
        )
    tokens = f"{config.num_query_tokens} `<image>` tokens (id {config.image_token_id}) per image"
    return f"{report}\n{folder}: {'a base without weights' if weightless else 'a model'}, {tokens}."


def save_processor_files(folder: Path, config: MBlipConfig) -> None:
    """Write the files of a composition's `MBlipProcessor`: language model's tokenizer, BLIP-2's image settings.

    Raises:
        OSError: a component lacks one of them.
    """
    components = config.parents
    assert components is not None  # `config` is that of a composition
    side = "right" if config.is_encoder_decoder else "left"
    revision = components["language_model_revision"] or "main"
    tokenizer = AutoTokenizer.from_pretrained(components["language_model"], revision=revision, padding_side=side)
    tokenizer.save_pretrained(folder)
    # Read only the settings: the class that they name may need torchvision or processing_mblip.
    settings, _ = ImageProcessingMixin.get_image_processor_dict(
        components["blip2"], revision=components["blip2_revision"] or "main"
    )
    _write_json(folder / "preprocessor_config.json", settings | {"processor_class": PROCESSOR_CLASS})
    _write_json(folder / "processor_config.json", {"processor_class": PROCESSOR_CLASS})


def _write_model(
    components: dict[str, Any], folder: Path, dtype: str | None, max_shard_size: str
) -> tuple[MBlipConfig, str]:
    model = MBlipForConditionalGeneration.from_blip2_pretrained(**components, dtype=dtype)
    save_processor_files(folder, model.config)  # before the large weights, because a component may lack its files
    check_finite(model.named_parameters(), "the composed model", "Its component is broken: give another one.")
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return model.config, _origins(model, components)


def _write_base(components: dict[str, Any], folder: Path) -> tuple[MBlipConfig, str]:
    name, revision = components["language_model"], components["language_model_revision"]
    config = composition_config(**components, text_config=AutoConfig.from_pretrained(name, revision=revision))
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(config)
    if components["projection"] == "blip2":
        _check_width(model, components)
    save_processor_files(folder, config)
    config.save_pretrained(folder)
    try:
        GenerationConfig.from_pretrained(name, revision=revision).save_pretrained(folder)
    except OSError:  # the language model has no such file; its configuration has the values
        GenerationConfig.from_model_config(config.text_config).save_pretrained(folder)
    return config, _origins(model, components)


def _check_width(model: MBlipForConditionalGeneration, components: dict[str, Any]) -> None:
    """Refuse `--projection blip2` now if the projection does not fit, instead of when the folder is loaded."""
    with torch.device("meta"):
        config = MBlipConfig.from_pretrained(components["blip2"], revision=components["blip2_revision"])
        width = MBlipForConditionalGeneration(config).language_projection.out_features
    if width != model.language_projection.out_features:
        raise ValueError(
            f"The projection of {components['blip2']} has {width} dimensions, expected "
            f"{model.language_projection.out_features} as in {components['language_model']}. Leave out --projection "
            "blip2."
        )


def _origins(model: MBlipForConditionalGeneration, components: dict[str, Any]) -> str:
    """One line for each part, with its size and where it comes from."""
    origins = dict.fromkeys(IMAGE_SIDE, f"from {_named(components, 'blip2')}")
    if components["projection"] == "random":
        origins["language_projection"] = "initialised, to be trained"
    origins["language_model"] = f"from {_named(components, 'language_model')}"
    lines = []
    for name, origin in origins.items():
        parameters = list(getattr(model, name).parameters())
        dtype = "" if parameters[0].is_meta else f"  {str(parameters[0].dtype).removeprefix('torch.'):<9}"
        lines.append(f"{name:<20}{sum(p.numel() for p in parameters):>15,} parameters{dtype}  {origin}")
    return "\n".join(lines)


def _named(components: dict[str, Any], component: str) -> str:
    revision = components[f"{component}_revision"]
    return components[component] if revision is None else f"{components[component]}, revision {revision}"


def _location(name_or_path: str) -> str:
    """A name on the Hub, or the absolute path of a folder, so that any working directory can load the composition."""
    return os.path.abspath(name_or_path) if os.path.isdir(name_or_path) else name_or_path


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mblip compose", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("blip2", metavar="BLIP2", help="a checkpoint in BLIP-2's layout: ViT, Q-Former, query tokens")
    parser.add_argument("language_model", metavar="LANGUAGE_MODEL", help="any seq2seq or causal language model")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write; it must not exist")
    parser.add_argument("--projection", choices=("random", "blip2"), default="random", help="blip2: keep BLIP-2's own")
    parser.add_argument("--dtype", choices=DTYPES, help="of ViT and language model; default: the language model's own")
    parser.add_argument("--weightless", action="store_true", help="write a base for adapters, composed when loaded")
    parser.add_argument("--max-shard-size", metavar="SIZE", default="5GB", help="of one file; default: %(default)s")
    parser.add_argument("--blip2-revision", metavar="REVISION")
    parser.add_argument("--language-model-revision", metavar="REVISION")
    return parser.parse_args(arguments)
