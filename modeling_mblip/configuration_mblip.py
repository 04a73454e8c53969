"""The configuration of mBLIP: an image encoder and BLIP-2's Q-Former before any language model of transformers.

The image encoder ("tower") is BLIP-2's ViT or another that `AutoModel` builds. Encoders share no names for their width
and sizes, so we show one an image on the meta device, which computes shapes and no values.

`MBlipConfig` reads its own `config.json` and BLIP-2's. The BLIP-2 files of 2023, and with them the published mBLIP
checkpoints, have no image token id. There the `<image>` token gets the id `len(tokenizer)` if the folder holds a
tokenizer, otherwise the vocabulary size. The model replaces image ids before the embedding lookup, so an id outside
the embedding table is legal and the table never grows.
"""

import functools
import json
import os
from typing import Any

import torch
import transformers

# This check comes before the imports that may fail in other releases: as remote code, this file can meet any release.
# pyproject.toml and processing_mblip/supported_releases.py give the same range.
if (release := tuple(map(int, transformers.__version__.split(".")[:2]))) < (5, 23):
    raise ImportError(
        f"mBLIP needs transformers>=5.23,<5.25, but {transformers.__version__} is installed: "
        "`pip install 'transformers>=5.23,<5.25'`."
    )
elif release > (5, 24):
    transformers.utils.logging.get_logger("transformers").warning_once(
        f"mBLIP was tested with transformers>=5.23,<5.25, but {transformers.__version__} is installed: results may "
        "differ."
    )

from huggingface_hub.dataclasses import strict
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    Blip2QFormerConfig,
    Blip2VisionConfig,
    Blip2VisionModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import logging

from .checkpoint_reading import find_file
from .language_models import CACHE_NAME, argument_names

logger = logging.get_logger(__name__)

IMAGE_TOKEN = "<image>"
TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json")
# What `AutoTokenizer` and `cached_file` need to find a folder again. All other loading arguments concern weights.
LOCATION_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
# Keys of BLIP-2 configurations that we ignore: the language model's own configuration says what kind of model it is.
BLIP2_ONLY_KEYS = ("use_decoder_only_language_model", "image_text_hidden_size", "initializer_factor", "architectures")
IMAGE_SIZE = 224  # of towers whose configuration names none
UNFIT_TOWERS = {
    "siglip2_vision_model": "SigLIP 2's NaFlex variant, which takes patches. Use one of fixed resolution, 'siglip'",
    "vit_mae": "it hides patches at random. Load its weights as a 'vit'",
}
# What building or running a model of any code raises, if it takes other inputs than one batch of images
FAILURES = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError),
    *(LookupError, RuntimeError, TypeError, ValueError),
)


