"""MBlipProcessor: what one call gives."""

import numpy as np
import pandas as pd
import pytest
import torch
from datasets import Dataset
from PIL import Image
from tiny_processor import EOS, IMG, PAD, make_processor, make_tokenizer
from transformers import BlipImageProcessorPil, CLIPImageProcessorPil

from processing_mblip import MBlipImageProcessor, MBlipProcessor

IMAGE = [IMG, IMG]
DRAWN = Image.new("RGB", (4, 4))


def test_input_ids_come_first_and_nothing_superfluous_comes_out(processor, red):
    inputs = processor(images=red, text="w1 w2", return_tensors="pt")
    assert list(inputs) == ["input_ids", "attention_mask", "pixel_values"] == processor.model_input_names
    assert inputs["input_ids"].tolist() == [[*IMAGE, 5, 6, EOS]]
    assert inputs["attention_mask"].tolist() == [[1] * 5]
    assert inputs["pixel_values"].shape == (1, 3, 4, 4)


def test_one_image_for_many_prompts_is_encoded_once(processor, red):
    inputs = processor(images=red, text=["w1", "w2 w3"], padding=True, return_tensors="pt")
    assert inputs["pixel_values"].shape == (1, 3, 4, 4)
    assert torch.equal(inputs["image_indices"], torch.tensor([0, 0]))
    assert inputs["input_ids"].tolist() == [[*IMAGE, 5, EOS, PAD], [*IMAGE, 6, 7, EOS]]


def test_the_same_object_is_encoded_once_and_an_equal_one_is_not(processor, red, blue):
    inputs = processor(images=[red, blue, red], text=["w1"] * 3, return_tensors="pt")
    assert inputs["image_indices"].tolist() == [0, 1, 0]
    rows = processor.image_processor([red, blue], return_tensors="pt")["pixel_values"]
    assert torch.equal(inputs["pixel_values"], rows)
    inputs = processor(images=[red, red.copy()], text=["w1"] * 2, return_tensors="pt")
    assert "image_indices" not in inputs
    assert len(inputs["pixel_values"]) == 2


