import pytest
from PIL import Image
from table_model import example

from evaluation_mblip import EvaluationTask, ExactMatch, GenerationSettings
from evaluation_mblip.stand_ins import draw_stand_ins


def format_of(place):
    with Image.open(place) as image:
        return image.format


def task_about(*places):
    examples = [example(number, images=(place,)) for number, place in enumerate(places)]
    return EvaluationTask("photos", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "paper")


def test_a_picture_is_drawn_where_one_is_missing_the_same_for_the_same_name(tmp_path):
    places = [tmp_path / folder / name for folder, name in (("a", "1.jpg"), ("a", "2.png"), ("b", "1.jpg"))]
    assert draw_stand_ins([task_about(*places)]) == 3
    assert [format_of(place) for place in places] == ["JPEG", "PNG", "JPEG"]
    assert places[0].read_bytes() == places[2].read_bytes()
    assert "Scores on them mean nothing" in (tmp_path / "a" / "STAND_INS.txt").read_text()
    assert draw_stand_ins([task_about(*places)]) == 0


def test_a_folder_of_real_pictures_is_left_alone(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "real.jpg")
    with pytest.raises(ValueError, match=r"holds 1 pictures, such as real.jpg, which are no stand-ins"):
        draw_stand_ins([task_about(tmp_path / "missing.jpg")])
    assert [path.name for path in tmp_path.iterdir()] == ["real.jpg"]


def test_a_place_of_an_unknown_format_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"found the suffix '.webp', expected one of .jpg"):
        draw_stand_ins([task_about(tmp_path / "missing.webp")])
