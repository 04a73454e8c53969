import random
from dataclasses import replace

import pytest

from mblip.data.example import Example
from mblip.data.languages import get_language
from mblip.data.prompts import apply_prompt
from mblip.mix.translation import translate_examples
from mblip.mix.translation.report import TranslationReport
from tests.mix.translation.fake_engines import GERMAN, FakeEngine, to_german

BUS, DOGS = "a red bus on the street", "two large brown dogs on a bed"
QUESTION, TARGET = "What is the dog doing?", "It sleeps on the sofa."
ANSWERS = {"red": "rot", "bank": "Ufer", "on": "an"}
BACK = {"rot": "Red.", "Ufer": "shore", "an": "on"}


def example(task, target, number=0, language="en", **inputs):
    return Example((), "", target, language, task, "test", str(number), str(number), inputs)


def translate(examples, engine=None, language="de", **options):
    report = TranslationReport()
    engine = engine or FakeEngine(to_german)
    allot = options.pop("allot", lambda _: language)
    return list(translate_examples(examples, engine, allot=allot, report=report, **options)), report


def answer_rule(text, source, target):
    return (GERMAN | ANSWERS if target == "de" else BACK).get(text, text)


def test_a_caption_is_translated_and_says_where_it_comes_from():
    (translated,), report = translate([example("captioning", BUS)])
    assert (translated.language, translated.target) == ("de", GERMAN[BUS])
    assert translated.provenance == {
        "target.source_text": BUS,
        "target.engine": "fake",
        "target.model": "none",
        "target.revision": "1",
    }
    assert dict(report.outcomes) == {("de", "translated"): 1}


def test_a_conversation_is_translated_in_both_parts():
    (translated,), report = translate([example("conversation", TARGET, question=QUESTION)])
    assert (translated.inputs, translated.target) == ({"question": GERMAN[QUESTION]}, GERMAN[TARGET])
    assert sorted(translated.provenance) == [
        f"{part}.{key}" for part in ("question", "target") for key in ("engine", "model", "revision", "source_text")
    ]
    assert dict(report.outcomes) == {("de", "translated"): 2}


def test_only_the_parts_that_a_task_names_are_translated():
    (matching, generated), _ = translate(
        [example("matching", "yes", caption=BUS), example("question_generation", QUESTION, 1, answer="on the street")]
    )
    assert (matching.target, matching.inputs, matching.language) == ("yes", {"caption": GERMAN[BUS]}, "de")
    assert "caption.engine" in matching.provenance
    assert (generated.target, generated.inputs) == (GERMAN[QUESTION], {"answer": "on the street"})


def test_english_native_and_untranslatable_examples_pass_as_they_are():
    examples = [
        example("captioning", BUS, 0),
        example("captioning", "ein Bus", 1, language="de"),
        example("reasoning", "yes because", 2, question=QUESTION),
        example("image_naming", "Bus", 3, language="sw"),
    ]
    engine = FakeEngine(lambda *_: pytest.fail("asked"))
    translated, report = translate(examples, engine, allot=lambda given: "en" if given.id == "0" else "fr")
    assert translated == examples
    assert all(given is result for given, result in zip(examples, translated, strict=True))
    assert not report.outcomes


def test_the_order_stays_and_texts_of_a_language_go_together():
    examples = [example("captioning", text, number) for number, text in enumerate([BUS, DOGS, BUS, "a bus", DOGS])]
    codes = ["de", "sw", "de", "en", "sw"]
    engine = FakeEngine(lambda text, source, target: {"de": GERMAN, "sw": SWAHILI}[target][text])
    translated, _ = translate(examples, engine, allot=lambda given: codes[int(given.id)])
    assert [result.target for result in translated] == [
        GERMAN[BUS],
        SWAHILI[DOGS],
        GERMAN[BUS],
        "a bus",
        SWAHILI[DOGS],
    ]
    assert [result.id for result in translated] == ["0", "1", "2", "3", "4"]
    assert engine.calls == [(BUS,), (DOGS,)]


SWAHILI = {DOGS: "mbwa wawili wakubwa wa kahawia kitandani"}


def test_the_window_changes_nothing_and_reading_stays_within_it():
    draw = random.Random(0)
    examples = [example("captioning", draw.choice([BUS, DOGS]), number) for number in range(23)]
    results = [translate(examples, window=window)[0] for window in (1, 2, 7, 23, 100)]
    assert all(result == results[0] for result in results)
    read = []
    reading = (read.append(given.id) or given for given in examples)
    stream = translate_examples(
        reading, FakeEngine(to_german), allot=lambda _: "de", report=TranslationReport(), window=5
    )
    next(stream)
    assert len(read) == 5