@strict
class MBlipConfig(PreTrainedConfig):
    """Configuration of `MBlipForConditionalGeneration`.

    Args:
        vision_config: a `Blip2VisionConfig`, or the configuration of any image encoder that `AutoModel` builds, or
            its dict (without `model_type`: BLIP-2's). Of a whole model's (CLIP, SigLIP), its `vision_config` is used.
        qformer_config: a `Blip2QFormerConfig` or its dict; its `encoder_hidden_size` is set to the width of the vision
            model.
        text_config: the configuration of any sequence-to-sequence or causal language model of transformers, or its
            dict with `model_type`.
        num_query_tokens: query tokens of the Q-Former. A prompt holds as many `<image>` tokens per image.
        image_token_id: id of the `<image>` token. None or a negative id means `text_config.vocab_size`.
        initializer_range: standard deviation of newly initialised query tokens and projection.
        label_smoothing: the share of every label that the loss spreads evenly over all tokens, from 0 to below 1.
        parents: set only in a folder without weights: the two components that `from_pretrained` composes, see
            `save_composition`.

    `pad_token_id`, `bos_token_id`, `eos_token_id` and `decoder_start_token_id` default to those of the language model.

    Raises:
        ValueError: `vision_config` is of no encoder that takes images alone, `qformer_config` of another type, or
            `label_smoothing` is out of range.
    """

    model_type = "mblip"
    attribute_map = {"image_token_index": "image_token_id"}  # noqa: RUF012 (transformers' own declaration)
    sub_configs_defaults = {  # noqa: RUF012
        "text_config": SubConfigSpec(config_class=AutoConfig, model_type="mt5"),
        "vision_config": SubConfigSpec(config_class=AutoConfig, model_type="blip_2_vision_model"),
        "qformer_config": SubConfigSpec(config_class=Blip2QFormerConfig),
    }
    keys_to_ignore_at_inference = [  # noqa: RUF012 (Trainer adds a list to it)
        CACHE_NAME,
        "hidden_states",
        "attentions",
        "decoder_hidden_states",
        "decoder_attentions",
        "cross_attentions",
        "encoder_last_hidden_state",
        "encoder_hidden_states",
        "encoder_attentions",
        "last_hidden_state",
        "router_logits",
        "image_hidden_states",
    ]

    # Each may be given as a dict, a configuration or None; after `__post_init__` it is a configuration.
    vision_config: Any = None
    qformer_config: Any = None
    text_config: Any = None
    num_query_tokens: int = 32
    image_token_id: int | None = None
    initializer_range: float = 0.02
    label_smoothing: float = 0.0
    pad_token_id: int | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    decoder_start_token_id: int | None = None
    parents: dict | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        image_token_index = kwargs.pop("image_token_index", None)
        for key in BLIP2_ONLY_KEYS:
            kwargs.pop(key, None)
        qformer_type = Blip2QFormerConfig.model_type
        for name, types, expected in (
            ("vision_config", CONFIG_MAPPING, "one that transformers knows, or yours by `AutoConfig.register`"),
            ("qformer_config", (qformer_type,), f"{qformer_type!r}, BLIP-2's own"),
        ):
            given = getattr(self, name)
            found = given.get("model_type") if isinstance(given, dict) else getattr(given, "model_type", None)
            if found and found not in types:  # transformers would take its sizes, and drop its type
                raise ValueError(f"`{name}` is of type {found!r}, expected {expected}.")
        super().__post_init__(**kwargs)
        if isinstance(getattr(self.vision_config, "vision_config", None), PreTrainedConfig):  # of a whole CLIP, say
            logger.info(f"Of the {self.vision_config.model_type!r} configuration, only `vision_config` is used.")
            self.vision_config = self.vision_config.vision_config
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"`label_smoothing` is {self.label_smoothing}, expected a number from 0 to below 1.")
        self.is_encoder_decoder = self.text_config.is_encoder_decoder
        is_blip2 = isinstance(self.vision_config, Blip2VisionConfig)
        width = self.vision_config.hidden_size if is_blip2 else tower_shape(self.vision_config)[1]
        self.qformer_config.encoder_hidden_size = width
        self.qformer_config.use_qformer_text_input = False  # its text branch, for ranking, is never reached
        if self.image_token_id is None:
            self.image_token_id = image_token_index
        if self.image_token_id is None or self.image_token_id < 0:
            self.image_token_id = self.text_config.get_text_config().vocab_size
        for name in ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"):
            # Not every configuration of transformers declares every special token.
            if getattr(self, name) is None:
                setattr(self, name, getattr(self.text_config.get_text_config(), name, None))
        if self.is_encoder_decoder and self.decoder_start_token_id is None:  # as T5Gemma and `generate` do
            self.decoder_start_token_id = self.text_config.get_text_config(decoder=True).bos_token_id

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike, **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read `config.json` of an mBLIP or a BLIP-2 folder. The tokenizer supplies a missing image token id."""
        location = location_of(kwargs)
        config_dict, unused_kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if config_dict.get("model_type") != "blip-2":
            return config_dict, unused_kwargs
        config_dict = config_dict | {"model_type": cls.model_type}
        image_token_id = config_dict.pop("image_token_index", None)
        image_token_id = config_dict.pop("image_token_id", image_token_id)
        if image_token_id is None or image_token_id < 0:
            image_token_id = image_token_id_of_tokenizer(pretrained_model_name_or_path, **location)
        return config_dict | {"image_token_id": image_token_id}, unused_kwargs


def location_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Those arguments of `from_pretrained` that say where a checkpoint is."""
    return {name: arguments[name] for name in LOCATION_ARGUMENTS if arguments.get(name) is not None}


