"""Loading weights: from one checkpoint, or from composed components, each with or without an adapter.

From a BLIP-2 component we read only what is used, never its language model. The log says where each part came from.
"""

import copy
import json
import logging as logging_of_python
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self

import torch
from torch import nn
from transformers import AutoConfig, Blip2QFormerModel, Blip2VisionModel, PreTrainedConfig, PreTrainedModel
from transformers.utils import logging
from transformers.utils.peft_utils import find_adapter_config_file

from .checkpoint_reading import check_location, has_weights, read_weights
from .configuration_mblip import MBlipConfig, build_tower, idle_parameters, image_token_id_of_tokenizer, location_of
from .language_models import drop_other_towers, text_model_class
from .quantisation import IMAGE_SIDE, adopt_quantisation, prepare_quantised, sparing_the_image_side

if TYPE_CHECKING:  # modeling_mblip.py imports this file, so at run time the mixin cannot import its base class
    from .modeling_mblip import MBlipPreTrainedModel
else:
    MBlipPreTrainedModel = object

logger = logging.get_logger(__name__)

Projection = Literal["random", "blip2"]
# The layers of a Q-Former that read the tower's output
READ_THE_TOWER = re.compile(r"crossattention\.attention\.(key|value)\.")


class NoTower(nn.Module):
    """In place of the tower of a model that was loaded without it."""


@dataclass(frozen=True)
class Components:
    """Where the parts of a composition come from. `MBlipConfig.parents` holds it as a dict.

    Args:
        vision: a checkpoint in BLIP-2's or mBLIP's layout, or any other from whose configuration `AutoModel` builds an
            image encoder. Of a whole CLIP or SigLIP, that is the encoder of images.
        qformer: a checkpoint in BLIP-2's or mBLIP's layout: Q-Former and query tokens; None: new ones.
        language_model: any sequence-to-sequence or causal language model of transformers.
        projection: "random", or "blip2" to keep the one of `qformer`, for a language model of the same width.
        cross_attention: the Q-Former's layers that read the tower's output: "random", or "blip2" to keep them, for a
            tower of the same width; None: kept if `vision` is the same checkpoint as `qformer`.

    Raises:
        ValueError: `projection` or `cross_attention` is unknown, or there is no Q-Former to keep it from.
    """

    vision: str
    qformer: str | None
    language_model: str
    projection: Projection = "random"
    cross_attention: Projection | None = None
    vision_revision: str | None = None
    qformer_revision: str | None = None
    language_model_revision: str | None = None

    def __post_init__(self) -> None:
        if self.cross_attention is None:
            object.__setattr__(self, "cross_attention", "blip2" if self.is_one_image_side else "random")
        for name in ("projection", "cross_attention"):
            if (kept := getattr(self, name)) not in ("random", "blip2"):
                raise ValueError(f'`{name}` is {kept!r}, expected "random" or "blip2".')
            if kept == "blip2" and self.qformer is None:
                raise ValueError(f'`{name}` is "blip2", but `qformer` is None: there is none to keep. Leave it out.')

    @classmethod
    def of(cls, parents: dict[str, Any]) -> Self:
        """The components that `MBlipConfig.parents` names. There, "blip2" is a whole image side."""
        names = {"blip2": ("vision", "qformer"), "blip2_revision": ("vision_revision", "qformer_revision")}
        return cls(**{each: value for name, value in parents.items() for each in names.get(name, (name,))})

    def as_parents(self) -> dict[str, Any]:
        """What `of` reads."""
        parents = asdict(self)
        if self.is_one_image_side and self.cross_attention == "blip2":
            parents |= {"blip2": parents.pop("qformer"), "blip2_revision": parents.pop("qformer_revision")}
            del parents["vision"], parents["vision_revision"], parents["cross_attention"]
        return parents

    @property
    def names(self) -> tuple[str, ...]:
        """The distinct checkpoints."""
        return tuple(dict.fromkeys(filter(None, (self.vision, self.qformer, self.language_model))))

    def check_locations(self) -> None:
        for name in self.names:
            check_location(name)

    @property
    def is_one_image_side(self) -> bool:
        """Whether image encoder and Q-Former come from one checkpoint."""
        return (self.vision, self.vision_revision) == (self.qformer, self.qformer_revision)

    @property
    def new_parts(self) -> tuple[str, ...]:
        """The trainable modules that hold random weights, wholly or in part."""
        is_new = (self.cross_attention == "random", self.qformer is None, self.projection == "random")
        return tuple(name for name, new in zip(IMAGE_SIDE[1:], is_new, strict=True) if new)