def test_what_fails_is_tried_again_and_skipped_if_that_fails_too():
    captions = [BUS, DOGS, "A sign says nothing to anybody here"]
    first = FakeEngine(lambda *_: "")
    careful = FakeEngine(to_german, name="careful")
    translated, report = translate(
        [example("captioning", text, number) for number, text in enumerate(captions)], first, retry_engine=careful
    )
    assert [result.target for result in translated] == [GERMAN[BUS], GERMAN[DOGS]]
    assert translated[0].provenance["target.engine"] == "careful"
    assert careful.asked == captions
    assert dict(report.outcomes) == {
        ("de", "translated"): 2,
        ("de", "retried"): 2,
        ("de", "examples skipped"): 1,
    }
    assert dict(report.failures) == {("de", "no translation"): 1}  # what the first attempt came to


def test_what_fails_stays_english_where_the_caller_says_so():
    (kept,), report = translate([example("captioning", BUS)], FakeEngine(lambda *_: ""), on_failure="stay_english")
    assert kept == example("captioning", BUS)
    assert report.outcomes["de", "examples kept in English"] == 1
    assert report.failures["de", "no translation"] == 1


def test_one_part_that_fails_fails_the_example():
    engine = FakeEngine(lambda text, *_: "" if text == QUESTION else to_german(text, "en", "de"))
    translated, report = translate([example("conversation", TARGET, question=QUESTION)], engine)
    assert translated == []
    assert report.outcomes == {("de", "translated"): 1, ("de", "examples skipped"): 1}


def test_pieces_are_counted():
    engine = FakeEngine(lambda text, *_: to_german(text, "en", "de").replace("3", "drei"))
    (translated,), report = translate([example("captioning", "3 dogs sleep in the garden")], engine)
    assert translated.target == "3 Hunde schlafen im Garten"
    assert report.outcomes["de", "in pieces"] == 1


def test_questions_are_translated_and_answers_that_are_frequent_and_come_back_the_same():
    answers = ["red", "bank", "blue", "red", "bank", "on"]
    examples = [example("vqa", answer, number, question=QUESTION) for number, answer in enumerate(answers)]
    engine = FakeEngine(answer_rule)
    translated, report = translate(examples, engine, translatable_answers={"red", "bank", "on"}, window=2)
    assert [(result.target, result.task) for result in translated] == [
        ("rot", "vqa"),
        ("bank", "vqa_in_english"),
        ("blue", "vqa_in_english"),
        ("rot", "vqa"),
        ("bank", "vqa_in_english"),
        ("an", "vqa"),
    ]
    assert translated[0].provenance["target.source_text"] == "red"
    assert [(result.language, result.inputs) for result in translated] == [("de", {"question": GERMAN[QUESTION]})] * 6
    assert {result.provenance["question.source_text"] for result in translated} == {QUESTION}
    assert sorted(set(engine.asked)) == sorted([QUESTION, "red", "bank", "on", "rot", "Ufer", "an"])
    assert sorted(asked for asked in engine.asked if asked != QUESTION) == sorted(["red", "bank", "on", *BACK])
    assert report.outcomes == {
        ("de", "translated"): 6,
        ("de", "answers translated"): 3,
        ("de", "answers kept in English"): 3,
    }
    assert report.failures == {("de", "answer comes back as another word"): 1}


def test_an_answer_that_stays_english_is_asked_for_in_english():
    (kept,), _ = translate([example("vqa", "blue", question=QUESTION)])
    templates = {apply_prompt(replace(kept, id=str(number)), seed=0).prompt for number in range(50)}
    assert len(templates) > 3
    assert all(GERMAN[QUESTION] in template and "English" in template for template in templates)


def test_a_question_without_a_good_translation_is_skipped_with_its_answer():
    translated, report = translate([example("vqa", "red", question=QUESTION)], FakeEngine(lambda *_: ""))
    assert translated == []
    assert report.outcomes == {("de", "examples skipped"): 1}


def test_a_prompt_that_is_there_already_is_an_error():
    given = apply_prompt(example("captioning", BUS), seed=0)
    with pytest.raises(ValueError, match=r"Example '0' of 'test' already has the prompt .* Translate first"):
        translate([given])


def test_an_allotment_to_an_unknown_language_is_an_error():
    with pytest.raises(ValueError, match="Found the language 'he'"):
        translate([example("captioning", BUS)], language="he")


@pytest.mark.parametrize(
    ("code", "nllb_code", "translation"),
    [("zh", "zho_Hant", "街上有一輛紅色的公共汽車"), ("ku", "ckb_Arab", "پاسێکی سوور لەسەر شەقامەکە")],
)
def test_as_released_other_scripts_are_translated_into_and_pass(code, nllb_code, translation):
    asked = []

    class Engine(FakeEngine):
        def translate(self, texts, source, target):
            asked.append(target.nllb_code)
            return [translation] * len(texts)

    given, engine = [example("captioning", BUS)], Engine(to_german)
    (released,), _ = translate(given, engine, language=code, as_released=True)
    assert (released.target, released.language) == (translation, code)
    left, report = translate(given, engine, language=code)
    assert left == []
    assert report.failures == {(code, "wrong script"): 1}
    assert asked == [nllb_code, get_language(code).nllb_code]
