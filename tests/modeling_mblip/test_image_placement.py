"""Placing counts: what does not agree is an error, and what agrees stands in reading order."""

import pytest
import torch

from modeling_mblip.image_placement import check_image_token_counts, place_image_features, select_image_features


def test_features_stand_at_the_image_tokens_in_reading_order():
    is_image_BT = torch.tensor([[True, True, False], [False, True, True]])
    features_SQD = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])
    placed = place_image_features(torch.zeros(2, 3, 1), features_SQD, is_image_BT)
    assert placed[..., 0].tolist() == [[1, 2, 0], [0, 3, 4]]


def test_placing_leaves_its_argument_as_it_was():
    embeds_BTD = torch.zeros(1, 2, 1)
    place_image_features(embeds_BTD, torch.ones(1, 2, 1), torch.ones(1, 2, dtype=torch.bool))
    assert embeds_BTD.flatten().tolist() == [0, 0]


@pytest.mark.parametrize("num_tokens", [0, 3, 5])
def test_a_wrong_number_of_image_tokens_is_an_error(num_tokens):
    is_image_BT = torch.arange(6)[None] < num_tokens
    with pytest.raises(ValueError, match=rf"hold {num_tokens} `<image>` tokens.*= 4 features"):
        place_image_features(torch.zeros(1, 6, 8), torch.ones(1, 4, 8), is_image_BT)


def test_an_image_spread_over_two_prompts_is_an_error_although_the_total_agrees():
    is_image_BT = torch.tensor([[True, True, True, False], [True, False, False, False]])
    with pytest.raises(ValueError, match=r"Prompt 0 holds 3 `<image>` tokens, which is no multiple of the 2 query"):
        check_image_token_counts(is_image_BT, num_slots=2, num_query_tokens=2)


def test_image_indices_repeat_and_reorder_rows():
    features_IQD = torch.tensor([[[1.0]], [[2.0]]])
    selected = select_image_features(features_IQD, torch.tensor([1, 0, 1]))
    assert selected.flatten().tolist() == [2, 1, 2]


def test_without_image_indices_each_slot_shows_its_own_row():
    features_IQD = torch.tensor([[[1.0]], [[2.0]]])
    assert select_image_features(features_IQD, None) is features_IQD


@pytest.mark.parametrize("indices", [[0], [0, 2], [0, 1, 2], [-1, 0], []])
def test_an_index_without_row_and_a_row_without_index_are_errors(indices):
    with pytest.raises(ValueError, match=r"`image_indices` shows the rows .*, but 2 image row\(s\) came in"):
        select_image_features(torch.zeros(2, 1, 1), torch.tensor(indices, dtype=torch.long))


@pytest.mark.parametrize("indices", [torch.zeros(1, 1, dtype=torch.long), torch.zeros(1)])
def test_image_indices_of_another_shape_or_dtype_are_an_error(indices):
    with pytest.raises(ValueError, match="expected integers of shape"):
        select_image_features(torch.zeros(1, 1, 1), indices)
