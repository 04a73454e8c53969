"""mBLIP: image features of an image encoder and a Q-Former, placed into the input of a language model of transformers.

`vision_model` is BLIP-2's ViT or another image encoder, `qformer` is BLIP-2's, `language_model` is whatever
`AutoModelForSeq2SeqLM` or `AutoModelForCausalLM` builds from `config.text_config`. This file connects them. State-dict
keys are BLIP-2's, so a BLIP-2 folder loads without conversion. Three things are unusual. Each distinct image of a
batch is encoded once, and `image_indices` says which image slots show it. Placing images checks the number of
`<image>` tokens. In training, we compute logits only at label positions.

Shape suffixes: B = prompts, T = prompt tokens, L = target tokens, I = distinct images, P = patches and class token, E
= width of the ViT, S = image slots in reading order, Q = query tokens per image, F = width of the Q-Former, D = width
of the language model, V = vocabulary.
"""

import functools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import Blip2QFormerModel, PreTrainedModel
from transformers import initialization as init
from transformers.cache_utils import Cache
from transformers.conversion_mapping import register_checkpoint_conversion_mapping
from transformers.core_model_loading import WeightRenaming
from transformers.modeling_outputs import BaseModelOutput, BaseModelOutputWithPooling
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, can_return_tuple, logging

from .configuration_mblip import MBlipConfig, build_tower, features_of, image_size, takes_flag, tower_shape
from .generation_mblip import MBlipGenerationMixin
from .image_placement import (
    IMAGE_INPUTS,
    PromptRules,
    check_inputs,
    find_image_tokens,
    images_given,
    place_image_features,
    select_image_features,
)
from .label_loss import (
    IGNORE_INDEX,
    check_image_labels,
    find_scaling_power,
    gathered_head,
    label_loss_sum,
    logits_loss_sum,
    logits_of,
    output_head,
    stop_at_head,
)
from .language_models import (
    CACHE_NAME,
    OTHER_TOWERS,
    argument_names,
    cache_of,
    check_language_model,
    check_padding_in_front,
    check_training_precision,
    drop_other_towers,
    embedding_scale,
    first_position,
    holds_prompt,
    known_arguments,
    move_padding,
    position_ids_from_mask,
    takes_cache,
    text_model_class,
)
from .loading_mblip import LoadingMixin, NoTower

logger = logging.get_logger(__name__)


class QueryTokens(nn.Module):
    """`num_query_tokens` learned vectors, the same for every image.

    BLIP-2 has a bare parameter here. PEFT's `modules_to_save` silently ignores parameters, so it would train them but
    never save them. Our folders use the module's key, `query_tokens.weight`, so that readers of weights by name find
    it. `from_pretrained` renames BLIP-2's key.
    """

    def __init__(self, num_query_tokens: int, hidden_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1, num_query_tokens, hidden_size))

    def forward(self, num_images: int) -> torch.Tensor:
        """The query tokens once per image, (num_images, num_query_tokens, hidden_size), as a view."""
        return self.weight.expand(num_images, -1, -1)


class _FromBlip2(WeightRenaming):
    """A renaming for loading only: saving keeps the name that the weight has in the model."""

    __slots__ = ()

    def reverse_transform(self) -> WeightRenaming:
        return self


register_checkpoint_conversion_mapping("mblip", [_FromBlip2(r"^query_tokens$", "query_tokens.weight")], overwrite=True)


