"""Placing counts: what does not agree is an error, and what agrees stands in reading order."""

import re

import pytest
import torch
from tiny import IMAGE_TOKEN_ID, NUM_QUERY_TOKENS, VOCAB_SIZE, tiny_batch, tiny_model, tiny_processor, tiny_tokenizer
from torch.overrides import TorchFunctionMode

from modeling_mblip import MBlipForConditionalGeneration
from modeling_mblip.image_placement import PromptRules, find_image_tokens, place_image_features, select_image_features

IMG = 9
RULES = PromptRules(image_token_id=IMG, num_query_tokens=4, vocab_size=9, pad_token_id=0)
kinds = pytest.mark.parametrize("family", ["mt5", "bloom"])


def test_features_stand_at_the_image_tokens_in_reading_order():
    is_image_BT = torch.tensor([[True, True, False], [False, True, True]])
    features_SQD = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])
    placed = place_image_features(torch.zeros(2, 3, 1), features_SQD, is_image_BT)
    assert placed[..., 0].tolist() == [[1, 2, 0], [0, 3, 4]]


def test_placing_leaves_its_argument_as_it_was():
    embeds_BTD = torch.zeros(1, 2, 1)
    place_image_features(embeds_BTD, torch.ones(1, 2, 1), torch.ones(1, 2, dtype=torch.bool))
    assert embeds_BTD.flatten().tolist() == [0, 0]


def test_image_tokens_are_found_where_they_stand():
    input_ids = torch.tensor([[IMG, IMG, IMG, IMG, 1], [0, 0, 0, 1, 2]])
    assert find_image_tokens(input_ids, 1, RULES).tolist() == [[True] * 4 + [False], [False] * 5]


@pytest.mark.parametrize("num_tokens", [0, 3, 5])
def test_a_wrong_number_of_image_tokens_is_an_error(num_tokens):
    input_ids = torch.where(torch.arange(6)[None] < num_tokens, IMG, 1 + torch.arange(6)[None])
    with pytest.raises(ValueError, match=rf"hold {num_tokens} `<image>` tokens.*= 4 features"):
        find_image_tokens(input_ids, 1, RULES)


def test_an_image_spread_over_two_prompts_is_an_error_although_the_total_agrees():
    input_ids = torch.tensor([[IMG] * 5 + [1], [IMG] * 3 + [1, 2, 3]])
    with pytest.raises(ValueError, match=r"Prompt 0 holds 5 `<image>` tokens, expected a multiple of the 4 query"):
        find_image_tokens(input_ids, 2, RULES)


@pytest.mark.parametrize(
    ("rows", "num_slots", "hint"),
    [
        ([[7, 7, 7, 7, 1]], 1, "`image_token_id` seems to be 7"),
        ([[7, 7, 7, 7, 1, 3, 3, 3]], 1, "`image_token_id` seems to be 7"),
        ([[12, 12, 12, 1], [12, 12, 12, 2]], 2, "`image_token_id` seems to be 12"),
        ([[IMG, IMG, 1], [IMG, IMG, 1]], 2, "`num_query_tokens` seems to be 2"),
        ([[IMG] * 6], 1, "`num_query_tokens` seems to be 6"),
        ([[IMG] * 8], 1, r"They are for 2 image\(s\)\."),
        ([[IMG] * 4], 0, r"They are for 1 image\(s\)\."),
    ],
)
def test_a_wrong_number_says_what_may_be_wrong(rows, num_slots, hint):
    with pytest.raises(ValueError, match=rf"features came in\. .*{hint}"):
        find_image_tokens(torch.tensor(rows), num_slots, RULES)


@pytest.mark.parametrize("rows", [[[0, 0, 0, 0, 1, 2]], [[1, 2, 2, 3, 4, 4]], [[7, 7, 7, 1, 2, 3]] * 2 + [[1] * 6]])
def test_nothing_is_suspected_of_padding_and_repeated_words(rows):
    with pytest.raises(ValueError, match=r"features came in\. Build the inputs with the model's own processor"):
        find_image_tokens(torch.tensor(rows), 4 if len(rows) > 1 else 1, RULES)


@pytest.mark.parametrize("foreign", [-1, 10, 1000])
def test_an_id_that_is_no_word_is_an_error_unless_words_are_embedded_already(foreign):
    input_ids = torch.tensor([[1, 2], [8, foreign]])
    with pytest.raises(ValueError, match=rf"Prompt 1 holds the id {foreign}, expected ids below 9 or `<image>`, 9"):
        find_image_tokens(input_ids, 0, RULES)
    assert not find_image_tokens(input_ids, 0, RULES, are_tokens_embedded=True).any()


