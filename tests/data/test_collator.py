"""The collator with the true processor: every tensor of a batch, literally."""

import io
import itertools
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from tiny_inputs import (
    ANSWER,
    BLUE,
    CAT,
    DECODER_ONLY,
    DOG,
    ENCODER_DECODER,
    EOS,
    IMAGE,
    IS,
    PAD,
    RED,
    THIS,
    UNK,
    WHAT,
    A,
    row,
    tiny_processor,
)

from mblip.data.augmentation import Augmentation
from mblip.data.collator import IGNORED, GenerationCollator, MBlipCollator, choose_prompts


def encoder_decoder_collator(**kwargs):
    processor = tiny_processor(is_encoder_decoder=True)
    return MBlipCollator(processor, ENCODER_DECODER, **kwargs)


def decoder_only_collator(**kwargs):
    return MBlipCollator(tiny_processor(is_encoder_decoder=False), DECODER_ONLY, **kwargs)


TWO_PROMPTS = row(prompts=("what is this", "this is"), targets=("a red dog", "cat"))


def test_an_encoder_decoder_gets_prompts_labels_and_the_labels_shifted_right():
    batch = encoder_decoder_collator()([TWO_PROMPTS])
    assert batch["input_ids"].tolist() == [
        [IMAGE, IMAGE, WHAT, IS, THIS, EOS],
        [IMAGE, IMAGE, THIS, IS, EOS, PAD],
    ]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0]]
    assert batch["labels"].tolist() == [[A, RED, DOG, EOS], [CAT, EOS, IGNORED, IGNORED]]
    assert batch["decoder_input_ids"].tolist() == [[PAD, A, RED, DOG], [PAD, CAT, EOS, PAD]]
    assert batch["image_indices"].tolist() == [0, 0]
    assert batch["pixel_values"].shape == (1, 3, 28, 28)
    assert next(iter(batch)) == "input_ids"


def test_a_decoder_only_model_gets_prompt_and_target_in_one_sequence_with_the_prompt_masked():
    batch = decoder_only_collator()([TWO_PROMPTS])
    assert batch["input_ids"].tolist() == [
        [IMAGE, IMAGE, WHAT, IS, THIS, A, RED, DOG, EOS],
        [IMAGE, IMAGE, THIS, IS, CAT, EOS, PAD, PAD, PAD],
    ]
    assert batch["attention_mask"].tolist() == [[1] * 9, [1] * 6 + [0] * 3]
    assert batch["labels"].tolist() == [
        [IGNORED] * 5 + [A, RED, DOG, EOS],
        [IGNORED] * 4 + [CAT, EOS] + [IGNORED] * 3,
    ]
    assert "decoder_input_ids" not in batch


def test_generation_inputs_of_a_decoder_only_model_end_where_the_answer_begins():
    collator = GenerationCollator(tiny_processor(is_encoder_decoder=False), DECODER_ONLY)
    batch = collator([TWO_PROMPTS])
    assert batch["input_ids"].tolist() == [[IMAGE, IMAGE, WHAT, IS, THIS], [PAD, IMAGE, IMAGE, THIS, IS]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [0, 1, 1, 1, 1]]
    assert batch["image_indices"].tolist() == [0, 0]
    assert "labels" not in batch


def test_generation_inputs_of_an_encoder_decoder_are_those_of_training():
    rows = [TWO_PROMPTS]
    inputs = GenerationCollator(tiny_processor(is_encoder_decoder=True), ENCODER_DECODER)(rows)
    trained = encoder_decoder_collator()(rows)
    assert set(trained) - set(inputs) == {"labels", "decoder_input_ids"}
    for name, tensor in inputs.items():
        assert torch.equal(tensor, trained[name])


def test_rows_with_no_one_and_two_images_share_a_batch():
    rows = [
        row("none", colours=()),
        row("two", colours=("red", "blue")),
        row("one", colours=("white",), prompts=("this", "is"), targets=("a", "dog")),
    ]
    batch = encoder_decoder_collator()(rows)
    assert (batch["input_ids"] == IMAGE).sum(dim=1).tolist() == [0, 4, 2, 2]
    assert batch["image_indices"].tolist() == [0, 1, 2, 2]
    assert batch["pixel_values"].shape[0] == 3