def test_prompts_with_none_one_and_two_images_mix(processor, red, blue):
    inputs = processor(images=[[], [red], [blue, red]], text=["w1", "w2", "w3"], padding=True, return_tensors="pt")
    assert inputs["input_ids"].tolist() == [
        [5, EOS, PAD, PAD, PAD, PAD],
        [*IMAGE, 6, EOS, PAD, PAD],
        [*IMAGE, *IMAGE, 7, EOS],
    ]
    assert inputs["image_indices"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind", ["t5", "bloom", "llama", "bert"])
def test_ids_without_images_are_those_of_the_call(kind, red):
    processor = make_processor(kind)
    texts, num_images = ["w1", "w2 w3", "w1 <image> w2 <image>", "<image>w4"], [0, 2, 2, 1]
    images = [[red] * number for number in num_images]
    assert processor.encode(texts, num_images) == processor(images=images, text=texts)["input_ids"]
    plain = processor(images=images, text=texts, add_special_tokens=False)["input_ids"]
    assert processor.encode(texts, num_images, add_special_tokens=False) == plain


def test_text_is_cut_and_image_tokens_do_not_count(processor):
    texts = ["w1 w2 w3 w4", "w1 w2 w3 w4", "w1 <image> w2 w3"]
    ids = processor.encode(texts, [0, 2, 1], max_text_tokens=3)
    assert ids == [[5, 6, EOS], [*IMAGE, *IMAGE, 5, 6, EOS], [5, *IMAGE, 6, EOS]]
    with pytest.raises(ValueError, match=r"leaves no room in prompt 0: its 0 image\(s\) .* special tokens take 1"):
        processor.encode(["w1"], [0], max_text_tokens=0)


def test_ids_want_a_number_of_images_for_each_text_and_as_many_as_it_says(processor):
    with pytest.raises(ValueError, match=r"2 texts came with 1 numbers of images, expected one for each"):
        processor.encode(["w1", "w2"], [1])
    with pytest.raises(ValueError, match=r"Prompt 1 says `<image>` 1 time\(s\), but 2 image\(s\) came"):
        processor.encode(["w1", "<image> w2"], [1, 2])


def test_ids_are_padded_as_the_call_pads_them(processor, red):
    ids = processor.encode(["w1 w2", "w1"], [0, 1])
    called = processor(images=[[], [red]], text=["w1 w2", "w1"], padding=True, return_tensors="pt")
    padded = processor.pad(ids)
    assert {name: called[name].tolist() for name in padded} == {name: ids.tolist() for name, ids in padded.items()}
    left = processor.pad([[5, 6], [7]], padding_side="left")
    assert left["input_ids"].tolist() == [[5, 6], [PAD, 7]]
    assert left["attention_mask"].tolist() == [[1, 1], [0, 1]]
    with pytest.raises(ValueError, match="`padding_side` is 'front', expected 'left' or 'right'"):
        processor.pad(ids, padding_side="front")


def test_text_alone_and_images_alone(processor, red):
    assert dict(processor(text="w1")) == {"input_ids": [[5, EOS]], "attention_mask": [[1, 1]]}
    assert list(processor(images=[red, red.copy()], return_tensors="pt")) == ["pixel_values"]
    assert processor(images=[[], []], text=["w1", "w2"]).keys() == {"input_ids", "attention_mask"}
    nested = processor(images=[[red], [], [red.copy(), red]], return_tensors="pt")
    assert nested["pixel_values"].shape == (2, 3, 4, 4)
    assert nested["image_indices"].tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("side", "rows"),
    [("right", [[*IMAGE, 5, EOS, PAD], [*IMAGE, 6, 7, EOS]]), ("left", [[PAD, *IMAGE, 5, EOS], [*IMAGE, 6, 7, EOS]])],
)
def test_padding_stands_outside_on_the_tokenizers_side(red, side, rows):
    processor = make_processor(tokenizer=make_tokenizer(padding_side=side))
    inputs = processor(images=red, text=["w1", "w2 w3"], padding=True, return_tensors="pt")
    assert inputs["input_ids"].tolist() == rows
    assert inputs["attention_mask"].tolist() == [[int(token != PAD) for token in row] for row in rows]


@pytest.mark.parametrize(
    ("kwargs", "length"),
    [
        ({"padding": "max_length", "max_length": 9}, 9),
        ({"padding": "max_length", "max_length": 4, "truncation": True}, 4),
        ({"padding": "max_length", "max_length": 3}, 5),
        ({"padding": True, "pad_to_multiple_of": 4}, 8),
        ({"max_length": 4}, 4),
        ({"truncation": True, "max_length": 4}, 4),
        ({"text_kwargs": {"max_length": 4, "truncation": "longest_first"}}, 4),
        ({"padding": False, "truncation": False, "max_length": 4}, 5),
    ],
)
def test_lengths_count_image_tokens(processor, red, kwargs, length):
    row = processor(images=red, text="w1 w2", **kwargs)["input_ids"][0]
    assert len(row) == length
    assert row[:2] == IMAGE


@pytest.mark.parametrize(
    ("kwargs", "hint"),
    [({}, "`padding=True`"), ({"padding": "max_length", "max_length": 4, "truncation": False}, "`truncation=True`")],
)
def test_prompts_of_unequal_length_make_no_tensor_without_padding(processor, red, kwargs, hint):
    prompts = {"images": [[red], []], "text": ["w1 w2", "w1"]}
    assert processor(**prompts)["input_ids"] == [[*IMAGE, 5, 6, EOS], [5, EOS]]
    with pytest.raises(ValueError, match=rf"prompts have \d to 5 tokens, `<image>` tokens included.*Give {hint}"):
        processor(**prompts, return_tensors="pt", **kwargs)


def test_a_tokenizers_own_length_limit_cuts_when_truncation_is_on(red):
    processor = make_processor(tokenizer=make_tokenizer(model_max_length=5))
    assert processor(images=red, text="w1 w2 w3", truncation=True)["input_ids"] == [[*IMAGE, 5, 6, EOS]]


