"""The benchmark of caption metrics runs at toy size and compares; the figures mean nothing there."""

import json
import re
import shutil

import caption_metrics
import pytest

from mblip.evaluation.metrics.figure_sums import ratio

CAPTIONS = {
    "de": [("a", "Ein Hund läuft.", ["Ein Hund rennt am Strand", "ein Hund"]), ("b", "Katzen", ["Zwei Katzen"])],
    "en": [("a", "A dog runs.", ["The dog runs"]), ("b", "two cats", ["Two cats sleep"])],
    "bn": [],
}


@pytest.fixture
def records(tmp_path):
    folder = tmp_path / "xm3600"
    folder.mkdir()
    for language, rows in CAPTIONS.items():
        annotations = [{"image_id": image, "caption": text} for image, _, texts in rows for text in texts]
        results = [{"image_id": image, "caption": text} for image, text, _ in rows]
        (folder / f"xm3600_coco_{language}.json").write_text(json.dumps({"annotations": annotations}))
        (folder / f"results_{language}.json").write_text(json.dumps(results))
    return tmp_path


def test_records_are_repeated_to_the_number_of_images(records):
    german, _ = caption_metrics.read_records(records)
    repeated = caption_metrics.repeat(german, 5, reorder=False)
    assert repeated.hypotheses == ["Ein Hund läuft.", "Katzen"] * 2 + ["Ein Hund läuft."]
    assert repeated.references[2] == ["Ein Hund rennt am Strand", "ein Hund"]


def test_reordered_repetitions_keep_the_words_and_the_first_round(records):
    german, _ = caption_metrics.read_records(records)
    repeated = caption_metrics.repeat(german, 40, reorder=True)
    assert repeated.hypotheses[:2] == german.hypotheses
    assert len(set(repeated.hypotheses[::2])) > 1
    assert {tuple(sorted(text.split())) for text in repeated.hypotheses[::2]} == {("Ein", "Hund", "läuft.")}
    assert repeated == caption_metrics.repeat(german, 40, reorder=True)


def test_both_sides_agree_and_every_stage_is_timed(records, capsys):
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed: `pip install pycocoevalcap`")
    if shutil.which("java") is None:
        pytest.skip("there is no Java runtime")
    caption_metrics.main([str(records), "--images", "4", "--languages", "3"])
    printed = capsys.readouterr().out
    assert "3 languages (2 different) x 4 images, 28 captions; largest difference" in printed
    stages = re.findall(r"\| (.+) \| [\d.]+ s \| [\d.]+ s \| [\d.]+ \|", printed)
    assert stages == [*caption_metrics.STAGES[1:], "all"]


def test_a_language_without_spaces_is_joined_and_segmented_again(records):
    seconds = dict.fromkeys(caption_metrics.STAGES, 0.0)
    chinese = caption_metrics.Captions("zh", ["一 只狗"], [["狗"]])
    assert caption_metrics.segment(chinese, seconds).hypotheses == ["一 只 狗"]
    assert seconds["segmentation"] > 0
    german, _ = caption_metrics.read_records(records)
    assert caption_metrics.segment(german, seconds) is german


def test_scores_that_differ_end_the_benchmark(records, monkeypatch):
    one, other = (caption_metrics.ImageScores(1.0, values, ratio(values)) for values in ((1.0,), (1.00001,)))
    monkeypatch.setattr(caption_metrics, "score_ours", lambda *_: [one])
    monkeypatch.setattr(caption_metrics, "score_theirs", lambda *_: [other])
    with pytest.raises(SystemExit, match=r"de: scores differ by 1\.0e-05, expected 1e-06 at most"):
        caption_metrics.main([str(records), "--images", "1"])


def test_a_folder_without_records_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"holds no xm3600/xm3600_coco_\*.json. Give a folder with such files"):
        caption_metrics.main([str(tmp_path)])