class LoadingMixin(MBlipPreTrainedModel):
    """Loading and saving, for `MBlipForConditionalGeneration`."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike | None, *model_args: Any, **kwargs: Any
    ) -> Self:
        """Load a checkpoint in mBLIP's or BLIP-2's layout, like `PreTrainedModel.from_pretrained`.

        For a folder without weights (see `save_composition`), compose the components that its configuration names in
        `parents`. For a PEFT adapter, load the base it names, then the adapter. A `quantization_config` applies to
        the language model only, and not to its head.
        """
        if pretrained_model_name_or_path is None:  # transformers then takes a `config` and a `state_dict`
            return super().from_pretrained(None, *model_args, **kwargs)
        check_location(pretrained_model_name_or_path)
        base, revision, adapter = _find_adapter(pretrained_model_name_or_path, kwargs)
        location = location_of(kwargs)
        if adapter is not None and location.get("subfolder") and not kwargs.get("adapter_kwargs"):
            # transformers would look for the base in the adapter's subfolder, too.
            base_location = {"subfolder": "", "revision": revision or "main"}
            model = cls.from_pretrained(base, *model_args, **kwargs | base_location)
            model.load_adapter(os.fspath(adapter), adapter_kwargs=location)
            return model
        components: Any = components_to_compose(base, **location | {"revision": revision})
        if components is None:
            if (quantization := kwargs.get("quantization_config")) is not None:
                config = MBlipConfig.from_pretrained(base, **location | {"revision": revision or "main"})
                kwargs["quantization_config"] = sparing_the_image_side(quantization, config.text_config)
            loaded = super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
            prepare_quantised(loaded[0] if isinstance(loaded, tuple) else loaded)  # a tuple with `output_loading_info`
            return loaded
        if kwargs.pop("output_loading_info", False):
            raise ValueError(f"{base} holds no weights, so there is no `output_loading_info`. Leave it out.")
        # These arguments concern this folder or the adapter. Do not pass them on to the language model.
        adapter_kwargs, adapter_name = kwargs.pop("adapter_kwargs", None), kwargs.pop("adapter_name", "default")
        for name in ("config", "revision"):
            kwargs.pop(name, None)
        try:
            model = cls.from_sub_models_pretrained(**components, **kwargs)
        except OSError as error:
            names = dict.fromkeys(filter(None, (components[name] for name in ("vision", "qformer", "language_model"))))
            raise OSError(
                f"{base} holds no weights: it composes {' and '.join(names)}. One of them cannot be loaded: {error}"
            ) from error
        model.name_or_path = model.config.name_or_path = os.fspath(base)
        if adapter is not None:
            own = {name: value for name, value in (adapter_kwargs or {}).items() if name != "_adapter_model_path"}
            model.load_adapter(os.fspath(adapter), adapter_name=adapter_name, adapter_kwargs=location | own)
        return model

    @classmethod
    def from_sub_models_pretrained(
        cls,
        vision: str | os.PathLike,
        qformer: str | os.PathLike | None,
        language_model: str | os.PathLike,
        *,
        num_query_tokens: int | None = None,
        qformer_config: Any = None,
        quantization_config: Any = None,
        dtype: torch.dtype | str | None = None,
        has_tower: bool = True,
        **arguments: Any,
    ) -> Self:
        """Compose an image encoder, a Q-Former (None: a new one) and a language model.

        Args:
            num_query_tokens: of a new Q-Former; None: 32, as in BLIP-2.
            qformer_config: of a new Q-Former, or its dict; None: BLIP-2's.
            quantization_config: applies to the language model only, and not to its head.
            dtype: of image encoder and language model; None: that of the language model's checkpoint. Query tokens,
                Q-Former and projection are fp32.
            arguments: `projection`, `cross_attention` and revisions, see `Components`; others are those of
                `from_pretrained` for the language model, such as `device_map` or `attn_implementation`.

        Raises:
            FileNotFoundError: a component is a folder that does not exist.
            ValueError: a component is of another kind or lacks weights, or what is to be kept does not fit.
        """
        names = [field.name for field in fields(Components) if field.name in arguments]
        paths: Any = [component and os.fspath(component) for component in (vision, qformer, language_model)]
        components = Components(*paths, **{name: arguments.pop(name) for name in names})
        components.check_locations()
        location = location_of(arguments)
        loading = location | {"revision": components.language_model_revision} | arguments
        text_model = _load_language_model(components.language_model, quantization_config, dtype, loading)
        text_config = copy.deepcopy(text_model.config)
        text_config.name_or_path = ""
        vars(text_config).pop("quantization_config", None)  # the whole model's configuration holds it
        config = composition_config(
            components,
            text_config=text_config,
            qformer_config=qformer_config,
            num_query_tokens=num_query_tokens,
            **location,
        )
        model = _assemble(cls, config, text_model, has_tower)
        _load_image_side(model, components, location)
        new = ", ".join(components.new_parts) or "none"
        logger.info(
            f"{components}: random, wholly or in part, are {new}. `<image>` has the id {model.image_token_id}."
        )
        prepare_quantised(model)
        return model.eval()

    @classmethod
    def from_blip2_pretrained(
        cls,
        blip2: str | os.PathLike,
        language_model: str | os.PathLike,
        *,
        blip2_revision: str | None = None,
        **arguments: Any,
    ) -> Self:
        """Compose the whole image side of a BLIP-2 with a language model, see `from_sub_models_pretrained`."""
        arguments |= {"vision_revision": blip2_revision, "qformer_revision": blip2_revision}
        return cls.from_sub_models_pretrained(blip2, blip2, language_model, **arguments)

    def load_adapter(self, *args: Any, **kwargs: Any) -> Any:
        """Load an adapter, as in transformers.

        Raises:
            ValueError: transformers does not find some of the adapter's weights under the names it expects. It only
                warns, and leaves those weights at their initial values.
        """
        info = super().load_adapter(*args, **kwargs)
        name = kwargs.get("adapter_name") or (args[1] if len(args) > 1 else None) or "default"
        if missing := sorted(key for key in info.missing_keys if name in key.split(".")):
            raise ValueError(
                f"transformers does not find {len(missing)} weights of the adapter (this happens with DoRA), such as "
                f"{missing[0]!r}. Load it with `PeftModel.from_pretrained(base, adapter)`."
            )
        return info

    def enable_adapters(self) -> None:
        """Enable LoRA and the adapter's image side. transformers enables LoRA alone."""
        super().enable_adapters()
        for module in self.modules():
            if hasattr(module, "modules_to_save"):
                module.enable_adapters(True)  # type: ignore[operator]  # a PEFT wrapper

    def save_pretrained(self, save_directory: str | os.PathLike, *args: Any, **kwargs: Any) -> None:
        """Save the model, as in transformers, without `parents` in its configuration.

        Otherwise `from_pretrained` would compose a new model if the weights of this one were ever missing.

        Raises:
            ValueError: the model has an adapter, which alone is saved, and other parameters train.
        """
        if self._hf_peft_config_loaded:
            check_adapters_hold_all(self, self.peft_config.values(), "lora_")
        components, self.config.parents = self.config.parents, None
        try:
            super().save_pretrained(save_directory, *args, **kwargs)
        finally:
            self.config.parents = components

    def save_composition(self, save_directory: str | os.PathLike) -> None:
        """Write a base for adapters: a folder without weights, for which `from_pretrained` composes the components.

        New parts (a random projection, a new Q-Former) differ each time, so the adapter must hold them. It does if
        `modules_to_save` names them.

        Raises:
            ValueError: this model was not made by `from_sub_models_pretrained`.
        """
        if self.config.parents is None:
            raise ValueError("This model names no components: it was not composed. Use `save_pretrained`.")
        self.config.save_pretrained(save_directory)
        self.generation_config.save_pretrained(save_directory)