def test_without_a_pad_token_the_end_token_pads_and_is_masked(red):
    processor = make_processor(tokenizer=make_tokenizer(pad_token=None))
    inputs = processor(images=red, text=["w1", "w2 w3"], padding=True)
    assert inputs["input_ids"][0] == [*IMAGE, 5, EOS, EOS]
    assert inputs["attention_mask"][0] == [1, 1, 1, 1, 0]


def test_without_any_token_to_pad_with_padding_is_an_error(red):
    processor = make_processor(tokenizer=make_tokenizer(pad_token=None, eos_token=None))
    assert processor(images=red, text="w1", padding=True)["input_ids"] == [[*IMAGE, 5, EOS]]
    with pytest.raises(ValueError, match="neither a pad token nor an end-of-text token"):
        processor(images=red, text=["w1", "w2 w3"], padding=True)


def test_the_tokenizer_stays_as_it_was(red):
    tokenizer = make_tokenizer()
    before = tokenizer.get_vocab(), len(tokenizer), dict(tokenizer.init_kwargs)
    make_processor(tokenizer=tokenizer)(images=red, text="w1 <image>", padding=True, max_length=8, truncation=True)
    assert (tokenizer.get_vocab(), len(tokenizer), dict(tokenizer.init_kwargs)) == before


def test_the_image_token_is_the_first_beyond_the_tokenizer_or_its_own():
    assert make_processor().image_token_id == IMG
    assert make_processor(image_token_id=100).image_token_id == 100
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<image>", "<more>"], special_tokens=True)
    assert make_processor(tokenizer=tokenizer).image_token_id == IMG


def test_decoding_leaves_image_tokens_out(processor, red):
    ids = processor(images=red, text="w1 w2", return_tensors="pt")["input_ids"]
    assert processor.batch_decode(ids) == ["w1 w2 </s>"]
    assert processor.batch_decode(ids, skip_special_tokens=True) == ["w1 w2"]
    assert processor.decode(ids[0], skip_special_tokens=True) == "w1 w2"
    assert processor.decode(ids[0].tolist(), skip_special_tokens=True) == "w1 w2"
    assert processor.decode(np.array(IMG)) == ""
    assert processor.decode(5) == "w1"
    assert processor.post_process_image_text_to_text(ids) == ["w1 w2"]


@pytest.mark.parametrize("text", ["Is <image> a word?", ["w1", "what is <image>?"]])
def test_a_stray_mark_is_an_error_that_offers_the_escape(processor, text):
    with pytest.raises(ValueError, match=r"says `<image>` 1 time\(s\), but 0 image\(s\).*`\\<image>` is literal text"):
        processor(text=text)
    assert processor(text=r"w1 \<image>")["input_ids"] == [[5, 3, EOS]]


