"""mBLIP: image features of a ViT and a Q-Former, placed into the input of any language model of transformers.

`vision_model` and `qformer` are transformers' BLIP-2 modules, `language_model` is whatever `AutoModelForSeq2SeqLM` or
`AutoModelForCausalLM` builds from `config.text_config`; this file ties them. State-dict keys are BLIP-2's, so a BLIP-2
folder loads as it is. Unusual: every distinct image of a batch is encoded once and shown wherever `image_indices`
says; placing counts its tokens; in training, logits exist only where a label stands.

Shape suffixes: B = prompts, T = prompt tokens, L = target tokens, I = distinct images, P = patches and class token, S
= image slots in reading order, Q = query tokens per image, D = width of the language model, V = vocabulary.
"""

import os
from typing import Any

import torch
from torch import nn
from transformers import Blip2QFormerModel, Blip2VisionModel, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.processing_utils import Unpack
from transformers.utils import ModelOutput, TransformersKwargs, can_return_tuple

from .blip2_checkpoints import Projection, marry, parents_to_marry, text_model_class
from .configuration_mblip import LOCATION_ARGUMENTS, MBlipConfig
from .embedding_ties import LanguageModelEmbeddingsMixin
from .generation_mblip import MBlipGenerationMixin
from .image_input import ImageInputMixin
from .label_loss import IGNORE_INDEX, label_loss_sum, logits_loss_sum
from .language_model_inputs import (
    argument_names,
    has_position_table,
    known_arguments,
    move_padding,
    position_ids_from_mask,
)
from .output_head import check_tail, check_visit, logits_of, output_head, stop_at_head
from .output_mblip import MBlipOutput, flatten_output
from .query_tokens import QueryTokens