def image_size(config: PreTrainedConfig) -> tuple[int, int]:
    """Height and width of the images that a tower is made for. Not every configuration names them."""
    size = getattr(config, "image_size", None)
    if size is None and config.model_type == "timm_wrapper":
        size = getattr(config, "pretrained_cfg", {}).get("input_size", (3, IMAGE_SIZE, IMAGE_SIZE))[1:]
    height, width = (size or IMAGE_SIZE,) * 2 if isinstance(size, int | None) else size
    return height, width


def build_tower(config: PreTrainedConfig) -> Any:
    """A tower with random weights. AutoModel does not know BLIP-2's."""
    return (Blip2VisionModel._from_config if isinstance(config, Blip2VisionConfig) else AutoModel.from_config)(config)


def takes_flag(tower: PreTrainedModel) -> bool:
    """Whether a tower's `forward` has `interpolate_pos_encoding`. The others take any size, or their own alone."""
    return "interpolate_pos_encoding" in argument_names(type(tower))


def features_of(output: Any) -> torch.Tensor:
    """A tower's output as a sequence, (I, P, E). A feature map, (I, E, height, width), is read row by row."""
    features = output.last_hidden_state
    return features.flatten(2).transpose(1, 2) if features.ndim == 4 else features


def idle_parameters(config: PreTrainedConfig) -> frozenset[str]:
    """Names of a tower's parameters that its features do not depend on, such as pooling heads, and that cannot train.

    A checkpoint may lack them.
    """
    with torch.device("meta"), torch.enable_grad():
        tower = build_tower(config).eval()
        features_of(tower(torch.zeros(1, 3, *image_size(config), dtype=tower.dtype))).sum().backward()
    return frozenset(name for name, parameter in tower.named_parameters() if parameter.grad is None)


def tower_shape(config: PreTrainedConfig, size: tuple[int, int] | None = None) -> tuple[int, int]:
    """Length P and width E of a tower's output, for images of `size` (height, width) or of its own.

    Raises:
        ValueError: the tower takes no images of this size, or is none.
    """
    config_json = config.to_json_string(use_diff=False)
    return _probed_shape(type(config), config_json, size or image_size(config))  # type: ignore[arg-type]  # a dataclass


@functools.lru_cache(maxsize=64)
def _probed_shape(config_class: type[PreTrainedConfig], config_json: str, size: tuple[int, int]) -> tuple[int, int]:
    config = config_class.from_dict(json.loads(config_json))
    try:
        if reason := UNFIT_TOWERS.get(config.model_type):
            raise ValueError(reason)
        if config_class is not Blip2VisionConfig and config_class not in AutoModel._model_mapping:
            raise ValueError("`AutoModel` builds no model from it (register your own with `AutoModel.register`)")
        with torch.device("meta"), torch.no_grad():
            tower = build_tower(config).eval()
            if "input_ids" in argument_names(type(tower)):
                raise ValueError("it takes text")
            flag = {"interpolate_pos_encoding": size != image_size(config)} if takes_flag(tower) else {}
            output = tower(torch.zeros(1, 3, *size, dtype=tower.dtype), **flag)
        shape = output.last_hidden_state.shape
        if len(shape) not in (3, 4) or 0 in shape or (size[0] == size[1] and shape[1] == shape[2] != shape[-1]):
            raise ValueError(f"its `last_hidden_state` has shape {tuple(shape)}")
    except FAILURES as error:
        raise ValueError(
            f"`vision_config` of type {config.model_type!r} does not encode images of {size[0]} x {size[1]}: "
            f"{str(error).strip() or repr(error)}.\nExpected an encoder of `pixel_values` (I, 3, height, width) alone "
            "that returns `last_hidden_state`, a sequence (I, P, E) or a feature map (I, E, height, width)."
        ) from error
    num_patches, width = features_of(output).shape[1:]
    return num_patches, width


def image_token_id_of_tokenizer(name_or_path: str | os.PathLike, **location: Any) -> int | None:
    """The id of `<image>` by a checkpoint's tokenizer, or its first free id; None if the checkpoint has none."""
    if not any(find_file(name_or_path, name, **location) for name in TOKENIZER_FILES):
        logger.info(f"{name_or_path} holds no tokenizer: the `<image>` token gets the first id after the vocabulary.")
        return None
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, **location)
    return tokenizer.get_vocab().get(IMAGE_TOKEN, len(tokenizer))
