"""Text from images and prompts: transformers' `generate` on this model's own forward.

Images are encoded and placed once, before decoding starts. An encoder-decoder then decodes from its encoder's output,
a decoder-only language model from the embeddings of its prompt. Both return new tokens only. As in transformers, the
logits processors of a decoder-only model also see the prompt's tokens. If the `<image>` id lies outside the
vocabulary, we show them another token of the same prompt: an id without a logit would crash or corrupt them.

Shape suffixes: B = prompts, T = prompt tokens, D = width of the language model.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, GenerationMixin
from transformers.cache_utils import Cache, EncoderDecoderCache
from transformers.generation.streamers import BaseStreamer
from transformers.generation.utils import GenerateOutput
from transformers.masking_utils import create_masks_for_generate
from transformers.utils import ModelOutput

from .language_models import (
    CACHE_NAME,
    check_cache,
    check_padding_in_front,
    counts_tokens,
    move_padding,
    pop_cache,
    rename_cache,
)

if TYPE_CHECKING:  # modeling_mblip.py imports this file, so at run time the mixin cannot import its base class
    from .modeling_mblip import MBlipPreTrainedModel
else:
    MBlipPreTrainedModel = object

# Generation modes of transformers that need a prompt's tokens. Images have none.
REFUSED_MODES = {
    "assistant_model": "an assistant model cannot see the images (`prompt_lookup_num_tokens` needs no assistant)",
    "assistant_early_exit": "an assistant model cannot see the images (`prompt_lookup_num_tokens` needs no assistant)",
    "token_healing": "it rewrites the end of the prompt, which is already embedded",
    "prefill_chunk_size": "a prompt with images cannot be split into chunks",
}


class MBlipGenerationMixin(GenerationMixin, MBlipPreTrainedModel):
    """`generate`, for prompts with images."""

    place_images: Callable[..., tuple[torch.Tensor, torch.Tensor | None]]  # MBlipForConditionalGeneration's

    @torch.no_grad()
    def generate(  # type: ignore[override]  # the model's own inputs come first, each as a named argument
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_indices: torch.Tensor | None = None,
        vision_features: torch.Tensor | None = None,
        query_features: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        interpolate_pos_encoding: bool = False,
        **kwargs: Any,
    ) -> GenerateOutput | torch.Tensor:
        """Continue or answer the prompts. Takes what `forward` takes and any argument of transformers' `generate`.

        Args:
            input_ids: (B, T), the prompts with their `<image>` tokens, padded on either side.
            pixel_values: (I, 3, H, W), every distinct image once, or features instead of it, as in `forward`.
            image_indices: (S,), for each image slot the row it shows; None: slot s shows row s.
            attention_mask: (B, T), 1 at tokens, 0 at padding; None: no padding.
            inputs_embeds: (B, T, D), instead of the embeddings of `input_ids`.

        Returns:
            New tokens only, (B x num_return_sequences, new tokens). For an encoder-decoder they begin with its start
            token. With `return_dict_in_generate=True`, a `ModelOutput`.

        Raises:
            TypeError: an input is not a tensor of the right dtype.
            ValueError: shapes or values are wrong; images and `<image>` tokens do not match; there is no prompt; or
                you ask for a generation mode that does not work with images (see `REFUSED_MODES`).
        """
        self._check_generation_mode(kwargs)
        kwargs.pop("labels", None)  # Seq2SeqTrainer passes the whole batch
        rename_cache(kwargs, "cache", CACHE_NAME)  # `forward` accepts `cache` under any release, so we do, too
        if kwargs.get("encoder_outputs") is not None:
            return self._generate(attention_mask=attention_mask, **kwargs)
        embeds_BTD, _ = self.place_images(
            input_ids,
            inputs_embeds,
            pixel_values=pixel_values,
            image_indices=image_indices,
            vision_features=vision_features,
            query_features=query_features,
            image_features=image_features,
            interpolate_pos_encoding=interpolate_pos_encoding,
            attention_mask=attention_mask,
            decoder_input_ids=kwargs.get("decoder_input_ids"),
        )
        tokens_BT = None if input_ids is None else self._tokens_for_processors(input_ids, attention_mask)
        if self.config.is_encoder_decoder:
            embeds_BTD, attention_mask = move_padding(embeds_BTD, attention_mask, side="right")
            kwargs["encoder_outputs"] = self._encode(embeds_BTD, attention_mask, kwargs)
            return self._generate(input_ids=tokens_BT, attention_mask=attention_mask, **kwargs)
        return self._continue_prompts(tokens_BT, embeds_BTD, attention_mask, kwargs)

    def _check_generation_mode(self, kwargs: dict[str, Any]) -> None:
        """Refuse generation modes that do not work here, in the arguments and in the generation config."""
        wanted = vars(kwargs.get("generation_config") or self.generation_config) | kwargs
        name_of_model = type(self.language_model).__name__
        refused = dict(REFUSED_MODES)
        if self.config.is_encoder_decoder and wanted.get("guidance_scale") != 1:
            refused["guidance_scale"] = (
                f"transformers' guidance runs the decoder of {name_of_model} without its encoder"
            )
        if self.language_model._is_stateful:
            refused["prompt_lookup_num_tokens"] = (
                f"{name_of_model} cannot undo a wrong guess, because its layers keep a state"
            )
        for name, why in refused.items():
            if wanted.get(name):
                raise ValueError(f"`{name}` is set, but {why}. Leave it out.")

    def _continue_prompts(
        self,
        tokens_BT: torch.Tensor | None,
        embeds_BTD: torch.Tensor,
        attention_mask: torch.Tensor | None,
        kwargs: dict[str, Any],
    ) -> GenerateOutput | torch.Tensor:
        """Continue the prompts with a decoder-only language model, and return the new tokens alone."""
        check_cache(type(self.language_model))
        embeds_BTD, moved_mask = move_padding(embeds_BTD, attention_mask, side="left")
        check_padding_in_front(self.language_model, moved_mask)
        if tokens_BT is None:
            return self._generate(inputs_embeds=embeds_BTD, attention_mask=moved_mask, **kwargs)
        tokens_BT, _ = move_padding(tokens_BT, attention_mask, side="left")
        if kwargs.get("streamer") is not None:
            kwargs["streamer"] = _WithoutPrompt(kwargs["streamer"])
        output = self._generate(input_ids=tokens_BT, inputs_embeds=embeds_BTD, attention_mask=moved_mask, **kwargs)
        num_prompt_tokens = tokens_BT.shape[1]
        if torch.is_tensor(output):
            return output[:, num_prompt_tokens:]
        output.sequences = output.sequences[:, num_prompt_tokens:]
        return output

    def _generate(self, **kwargs: Any) -> Any:
        return super().generate(**kwargs)  # type: ignore[misc]  # transformers types its `self` as a protocol

    def _encode(
        self, embeds_BTD: torch.Tensor, attention_mask: torch.Tensor | None, kwargs: dict[str, Any]
    ) -> ModelOutput:
        """The encoder's output for the embedded prompts, computed once for all beams and steps."""
        settings = vars(kwargs.get("generation_config") or self.generation_config) | kwargs
        return self.get_encoder()(
            input_ids=None,  # FSMT's encoder has no default for it
            inputs_embeds=embeds_BTD,
            attention_mask=attention_mask,
            return_dict=True,
            **{name: True for name in ("output_attentions", "output_hidden_states") if settings[name]},
        )

    def _tokens_for_processors(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None) -> torch.Tensor:
        """The prompts with every `<image>` id replaced by the prompt's first token, so that each id has a logit.

        That token is in the prompt already, so the set of the prompt's tokens does not change. As in transformers, an
        `<image>` id inside the vocabulary stays.
        """
        if self.image_token_id < self.vocab_size:
            return input_ids
        is_image_BT = input_ids.eq(self.image_token_id)
        is_text_BT = ~is_image_BT if attention_mask is None else ~is_image_BT & attention_mask.bool()
        first_B1 = input_ids.gather(1, is_text_BT.long().argmax(dim=1, keepdim=True))
        # A prompt of images alone has no text token. Use the padding id, which no text contains.
        first_B1 = first_B1.masked_fill(first_B1.eq(self.image_token_id), self.generation_config.pad_token_id or 0)
        return torch.where(is_image_BT, first_B1, input_ids)

    def prepare_inputs_for_generation(  # type: ignore[override]  # transformers asks this signature for inputs_embeds
        self,
        input_ids: torch.Tensor,
        inputs_embeds: torch.Tensor | None = None,
        is_first_iteration: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Prepare the inputs of one decoding step.

        Prompt lookup appends guessed tokens to the prompt. We embed them together with the prompt: transformers would
        leave them out of the first step and use the prompt's last logits in place of theirs.
        """
        if inputs_embeds is not None and is_first_iteration and input_ids.shape[1] > inputs_embeds.shape[1]:
            guesses = self.get_input_embeddings()(input_ids[:, inputs_embeds.shape[1] :]) * self.embedding_scale
            inputs_embeds = torch.cat([inputs_embeds, guesses.to(inputs_embeds)], dim=1)
        return super().prepare_inputs_for_generation(  # type: ignore[misc]
            input_ids,  # type: ignore[arg-type]
            inputs_embeds=inputs_embeds,
            is_first_iteration=is_first_iteration,
            **kwargs,
        )

    def _prepare_position_ids_for_generation(
        self, inputs_tensor: torch.Tensor, model_kwargs: dict[str, Any]
    ) -> torch.Tensor:
        return super()._prepare_position_ids_for_generation(inputs_tensor, model_kwargs) + self.first_position

    def _supports_default_dynamic_cache(self) -> bool:  # type: ignore[override]  # a class method there
        """What the language model says: some language models make their own cache."""
        return self.language_model._supports_default_dynamic_cache()

    def _prepare_cache_for_generation(  # type: ignore[override]  # further arguments are passed on unchanged
        self, generation_config: GenerationConfig, model_kwargs: dict[str, Any], *args: Any
    ) -> None:
        """Let the language model prepare its own cache (T5Gemma, for example, needs a special class).

        transformers' generation asks a cache for its number of tokens. The cache of a purely recurrent model does not
        count them, so we drop it; the language model makes the same cache again when it reads the prompt.
        """
        self.language_model._prepare_cache_for_generation(generation_config, model_kwargs, *args)
        cache = pop_cache(model_kwargs)
        if cache is not None and counts_tokens(cache):
            model_kwargs[CACHE_NAME] = cache

    @staticmethod
    def _reorder_cache(cache: Cache, beam_idx: torch.LongTensor) -> Cache:
        """Reorder the beams' keys and values. Those of the encoder's output are the same for all beams of a prompt."""
        own = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
        own.reorder_cache(beam_idx)
        return cache

    def create_masks_for_generate(self, config: Any = None, **kwargs: Any) -> Any:
        """Make masks for a compilable cache in the language model's own way (BLOOM keeps 2D masks for ALiBi)."""
        create = getattr(self.language_model, "create_masks_for_generate", create_masks_for_generate)
        return create(config=self.language_model.config, **kwargs)


class _WithoutPrompt(BaseStreamer):
    """A streamer that shows an empty prompt, because ours holds replacements for the `<image>` tokens."""

    def __init__(self, streamer: BaseStreamer) -> None:
        self.streamer = streamer
        self.is_prompt_next = True

    def put(self, value: torch.Tensor) -> None:
        self.streamer.put(value[..., :0] if self.is_prompt_next else value)
        self.is_prompt_next = False

    def end(self) -> None:
        self.streamer.end()
        self.is_prompt_next = True
