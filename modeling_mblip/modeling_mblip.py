"""mBLIP: image features of a ViT and a Q-Former, placed into the input of any language model of transformers.

`vision_model` and `qformer` are transformers' BLIP-2 modules, `language_model` is whatever `AutoModelForSeq2SeqLM` or
`AutoModelForCausalLM` builds from `config.text_config`; this file ties them. State-dict keys are BLIP-2's, so a BLIP-2
folder loads as it is. Unusual: every distinct image of a batch is encoded once and shown wherever `image_indices`
says; placing counts its tokens; in training, logits exist only where a label stands.

Shape suffixes: B = prompts, T = prompt tokens, L = target tokens, I = distinct images, P = patches and class token, S
= image slots in reading order, Q = query tokens per image, D = width of the language model, V = vocabulary.
"""

import torch
from torch import nn
from transformers import Blip2QFormerModel, Blip2VisionModel
from transformers.cache_utils import Cache
from transformers.modeling_outputs import BaseModelOutput
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs, can_return_tuple

from .configuration_mblip import MBlipConfig
from .embedding_ties import LanguageModelEmbeddingsMixin
from .generation_mblip import MBlipGenerationMixin
from .image_input import ImageInputMixin
from .language_model_run import LanguageModelRunMixin
from .language_models import (
    check_language_model,
    check_training_precision,
    embedding_scale,
    first_position,
    holds_prompt,
    takes_cache,
    text_model_class,
)
from .loading_mblip import LoadingMixin
from .output_mblip import MBlipOutput, flatten_output
from .pretrained_mblip import MBlipPreTrainedModel as MBlipPreTrainedModel
from .query_tokens import QueryTokens


class MBlipForConditionalGeneration(
    LoadingMixin, ImageInputMixin, LanguageModelEmbeddingsMixin, LanguageModelRunMixin, MBlipGenerationMixin
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
        language_model = text_model_class(config.text_config).from_config(config.text_config)
        check_language_model(language_model)
        # Asked of the embeddings themselves: some language models embed in another width than they think in.
        width = language_model.get_input_embeddings().weight.shape[1]
        self.language_projection = nn.Linear(config.qformer_config.hidden_size, width)
        self.language_model = language_model
        self.scaling_power: int | None = None  # found at the first loss without logits
        self.embedding_scale = embedding_scale(language_model)
        self.first_position = first_position(self.language_model)
        self.post_init()

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """The language model's encoder; with `modality="image"` the ViT."""
        return self.language_model.get_encoder() if modality is None else super().get_encoder(modality=modality)

    def _get_name(self) -> str:
        """The class name; a decoder-only language model lends its own.

        Trainer asks it for label smoothing: it shifts labels for the causal language models that transformers names.
        """
        return super()._get_name() if self.config.is_encoder_decoder else type(self.language_model).__name__

    @can_return_tuple
    @takes_cache
    def forward(  # type: ignore[misc]  # two of these are names of TransformersKwargs as well
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_indices: torch.Tensor | None = None,
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
            cache: the language model's, which holds the prompt already. Before transformers 5.24 its name in
                signature and output is `past_key_values`, as for all its models; `cache` is taken and given, too.
            labels: (B, L) for an encoder-decoder, (B, T) aligned with `input_ids` for a decoder-only model; -100 where
                none stands.
            num_items_in_batch: what the summed loss is divided by (Trainer gives the labels of all accumulated
                batches); None: the labels here.
            skip_logits: make no logits, only the loss. None: skip them in training mode with labels.

        Raises:
            ValueError: images, `image_indices` and `<image>` tokens do not agree; logits are skipped without labels;
                the language model ends in a step that the chunked loss does not know, or cannot be trained in fp16.
        """
        if self.training and torch.is_grad_enabled():
            check_training_precision(self.language_model)
        features = None
        if encoder_outputs is None and not holds_prompt(cache):
            inputs_embeds, features = self.place_images(
                input_ids,
                inputs_embeds,
                pixel_values=pixel_values,
                image_indices=image_indices,
                image_features=image_features,
                interpolate_pos_encoding=interpolate_pos_encoding,
            )
            input_ids = None
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
        if labels is None and skip_logits:
            raise ValueError("`skip_logits=True` came in without `labels`: neither logits nor a loss would be made.")
        total: torch.Tensor | None
        if labels is not None and (self.training if skip_logits is None else skip_logits):
            outputs, total = self.run_to_head(arguments | {"use_cache": False}, labels)
        else:
            outputs, total = self.run_language_model(arguments, labels)
        loss = None if total is None or labels is None else self.mean_loss(total, labels, num_items_in_batch)
        return flatten_output(outputs, loss=loss, image_hidden_states=features)
