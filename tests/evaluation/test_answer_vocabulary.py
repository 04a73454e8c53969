import pytest

from mblip.data.skipped import SkipReport
from mblip.evaluation.records import read_vocabulary
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_json


def test_the_answers_come_in_the_order_of_the_file_without_empty_ones(tmp_path):
    skipped = SkipReport()
    path = write_json(tmp_path / "label2ans.json", ["", "woods", "trash can", " "])
    assert read_vocabulary(path, skipped) == ("woods", "trash can")
    assert skipped.names == {
        "empty answer of the vocabulary": ["label2ans.json, answer 0", "label2ans.json, answer 3"]
    }


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"woods": 1}, r"label2ans\.json: found an object of 1, expected a list of answers"),
        ([], r"label2ans\.json: found a list of 0"),
        (["woods", 3], r"label2ans\.json, answer 1: found 3, a whole number, expected text"),
        (["woods", "no", "woods"], r"label2ans\.json: found the answer 'woods' more than once"),
    ],
)
def test_what_is_no_vocabulary_is_an_error(tmp_path, answers, message):
    with pytest.raises(ValueError, match=message):
        read_vocabulary(write_json(tmp_path / "label2ans.json", answers), SkipReport())


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path):
    (tmp_path / "label2ans.json").write_text('["woods"]', encoding="utf-8-sig")
    assert read_vocabulary(tmp_path / "label2ans.json", SkipReport()) == ("woods",)


def test_a_missing_or_broken_file_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"There is no file .*label2ans\.json"):
        read_vocabulary(tmp_path / "label2ans.json", SkipReport())
    (tmp_path / "label2ans.json").write_text("[")
    with pytest.raises(ValueError, match=r"label2ans\.json is not JSON in UTF-8"):
        read_vocabulary(tmp_path / "label2ans.json", SkipReport())


@needs_samples("gqa")
@needs_samples("vqav2")
@pytest.mark.parametrize(
    ("path", "number", "num_empty"),
    [("gqa/annotations/trainval_label2ans.json", 1842, 0), ("vqav2/trainval_label2ans.json", 3128, 1)],
)
def test_the_published_vocabularies_are_read(path, number, num_empty):
    skipped = SkipReport()
    assert len(read_vocabulary(SAMPLES / path, skipped)) == number
    assert sum(skipped.counts.values()) == num_empty