def check_adapters_hold_all(model: nn.Module, configs: Iterable[Any], prefix: str) -> None:
    """Raise ValueError if parameters train that no adapter holds.

    Args:
        configs: PEFT's, of the adapters on the model.
        prefix: that of the adapters' parameters.
    """
    marks = (prefix, "modules_to_save.", "trainable_tokens_")
    has_biases = any(getattr(config, "bias", "none") != "none" for config in configs)
    trained = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
    moved = [name for name in trained if not any(mark in name for mark in marks)]
    if moved := [name for name in moved if not (has_biases and name.endswith("bias"))]:
        raise ValueError(
            f"`{moved[0]}` and {len(moved) - 1} other parameters of the base train, but an adapter does not hold "
            "them. Save the whole model, of PEFT `model.merge_and_unload().save_pretrained(folder)`, or freeze them."
        )


def _find_adapter(
    name_or_path: str | os.PathLike, kwargs: dict[str, Any]
) -> tuple[str | os.PathLike, str | None, str | os.PathLike | None]:
    """What to load, its revision, and the adapter on it: `name_or_path` itself, or the adapter it holds and its base.

    AutoModel finds adapters itself. It passes us the base, and the adapter's path in `adapter_kwargs`.
    """
    adapter_kwargs = kwargs.get("adapter_kwargs") or {}
    if (adapter := adapter_kwargs.get("_adapter_model_path")) is not None:
        return name_or_path, kwargs.get("revision"), adapter
    config_file = find_adapter_config_file(os.fspath(name_or_path), **location_of(kwargs))
    if config_file is None or os.path.isfile(os.path.join(name_or_path, "config.json")):
        return name_or_path, kwargs.get("revision"), None
    with open(config_file, encoding="utf-8") as file:
        adapter_config = json.load(file)
    base = adapter_config["base_model_name_or_path"]
    hint = "Write the path of the base into adapter_config.json, or load the base and call `load_adapter`."
    if base is None:
        raise ValueError(f"{name_or_path} is an adapter that names no base. {hint}")
    try:
        check_location(base)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The base of the adapter {name_or_path} does not exist. {error} {hint}") from error
    return base, adapter_config.get("revision"), name_or_path


