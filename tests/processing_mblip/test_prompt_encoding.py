"""Prompts to ids: where images and special tokens stand, and what is cut."""

import pytest
from tiny_processor import IMG, make_tokenizer

from processing_mblip.prompt_encoding import PromptEncoder, split_at_marks

IMAGE = [IMG, IMG]


def encode(prompt: str, num_images: int, kind: str = "t5", truncation_side: str = "right", **kwargs) -> list[int]:
    tokenizer = make_tokenizer(kind, truncation_side=truncation_side)
    encoder = PromptEncoder(tokenizer, image_ids=IMAGE, **kwargs)
    return encoder.encode([split_at_marks(prompt)], [num_images])[0].input_ids


@pytest.mark.parametrize(
    ("prompt", "num_leading", "texts", "starts"),
    [
        ("w1", 0, ("w1",), (0,)),
        ("", 0, ("",), (0,)),
        ("<image>", 1, ("",), (7,)),
        ("<image>w1", 1, ("w1",), (7,)),
        ("<image>\n <image> w1 ", 2, ("w1 ",), (17,)),
        ("  <image>w1", 1, ("w1",), (9,)),
        ("w1 <image> w2", 0, ("w1 ", " w2"), (0, 10)),
        ("<image>w1<image><image>", 1, ("w1", "", ""), (7, 16, 23)),
        (r"w1 \<image> w2", 0, ("w1 <image> w2",), (0,)),
    ],
)
def test_a_prompt_is_cut_at_its_marks(prompt, num_leading, texts, starts):
    pieces = split_at_marks(prompt)
    assert (pieces.num_leading, pieces.texts, pieces.starts) == (num_leading, texts, starts)
    assert pieces.num_marks == prompt.replace(r"\<image>", "").count("<image>")


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("t5", [*IMAGE, 5, 6, 1]),
        ("bloom", [*IMAGE, 5, 6]),
        ("llama", [*IMAGE, 2, 5, 6]),
        ("bert", [*IMAGE, 2, 5, 6, 1]),
    ],
)
def test_images_stand_before_everything_the_tokenizer_writes(kind, ids):
    assert encode("w1 w2", 1, kind) == ids
    assert encode("<image> w1 w2", 1, kind) == ids
    assert encode("w1 w2", 0, kind) == ids[2:]


def test_images_stand_where_the_text_says():
    assert encode("w1 <image> w2 <image>", 2, "bert") == [2, 5, *IMAGE, 6, *IMAGE, 1]
    assert encode("<image> w1 <image> w2", 2, "bert") == [*IMAGE, 2, 5, *IMAGE, 6, 1]


def test_a_prompt_of_images_alone_keeps_the_special_tokens():
    assert encode("", 2) == [*IMAGE, *IMAGE, 1]
    assert encode("", 0, "llama") == [2]


def test_special_tokens_can_be_skipped():
    assert encode("w1 <image>", 1, "bert", add_special_tokens=False) == [5, *IMAGE]


@pytest.mark.parametrize(
    ("max_length", "ids"),
    [(9, [*IMAGE, 5, 6, 7, 8, 1]), (7, [*IMAGE, 5, 6, 7, 8, 1]), (5, [*IMAGE, 5, 6, 1]), (3, [*IMAGE, 1])],
)
def test_text_is_cut_and_images_and_special_tokens_are_not(max_length, ids):
    assert encode("w1 w2 w3 w4", 1, max_length=max_length) == ids


def test_images_inside_a_text_survive_cutting_from_either_side():
    prompt = "w1 w2 <image> w3 w4"
    assert encode(prompt, 1, max_length=6) == [5, 6, *IMAGE, 7, 1]
    assert encode(prompt, 1, max_length=4) == [5, *IMAGE, 1]
    assert encode(prompt, 1, max_length=6, truncation_side="left") == [6, *IMAGE, 7, 8, 1]
    assert encode(prompt, 1, max_length=4, truncation_side="left") == [*IMAGE, 8, 1]


def test_a_length_without_room_for_the_images_is_an_error():
    with pytest.raises(
        ValueError, match=r"`max_length=4` leaves no room in prompt 0: its 2 image\(s\) of 2 tokens .* take 5"
    ):
        encode("w1", 2, max_length=4)


def test_a_text_that_holds_the_image_token_itself_is_an_error():
    encoder = PromptEncoder(make_tokenizer(), image_ids=[7, 7])
    with pytest.raises(ValueError, match="text of prompt 1 holds the token 7, which stands for images"):
        encoder.encode([split_at_marks("w1"), split_at_marks("w3")], [1, 1])


def test_offsets_count_the_characters_of_the_prompt():
    encoder = PromptEncoder(make_tokenizer(), image_ids=IMAGE, with_offsets=True)
    prompt = "<image> w1 <image> w2"
    [encoded] = encoder.encode([split_at_marks(prompt)], [2])
    tokens = [prompt[start:end] for start, end in encoded.offsets]
    assert tokens == ["", "", "w1", "", "", "w2", ""]
