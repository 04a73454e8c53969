"""The configuration of mBLIP: an image encoder and BLIP-2's Q-Former before any language model of transformers.

`MBlipConfig` reads its own `config.json` and BLIP-2's. The BLIP-2 files of 2023, and with them the published mBLIP
checkpoints, have no image token id. There the `<image>` token gets the id `len(tokenizer)` if the folder holds a
tokenizer, otherwise the vocabulary size. The model replaces image ids before the embedding lookup, so an id outside
the embedding table is legal and the table never grows.
"""

import os
from typing import Any

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
from transformers import CONFIG_MAPPING, AutoConfig, AutoTokenizer, Blip2QFormerConfig, PreTrainedConfig
from transformers.configuration_utils import SubConfigSpec
from transformers.utils import logging

from .checkpoint_reading import find_file
from .language_models import CACHE_NAME
from .vision_towers import tower_config, tower_width

logger = logging.get_logger(__name__)

IMAGE_TOKEN = "<image>"
TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json", "spiece.model", "tokenizer.model", "vocab.json")
# What `AutoTokenizer` and `cached_file` need to find a folder again. All other loading arguments concern weights.
LOCATION_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "token", "revision", "subfolder")
# Keys of BLIP-2 configurations that we ignore: the language model's own configuration says what kind of model it is.
BLIP2_ONLY_KEYS = ("use_decoder_only_language_model", "image_text_hidden_size", "initializer_factor", "architectures")
TOKEN_ID_NAMES = ("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")


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
        found, expected = _model_type(self.qformer_config), Blip2QFormerConfig.model_type
        if found not in (None, "", expected):  # transformers would take its sizes, and drop its type
            raise ValueError(f"`qformer_config` is of type {found!r}, expected {expected!r}, BLIP-2's own.")
        found = _model_type(self.vision_config)
        if isinstance(self.vision_config, dict) and found and found not in CONFIG_MAPPING:
            raise ValueError(
                f"`vision_config` is of type {found!r}, which transformers does not know. Register your own with "
                "`AutoConfig.register` and `AutoModel.register`, or `pip install` a transformers that has it."
            )
        super().__post_init__(**kwargs)
        self.vision_config = tower_config(self.vision_config)
        if not 0 <= self.label_smoothing < 1:
            raise ValueError(f"`label_smoothing` is {self.label_smoothing}, expected a number from 0 to below 1.")
        self.is_encoder_decoder = self.text_config.is_encoder_decoder
        self.qformer_config.encoder_hidden_size = tower_width(self.vision_config)
        self.qformer_config.use_qformer_text_input = False  # its text branch, for ranking, is never reached
        if self.image_token_id is None:
            self.image_token_id = image_token_index
        if self.image_token_id is None or self.image_token_id < 0:
            self.image_token_id = self.text_config.get_text_config().vocab_size
        for name in TOKEN_ID_NAMES:
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
        location = {name: kwargs[name] for name in LOCATION_ARGUMENTS if kwargs.get(name) is not None}
        config_dict, unused_kwargs = super().get_config_dict(pretrained_model_name_or_path, **kwargs)
        if config_dict.get("model_type") != "blip-2":
            return config_dict, unused_kwargs
        config_dict = config_dict | {"model_type": cls.model_type}
        image_token_id = config_dict.pop("image_token_index", None)
        image_token_id = config_dict.pop("image_token_id", image_token_id)
        if image_token_id is None or image_token_id < 0:
            image_token_id = image_token_id_of_tokenizer(pretrained_model_name_or_path, **location)
        return config_dict | {"image_token_id": image_token_id}, unused_kwargs


def _model_type(given: Any) -> str | None:
    return given.get("model_type") if isinstance(given, dict) else getattr(given, "model_type", None)


def image_token_id_of_tokenizer(name_or_path: str | os.PathLike, **location: Any) -> int | None:
    """The id of `<image>` by a checkpoint's tokenizer, or its first free id; None if the checkpoint has no tokenizer.

    Args:
        name_or_path: a folder or a repository on the Hub.
        location: `revision`, `subfolder`, `cache_dir`, `token` ... as `from_pretrained` takes them.
    """
    if not any(find_file(name_or_path, name, **location) for name in TOKENIZER_FILES):
        logger.info(f"{name_or_path} holds no tokenizer: the `<image>` token gets the first id after the vocabulary.")
        return None
    tokenizer = AutoTokenizer.from_pretrained(name_or_path, **location)
    return tokenizer.get_vocab().get(IMAGE_TOKEN, len(tokenizer))
