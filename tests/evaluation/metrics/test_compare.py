"""Comparing two prediction files: what is paired, what is refused, and what the command prints."""

from dataclasses import replace

import pytest

from mblip.evaluation.compare import compare_predictions, comparison_table, main, pair_predictions
from mblip.evaluation.predictions import Prediction, write_predictions

GERMAN, ENGLISH = "Zwei braune Hunde spielen im Schnee", "Two brown dogs are playing in the snow"


def answers(scores, *, language="de", condition="as_is", output=GERMAN):
    """One answer for each score, about as many images."""
    return [
        Prediction(
            task="xm3600",
            protocol="paper",
            id=f"{language}/{position}",
            condition=condition,
            language=language,
            image_id=str(position),
            prompt="Caption in German: ",
            output=output,
            references=("Zwei Hunde",),
            is_cut=False,
            score=score,
        )
        for position, score in enumerate(scores)
    ]


def test_answers_are_paired_by_example_whatever_their_order():
    ours, theirs = answers([1.0, 0.0, 0.5]), answers([0.0, 0.25, 0.5])
    pairs = pair_predictions(ours, theirs[::-1])
    assert [(a.score, b.score) for a, b in pairs] == [(1.0, 0.0), (0.0, 0.25), (0.5, 0.5)]
    (compared,) = compare_predictions(ours, theirs[::-1])
    german = compared.languages["de"]
    assert (german.mean_a, german.mean_b, german.difference.value) == (0.5, 0.25, 0.25)
    assert (german.num_wins, german.num_losses, german.num_examples) == (1, 1, 3)


def test_each_condition_is_compared_apart_and_corrected_for_its_own_languages():
    ours = answers([1.0] * 8) + answers([1.0] * 8, language="sw") + answers([1.0] * 8, condition="shuffled")
    theirs = [replace(one, score=0.0) for one in ours]
    as_is, shuffled = compare_predictions(ours, theirs)
    assert (as_is.condition, list(as_is.languages), as_is.num_images) == ("as_is", ["de", "sw"], 8)
    assert (shuffled.condition, list(shuffled.languages)) == ("shuffled", ["de"])
    assert as_is.corrected["de"] == 2 * as_is.languages["de"].p_value
    assert shuffled.corrected["de"] == shuffled.languages["de"].p_value


def test_an_image_counts_once_whatever_the_number_of_its_languages():
    ours = answers([1.0] * 4) + answers([1.0] * 4, language="sw")
    (compared,) = compare_predictions(ours, [replace(one, score=0.0) for one in ours])
    assert compared.mean.p_value == compared.languages["de"].p_value  # 4 images, not 8


def test_language_fidelity_is_compared_by_the_answers_themselves():
    ours, theirs = answers([None] * 3, output=GERMAN), answers([None] * 3, output=ENGLISH)
    (compared,) = compare_predictions(ours, theirs, metric="language_fidelity")
    assert (compared.mean.mean_a, compared.mean.mean_b) == (1.0, 0.0)


def test_other_prompts_are_counted():
    ours, theirs = answers([1.0, 0.0]), answers([1.0, 0.0])
    theirs[1] = replace(theirs[1], prompt="Beschreibe das Bild: ")
    assert compare_predictions(ours, theirs)[0].num_other_prompts == 1


def other(predictions, **changes):
    return [replace(predictions[0], **changes), *predictions[1:]]


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        (
            answers([1.0] * 2) + answers([1.0], language="sw"),
            r"2 examples in both files, 1 only in A \(such as 'de/2' in 'de' under 'as_is'\), "
            r"1 only in B \(such as 'sw/0' in 'sw' under 'as_is'\)",
        ),
        (answers([1.0] * 2), r"2 examples in both files, 1 only in A \(.*\), 0 only in B; expected the same"),
        (other(answers([1.0] * 3), image_id="9"), "different images of the example 'de/0' in 'de'"),
        (other(answers([1.0] * 3), references=("?",)), "different references of the example 'de/0'"),
        (other(answers([1.0] * 3), score=None), "answer to 'de/0' in 'de' under 'as_is' has no score"),
        (answers([1.0] * 3) + answers([1.0]), "B answers 'de/0' in 'de' under 'as_is' more than once"),
        (
            [replace(one, protocol="centurio") for one in answers([1.0] * 3)],
            r"answers of xm3600 \(protocol paper\) in A, of xm3600 \(protocol centurio\) in B",
        ),
        ([replace(one, task="coco") for one in answers([1.0] * 3)], r"of coco \(protocol paper\) in B"),
        ([], "of no task in B"),
    ],
)
def test_files_that_are_not_about_the_same_are_refused(theirs, message):
    with pytest.raises(ValueError, match=message):
        compare_predictions(answers([1.0] * 3), theirs)


def test_the_table_has_a_row_for_each_language_and_their_mean():
    ours = answers([1.0, 1.0]) + answers([0.5, 0.5], language="hr")
    (compared,) = compare_predictions(ours, [replace(one, score=0.25) for one in ours], num_resamples=3)
    assert comparison_table(compared).splitlines() == [
        "### as_is",
        "",
        "| Language | Answers | A | B | A − B | p | p (Holm) | A higher | B higher |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        "| German (`de`) | 2 | 100.0 | 25.0 | +75.0 [+75.0, +75.0] | 0.7500 | 1.0000 | 2 | 0 |",
        "| Croatian (`hr`) † | 2 | 50.0 | 25.0 | +25.0 [+25.0, +25.0] | 0.7500 | 1.0000 | 2 | 0 |",
        "| mean of 2 | 4 | 75.0 | 25.0 | +50.0 [+50.0, +50.0] | 0.7500 |  | 4 | 0 |",
    ]


def test_one_language_has_no_mean_of_languages():
    (compared,) = compare_predictions(answers([1.0]), answers([0.0]))
    assert "mean of" not in comparison_table(compared)


def test_the_command_prints_the_report_of_two_files(tmp_path, capsys):
    ours, theirs = tmp_path / "ours.jsonl", tmp_path / "theirs.jsonl"
    write_predictions(ours, answers([1.0, 0.0, 0.5]) + answers([1.0], language="hr"))
    write_predictions(theirs, answers([1.0, 0.5, 0.0]) + answers([0.0], language="hr"))
    main([str(ours), str(theirs), "--num_resamples", "200", "--seed", "3"])
    report = capsys.readouterr().out
    assert report.startswith(f"## {ours} against {theirs}\n\n### as_is\n\n| Language |")
    assert "| German (`de`) | 3 | 50.0 | 50.0 | +0.0 [" in report
    assert f"Mean score times 100. A: {ours}; B: {theirs}." in report
    assert "bootstrap over 3 image sets" in report
    assert "200 resamples, seed 3." in report
    assert "† not among the 96 languages of the training mix." in report
    main([str(ours), str(theirs), "--num_resamples", "200", "--seed", "3"])
    assert capsys.readouterr().out == report


def test_a_file_without_predictions_is_an_error_with_its_line(tmp_path):
    path = tmp_path / "captions.jsonl"
    path.write_text('{"caption": "a dog"}\n', encoding="utf-8")
    with pytest.raises(ValueError, match=r"captions.jsonl, line 1: found no prediction"):
        main([str(path), str(path)])
