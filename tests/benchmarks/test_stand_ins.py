import pytest
from PIL import Image
from stand_ins import draw_stand_ins

from mblip.evaluation import (
    EvaluationTask,
    ExactMatch,
    GenerationSettings,
    conditions_table,
    evaluate_task,
    write_results,
)
from mblip.evaluation.reports.full_report import report_text
from mblip.training.model_card import eval_results
from mblip.training.run_record import read_evaluation
from tests.evaluation.table_model import example
from tests.tiny import tiny_model, tiny_processor


def format_of(position):
    with Image.open(position) as image:
        return image.format


def task_about(*positions):
    examples = [example(number, images=(position,)) for number, position in enumerate(positions)]
    return EvaluationTask("photos", examples, ExactMatch(), GenerationSettings(max_new_tokens=4), "paper")


def test_an_image_is_drawn_where_one_is_missing_the_same_for_the_same_name(tmp_path):
    positions = [tmp_path / folder / name for folder, name in (("a", "1.jpg"), ("a", "2.png"), ("b", "1.jpg"))]
    assert draw_stand_ins([task_about(*positions)]) == 3
    assert [format_of(position) for position in positions] == ["JPEG", "PNG", "JPEG"]
    assert positions[0].read_bytes() == positions[2].read_bytes()
    assert "Scores on them mean nothing" in (tmp_path / "a" / "STAND_INS.txt").read_text()
    assert draw_stand_ins([task_about(*positions)]) == 0


@pytest.mark.parametrize("is_taken_away", [False, True])
def test_scores_on_stand_ins_are_said_to_mean_nothing_and_stay_out_of_a_cards_metadata(tmp_path, is_taken_away):
    task = task_about(tmp_path / "photos" / "1.jpg", tmp_path / "photos" / "2.jpg")
    draw_stand_ins([task])
    if is_taken_away:
        (tmp_path / "photos" / "STAND_INS.txt").unlink()
    results = {"photos": evaluate_task(tiny_model("mt5"), tiny_processor("mt5"), task)}
    table = conditions_table(results["photos"])
    write_results(tmp_path, results, table)
    assert ("Images are drawn stand-ins for photos: the scores mean nothing." in table) != is_taken_away
    line = "\n- Images are drawn stand-ins for photos, so scores mean nothing: photos\n"
    assert (line in report_text(results)) != is_taken_away
    assert len(eval_results(read_evaluation(tmp_path, is_of_run=False))) == is_taken_away


def test_a_folder_of_real_images_is_left_alone(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "real.jpg")
    with pytest.raises(ValueError, match=r"holds 1 images, such as real.jpg, which are no stand-ins"):
        draw_stand_ins([task_about(tmp_path / "missing.jpg")])
    assert [path.name for path in tmp_path.iterdir()] == ["real.jpg"]


def test_a_path_of_an_unknown_format_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"found the suffix '.webp', expected one of .jpg"):
        draw_stand_ins([task_about(tmp_path / "missing.webp")])
