"""Word embeddings of the language model seen from the whole: access, tying, resizing, and gradients at its input.

Unusual: `MT5Config` says that head and embeddings are tied, whatever the checkpoint holds, but mT0's are two different
matrices. What is tied is therefore read off the weights once, at loading, and no later `tie_weights` or
`resize_token_embeddings` may change it.
"""

import torch
from torch import nn
from transformers.utils import logging

from .pretrained_mblip import MBlipPreTrainedModel

logger = logging.get_logger(__name__)


class LanguageModelEmbeddingsMixin(MBlipPreTrainedModel):
    """The language model's embeddings and head, seen from the whole."""

    scaling_power: int | None

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module | None:
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.language_model.set_output_embeddings(new_embeddings)

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """The ties that the configurations name, less those that the checkpoint did not bear out."""
        keys = super().get_expanded_tied_weights_keys(all_submodels=all_submodels)
        if not all_submodels:
            return keys
        return {target: source for target, source in keys.items() if target in self.all_tied_weights_keys}

    def tie_weights(self, missing_keys: set[str] | None = None, recompute_mapping: bool = True) -> None:
        """Tie what is tied in the checkpoint.

        At loading (`missing_keys` given), weights that came both and differ are untied for good.
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
        """Take one pair off the books, here and in the language model."""
        self.all_tied_weights_keys.pop(target)
        self.language_model.all_tied_weights_keys.pop(target.removeprefix("language_model."), None)

    @property
    def vocab_size(self) -> int:
        """The language model's number of words, under the name that transformers' models have for it."""
        return self.config.get_text_config().vocab_size

    def resize_token_embeddings(
        self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None, mean_resizing: bool = True
    ) -> nn.Embedding:
        """Resize the language model's embeddings and head, as `PreTrainedModel.resize_token_embeddings`; an untied
        head stays untied.

        Images need no new embedding: the `<image>` token may lie outside the table. `config.image_token_id` stays as
            it is.

        Raises:
            ValueError: the new table would reach the `<image>` token's id, so that text could be taken for an image.
        """
        is_resized = new_num_tokens is not None or pad_to_multiple_of is not None
        old_size, image_token_id = self.language_model.get_input_embeddings().weight.shape[0], self.image_token_id
        if is_resized and old_size <= image_token_id < (new_num_tokens or old_size):
            raise ValueError(
                f"A table of {new_num_tokens} words would hold the id {image_token_id} of the `<image>` token, which "
                f"stands outside the {old_size} words so far: a word added there would be taken for an image. Set "
                f"`config.image_token_id`, of model and processor, to {new_num_tokens} or above first."
            )
        embeddings = self._resize_language_model(new_num_tokens, pad_to_multiple_of, mean_resizing)
        if is_resized:
            self.config.text_config.get_text_config().vocab_size = embeddings.weight.shape[0]
            self.scaling_power = None
            self.tie_weights()
        return embeddings

    def _resize_language_model(
        self, new_num_tokens: int | None, pad_to_multiple_of: int | None, mean_resizing: bool
    ) -> nn.Embedding:
        """The language model's own method, which also resizes its tail, kept from tying what its config names."""
        text_config = self.language_model.config
        says_tied = text_config.tie_word_embeddings
        text_config.tie_word_embeddings = False
        try:
            return self.language_model.resize_token_embeddings(new_num_tokens, pad_to_multiple_of, mean_resizing)
        finally:
            text_config.tie_word_embeddings = says_tied

    def enable_input_require_grads(self) -> None:
        """Let gradients reach the language model's input (gradient checkpointing over frozen layers wants it), and
        nothing in front of it.

        transformers' own hooks the embeddings of every part, and autograd would walk back through the frozen ViT.
        """
        self.language_model.enable_input_require_grads()

    def disable_input_require_grads(self) -> None:
        self.language_model.disable_input_require_grads()