def test_a_batch_without_images_has_no_pixel_values():
    batch = encoder_decoder_collator()([row(colours=())])
    assert set(batch) == {"input_ids", "attention_mask", "labels", "decoder_input_ids"}


def test_an_image_stands_where_the_prompt_says():
    batch = encoder_decoder_collator()([row(prompts=("what is <image> this",))])
    assert batch["input_ids"].tolist() == [[WHAT, IS, IMAGE, IMAGE, THIS, EOS]]


def test_a_long_prompt_loses_text_and_no_image_token_whatever_stands_beside_it():
    long = row("long", colours=("red", "blue"), prompts=("what is this what is",))
    batch = encoder_decoder_collator(max_text_tokens=4)([row("other", colours=()), long])
    assert batch["input_ids"].tolist() == [
        [WHAT, IS, THIS, EOS, PAD, PAD, PAD, PAD],
        [IMAGE, IMAGE, IMAGE, IMAGE, WHAT, IS, THIS, EOS],
    ]


@pytest.mark.parametrize("collator", [encoder_decoder_collator, decoder_only_collator])
def test_a_target_that_is_cut_does_not_pretend_to_end(collator):
    batch = collator(max_target_tokens=3)([row(targets=("a red dog",)), row(targets=("a dog",))])
    learned = [labels[labels != IGNORED].tolist() for labels in batch["labels"]]
    assert learned == [[A, RED, DOG], [A, DOG, EOS]]


def test_an_unseen_word_is_unknown_and_the_row_still_ends():
    batch = encoder_decoder_collator()([row(targets=("zebra",))])
    assert batch["labels"].tolist() == [[UNK, EOS]]


@pytest.mark.parametrize("wrong", [{"max_text_tokens": -1}, {"max_target_tokens": 0}, {"prompts_per_image": 0}])
def test_a_limit_that_leaves_nothing_is_an_error(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ValueError, match=rf"{name}={value}.*, expected at least 0, 1 and 1"):
        encoder_decoder_collator(**wrong)


@pytest.mark.parametrize("typed", ["</s>", "<pad>", "<unk>", "</s></s>"])
@pytest.mark.parametrize("make", [encoder_decoder_collator, decoder_only_collator])
def test_control_tokens_in_a_row_are_text_and_its_labels_end_once(make, typed):
    """The tokenizer's only word for them is unknown; `test_control_tokens.py` has tokenizers that spell them."""
    batch = make()([row(prompts=(f"what {typed} this",), targets=(f"a {typed} dog",))])
    learned = batch["labels"][batch["labels"] != IGNORED].tolist()
    assert [token for token in learned if token != UNK] == [A, DOG, EOS]
    ids = batch["input_ids"][batch["attention_mask"].bool()].tolist()
    prompt = [token for token in ids[: ids.index(THIS) + 1] if token != UNK]
    assert prompt == [IMAGE, IMAGE, WHAT, THIS]


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"prompts": ("is \ud800 this",)}, r"Row 'r' \(source drawn\), prompt 'r0' holds half a character .*ud800"),
        ({"targets": ("a \ud800",)}, r"Row 'r' \(source drawn\), prompt 'r0': its target holds half a character"),
    ],
)
def test_half_a_character_names_its_row_and_prompt(changes, match):
    with pytest.raises(ValueError, match=match):
        encoder_decoder_collator()([row(**changes)])


def test_a_prompt_with_more_image_marks_than_images_is_an_error():
    with pytest.raises(ValueError, match=r"^Row 'r' .*, prompt 'r0' has 1 image\(s\), but its prompt holds 2"):
        encoder_decoder_collator()([row(prompts=("<image> <image> what",))])


@pytest.mark.parametrize("make", [encoder_decoder_collator, decoder_only_collator])
def test_a_row_that_nothing_has_checked_is_refused_for_an_empty_target(make):
    unchecked = row(prompts=("what is this", "this is"), targets=("a red dog", " "))
    with pytest.raises(ValueError, match=r"Row 'r' .*empty target"):
        make()([unchecked])


def test_a_broken_photo_names_its_row_and_file(tmp_path):
    photo = tmp_path / "cut_off.jpg"
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format="JPEG")
    photo.write_bytes(buffer.getvalue()[:200])
    with pytest.raises(ValueError, match=r"Row 'bad' \(source drawn\): .*cut_off\.jpg cannot be read as an image"):
        encoder_decoder_collator()([row("bad") | {"images": [photo]}])