def composition_config(
    components: Components,
    *,
    text_config: PreTrainedConfig,
    qformer_config: Any = None,
    num_query_tokens: int | None = None,
    **location: Any,
) -> MBlipConfig:
    """The configuration of a composition, with its components in `parents`. Reads no weights.

    Raises:
        ValueError: a component is of another kind, or a Q-Former's settings came with a Q-Former.
    """
    components.check_locations()
    vision_location = location | {"revision": components.vision_revision}
    parts: dict[str, Any] = {"qformer_config": qformer_config, "num_query_tokens": num_query_tokens}
    if components.qformer is not None:
        if given := [name for name, value in parts.items() if value is not None]:
            raise ValueError(f"`{given[0]}` is that of {components.qformer}. Leave it out, or `qformer`.")
        qformer_location = location | {"revision": components.qformer_revision}
        found, _ = PreTrainedConfig.get_config_dict(components.qformer, **qformer_location)
        if not _is_blip2(found):
            raise ValueError(
                f"{components.qformer} is a checkpoint of type {found.get('model_type')!r}, expected BLIP-2's layout "
                "('blip-2' or 'mblip')."
            )
        parts = {name: found.get(name) for name in parts}
    found, _ = PreTrainedConfig.get_config_dict(components.vision, **vision_location)
    parts["vision_config"] = found.get("vision_config")
    if not _is_blip2(found):
        parts["vision_config"] = AutoConfig.from_pretrained(components.vision, **vision_location)
    text_location = location | {"revision": components.language_model_revision}
    return MBlipConfig(
        **{name: part for name, part in parts.items() if part is not None},
        text_config=text_config,
        image_token_id=image_token_id_of_tokenizer(components.language_model, **text_location),
        parents=components.as_parents(),
    )