def test_a_broken_image_is_named_by_its_location(processor, red, tmp_path):
    (tmp_path / "b.jpg").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"image 3 \('.*b.jpg'\) cannot be read as an image"):
        processor(images=[[red, red], [red, tmp_path / "b.jpg"]], text=["w1", "w2"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "Neither `images` nor `text`"),
        ({"text": "w1", "videos": "a.mp4"}, "`videos` was given"),
        ({"text": ["w1", 5]}, "Prompt 1 is of type int"),
        ({"text": 5}, "`text` is of type int. `text` must be a string or list of strings"),
        ({"images": "w1", "text": Image.new("RGB", (4, 4))}, "`text` is of type Image.*; it is the second argument"),
        ({"text": "w1", "padding": "longer"}, "longer is not a valid PaddingStrategy"),
        ({"text": "w1", "truncation": "first"}, "first is not a valid TruncationStrategy"),
        ({"text": "w1", "padding": True, "padding_side": "top"}, "`padding_side` is 'top', expected 'left' or"),
        ({"text": "w1", "padding": "max_length"}, "`padding='max_length'` came without `max_length`"),
        ({"text": "w1", "text_pair": "w2"}, "`text_pair` is not supported"),
        ({"text": "w1", "is_split_into_words": True}, "`is_split_into_words` is not supported"),
        ({"text": "w1 \ud800"}, r"Prompt 0 holds half a character \(a lone surrogate\): 'w1 .ud800'"),
        ({"text": ["w1", "\udfff"]}, "Prompt 1 holds half a character"),
        ({"text": ["w1", None]}, r"Prompt 1 is of type NoneType.*`list\(...\)`"),
        ({"text": Dataset.from_dict({"text": ["w1"]})["text"]}, r"`text` is of type Column.*`list\(...\)`"),
        ({"text": {"w1": 1}}, "`text` is of type dict"),
        (
            {"text": "w1", "max_length": 10**12, "padding": "max_length"},
            r"would be padded to 1000000000000 tokens each",
        ),
        ({"text": "w1", "padding": True, "pad_to_multiple_of": 2**70}, r"at most 4194304 in all. Give a smaller"),
        ({"text": "w1", "padding": True, "pad_to_multiple_of": 0}, "`pad_to_multiple_of` is 0, expected a whole"),
        *(
            ({"text": "w1", "max_length": bad}, rf"`max_length` is {bad!r}, expected a whole number of at least 1")
            for bad in (0, -1, True, 2.5, "5")
        ),
        (
            {"images": [DRAWN] * 4, "text": ["<image> w1", "w2"]},
            r"1 time\(s\), in prompts \[0\]\. .*only a prompt alone shows all",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(processor, kwargs, message):
    with pytest.raises(ValueError, match=message):
        processor(**kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"text": "w1", "image_mean": "x", "images": DRAWN}, "image_mean"),
        ({"text": "w1", "images": DRAWN, "do_resize": "x"}, "do_resize"),
        ({"text": "w1", "text_kwargs": 5}, "`text_kwargs` is of type int, expected a dict"),
        *(
            ({"text": "w1", "images": images}, rf"`images` is of type {kind}, .*`list\(...\)`")
            for images, kind in [
                ({"a": DRAWN}, "dict"),
                ({"a.png"}, "set"),
                ((image for image in [DRAWN]), "generator"),
                (pd.Series([DRAWN]), "Series"),
                (Dataset.from_dict({"image": ["a"]})["image"], "Column"),
            ]
        ),
    ],
)
def test_a_wrong_type_is_named(processor, kwargs, message):
    with pytest.raises(TypeError, match=message):
        processor(**kwargs)


def test_control_characters_are_text(processor):
    assert processor(text="w1 \0\x1b w2")["input_ids"] == [[5, 3, 6, EOS]]


@pytest.mark.parametrize("ids", [[-100, 5], [5.0], torch.tensor([1.5]), ["w1"], [None], True, [2**40]])
def test_only_token_ids_are_decoded(processor, ids):
    with pytest.raises(ValueError, match=r"came as a token id, expected whole numbers from 0\. Replace the -100"):
        processor.decode(ids)
    with pytest.raises(ValueError, match=r"came as a token id, expected whole numbers from 0"):
        processor.pad([[1], ids if isinstance(ids, list) else [ids]])


def test_blip_settings_are_served_by_the_fast_image_processor_and_others_stay(red):
    blip = BlipImageProcessorPil(size={"height": 8, "width": 8}, image_mean=[0.1, 0.2, 0.3])
    processor = MBlipProcessor(blip, make_tokenizer())
    assert type(processor.image_processor) is MBlipImageProcessor
    assert torch.equal(
        processor(images=red, return_tensors="pt")["pixel_values"], blip(red, return_tensors="pt")["pixel_values"]
    )
    clip = CLIPImageProcessorPil(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    transparent = Image.new("RGBA", (9, 8))
    white = Image.new("RGB", (9, 8), "white")
    processor = MBlipProcessor(clip, make_tokenizer())
    assert processor.image_processor is clip
    assert torch.equal(
        processor(images=transparent, return_tensors="pt")["pixel_values"],
        clip(white, return_tensors="pt")["pixel_values"],
    )


def test_image_settings_can_change_for_one_call(processor, red):
    inputs = processor(images=red, text="w1", size={"height": 2, "width": 2}, do_normalize=False, return_tensors="pt")
    assert inputs["pixel_values"].flatten(2).tolist() == [[[1.0] * 4, [0.0] * 4, [0.0] * 4]]