@dataclass
class MBlipOutput(ModelOutput):
    """Flat output of the model. Fields that the language model does not return are None.

    Args:
        loss: scalar in fp32, the sum over label tokens divided by `num_items_in_batch` or by their number, smoothed by
            `config.label_smoothing`. None without `labels`.
        logits: (B, T or L, V), or None if they were skipped, as in training with labels.
        last_hidden_state: (B, T, D), a decoder-only language model's states before its head, with `skip_logits=True`
            and no labels.
        cache: the language model's. Before transformers 5.24 the field is `past_key_values`, as in all its outputs,
            and `cache` is a property.
        hidden_states, attentions, router_logits: of a decoder-only language model, on request.
        decoder_hidden_states, decoder_attentions, cross_attentions: of an encoder-decoder's decoder, on request.
        encoder_last_hidden_state, encoder_hidden_states, encoder_attentions: of its encoder.
        image_hidden_states: (I, Q, D), the image features of this batch, one row per distinct image; None without
            images.
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    last_hidden_state: torch.Tensor | None = None
    if CACHE_NAME == "cache":
        cache: Cache | None = None
    else:
        past_key_values: Cache | None = None

        @property
        def cache(self) -> Cache | None:  # type: ignore[misc]  # never both
            return self.past_key_values

    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    router_logits: tuple[torch.Tensor, ...] | None = None
    decoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    decoder_attentions: tuple[torch.Tensor, ...] | None = None
    cross_attentions: tuple[torch.Tensor, ...] | None = None
    encoder_last_hidden_state: torch.Tensor | None = None
    encoder_hidden_states: tuple[torch.Tensor, ...] | None = None
    encoder_attentions: tuple[torch.Tensor, ...] | None = None
    image_hidden_states: torch.Tensor | None = None


LANGUAGE_MODEL_FIELDS = tuple(
    name for name in MBlipOutput.__dataclass_fields__ if name not in ("loss", CACHE_NAME, "image_hidden_states")
)


def layer_names(module: nn.Module, unsplit: Collection[str]) -> Iterator[str]:
    """The classes of all stacked layers, and those of `unsplit` that stand outside of them. FSDP shards one at a time.

    The parts name layers that are not there (BLIP-2's Q-Former), pieces of layers, or none (Marian).
    """
    for child in module.children():
        name = type(child).__name__
        is_layer = isinstance(module, nn.ModuleList) and not type(child).__module__.startswith("torch.nn")
        if is_layer or name in unsplit:
            yield name
        else:
            yield from layer_names(child, unsplit)


class MBlipPreTrainedModel(PreTrainedModel):
    """Base of the model's classes. Query tokens, Q-Former and projection train, so they are always fp32."""

    config: MBlipConfig
    config_class = MBlipConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ["image", "text"]  # noqa: RUF012 (transformers' own declarations)
    accepts_loss_kwargs = True
    supports_gradient_checkpointing = True
    _no_split_modules = ["Blip2EncoderLayer", "Blip2QFormerLayer", "Blip2VisionEmbeddings"]  # noqa: RUF012
    _skip_keys_device_placement = [CACHE_NAME]  # noqa: RUF012
    _keep_in_fp32_modules_strict = ["query_tokens", "qformer", "language_projection"]  # noqa: RUF012
    _keys_to_ignore_on_load_unexpected = [rf"\.({'|'.join(OTHER_TOWERS)})\."]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    # Any, because PEFT or a quantiser may wrap the parts, and the language model is whatever transformers builds.
    vision_model: Any
    query_tokens: Any
    qformer: Any
    language_projection: Any
    language_model: Any
    # What the language model does to embeddings and positions, see language_models.py
    embedding_scale: float
    first_position: int

    @classmethod
    def is_custom_code(cls) -> bool:
        """False, also when this file is loaded as remote code, so that all modules are initialised.

        In custom code, transformers skips modules without weights of their own when it initialises missing weights.
        Some of these fill buffers of their children (Falcon-H1), which would then hold uninitialised memory.
        """
        return False

    @property
    def image_token_id(self) -> int:
        """The id of the `<image>` token."""
        assert self.config.image_token_id is not None, "set in MBlipConfig.__post_init__"
        return self.config.image_token_id

    @property
    def vocab_size(self) -> int:
        """The vocabulary size of the language model."""
        return self.config.text_config.get_text_config().vocab_size

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, QueryTokens):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)


