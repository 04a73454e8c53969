"""Compose the image side of a BLIP-2 and any language model of transformers into a folder for `from_pretrained`.

    mblip compose Salesforce/blip2-flan-t5-xl bigscience/mt0-xl FOLDER
    mblip compose Salesforce/blip2-flan-t5-xl bigscience/mt0-xl FOLDER --weightless
    mblip compose none bigscience/mt0-xl FOLDER --vision google/siglip2-base-patch16-256

With --vision, the image encoder is that of another checkpoint, and the Q-Former that of the BLIP-2, or with `none` a
new one, for the stage `pretrain`. The folder holds model, tokenizer and image processor. With --weightless, it holds
no weights, and none are read. Loading the folder then composes the components again, so you only need to share the
adapters trained on it.
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, GenerationConfig, ImageProcessingMixin

from mblip.atomic_write import atomic_folder
from modeling_mblip.configuration_mblip import MBlipConfig
from modeling_mblip.loading_mblip import Components, Projection, composition_config
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
    projection: Projection,
    dtype: str | None,
    weightless: bool,
    blip2_revision: str | None,
    language_model_revision: str | None,
    max_shard_size: str = "5GB",
    vision: str | None = None,
    vision_revision: str | None = None,
    num_query_tokens: int | None = None,
) -> str:
    """Write the composed model into a folder, atomically.

    Args:
        blip2: "none": a new Q-Former.
        max_shard_size: of one file, as in `save_pretrained`.
        vision: None: the image encoder of `blip2`.
        num_query_tokens: of a new Q-Former; None: 32.

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
    if vision is None and blip2 == "none":
        raise ValueError("`none` came instead of a BLIP-2, and no --vision. Give one of them: an image encoder.")
    components = Components(
        _location(vision or blip2),
        None if blip2 == "none" else _location(blip2),
        _location(language_model),
        projection=projection,
        vision_revision=vision_revision if vision else blip2_revision,
        qformer_revision=blip2_revision,
        language_model_revision=language_model_revision,
    )
    with atomic_folder(folder) as partial:
        config, report = (
            _write_base(components, num_query_tokens, partial)
            if weightless
            else _write_model(components, num_query_tokens, partial, dtype, max_shard_size)
        )
    tokens = f"{config.num_query_tokens} `<image>` tokens (id {config.image_token_id}) per image"
    return f"{report}\n{folder}: {'a base without weights' if weightless else 'a model'}, {tokens}."


def save_processor_files(folder: Path, config: MBlipConfig) -> None:
    """Write the files of a composition's `MBlipProcessor`: language model's tokenizer, image encoder's settings.

    Raises:
        OSError: a component lacks one of them.
    """
    assert config.parents is not None  # `config` is that of a composition
    components = Components.of(config.parents)
    side = "right" if config.is_encoder_decoder else "left"
    revision = components.language_model_revision or "main"
    tokenizer = AutoTokenizer.from_pretrained(components.language_model, revision=revision, padding_side=side)
    tokenizer.save_pretrained(folder)
    # Read only the settings: the class that they name may need torchvision or processing_mblip.
    revision = components.vision_revision or "main"
    settings, _ = ImageProcessingMixin.get_image_processor_dict(components.vision, revision=revision)
    if "image_processor_type" not in settings:  # the model's type determines it
        settings = AutoImageProcessor.from_pretrained(components.vision, revision=revision).to_dict()
    _write_json(folder / "preprocessor_config.json", settings | {"processor_class": PROCESSOR_CLASS})
    _write_json(folder / "processor_config.json", {"processor_class": PROCESSOR_CLASS})


def _write_model(
    components: Components, num_query_tokens: int | None, folder: Path, dtype: str | None, max_shard_size: str
) -> tuple[MBlipConfig, str]:
    model = MBlipForConditionalGeneration.from_sub_models_pretrained(
        **dataclasses.asdict(components), num_query_tokens=num_query_tokens, dtype=dtype
    )
    save_processor_files(folder, model.config)  # before the large weights, because a component may lack its files
    check_finite(model.named_parameters(), "the composed model", "Its component is broken: give another one.")
    model.save_pretrained(folder, max_shard_size=max_shard_size)
    return model.config, _origins(model, components)


