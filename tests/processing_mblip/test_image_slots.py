"""Which prompt shows which image; every distinct image once."""

import numpy as np
import pytest

from processing_mblip.processing_mblip import assign_images

A, B, C = (np.zeros((2, 2, 3), dtype=np.uint8) for _ in range(3))


def name(image) -> str:
    return next(letter for letter, known in zip("ABC", (A, B, C), strict=True) if known is image)


@pytest.mark.parametrize(
    ("images", "num_marks", "distinct", "rows", "num_images"),
    [
        (None, [0, 0], "", (), (0, 0)),
        (A, [0], "A", (0,), (1,)),
        (A, [0, 0, 0], "A", (0, 0, 0), (1, 1, 1)),
        ([A, B], [0], "AB", (0, 1), (2,)),
        ([A, B], [0, 0], "AB", (0, 1), (1, 1)),
        ([A, A], [0, 0], "A", (0, 0), (1, 1)),
        ([B, A, B], [0, 0, 0], "BA", (0, 1, 0), (1, 1, 1)),
        ([[A, B], [], [B]], [0, 0, 0], "AB", (0, 1, 1), (2, 0, 1)),
        ([A, [B, C], []], [1, 2, 0], "ABC", (0, 1, 2), (1, 2, 0)),
        ([A, B, C], [2, 1], "ABC", (0, 1, 2), (2, 1)),
        ([A], [1, 0], "A", (0,), (1, 0)),
        ([], [0, 0], "", (), (0, 0)),
        ((A, B), [1, 1], "AB", (0, 1), (1, 1)),
    ],
)
def test_images_go_to_prompts(images, num_marks, distinct, rows, num_images):
    slots = assign_images(images, num_marks)
    assert "".join(name(image) for image in slots.images) == distinct
    assert slots.rows == rows
    assert slots.num_images == num_images
    assert slots.is_one_to_one == (rows == tuple(range(len(rows))))


def test_a_batch_in_one_array_is_one_image_for_each_prompt():
    slots = assign_images(np.zeros((2, 4, 4, 3), dtype=np.uint8), [0, 0])
    assert [image.shape for image in slots.images] == [(4, 4, 3)] * 2


def test_equal_texts_are_opened_each_for_itself():
    assert assign_images(["a.jpg", "a.jpg"], [0, 0]).rows == (0, 1)


@pytest.mark.parametrize(
    ("images", "num_marks", "message"),
    [
        (A, [2], r"Prompt 0 says `<image>` 2 time\(s\), but 1 image\(s\) came with it"),
        (None, [0, 1], r"Prompt 1 says `<image>` 1 time\(s\), but 0 image\(s\)"),
        ([A, B], [2, 0], r"Prompt 0 says `<image>` 2 time\(s\), but 1 image\(s\)"),
        ([A, B, C], [0, 0], r"3 images came with 2 prompts that say `<image>` 0 time\(s\)"),
        ([A, B, C], [1, 1], r"3 images came with 2 prompts that say `<image>` 2 time\(s\)"),
        ([[A], [B]], [0], r"2 lists of images came with 1 prompt\(s\)"),
        ([[A]], [0, 0], r"1 lists of images came with 2 prompt\(s\)"),
        ([[A], [[B]]], [0, 0], "The images of prompt 1 hold a list within a list"),
        ([None, A], [0, 0], "The images of prompt 0 hold a None, expected one flat list"),
    ],
)
def test_numbers_that_disagree_are_an_error(images, num_marks, message):
    with pytest.raises(ValueError, match=message):
        assign_images(images, num_marks)