class ReadsFromDevice(TorchFunctionMode):
    """Counts what would wait for a GPU."""

    num_reads = 0

    def __torch_function__(self, function, types, arguments=(), named=None):
        self.num_reads += function in (torch.Tensor.tolist, torch.Tensor.item, torch.Tensor.__bool__, torch.nonzero)
        return function(*arguments, **(named or {}))


def test_right_prompts_are_read_from_the_device_once():
    input_ids = torch.tensor([[IMG, IMG, IMG, IMG, 1], [0, 0, 0, 1, 2]])
    with ReadsFromDevice() as reads:
        find_image_tokens(input_ids, 1, RULES)
    assert reads.num_reads == 1


def test_prompts_without_any_token_hold_none():
    assert find_image_tokens(torch.zeros(2, 0, dtype=torch.long), 0, RULES).shape == (2, 0)


def test_image_indices_repeat_and_reorder_rows():
    features_IQD = torch.tensor([[[1.0]], [[2.0]]])
    selected = select_image_features(features_IQD, torch.tensor([1, 0, 1]))
    assert selected.flatten().tolist() == [2, 1, 2]


def test_without_image_indices_each_slot_shows_its_own_row():
    features_IQD = torch.tensor([[[1.0]], [[2.0]]])
    assert select_image_features(features_IQD, None) is features_IQD


@pytest.mark.parametrize("indices", [[0], [0, 2], [0, 1, 2], [-1, 0], []])
def test_an_index_without_row_and_a_row_without_index_are_errors(indices):
    with pytest.raises(ValueError, match=r"`image_indices` shows the rows .*, expected each of the 2 image row\(s\)"):
        select_image_features(torch.zeros(2, 1, 1), torch.tensor(indices, dtype=torch.long))


@pytest.fixture
def loaded(family, tmp_path):
    """A model that was loaded, and where from: messages name it."""
    tiny_model(family).save_pretrained(tmp_path)
    return MBlipForConditionalGeneration.from_pretrained(tmp_path), re.escape(repr(str(tmp_path)))


def calls(model, processor, family):
    """`forward` and `generate` with what a processor makes."""
    pixel_values = tiny_batch(family, 2)["pixel_values"]
    inputs = processor(text=["caption in English", "caption"], padding=True, return_tensors="pt")
    images = torch.full((2, processor.num_query_tokens), processor.image_token_id)
    inputs = {
        name: torch.cat([images if name == "input_ids" else torch.ones_like(images), value], dim=1)
        for name, value in inputs.items()
    }
    return [
        lambda: model(**inputs, pixel_values=pixel_values),
        lambda: model.generate(**inputs, pixel_values=pixel_values),
    ]


@kinds
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"image_token_id": 100},
            "hold 0 `<image>` tokens, but 2 .*`image_token_id` seems to be 100, that of another",
        ),
        (
            {"image_token_id": 500},
            "hold 0 `<image>` tokens, but 2 .*`image_token_id` seems to be 500, that of another",
        ),
        ({"num_query_tokens": 3}, r"hold 6 .*= 8 features .*`num_query_tokens` seems to be 3, that of another"),
        ({"num_query_tokens": 8}, r"hold 16 .*= 8 features .*They are for 4 image\(s\)"),
    ],
)
def test_the_processor_of_another_checkpoint_is_told_from_the_models_own(family, changes, message, loaded):
    model, folder = loaded
    rules = rf"\(`image_token_id` {IMAGE_TOKEN_ID}, `num_query_tokens` {NUM_QUERY_TOKENS}\)\."
    for call in calls(model, tiny_processor(family, **changes), family):
        with pytest.raises(ValueError, match=rf"{message}.*`MBlipProcessor\.from_pretrained\({folder}\)` {rules}"):
            call()


@kinds
def test_the_tokenizer_of_another_checkpoint_is_told_from_the_models_own(family, loaded):
    model, folder = loaded
    processor = tiny_processor(family)
    processor.tokenizer = tiny_tokenizer(vocab_size=200)
    input_ids = processor(text="caption w150 in w190", return_tensors="pt")["input_ids"]
    assert input_ids.max() == 190
    for call in (model.forward, model.generate):
        with pytest.raises(ValueError, match=rf"Prompt 0 holds the id 150, .*below {VOCAB_SIZE} .*\({folder}\)"):
            call(input_ids=input_ids)


@kinds
def test_prompts_are_checked_before_the_vit_runs(family):
    model, batch = tiny_model(family), tiny_batch(family)
    model.vision_model.register_forward_pre_hook(lambda *arguments: pytest.fail("the ViT runs"))
    batch["input_ids"][0, 0] = 7
    with pytest.raises(ValueError, match="hold 11 `<image>` tokens"):
        model(**batch)