class MBlipForConditionalGeneration(LoadingMixin, MBlipGenerationMixin, MBlipPreTrainedModel):
    """Text from images and a prompt, with an encoder-decoder or a decoder-only language model.

    Load a checkpoint in mBLIP's or BLIP-2's layout with `from_pretrained`, or compose a model from two components with
    `from_blip2_pretrained`.

    Args:
        has_tower: False, also in these methods: leave the image encoder out. Its weights are not read, and images come
            in as features.
    """

    def __init__(self, config: MBlipConfig, *, has_tower: bool = True) -> None:
        super().__init__(config)
        self.vision_model = build_tower(config.vision_config)
        self.takes_flag = takes_flag(self.vision_model)
        if not has_tower:
            self.vision_model = NoTower()
            self._keys_to_ignore_on_load_unexpected = [*self._keys_to_ignore_on_load_unexpected, r"^vision_model\."]
        self.query_tokens = QueryTokens(config.num_query_tokens, config.qformer_config.hidden_size)
        self.qformer = Blip2QFormerModel._from_config(config.qformer_config)
        language_model = text_model_class(config.text_config).from_config(config.text_config)
        check_language_model(language_model)
        drop_other_towers(language_model)
        # Ask the embeddings: in some language models their width is not the hidden size.
        self.width = language_model.get_input_embeddings().weight.shape[1]
        self.language_projection = nn.Linear(config.qformer_config.hidden_size, self.width)
        for name in self._keep_in_fp32_modules_strict:  # loading does this, too, but not building in 16 bits
            getattr(self, name).float()
        self.language_model = language_model
        self.embedding_scale = embedding_scale(language_model)
        self.first_position = first_position(language_model)
        self.scaling_power: int | None = None  # of its logits, see label_loss.py; `_run_to_head` finds it once
        self.post_init()
        self._no_split_modules = sorted(set(layer_names(self, self._no_split_modules or ())))

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """The language model's encoder, or the ViT for `modality="image"`."""
        return self.language_model.get_encoder() if modality is None else super().get_encoder(modality=modality)

    @property
    def base_model(self) -> Callable[..., MBlipOutput]:  # type: ignore[override]  # it has no weights of its own
        """`forward` without the language model's head, as in transformers' own models. TRL computes its losses so."""
        without_head = functools.partial(self._forward_without_head)
        asked_of_it = {"_tp_plan": self._tp_plan, "_pp_plan": self._pp_plan}  # by transformers
        vars(without_head).update(asked_of_it, set_encoder=self.language_model.set_encoder)
        return without_head

    def _forward_without_head(self, input_ids: torch.Tensor | None = None, **inputs: Any) -> MBlipOutput:
        output = self(input_ids, **inputs | {"skip_logits": True, "return_dict": True})
        states_BTD = output.last_hidden_state  # None with labels
        has_gradient = states_BTD is not None and states_BTD.requires_grad
        if input_ids is not None and has_gradient and self.image_token_id >= self.vocab_size:
            states_BTD.register_hook(functools.partial(check_image_labels, input_ids.eq(self.image_token_id)))
        return output

    def _get_name(self) -> str:
        """The class name, or that of the language model if it is decoder-only.

        A plain Trainer with `label_smoothing_factor` computes the loss itself. It shifts the labels only for class
        names that transformers lists as causal language models. `config.label_smoothing` needs no full logits.
        """
        return super()._get_name() if self.config.is_encoder_decoder else type(self.language_model).__name__

    def __repr__(self) -> str:
        """Like torch's, but with the true class name, which `_get_name` may not return."""
        return super().__repr__().replace(self._get_name(), type(self).__name__, 1)

    @can_return_tuple
    @takes_cache
    def forward(  # type: ignore[misc]  # two of these are names of TransformersKwargs as well
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_indices: torch.Tensor | None = None,
        vision_features: torch.Tensor | None = None,
        query_features: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        decoder_input_ids: torch.Tensor | None = None,
        decoder_attention_mask: torch.Tensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        cache: Cache | None = None,
        labels: torch.Tensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        skip_logits: bool | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MBlipOutput:
        """Run the model, and compute a loss if labels are given.

        Args:
            input_ids: (B, T), prompts that hold `num_query_tokens` `<image>` tokens for each of their 0, 1, 2 ...
                images. It comes first because a Trainer that dispatches batches takes the batch size from it.
            pixel_values: (I, 3, H, W), every distinct image of the batch once.
            image_indices: (S,), for each image slot of the batch, in reading order, the row of `pixel_values` or
                of the features that it shows. None: slot s shows row s. Every row must be shown.
            vision_features: (I, P, E), instead of `pixel_values`: `encode_vision(pixel_values)`.
            query_features: (I, Q, F), instead of these: the Q-Former's output, before the projection.
            image_features: (I, Q, D), instead of these: `get_image_features(pixel_values).pooler_output`.
            attention_mask: (B, T), 1 at tokens and 0 at padding, which may be on either side.
            position_ids: (B, T). None: counted from the mask if the language model takes them, so that padding does
                not change results.
            inputs_embeds: (B, T, D), instead of the embeddings of `input_ids`. With images, `input_ids` is still
                needed: it says where they go.
            decoder_input_ids: (B, L), encoder-decoder only; None: the labels shifted right.
            encoder_outputs: the encoder's output for prompts with images, instead of prompts and images.
            cache: the language model's cache, which already holds the prompt. Before transformers 5.24 its name in
                signature and output is `past_key_values`, as for all models; `cache` works, too.
            labels: (B, L) for an encoder-decoder, (B, T) aligned with `input_ids` for a decoder-only model; -100 where
                there is no label.
            num_items_in_batch: divisor of the summed loss (the Trainer passes the number of labels in all accumulated
                batches). None: the number of labels in this batch.
            skip_logits: compute only the loss, or without labels only `last_hidden_state`, no logits. None: True in
                training mode with labels.

        Raises:
            TypeError: an input is not a tensor of the right dtype.
            ValueError: shapes do not fit, or values are out of range (`VALUES` in image_placement.py); images,
                `image_indices` and `<image>` tokens do not match; `skip_logits` comes without labels to an
                encoder-decoder; the chunked loss does not know a step of the language model; or the model cannot be
                trained in fp16.
        """
        if self.training and torch.is_grad_enabled():
            check_training_precision(self.language_model)
        if labels is None and skip_logits and self.config.is_encoder_decoder:
            raise ValueError(
                "`skip_logits=True`, as in `base_model`, came without `labels` to an encoder-decoder. Pass `labels`. "
                "TRL's trainers take decoder-only models alone: use transformers' `Trainer`."
            )

        # 1. Embed the prompts and place their images
        features = None
        if encoder_outputs is None and not holds_prompt(cache):
            inputs_embeds, features = self.place_images(
                input_ids,
                inputs_embeds,
                pixel_values=pixel_values,
                image_indices=image_indices,
                vision_features=vision_features,
                query_features=query_features,
                image_features=image_features,
                interpolate_pos_encoding=interpolate_pos_encoding,
                attention_mask=attention_mask,
                decoder_input_ids=decoder_input_ids,
                decoder_attention_mask=decoder_attention_mask,
                labels=labels,
                num_items_in_batch=None if labels is None else num_items_in_batch,
            )
            input_ids = None

        # 2. Rename the arguments for this language model
        arguments = self.language_model_arguments(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            cache=cache,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep if torch.is_tensor(logits_to_keep) or logits_to_keep else None,
            labels=labels,
            **kwargs,
        )

        # 3. Run the language model: to its head, with logits at labels only or none, or to all logits
        total = None
        if labels is not None and (self.training if skip_logits is None else skip_logits):
            outputs, states_BLD = self._run_to_head(self.language_model, arguments | {"use_cache": False})
            total = self._loss_of_states(states_BLD, labels)
        elif skip_logits:
            outputs = self.language_model.get_decoder()(**arguments)
        else:
            outputs = self.language_model(**arguments)
            if labels is not None:
                total = logits_loss_sum(*self._align(outputs.logits, labels), self.config.label_smoothing)

        # 4. Return one flat output for both kinds of language model. Their fields differ. We read attributes, because
        # a `ModelOutput` keeps its item if the attribute is set to None
        loss = None if total is None or labels is None else self._mean_loss(total, labels, num_items_in_batch)
        passed_on = {name: getattr(outputs, name, None) for name in LANGUAGE_MODEL_FIELDS}
        passed_on[CACHE_NAME] = cache_of(outputs)
        return MBlipOutput(loss=loss, image_hidden_states=features, **passed_on)

    @can_return_tuple
    def get_image_features(
        self,
        pixel_values: torch.Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        *,
        vision_features: torch.Tensor | None = None,
        query_features: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutputWithPooling:
        """Encode images: `pooler_output` holds the features to place, (I, Q, D), `last_hidden_state` the ViT's output,
        (I, P, E).

        A frozen ViT runs without gradients and without dropout, also in training mode. One of the three inputs comes
        in, as in `forward`, and is checked as there.

        Args:
            interpolate_pos_encoding: accept images of a size other than the ViT's, where its positions are fixed.
        """
        images = images_given(pixel_values, vision_features, query_features, None)
        if not images:
            raise ValueError(f"Found no images, expected one of {', '.join(IMAGE_INPUTS[:-1])}.")
        self._check_inputs(interpolate_pos_encoding, **images)
        vision: Any = {}
        if pixel_values is not None:
            vision, vision_features = self._run_tower(pixel_values, interpolate_pos_encoding, **kwargs)
        return BaseModelOutputWithPooling(
            last_hidden_state=vision_features,
            pooler_output=self._project(vision_features, query_features),
            hidden_states=vision.get("hidden_states"),
            attentions=vision.get("attentions"),
        )

    def encode_vision(self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool = False) -> torch.Tensor:
        """The ViT's output alone, (I, P, E), which `forward` takes as `vision_features`. See `get_image_features`."""
        self._check_inputs(interpolate_pos_encoding, pixel_values=pixel_values)
        return self._run_tower(pixel_values, interpolate_pos_encoding)[1]

    def _run_tower(
        self, pixel_values: torch.Tensor, interpolate_pos_encoding: bool, **kwargs: Unpack[TransformersKwargs]
    ) -> tuple[ModelOutput, torch.Tensor]:
        """The tower's own output, and its features, (I, P, E)."""
        if isinstance(self.vision_model, NoTower):
            raise ValueError(
                "`pixel_values` came to a model that was loaded without its image encoder. Pass `vision_features`, or "
                "load the model with `has_tower=True`."
            )
        is_frozen = not any(parameter.requires_grad for parameter in self.vision_model.parameters())
        if is_frozen and self.vision_model.training:
            self.vision_model.eval()
        flag: dict[str, Any] = {"interpolate_pos_encoding": interpolate_pos_encoding} if self.takes_flag else {}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not is_frozen):
            vision = self.vision_model(pixel_values.to(self.vision_model.dtype), **flag, **kwargs)
            return vision, features_of(vision)

    def query_images(self, vision_IPE: torch.Tensor) -> torch.Tensor:
        """Run the Q-Former on the ViT's output, (I, Q, F). It casts its input to its dtype."""
        queries = self.query_tokens(vision_IPE.shape[0])
        return self.qformer(queries, encoder_hidden_states=vision_IPE).last_hidden_state

    def _project(self, vision_IPE: torch.Tensor | None, queries_IQF: torch.Tensor | None) -> torch.Tensor:
        """The features to place, (I, Q, D), of one of the two."""
        if vision_IPE is not None:
            queries_IQF = self.query_images(vision_IPE)
        assert queries_IQF is not None
        return self.language_projection(queries_IQF.to(self.query_tokens.weight.dtype))

    def _check_inputs(self, interpolate_pos_encoding: bool, **inputs: Any) -> None:
        vision_config, qformer_config = self.config.vision_config, self.config.qformer_config
        sizes = {"C": 3, "Q": self.config.num_query_tokens, "D": self.width, "F": qformer_config.hidden_size}
        sizes["E"] = qformer_config.encoder_hidden_size
        if self.takes_flag and not interpolate_pos_encoding:
            sizes["H"], sizes["W"] = image_size(vision_config)
        check_inputs(inputs, sizes, self.vocab_size, is_encoder_decoder=self.config.is_encoder_decoder)
        pixel_values = inputs.get("pixel_values")
        if pixel_values is not None and pixel_values.shape[2:] != image_size(vision_config):
            tower_shape(vision_config, tuple(pixel_values.shape[2:]))  # raises if the tower does not take this size

    def place_images(
        self,
        input_ids: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None = None,
        *,
        pixel_values: torch.Tensor | None = None,
        image_indices: torch.Tensor | None = None,
        vision_features: torch.Tensor | None = None,
        query_features: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **others: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Check the arguments of `forward`, embed the prompts and place their images.

        Args:
            others: those that are checked only.

        Returns:
            The embeddings, (B, T, D), and the features of the distinct images, (I, Q, D) or None.

        Raises:
            TypeError, ValueError: as in `forward`. The message says if the processor seems to be that of another
                checkpoint.
        """
        images = images_given(pixel_values, vision_features, query_features, image_features)
        if image_indices is not None and not images:
            raise ValueError(f"`image_indices` came without images. Pass `{'` or `'.join(IMAGE_INPUTS)}`.")
        others |= {"input_ids": input_ids, "inputs_embeds": inputs_embeds, "image_indices": image_indices}
        self._check_inputs(interpolate_pos_encoding, **others, **images)
        if input_ids is None:
            if images or inputs_embeds is None:
                raise ValueError(
                    "`input_ids` is None, expected the prompts' ids, which say where images go. Build the inputs with "
                    "`MBlipProcessor`."
                )
            return self._take_part_without_images(inputs_embeds), None
        num_rows = next((each.shape[0] for each in images.values()), 0)
        is_image_BT = find_image_tokens(
            input_ids,
            num_slots=num_rows if image_indices is None else image_indices.numel(),
            rules=self._prompt_rules(),
            are_tokens_embedded=inputs_embeds is not None,
        )
        if inputs_embeds is None:
            # An image id may be outside the embedding table, so replace it before the lookup.
            inputs_embeds = self.get_input_embeddings()(input_ids.masked_fill(is_image_BT, 0)) * self.embedding_scale
        if pixel_values is not None:
            _, vision_features = self._run_tower(pixel_values, interpolate_pos_encoding)
        if vision_features is not None or query_features is not None:
            image_features = self._project(vision_features, query_features)
        if image_features is None:
            return self._take_part_without_images(inputs_embeds), None
        features_SQD = select_image_features(image_features, image_indices)
        return place_image_features(inputs_embeds, features_SQD, is_image_BT), image_features

    def _prompt_rules(self) -> PromptRules:
        return PromptRules(
            image_token_id=self.image_token_id,
            num_query_tokens=self.config.num_query_tokens,
            vocab_size=self.vocab_size,
            pad_token_id=self.config.pad_token_id,
            origin=self.config.name_or_path or "",
        )

    def _take_part_without_images(self, embeds_BTD: torch.Tensor) -> torch.Tensor:
        """In training, run the image side for a batch without images, and add exactly zero to the embeddings.

        Its gradients are then zero instead of missing: DistributedDataParallel waits for gradients from every rank.
        A frozen ViT runs only among several processes, which may have sharded it: FSDP waits for every rank at each
        layer. A model without its tower has no such layers.
        """
        vision = self.vision_model
        image_side = (vision, self.query_tokens, self.qformer, self.language_projection)
        trains = [any(parameter.requires_grad for parameter in part.parameters()) for part in image_side]
        if not (self.training and torch.is_grad_enabled() and any(trains)):
            return embeds_BTD
        is_alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        if trains[0] or not (is_alone or isinstance(vision, NoTower)):
            blank = embeds_BTD.new_zeros(1, 3, *image_size(self.config.vision_config))
            _, blank_IPE = self._run_tower(blank, interpolate_pos_encoding=False)
        else:
            blank_IPE = embeds_BTD.new_zeros(1, 1, self.config.qformer_config.encoder_hidden_size)
        blank_SQD = self._project(blank_IPE, None)
        return embeds_BTD + 0 * blank_SQD.sum().to(embeds_BTD.device, embeds_BTD.dtype)

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Shift the labels right and prepend the start token, (B, L), as the encoder-decoder language model does.

        Raises:
            ValueError: the language model is decoder-only, or names no start token.
        """
        if not self.config.is_encoder_decoder:
            raise ValueError(
                "A decoder-only language model takes no `decoder_input_ids`: its labels are aligned with `input_ids`."
            )
        if hasattr(self.language_model, "prepare_decoder_input_ids_from_labels"):
            return self.language_model.prepare_decoder_input_ids_from_labels(labels=labels)
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or pad is None:
            raise ValueError(
                f"`decoder_start_token_id` is {start} and `pad_token_id` {pad}, expected two ids: shifting labels "
                "needs both. Set them in `text_config`."
            )
        shifted = labels.new_full(labels.shape, start)
        shifted[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORE_INDEX, pad)
        return shifted

    def language_model_arguments(self, **arguments: Any) -> dict[str, Any]:
        """Turn the arguments of `forward` into those of the language model's `forward`."""
        labels = arguments.pop("labels")
        if self.config.is_encoder_decoder:
            for name in ("input_ids", "position_ids"):
                arguments.pop(name)
            if arguments["decoder_input_ids"] is None and labels is not None:
                arguments["decoder_input_ids"] = self.prepare_decoder_input_ids_from_labels(labels)
            if arguments["inputs_embeds"] is not None:
                # Move padding to the right: some encoders number positions from the first column.
                arguments["inputs_embeds"], arguments["attention_mask"] = move_padding(
                    arguments["inputs_embeds"], arguments["attention_mask"], side="right"
                )
        else:
            for name in ("decoder_input_ids", "decoder_attention_mask", "encoder_outputs"):
                arguments.pop(name)
            check_padding_in_front(self.language_model, arguments["attention_mask"])
            tokens = arguments["input_ids"] if arguments["inputs_embeds"] is None else arguments["inputs_embeds"]
            takes_positions = "position_ids" in argument_names(type(self.language_model))
            if arguments["position_ids"] is None and takes_positions:
                arguments["position_ids"] = position_ids_from_mask(
                    arguments["attention_mask"], tokens.shape[1], self.first_position
                )
        return known_arguments(type(self.language_model), arguments | {"return_dict": True})

    def forward_to_head(self, **inputs: Any) -> tuple[MBlipOutput, torch.Tensor]:
        """`forward` without logits, for callers that need only a few. They get these from `logits_from_states`.

        Args:
            inputs: the arguments of `forward`, without labels.

        Returns:
            The output, in which `logits` is None, and the hidden states before the head, (B, T, D).

        Raises:
            ValueError: `apply_tail` in label_loss.py does not know a step of this language model.
        """
        return self._run_to_head(self, inputs)

    def logits_from_states(self, states: torch.Tensor) -> torch.Tensor:
        """Turn hidden states of `forward_to_head` into logits, (..., D) -> (..., V)."""
        assert self.scaling_power is not None, "_run_to_head, which made the states, found it"
        return logits_of(self.language_model, self.scaling_power)(states)

    def _run_to_head(self, module: nn.Module, arguments: dict[str, Any]) -> tuple[Any, torch.Tensor]:
        """Run `module`, the language model or the whole model, up to the language model's head.

        The first run also probes the language model's tail. Returns what `forward_to_head` returns.
        """
        with stop_at_head(output_head(self.language_model), with_probe=self.scaling_power is None) as visit:
            outputs = module(**arguments)
        if visit.hidden_states is None:
            raise ValueError(
                f"{type(self.language_model).__name__} did not call the head that `get_output_embeddings()` names, so "
                "the chunked loss cannot stop there. Pass `skip_logits=False` to use the model's own logits."
            )
        if self.scaling_power is None:
            self.scaling_power = find_scaling_power(self.language_model, visit, outputs.logits)
        outputs.logits = None
        return outputs, visit.hidden_states

    def _loss_of_states(self, states_BLD: torch.Tensor, labels_BL: torch.Tensor) -> torch.Tensor:
        """The summed loss from hidden states. Logits are computed at label positions only."""
        states_BLD, labels_BL = self._align(states_BLD, labels_BL)
        is_label_BL = labels_BL != IGNORE_INDEX
        return label_loss_sum(
            states_BLD[is_label_BL],
            labels_BL[is_label_BL],
            self.logits_from_states,
            list(gathered_head(self.language_model).parameters()),
            self.vocab_size,
            self.config.label_smoothing,
        )

    def _align(self, states: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Align states (hidden states or logits) with their labels: in a decoder-only model, one position later."""
        labels = labels.to(states.device, torch.long)
        if states.shape[:2] != labels.shape:
            raise ValueError(
                f"`labels` has shape {tuple(labels.shape)}, expected {tuple(states.shape[:2])}. Align labels with "
                "`decoder_input_ids` (encoder-decoder) or with `input_ids`, image tokens included (decoder-only)."
            )
        return (states, labels) if self.config.is_encoder_decoder else (states[:, :-1], labels[:, 1:])

    def _mean_loss(
        self, total: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None
    ) -> torch.Tensor:
        """Divide the summed loss by `num_items_in_batch` or the number of labels. Without any label, it stays zero."""
        if num_items_in_batch is None:
            targets = labels if self.config.is_encoder_decoder else labels[:, 1:]
            num_items_in_batch = (targets != IGNORE_INDEX).sum().clamp(min=1)
        if torch.is_tensor(num_items_in_batch):
            num_items_in_batch = num_items_in_batch.to(total.device)
        return total / num_items_in_batch

    def get_output_embeddings(self) -> nn.Module | None:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """The tied weights that the configurations name, except those that differ in the checkpoint."""
        keys = super().get_expanded_tied_weights_keys(all_submodels=all_submodels)
        if not all_submodels:
            return keys
        return {target: source for target, source in keys.items() if target in self.all_tied_weights_keys}

    def tie_weights(self, missing_keys: set[str] | None = None, recompute_mapping: bool = True) -> None:
        """Tie the weights that are tied in the checkpoint.

        At loading (`missing_keys` is given), permanently untie two weights if the checkpoint holds both and they
        differ.
        """
        if missing_keys is not None:
            self._untie_what_differs(missing_keys)
        super().tie_weights(missing_keys=missing_keys, recompute_mapping=recompute_mapping)

    def _untie_what_differs(self, missing_keys: set[str]) -> None:
        for target, source in list(self.all_tied_weights_keys.items()):
            if target in missing_keys or source in missing_keys:
                continue
            target_weight, source_weight = self.get_parameter(target), self.get_parameter(source)
            if "meta" in (target_weight.device.type, source_weight.device.type):
                continue  # offloaded to disk: transformers leaves such pairs as they are
            if target_weight.shape != source_weight.shape or not torch.equal(target_weight, source_weight):
                logger.info(f"{target} and {source} differ in the checkpoint and stay two weights.")
                self.forget_tie(target)

    def forget_tie(self, target: str) -> None:
        """Remove a tied weight from the lists of this model and of the language model."""
        self.all_tied_weights_keys.pop(target)
        self.language_model.all_tied_weights_keys.pop(target.removeprefix("language_model."), None)

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Resize the language model's embeddings and head, as `PreTrainedModel.resize_token_embeddings`.

        An untied head stays untied. `config.image_token_id` does not change: the `<image>` token needs no embedding
        and may be outside the table.

        Raises:
            ValueError: the new table would contain the id of the `<image>` token, so a text token could get it.
        """
        is_resized = new_num_tokens is not None or pad_to_multiple_of is not None
        old_size, image_token_id = self.language_model.get_input_embeddings().weight.shape[0], self.image_token_id
        if is_resized and old_size <= image_token_id < (new_num_tokens or old_size):
            raise ValueError(
                f"A table of {new_num_tokens} instead of {old_size} tokens would give the id {image_token_id} of the "
                "`<image>` token to a text token. First set `image_token_id`, in the model's config and the "
                f"processor, to {new_num_tokens} or above."
            )
        # The language model's own method also resizes its tail. Keep it from tying untied weights.
        text_config = self.language_model.config
        says_tied = text_config.tie_word_embeddings
        text_config.tie_word_embeddings = False
        try:
            embeddings = self.language_model.resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        finally:
            text_config.tie_word_embeddings = says_tied
        if is_resized:
            self.config.text_config.get_text_config().vocab_size = embeddings.weight.shape[0]
            self.scaling_power = None
            self.tie_weights()
        return embeddings

    def enable_input_require_grads(self) -> None:
        """Make the language model's input require gradients, which gradient checkpointing over frozen layers needs.

        transformers' method hooks the embeddings of every part, so that autograd would go through the frozen ViT.
        """
        self.language_model.enable_input_require_grads()

    def disable_input_require_grads(self) -> None:
        self.language_model.disable_input_require_grads()