def test_rows_without_columns_say_what_the_trainer_did_to_them():
    with pytest.raises(ValueError, match=r"lacks \['images', .*remove_unused_columns=False"):
        encoder_decoder_collator()([{"labels": 1}])


@pytest.mark.parametrize("provenance", [None, ["{}", '{"target.engine": "nllb"}']])
def test_provenance_changes_nothing_in_a_batch(provenance):
    told, untold = (
        encoder_decoder_collator()([kind]) for kind in (TWO_PROMPTS | {"provenance": provenance}, TWO_PROMPTS)
    )
    assert set(told) == set(untold)
    assert all(torch.equal(told[name], untold[name]) for name in told)


def test_an_encoder_decoder_needs_its_start_token():
    config = SimpleNamespace(is_encoder_decoder=True, decoder_start_token_id=None)
    with pytest.raises(
        ValueError, match=r"decoder_start_token_id` is None.*Set `model\.config\.decoder_start_token_id`"
    ):
        MBlipCollator(tiny_processor(is_encoder_decoder=True), config)


def test_a_tokenizer_without_padding_is_an_error():
    processor = tiny_processor(is_encoder_decoder=False)
    processor.tokenizer.pad_token = None
    with pytest.raises(ValueError, match="pad_token None and eos_token '</s>'"):
        MBlipCollator(processor, DECODER_ONLY)


def test_all_prompts_of_an_image_have_their_turn_and_then_begin_anew():
    turns = [choose_prompts(10, 4, seed=0, turn=turn, image_id="r") for turn in range(6)]
    assert [len(turn) for turn in turns] == [4, 4, 2] * 2
    assert sorted(itertools.chain(*turns[:3])) == list(range(10))
    assert turns[3:] == turns[:3]


def test_the_choice_of_prompts_differs_between_images_and_seeds():
    turns = {tuple(choose_prompts(36, 4, seed=seed, turn=0, image_id=name)) for seed in (0, 1) for name in "ab"}
    assert len(turns) == 4


def test_prompts_of_one_batch_are_limited_to_prompts_per_image():
    prompts = ("what", "is", "this", "answer", "red", "blue")
    many = row(prompts=prompts, targets=("a",) * 6)
    collator = encoder_decoder_collator(prompts_per_image=2)
    asked = [collator([many | {"epoch": epoch}])["input_ids"][:, 2].tolist() for epoch in range(3)]
    assert sorted(itertools.chain(*asked)) == sorted([WHAT, IS, THIS, ANSWER, RED, BLUE])
    assert collator([many])["input_ids"][:, 2].tolist() == asked[0]
    assert collator([many | {"epoch": 0, "turn": 2}])["input_ids"][:, 2].tolist() == asked[2]


def test_only_rows_that_know_their_epoch_are_augmented():
    striped = row() | {"images": [Image.linear_gradient("L").convert("RGB")]}
    plain, augmented = encoder_decoder_collator(), encoder_decoder_collator(augmentation=Augmentation())
    before = plain([striped])["pixel_values"]
    assert torch.equal(augmented([striped])["pixel_values"], before)
    first, second = (augmented([striped | {"epoch": epoch}])["pixel_values"] for epoch in (0, 1))
    assert not torch.equal(first, before)
    assert not torch.equal(first, second)
    assert torch.equal(augmented([striped | {"epoch": 0}])["pixel_values"], first)


@pytest.mark.parametrize(("target", "is_mirrored"), [("a red dog", True), ("a dog left of a cat", False)])
def test_an_image_is_mirrored_under_captions_that_name_no_side_and_under_no_other(target, is_mirrored):
    striped = row(targets=(target,)) | {"images": [Image.linear_gradient("L").rotate(90).convert("RGB")], "epoch": 0}
    always = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip_probability=1.0)
    augmented = encoder_decoder_collator(augmentation=always)([striped])["pixel_values"]
    plain = encoder_decoder_collator()([striped])["pixel_values"]
    assert torch.equal(augmented, plain.flip(-1)) == is_mirrored
    assert torch.equal(augmented, plain) == (not is_mirrored)