def components_to_compose(name_or_path: str | os.PathLike, **location: Any) -> dict[str, Any] | None:
    """The arguments of `from_sub_models_pretrained` in the configuration of a folder without weights; None for other
    checkpoints.
    """
    config_dict, _ = PreTrainedConfig.get_config_dict(name_or_path, **location)
    parents = config_dict.get("parents")
    if parents is None or has_weights(name_or_path, **location):
        return None
    components = Components.of(parents)
    new_qformer = ("qformer_config", "num_query_tokens") if components.qformer is None else ()
    return asdict(components) | {name: config_dict[name] for name in new_qformer}


def _load_language_model(
    name_or_path: str | os.PathLike, quantization_config: Any, dtype: Any, loading: dict[str, Any]
) -> PreTrainedModel:
    text_config = AutoConfig.from_pretrained(name_or_path, **location_of(loading))
    auto_class = text_model_class(text_config)
    if type(text_config) not in auto_class._model_mapping and not hasattr(text_config, "auto_map"):
        hint = "Give a language model without images." if hasattr(text_config, "vision_config") else ""
        if text_config.model_type in ("blip-2", MBlipConfig.model_type):
            hint = "The BLIP-2 is the first argument, the language model the second."
        raise ValueError(
            f"{name_or_path} is a checkpoint of type {text_config.model_type!r}, expected a language model that "
            f"{auto_class.__name__} loads. {hint}".rstrip()
        )
    if quantization_config is not None:
        quantization_config = sparing_the_image_side(quantization_config, text_config)
        loading = loading | {"quantization_config": quantization_config}
    with _quiet_about("The tied weights mapping and config for this model specifies"):  # advice that mT5 cannot follow
        return auto_class.from_pretrained(name_or_path, dtype=dtype or "auto", **loading)


@contextmanager
def _quiet_about(text: str) -> Iterator[None]:
    """Suppress the messages of transformers' loading that hold `text`."""

    def is_other(record: logging_of_python.LogRecord) -> bool:
        return text not in record.getMessage()

    upstream = logging_of_python.getLogger("transformers.modeling_utils")
    upstream.addFilter(is_other)
    try:
        yield
    finally:
        upstream.removeFilter(is_other)


def _is_blip2(config_dict: dict[str, Any]) -> bool:
    """Whether a checkpoint is in BLIP-2's or mBLIP's layout."""
    return config_dict.get("model_type") in ("blip-2", MBlipConfig.model_type)


def _assemble(model_class: Any, config: MBlipConfig, text_model: PreTrainedModel, has_tower: bool) -> Any:
    """Build a model around a loaded language model. Its image side has no weights yet."""
    with torch.device("meta"):
        model = model_class(config, has_tower=has_tower)
    drop_other_towers(text_model)
    model.language_model = text_model
    model.all_tied_weights_keys = {
        f"language_model.{target}": f"language_model.{source}"
        for target, source in text_model.all_tied_weights_keys.items()
    }
    model.generation_config = copy.deepcopy(text_model.generation_config)
    model.config.dtype = text_model.dtype
    if (device_map := vars(text_model).get("hf_device_map")) is not None:
        # The language model is spread over devices or offloaded. Saving and training need the whole map.
        model.hf_device_map = {f"language_model.{name}".removesuffix("."): at for name, at in device_map.items()}
    adopt_quantisation(model, text_model)
    return model