class MBlipPreTrainedModel(PreTrainedModel):
    """What transformers must know of the model: names, capabilities, initial weights, and what stays in fp32."""

    config: MBlipConfig
    config_class = MBlipConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    accepts_loss_kwargs = True
    supports_gradient_checkpointing = True
    _no_split_modules = ["Blip2EncoderLayer", "Blip2QFormerLayer", "Blip2VisionEmbeddings"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values"]  # noqa: RUF012
    _keep_in_fp32_modules_strict = ["query_tokens", "qformer", "language_projection"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, QueryTokens):
            init.normal_(module.weight, mean=0.0, std=self.config.initializer_range)


class MBlipForConditionalGeneration(
    ImageInputMixin, LanguageModelEmbeddingsMixin, MBlipPreTrainedModel, MBlipGenerationMixin
):
    """Text from images and a prompt, with an encoder-decoder or a decoder-only language model.

    Load a checkpoint with `from_pretrained` (mBLIP's or BLIP-2's layout), or make a model of two parents with
    `from_blip2_pretrained`.
    """

    def __init__(self, config: MBlipConfig) -> None:
        super().__init__(config)
        self.vision_model = Blip2VisionModel._from_config(config.vision_config)
        self.query_tokens = QueryTokens(config.num_query_tokens, config.qformer_config.hidden_size)
        self.qformer = Blip2QFormerModel._from_config(config.qformer_config)
        self.language_projection = nn.Linear(config.qformer_config.hidden_size, embedding_width(config))
        self.language_model = text_model_class(config.text_config).from_config(config.text_config)
        self.is_tail_checked = False
        self.counts_positions_itself = has_position_table(self.language_model)
        self.post_init()

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike, *model_args: Any, **kwargs: Any
    ) -> "MBlipForConditionalGeneration":
        """Load a checkpoint of mBLIP's or BLIP-2's layout, as `PreTrainedModel.from_pretrained`.

        A folder without weights, whose configuration names two `parents`, is loaded by marrying them again (see
        `save_marriage`).
        """
        location = {name: kwargs[name] for name in LOCATION_ARGUMENTS if kwargs.get(name) is not None}
        parents = parents_to_marry(pretrained_model_name_or_path, **location)
        if parents is None:
            return super().from_pretrained(pretrained_model_name_or_path, *model_args, **kwargs)
        kwargs.pop("revision", None)
        model = cls.from_blip2_pretrained(**parents, **kwargs)
        model.name_or_path = model.config.name_or_path = os.fspath(pretrained_model_name_or_path)
        return model

    @classmethod
    def from_blip2_pretrained(
        cls,
        blip2: str | os.PathLike,
        language_model: str | os.PathLike,
        *,
        projection: Projection = "random",
        quantization_config: Any = None,
        dtype: torch.dtype | str | None = None,
        blip2_revision: str | None = None,
        language_model_revision: str | None = None,
        **loading: Any,
    ) -> "MBlipForConditionalGeneration":
        """Marry the image side of a BLIP-2 to a language model of its own.

        Args:
            blip2: a checkpoint of BLIP-2's layout. Only the shards with its ViT, Q-Former, query tokens and projection
                are opened.
            language_model: any sequence-to-sequence or causal language model of transformers.
            projection: "random", or "blip2" to keep the BLIP-2's, which wants a language model as wide as its own.
            quantization_config: concerns the language model alone, its head spared.
            dtype: of ViT and language model; None: as the language model's checkpoint has it. Query tokens, Q-Former
                and projection are fp32.
            loading: further arguments of `from_pretrained` for the language model, such as `device_map` or
                `attn_implementation`.

        Raises:
            ValueError: the BLIP-2 lacks weights, or the projection does not fit.
        """
        return marry(
            cls,
            blip2,
            language_model,
            projection=projection,
            quantization_config=quantization_config,
            dtype=dtype,
            blip2_revision=blip2_revision,
            language_model_revision=language_model_revision,
            **loading,
        )

    def save_marriage(self, save_directory: str | os.PathLike) -> None:
        """Write a folder without weights that `from_pretrained` loads by marrying the same parents: a base for
        adapters.

        A random projection comes out otherwise each time, so the adapter must hold the projection, as
        `modules_to_save` does.

        Raises:
            ValueError: this model was not made by `from_blip2_pretrained`.
        """
        if self.config.parents is None:
            raise ValueError(
                "This model names no parents: it was not made by `from_blip2_pretrained`. Use `save_pretrained`."
            )
        self.config.save_pretrained(save_directory)
        self.generation_config.save_pretrained(save_directory)

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """The language model's encoder; with `modality="image"` the ViT."""
        return self.language_model.get_encoder() if modality is None else super().get_encoder(modality=modality)

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        """Labels shifted right behind the start token, (B, L), as the encoder-decoder language model does it.

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
                f"decoder_start_token_id is {start} and pad_token_id {pad}: both are needed to shift labels right. "
                "Set them in the text_config."
            )
        shifted = labels.new_full(labels.shape, start)
        shifted[:, 1:] = labels[:, :-1].masked_fill(labels[:, :-1] == IGNORE_INDEX, pad)
        return shifted

    def _get_name(self) -> str:
        """The class name; a decoder-only language model lends its own.

        Trainer asks it for label smoothing: it shifts labels for the causal language models that transformers names.
        """
        return super()._get_name() if self.config.is_encoder_decoder else type(self.language_model).__name__

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        pixel_values: torch.FloatTensor | None = None,
        image_indices: torch.LongTensor | None = None,
        image_features: torch.FloatTensor | None = None,
        attention_mask: torch.LongTensor | None = None,
        position_ids: torch.LongTensor | None = None,
        inputs_embeds: torch.FloatTensor | None = None,
        decoder_input_ids: torch.LongTensor | None = None,
        decoder_attention_mask: torch.LongTensor | None = None,
        encoder_outputs: BaseModelOutput | None = None,
        past_key_values: Any = None,
        labels: torch.LongTensor | None = None,
        num_items_in_batch: torch.Tensor | int | None = None,
        skip_logits: bool | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        interpolate_pos_encoding: bool = False,
        **kwargs: Unpack[TransformersKwargs],
    ) -> MBlipOutput:
        """Run the model, with a loss where labels are given.

        Args:
            input_ids: (B, T), prompts that hold `num_query_tokens` `<image>` tokens for each of their 0, 1, 2 ...
                images. First, because a Trainer that dispatches batches takes their size from it.
            pixel_values: (I, 3, H, W), every distinct image of the batch once.
            image_indices: (S,), for each image slot of the batch in reading order the row of `pixel_values` or
                `image_features` it shows. None: slot s shows row s. Every row must be shown.
            image_features: (I, Q, D), instead of `pixel_values`: `get_image_features(pixel_values).pooler_output`.
            attention_mask: (B, T), 1 where a prompt's token stands and 0 at padding, on either side.
            position_ids: (B, T); None: counted from the mask, where the language model takes them, so that padding
                never moves a result.
            inputs_embeds: (B, T, D), instead of the embeddings of `input_ids`; with images, `input_ids` still says
                where they stand.
            decoder_input_ids: (B, L), encoder-decoder only; None: the labels shifted right.
            encoder_outputs: the encoder's output over placed prompts, instead of prompts and images.
            labels: (B, L) for an encoder-decoder, (B, T) aligned with `input_ids` for a decoder-only model; -100 where
                none stands.
            num_items_in_batch: what the summed loss is divided by (Trainer gives the labels of all accumulated
                batches); None: the labels here.
            skip_logits: make no logits, only the loss. None: skip them in training mode with labels.

        Raises:
            ValueError: images, `image_indices` and `<image>` tokens do not agree; logits are skipped without labels;
                the language model ends in a step that the chunked loss does not know.
        """
        features = None
        if encoder_outputs is None and not _continues(past_key_values):
            inputs_embeds, features = self.place_images(
                input_ids,
                inputs_embeds,
                pixel_values=pixel_values,
                image_indices=image_indices,
                image_features=image_features,
                interpolate_pos_encoding=interpolate_pos_encoding,
            )
            input_ids = None
        is_skipping = skip_logits if skip_logits is not None else self.training and labels is not None
        if is_skipping and labels is None:
            raise ValueError("`skip_logits=True` came in without `labels`: neither logits nor a loss would be made.")
        arguments = self._language_model_arguments(
            input_ids=input_ids,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            decoder_input_ids=decoder_input_ids,
            decoder_attention_mask=decoder_attention_mask,
            encoder_outputs=encoder_outputs,
            past_key_values=past_key_values,
            use_cache=False if is_skipping else use_cache,
            logits_to_keep=logits_to_keep if torch.is_tensor(logits_to_keep) or logits_to_keep else None,
            labels=labels,
            **kwargs,
        )
        total = None
        if is_skipping:
            outputs, hidden_BTD = self._run_to_head(arguments)
            total = self._label_loss_sum(hidden_BTD, labels)
        else:
            outputs = self.language_model(**arguments)
            if labels is not None:
                total = logits_loss_sum(*self._align(outputs.logits, labels))
        return flatten_output(
            outputs,
            loss=None if total is None else total / self._num_items(labels, num_items_in_batch, total.device),
            logits=None if is_skipping else outputs.logits,
            image_hidden_states=features,
        )

    def _language_model_arguments(self, **arguments: Any) -> dict[str, Any]:
        """Turn the model's arguments into its language model's."""
        labels = arguments.pop("labels")
        if self.config.is_encoder_decoder:
            for name in ("input_ids", "position_ids"):
                arguments.pop(name)
            if arguments["decoder_input_ids"] is None and labels is not None:
                arguments["decoder_input_ids"] = self.prepare_decoder_input_ids_from_labels(labels)
            if arguments["inputs_embeds"] is not None:
                arguments["inputs_embeds"], arguments["attention_mask"] = self.arrange_encoder_padding(
                    arguments["inputs_embeds"], arguments["attention_mask"]
                )
        else:
            for name in ("decoder_input_ids", "decoder_attention_mask", "encoder_outputs"):
                arguments.pop(name)
            tokens = arguments["input_ids"] if arguments["inputs_embeds"] is None else arguments["inputs_embeds"]
            if arguments["position_ids"] is None:
                arguments["position_ids"] = self._position_ids(arguments["attention_mask"], tokens.shape[1])
        return known_arguments(type(self.language_model), arguments | {"return_dict": True})

    def arrange_encoder_padding(
        self, embeds_BTD: torch.Tensor, attention_mask: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Padding behind the prompts, where the encoder numbers its columns from the first on."""
        if not self.counts_positions_itself:
            return embeds_BTD, attention_mask
        return move_padding(embeds_BTD, attention_mask, side="right")

    def _position_ids(self, attention_mask: torch.Tensor | None, num_tokens: int) -> torch.Tensor | None:
        """Positions of a decoder-only language model's tokens, or None where it needs none."""
        if "position_ids" in argument_names(type(self.language_model)):
            return position_ids_from_mask(attention_mask, num_tokens)
        is_padded_in_front = attention_mask is not None and attention_mask.ndim == 2 and not attention_mask[:, 0].all()
        if self.counts_positions_itself and is_padded_in_front:
            raise ValueError(
                f"Prompts are padded on the left, but {type(self.language_model).__name__} takes no `position_ids` and "
                "counts padding as words. Pad on the right to train, and generate for one prompt at a time."
            )
        return None

    def _run_to_head(self, arguments: dict[str, Any]) -> tuple[ModelOutput, torch.Tensor]:
        """The language model's output without logits, and its hidden states before the head, (B, T or L, D)."""
        is_probing = not self.is_tail_checked
        with stop_at_head(output_head(self.language_model), with_probe=is_probing) as visit:
            outputs = self.language_model(**arguments)
        hidden_BTD = check_visit(self.language_model, visit)
        if is_probing:
            check_tail(self.language_model, visit, outputs.logits)
            self.is_tail_checked = True
        return outputs, hidden_BTD

    def _label_loss_sum(self, hidden_BTD: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        hidden_BLD, labels_BL = self._align(hidden_BTD, labels)
        is_label_BL = labels_BL != IGNORE_INDEX
        head = output_head(self.language_model)
        return label_loss_sum(
            hidden_BLD[is_label_BL],
            labels_BL[is_label_BL],
            logits_of(self.language_model),
            list(head.parameters()),
            self.config.text_config.get_text_config().vocab_size,
        )

    def _align(self, states: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """States (hidden or logits) and the labels they predict: a decoder-only model's stand one position later.

        Raises:
            ValueError: there is not one label per state.
        """
        labels = labels.to(states.device)
        if states.shape[:2] != labels.shape:
            raise ValueError(
                f"`labels` has shape {tuple(labels.shape)}, but the language model looked at "
                f"{tuple(states.shape[:2])} positions. Labels are aligned with `decoder_input_ids` (encoder-decoder) "
                "or with `input_ids`, image tokens included (decoder-only)."
            )
        return (states, labels) if self.config.is_encoder_decoder else (states[:, :-1], labels[:, 1:])

    def _num_items(self, labels: torch.Tensor, given: torch.Tensor | int | None, device: torch.device) -> Any:
        """What the summed loss is divided by; a batch without any label has a loss of zero."""
        if given is not None:
            return given.to(device) if torch.is_tensor(given) else given
        targets = labels if self.config.is_encoder_decoder else labels[:, 1:]
        return (targets != IGNORE_INDEX).sum().clamp(min=1).to(device)


def _continues(past_key_values: Any) -> bool:
    """Whether the prompt is in the cache already: what comes in then is new text, in which no image can stand."""
    return past_key_values is not None and past_key_values.get_seq_length() > 0


def embedding_width(config: MBlipConfig) -> int:
    """Width of the language model's input embeddings (OPT-350M's differs from its hidden size)."""
    text_config = config.text_config.get_text_config()
    return getattr(text_config, "word_embed_proj_dim", text_config.hidden_size)