def _write_base(components: Components, num_query_tokens: int | None, folder: Path) -> tuple[MBlipConfig, str]:
    name, revision = components.language_model, components.language_model_revision or "main"
    config = composition_config(
        components,
        text_config=AutoConfig.from_pretrained(name, revision=revision),
        num_query_tokens=num_query_tokens,
    )
    with torch.device("meta"):
        model = MBlipForConditionalGeneration(config)
    if components.projection == "blip2":
        _check_width(model, components)
    save_processor_files(folder, config)
    config.save_pretrained(folder)
    try:
        GenerationConfig.from_pretrained(name, revision=revision).save_pretrained(folder)
    except OSError:  # the language model has no such file; its configuration has the values
        GenerationConfig.from_model_config(config.text_config).save_pretrained(folder)
    return config, _origins(model, components)


def _check_width(model: MBlipForConditionalGeneration, components: Components) -> None:
    """Refuse `--projection blip2` now if the projection does not fit, instead of when the folder is loaded."""
    qformer = components.qformer
    assert qformer is not None, "Components refuses a projection of none"
    with torch.device("meta"):
        config = MBlipConfig.from_pretrained(qformer, revision=components.qformer_revision or "main")
        width = MBlipForConditionalGeneration(config).language_projection.out_features
    if width != model.language_projection.out_features:
        raise ValueError(
            f"The projection of {qformer} has {width} dimensions, expected "
            f"{model.language_projection.out_features} as in {components.language_model}. Leave out --projection "
            "blip2."
        )


def _origins(model: MBlipForConditionalGeneration, components: Components) -> str:
    """One line for each part, with its size and where it comes from."""
    origins = dict.fromkeys(IMAGE_SIDE, f"from {_named(components.qformer, components.qformer_revision)}")
    origins["vision_model"] = f"from {_named(components.vision, components.vision_revision)}"
    for name in components.new_parts:
        is_partly_new = name == "qformer" and components.qformer is not None
        origins[name] = f"{origins[name]}, new cross-attention" if is_partly_new else "initialised, to be trained"
    origins["language_model"] = f"from {_named(components.language_model, components.language_model_revision)}"
    lines = []
    for name, origin in origins.items():
        parameters = list(getattr(model, name).parameters())
        dtype = "" if parameters[0].is_meta else f"  {str(parameters[0].dtype).removeprefix('torch.'):<9}"
        lines.append(f"{name:<20}{sum(p.numel() for p in parameters):>15,} parameters{dtype}  {origin}")
    return "\n".join(lines)


def _named(component: str | None, revision: str | None) -> str:
    return f"{component}" if revision is None else f"{component}, revision {revision}"


def _location(name_or_path: str) -> str:
    """A name on the Hub, or the absolute path of a folder, so that any working directory can load the composition."""
    return os.path.abspath(name_or_path) if os.path.isdir(name_or_path) else name_or_path


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="mblip compose", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("blip2", metavar="BLIP2", help="a checkpoint in BLIP-2's layout, or `none`: a new Q-Former")
    parser.add_argument("language_model", metavar="LANGUAGE_MODEL", help="any seq2seq or causal language model")
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="where to write; it must not exist")
    parser.add_argument("--projection", choices=("random", "blip2"), default="random", help="blip2: keep BLIP-2's own")
    parser.add_argument("--dtype", choices=DTYPES, help="of ViT and language model; default: the language model's own")
    parser.add_argument("--weightless", action="store_true", help="write a base for adapters, composed when loaded")
    parser.add_argument("--max-shard-size", metavar="SIZE", default="5GB", help="of one file; default: %(default)s")
    parser.add_argument("--vision", metavar="VISION", help="an image encoder, or a BLIP-2; default: that of BLIP2")
    parser.add_argument("--num-query-tokens", metavar="N", type=int, help="of a new Q-Former; default: 32")
    parser.add_argument("--vision-revision", metavar="REVISION")
    parser.add_argument("--blip2-revision", metavar="REVISION")
    parser.add_argument("--language-model-revision", metavar="REVISION")
    return parser.parse_args(arguments)