def _load_image_side(model: Any, components: Components, location: dict[str, Any]) -> None:
    """Give the image side its weights: the tower in the language model's dtype, the trainable parts in fp32."""
    devices = (parameter.device for parameter in model.language_model.parameters())
    device = next((device for device in devices if device.type != "meta"), torch.device("cpu"))  # meta: offloaded
    if not isinstance(model.vision_model, NoTower):
        revision, dtype = components.vision_revision, model.language_model.dtype
        model.vision_model = load_tower(components.vision, model.config, dtype, **location | {"revision": revision})
    wanted = IMAGE_SIDE[1:] if components.projection == "blip2" else IMAGE_SIDE[1:-1]
    weights = {}
    if components.qformer is not None:
        qformer_location = location | {"revision": components.qformer_revision}
        weights = read_weights(components.qformer, lambda key: key.split(".")[0] in wanted, **qformer_location)
    for name in IMAGE_SIDE[1:]:
        part = getattr(model, name)
        found = {key_within(key): weight.float() for key, weight in weights.items() if key.split(".")[0] == name}
        if name == "qformer" and name in components.new_parts:
            new = Blip2QFormerModel._from_config(model.config.qformer_config, dtype=torch.float32).state_dict()
            found |= {key: each for key, each in new.items() if not weights or READ_THE_TOWER.search(key)}
        elif name in components.new_parts:
            part.to_empty(device="cpu")
            model._init_weights(part)
            continue
        _load_part(part, name, found, components.qformer or "a new Q-Former")
    for name in IMAGE_SIDE:
        getattr(model, name).to(device)
    if "hf_device_map" in vars(model):
        model.hf_device_map |= dict.fromkeys(IMAGE_SIDE, device.type if device.index is None else device.index)


def load_tower(name_or_path: str | os.PathLike, config: MBlipConfig, dtype: torch.dtype, **location: Any) -> Any:
    """The tower of any checkpoint alone, in evaluation mode, on the CPU."""
    with torch.device("meta"):
        tower = build_tower(config.vision_config)
    source: str | None = os.fspath(name_or_path)
    loading = location
    config_dict, _ = PreTrainedConfig.get_config_dict(name_or_path, **location)
    if _is_blip2(config_dict):
        weights = read_weights(name_or_path, lambda key: key.split(".")[0] == "vision_model", **location)
        weights = {key_within(key): weight.to(dtype) for key, weight in weights.items()}
        if isinstance(tower, Blip2VisionModel):
            _load_part(tower, "vision_model", weights, name_or_path)
            return tower.eval()
        source, loading = None, {"state_dict": weights}  # other towers have buffers that no file holds
    with _quiet_about("UNEXPECTED"):  # weights that only the whole model has; those that are missing are told below
        tower, told = type(tower).from_pretrained(
            source, config=config.vision_config, dtype=dtype, output_loading_info=True, **loading
        )
    if missing := sorted(told["missing_keys"] - idle_parameters(config.vision_config)):
        raise ValueError(
            f"{name_or_path} lacks {len(missing)} weights of its image encoder, such as {missing[0]!r}. Expected a "
            f"checkpoint that {type(tower).__name__} loads."
        )
    return tower.eval()


def key_within(key: str) -> str:
    """A weight's key inside its part. BLIP-2's query tokens are a bare parameter, ours a module with a `weight`."""
    return key.partition(".")[2] or "weight"


def _load_part(part: nn.Module, name: str, weights: dict[str, torch.Tensor], blip2: str | os.PathLike) -> None:
    expected = part.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    if missing:
        raise ValueError(
            f"{blip2} lacks {len(missing)} of the {len(expected)} weights of `{name}`, such as {missing[0]!r}. "
            "Expected BLIP-2's keys; convert an original LAVIS checkpoint with transformers' script first."
        )
    for key, weight in expected.items():
        if weights[key].shape != weight.shape:
            raise ValueError(
                f"`{name}.{key}` of {blip2} has shape {tuple(weights[key].shape)}, expected {tuple(weight.shape)}. "
                '"blip2" as `projection` or `cross_attention` needs one of the same width; use "random" for others.'
            )
    unused = sorted(weights.keys() - expected.keys())
    if unused:
        logger.info(f"{len(unused)} weights of `{name}` in {blip2} are not used, such as {unused[0]!r}.")
    part.load_state_dict({key: weights[key] for key in expected}, assign=True)
