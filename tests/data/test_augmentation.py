"""Crops and flips: where they fall, and that they never make a text wrong."""

import json
import random

import pytest
from PIL import Image

from mblip.data.augmentation import Augmentation, augment, crop_box, is_flip_safe
from mblip.data.stable_random import stable_random

HALVES = Image.new("RGB", (64, 64), "white")
HALVES.paste("black", (0, 0, 32, 64))  # black on the left, white on the right
NO_CROP = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}


def is_black_left(image):
    return image.getpixel((0, 0)) == (0, 0, 0)


def test_a_crop_lies_in_the_image_with_the_area_and_ratio_asked_for():
    draw, areas, ratios = random.Random(0), [], []
    for _ in range(500):
        left, top, right, bottom = crop_box(320, 240, Augmentation(), draw)
        assert 0 <= left < right <= 320
        assert 0 <= top < bottom <= 240
        areas.append((right - left) * (bottom - top) / (320 * 240))
        ratios.append((right - left) / (bottom - top))
    assert 0.49 < min(areas) < 0.55
    assert 0.9 < max(areas) < 1.01
    assert 0.74 < min(ratios) < 0.8
    assert 1.28 < max(ratios) < 1.34


def test_an_image_no_crop_fits_into_is_cut_in_its_middle():
    assert crop_box(1000, 10, Augmentation(crop_scale=(1.0, 1.0)), random.Random(0)) == (493, 0, 506, 10)
    assert crop_box(10, 1000, Augmentation(crop_scale=(1.0, 1.0)), random.Random(0)) == (0, 493, 10, 506)


def test_a_crop_of_everything_is_the_image_itself():
    same = augment(HALVES, Augmentation(**NO_CROP, flip_probability=0.0), random.Random(0), may_flip=True)
    assert same.tobytes() == HALVES.tobytes()


def test_an_image_is_mirrored_only_where_it_may_be_and_later_draws_do_not_depend_on_it():
    always = Augmentation(**NO_CROP, flip_probability=1.0)
    draws = random.Random(0), random.Random(0)
    assert not is_black_left(augment(HALVES, always, draws[0], may_flip=True))
    assert is_black_left(augment(HALVES, always, draws[1], may_flip=False))
    assert draws[0].random() == draws[1].random()


def row(*asked, **columns):
    """A row of (task, prompt, target, language), one or more."""
    tasks, prompts, targets, languages = map(list, zip(*asked, strict=True))
    return {"tasks": tasks, "prompts": prompts, "targets": targets, "languages": languages} | columns


CAT = ("captioning", "Caption in German: ", "Eine Katze.", "de")
SIDED_CAT = ("captioning", "Caption in German: ", "Eine Katze links von einem Hund.", "de")
NAMED = ("image_naming", "Is the left one named?", "rechts", "de")


@pytest.mark.parametrize(
    ("asked", "is_safe"),
    [
        ([CAT], True),
        ([SIDED_CAT], False),
        ([CAT, SIDED_CAT], False),
        ([NAMED], True),
        ([NAMED, CAT], True),
        ([NAMED, SIDED_CAT], False),
        ([("vqa", "What is on the left? Short answer in German:", "Katze", "de")], False),
        ([("vqa", "What is it? Short answer in German:", "rechts", "de")], False),
        ([("vqa", "Was ist links? Kurze Antwort auf Deutsch:", "Katze", "de")], False),
        ([("vqa", "What does the sign say? Answer briefly in German.", "Halt", "de")], False),
        ([("vqa", "What time is it? Answer briefly in English.", "noon", "en")], False),
        ([("captioning", "Describe this picture. Use Southern Sotho.", "katse", "st")], False),
        ([("captioning", "Describe this picture.", "?", "a language of another table")], False),
    ],
)
def test_a_flip_is_safe_only_where_no_text_names_a_side_or_the_task_cannot(asked, is_safe):
    assert is_flip_safe(row(*asked), Augmentation()) == is_safe
    assert is_flip_safe(row(*asked), Augmentation(as_released=True))  # the original flipped whatever the texts say


def test_a_side_that_the_translation_lost_is_found_in_its_source():
    lost = ("matching", 'Does the text "Enam botol di gambar yang tepat." fit?', "yes", "id")
    told = {"caption.source_text": "Six bottles in the right image.", "caption.engine": "nllb"}
    assert is_flip_safe(row(lost), Augmentation())
    assert is_flip_safe(row(lost, provenance=None), Augmentation())
    assert not is_flip_safe(row(lost, provenance=[json.dumps(told)]), Augmentation())
    assert not is_flip_safe(row(CAT, lost, provenance=["{}", json.dumps(told)]), Augmentation())


def test_tasks_that_cannot_say_left_or_right_are_a_setting():
    assert is_flip_safe(row(SIDED_CAT), Augmentation(flip_tasks=frozenset({"captioning"})))
    assert not is_flip_safe(row(NAMED), Augmentation(flip_tasks=frozenset()))


def test_half_of_the_images_are_mirrored():
    half = Augmentation(**NO_CROP)
    flipped = [
        not is_black_left(augment(HALVES, half, stable_random(0, 0, str(i)), may_flip=True)) for i in range(400)
    ]
    assert 160 < sum(flipped) < 240


def test_an_image_lying_on_its_side_is_put_upright_before_it_is_mirrored():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    lying = HALVES.copy()
    lying.info["exif"] = exif.tobytes()
    always = Augmentation(**NO_CROP, flip_probability=1.0)
    turned = augment(lying, always, random.Random(0), may_flip=True)
    assert turned.getpixel((0, 0)) == turned.getpixel((63, 0)) == (0, 0, 0)  # black on top, mirrored or not
    assert turned.getpixel((0, 63)) == (255, 255, 255)
    assert turned.getexif().get(0x0112) is None


def test_equal_keys_draw_equally_and_different_keys_do_not():
    def boxes(*key):
        return [crop_box(320, 240, Augmentation(), stable_random(*key, i)) for i in range(5)]

    assert boxes(0, 1, "r") == boxes(0, 1, "r")
    assert len({tuple(boxes(*key)) for key in ((0, 0, "r"), (0, 1, "r"), (1, 0, "r"), (0, 0, "s"))}) == 4


def test_a_key_draws_what_it_always_drew():
    assert stable_random(0, "a").randrange(1000) == 142


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"crop_scale": (0.0, 1.0)}, r"crop_scale \(0\.0, 1\.0\), expected"),
        ({"crop_scale": (0.8, 0.5)}, "low <= high"),
        ({"crop_ratio": (2.0, 1.0)}, "crop_ratio"),
        ({"flip_probability": 2.0}, "flip_probability 2.0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, match):
    with pytest.raises(ValueError, match=match):
        Augmentation(**changes)
