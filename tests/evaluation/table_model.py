"""A model and processor that answer from a table of (prompt, image) -> text, and count what they are asked.

A prompt is one id behind one id 1 for each image; an image is its number; an answer is one id and the end, 2.
"""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image
from torch.nn.utils.rnn import pad_sequence

from mblip.evaluation import EvaluationExample

IMAGE, END, FIRST_TEXT = 1, 2, 10


class TableProcessor:
    """Knows every text and every image it has met by a number."""

    def __init__(self) -> None:
        self.tokenizer = SimpleNamespace(pad_token_id=0, chat_template=None, get_vocab=dict)
        self.texts: list[str] = []
        self.images: list[bytes] = []

    def text_id(self, text: str) -> int:
        if text not in self.texts:
            self.texts.append(text)
        return FIRST_TEXT + self.texts.index(text)

    def image_number(self, image: Image.Image) -> int:
        if image.tobytes() not in self.images:
            self.images.append(image.tobytes())
        return self.images.index(image.tobytes())

    def __call__(self, images: Any, **kwargs: Any) -> dict[str, torch.Tensor]:
        numbers = [self.image_number(image) for image in images]
        return {"pixel_values": torch.tensor(numbers, dtype=torch.float)[:, None, None, None]}

    def encode(
        self, texts: list[str], num_images: list[int], *, max_text_tokens: int | None = None
    ) -> list[list[int]]:
        return [[IMAGE] * count + [self.text_id(text)] for text, count in zip(texts, num_images, strict=True)]

    def pad(self, ids: list[list[int]], *, padding_side: str) -> dict[str, torch.Tensor]:
        rows = [torch.tensor(row) for row in ids]
        return {
            "input_ids": pad_sequence(rows, batch_first=True, padding_side=padding_side),
            "attention_mask": pad_sequence(
                list(map(torch.ones_like, rows)), batch_first=True, padding_side=padding_side
            ),
        }

    def batch_decode(self, sequences: torch.Tensor, skip_special_tokens: bool) -> list[str]:
        return ["".join(self.texts[i - FIRST_TEXT] for i in row if i >= FIRST_TEXT) for row in sequences.tolist()]


class TableModel(torch.nn.Module):
    """Looks the answer to (prompt, number of the image) up; "" where there is none."""

    device = torch.device("cpu")
    dtype = torch.float32

    def __init__(self, processor: TableProcessor, answers: Mapping[tuple[str, int], str]) -> None:
        super().__init__()
        self.config = SimpleNamespace(is_encoder_decoder=False, name_or_path="table")
        self.generation_config = SimpleNamespace(eos_token_id=END)
        self.processor, self.answers = processor, answers
        self.num_encoded: list[int] = []  # images of each call
        self.batch_sizes: list[int] = []  # prompts of each call

    def get_image_features(self, pixel_values: torch.Tensor) -> Any:
        self.num_encoded.append(len(pixel_values))
        return SimpleNamespace(pooler_output=pixel_values[:, :, :, 0])

    def generate(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        image_features: torch.Tensor,
        image_indices: torch.Tensor,
        **kwargs: Any,
    ) -> torch.Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        assert image_indices.unique().tolist() == list(range(len(image_features)))
        self.batch_sizes.append(len(input_ids))
        numbers = image_features[image_indices, 0, 0].long().tolist()
        prompts = [self.processor.texts[int(ids.max()) - FIRST_TEXT] for ids in input_ids]
        answers = [self.answers.get(pair, "") for pair in zip(prompts, numbers, strict=True)]
        return torch.tensor([[self.processor.text_id(answer), END] if answer else [END, END] for answer in answers])


def knows_all(examples: Sequence[EvaluationExample]) -> tuple[TableModel, TableProcessor]:
    """A model that gives the first reference of each example, if it is shown that example's image."""
    processor = TableProcessor()
    answers = {
        (example.prompt, processor.image_number(example.images[0])): example.references[0] for example in examples
    }
    return TableModel(processor, answers), processor


def example(number: int, *, language: str = "en", condition: str = "as_is", **changes: Any) -> EvaluationExample:
    """A question about an image of one grey level, answered by "answer NUMBER"."""
    arguments: dict[str, Any] = {
        "images": (Image.new("RGB", (2, 2), (number, number, number)),),
        "image_id": f"picture-{number}",
        "prompt": f"prompt in {language}",
        "references": (f"answer {number}",),
        "language": language,
        "condition": condition,
        "id": f"{number}/{language}",
    }
    return EvaluationExample(**arguments | changes)
