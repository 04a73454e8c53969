"""Languages of examples: their shares, and draws that depend on nothing but the example."""

import os
import pickle
import subprocess
import sys
from collections import Counter

import pytest
from PIL import Image

from mblip.data.example import Example
from mblip.data.languages import LANGUAGES
from mblip.mix.allocation import Allocation, allocation_table, write_chart

NUM_CAPTIONS = 2_273_005  # web captions of the original mix
MIX_V2 = {  # task -> number of examples of the original mix that a language is drawn for
    "captioning": NUM_CAPTIONS + 414_000,
    "detailed_captioning": 23_000,
    "conversation": 58_000,
    "vqa": 443_757,
    "question_generation": 443_757,
    "matching": 600_000,
}
SMALL = ("en", "de", "sw", "yo")  # mC4: 43.842743, 6.088564, 0.014268, 0.000967


def example(number=0, task="captioning", language="en", source="test"):
    inputs = {"question": "?"} if task in ("vqa", "reasoning", "vqa_in_english") else {}
    return Example((), "", "a cat", language, task, source, str(number), "r", inputs=inputs)


def drawn(allocation, count, *, task="captioning", source="capfilt"):
    return Counter(allocation.draw(source, str(number), task) for number in range(count))


def test_the_shares_are_those_of_the_corpus_renormalised():
    shares = Allocation("mc4", languages=SMALL).shares
    total = 43.842743 + 6.088564 + 0.014268 + 0.000967
    assert shares == pytest.approx(
        {"en": 43.842743 / total, "de": 6.088564 / total, "sw": 0.014268 / total, "yo": 0.000967 / total}
    )
    assert Allocation("mt5", languages=("de", "zu")).shares == pytest.approx(
        {"de": 3.106855 / 3.534684, "zu": 0.427829 / 3.534684}
    )
    assert Allocation("uniform").shares == pytest.approx(dict.fromkeys(LANGUAGES, 1 / 96))


def test_a_temperature_is_the_exponent_of_the_shares():
    shares = Allocation("mc4", temperature=0.3, languages=("en", "yo")).shares
    assert shares["en"] / shares["yo"] == pytest.approx((43.842743 / 0.000967) ** 0.3)
    assert Allocation("mc4", temperature=1.0).shares == pytest.approx(Allocation("mc4").shares)


def test_english_gets_exactly_its_share_and_the_others_keep_their_proportions():
    plain, half = Allocation("mc4", languages=SMALL), Allocation("mc4", english_share=0.5, languages=SMALL)
    assert half.shares["en"] == 0.5
    assert sum(half.shares.values()) == pytest.approx(1)
    for language in ("sw", "yo"):
        assert half.shares[language] / half.shares["de"] == pytest.approx(plain.shares[language] / plain.shares["de"])
    uniform = Allocation("uniform", english_share=0.5).shares
    assert uniform == pytest.approx(dict.fromkeys(LANGUAGES, 0.5 / 95) | {"en": 0.5})


def test_a_floor_is_taken_from_the_others_in_proportion():
    plain, floored = Allocation("mc4", languages=SMALL), Allocation("mc4", floor=0.05, languages=SMALL)
    assert floored.shares["sw"] == floored.shares["yo"] == 0.05
    assert floored.shares["en"] + floored.shares["de"] == pytest.approx(0.9)
    assert floored.shares["en"] / floored.shares["de"] == pytest.approx(plain.shares["en"] / plain.shares["de"])
    half = Allocation("mc4", floor=0.1, english_share=0.5, languages=SMALL).shares
    assert half == pytest.approx({"en": 0.5, "de": 0.3, "sw": 0.1, "yo": 0.1})
    assert Allocation("uniform", floor=1 / 96).shares == pytest.approx(dict.fromkeys(LANGUAGES, 1 / 96))


def test_a_language_that_falls_below_the_floor_by_what_it_gives_is_lifted_too():
    assert Allocation("mc4", languages=SMALL).shares["de"] > 0.11
    shares = Allocation("mc4", floor=0.11, languages=SMALL).shares
    assert shares == pytest.approx({"en": 0.67, "de": 0.11, "sw": 0.11, "yo": 0.11})


def test_as_released_nineteen_languages_get_fewer_than_a_hundred_captions_and_a_floor_mends_it():
    released = Allocation("mc4", as_released=True)
    assert sum(released.shares[language] * NUM_CAPTIONS < 100 for language in LANGUAGES) == 19
    floored = Allocation("mc4", floor=100, num_examples=NUM_CAPTIONS)
    assert all(floored.shares[language] * NUM_CAPTIONS > 100 for language in LANGUAGES)
    counts = drawn(Allocation("mc4", floor=100, num_examples=50_000), 50_000)
    assert len(counts) == 96
    assert min(counts.values()) >= 100


def test_draws_follow_the_shares():
    allocation = Allocation("mc4", temperature=0.3, languages=SMALL)
    counts = drawn(allocation, 20_000)
    for language, share in allocation.shares.items():
        assert counts[language] == pytest.approx(20_000 * share, abs=5 * (20_000 * share) ** 0.5)


def test_another_source_or_example_moves_no_language():
    allocation = Allocation("mt5")
    alone = {number: allocation.allot(example(number)) for number in range(200)}
    others = [example(number, source=source) for number in range(300) for source in ("other", "test", "third")]
    together = {one.id: allocation.allot(one) for one in others if one.source == "test"}
    assert all(together[str(number)] == language for number, language in alone.items())
    assert len(set(alone.values())) > 20


def test_the_language_depends_on_seed_source_and_id():
    allocations = Allocation("uniform"), Allocation("uniform", seed=1)
    by_seed, other_seed = ([one.allot(example(i)) for i in range(50)] for one in allocations)
    other_source = [allocations[0].allot(example(i, source="other")) for i in range(50)]
    assert by_seed != other_seed
    assert by_seed != other_source


@pytest.mark.slow
def test_another_process_with_another_hash_seed_draws_the_same_languages():
    code = """
from mblip.mix.allocation import Allocation
allocation = Allocation("mc4", temperature=0.3, floor=0.001, english_share=0.3)
print(" ".join(allocation.draw("s", str(i), "vqa") for i in range(300)))
"""
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "1"},
    ).stdout.split()
    allocation = Allocation("mc4", temperature=0.3, floor=0.001, english_share=0.3)
    assert elsewhere == [allocation.draw("s", str(i), "vqa") for i in range(300)]


def test_an_allocation_goes_to_another_process():
    allocation = Allocation("mc4", floor=0.001)
    assert drawn(pickle.loads(pickle.dumps(allocation)), 1000) == drawn(allocation, 1000)


def test_a_key_draws_what_it_always_drew():
    allocation = Allocation("mt5")
    assert [allocation.draw("s", str(number), "captioning") for number in range(6)] == [
        "ha",
        "sk",
        "mr",
        "bg",
        "ceb",
        "ca",
    ]


def test_half_of_the_answers_stay_english_whatever_the_shares():
    for allocation in (Allocation("mc4"), Allocation("uniform"), Allocation("mc4", english_share=0.9)):
        counts = drawn(allocation, 4000, task="vqa")
        assert 1850 < counts["en"] < 2150
        rest = {language: share for language, share in allocation.shares.items() if language != "en"}
        expected = 2000 * rest["de"] / sum(rest.values())
        assert counts["de"] == pytest.approx(expected, abs=5 * expected**0.5 + 1)
    assert drawn(Allocation("uniform", languages=("de", "fr")), 100, task="vqa")["en"] == 0
    assert drawn(Allocation("uniform", languages=("en",)), 100, task="vqa")["en"] == 100


@pytest.mark.parametrize("task", ["reasoning", "vqa_in_english", "image_naming"])
def test_a_task_of_which_nothing_is_translated_keeps_its_language(task):
    allocation = Allocation("uniform")
    assert {allocation.allot(example(number, task)) for number in range(50)} == {"en"}
    assert allocation.allot(example(0, task, "sw")) == "sw"


def test_an_example_that_has_its_prompt_already_keeps_its_language():
    released = Example((), "Caption in English: ", "a cat", "en", "a task of its own", "test", "0", "r")
    assert Allocation("uniform", languages=("de", "fr")).allot(released) == "en"


def test_an_example_in_another_language_than_english_keeps_it():
    allocation = Allocation("uniform")
    assert {allocation.allot(example(number, language="sw")) for number in range(50)} == {"sw"}


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"kind": "zipf"}, "Found the kind of allocation 'zipf', expected mc4, mt5 or uniform"),
        ({"temperature": 0}, "Found the temperature 0, expected an exponent above 0"),
        ({"temperature": 3.3}, "at most 1"),
        ({"english_share": 1.5}, r"Found english_share 1\.5"),
        ({"english_share": 0.5, "languages": ("de", "fr")}, "has not both English and others"),
        ({"languages": ("de", "he")}, r"`iw` \(Hebrew\)"),
        ({"languages": ("de", "de")}, "each once"),
        ({"languages": ()}, "at least one"),
        ({"floor": 0.02}, r"each of 96 languages a share of 0\.02, more than there is: at most 0\.01042"),
        ({"floor": -1}, "Found the floor -1"),
        ({"floor": float("nan")}, "Found the floor nan"),
        ({"floor": 100}, "The floor is 100 examples per language, but num_examples is None"),
        ({"floor": 100, "num_examples": 9600}, r"each of 96 languages a share of 0\.01\d+, more than there is"),
        ({"floor": 0.02, "english_share": 0.01, "languages": SMALL}, r"above english_share 0\.01"),
        ({"floor": 0.001, "english_share": 1.0}, "leaves nothing for the other languages"),
        ({"as_released": True, "floor": 0.001}, "as_released uses mC4's shares unchanged"),
        ({"as_released": True, "kind": "uniform"}, "as_released uses mC4's shares unchanged"),
    ],
)
def test_what_cannot_be_allotted_is_refused(arguments, match):
    with pytest.raises(ValueError, match=match):
        Allocation(**({"kind": "mc4"} | arguments))


def test_captions_are_allotted_to_all_languages_and_reasons_stay_english():
    examples = (example(number, task) for number in range(40) for task in ("captioning", "reasoning"))
    allocation = Allocation("uniform", languages=("de", "sw"))
    counts = Counter((allocation.allot(example), example.task) for example in examples)
    assert set(counts) == {("de", "captioning"), ("sw", "captioning"), ("en", "reasoning")}
    assert counts["en", "reasoning"] == 40
    assert counts["de", "captioning"] + counts["sw", "captioning"] == 40


COUNTS = {("de", "vqa"): 7, ("de", "captioning"): 1200, ("sw", "vqa"): 7}


def test_the_table_has_a_row_for_each_language_and_a_column_for_each_task():
    assert allocation_table(COUNTS).splitlines() == [
        "| language | captioning | vqa | total |",
        "| --- | ---: | ---: | ---: |",
        "| German (de) | 1,200 | 7 | 1,207 |",
        "| Swahili (sw) | 0 | 7 | 7 |",
        "| 2 languages | 1,200 | 14 | 1,214 |",
    ]


def test_nothing_to_show_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="There are no examples to show"):
        allocation_table({})
    with pytest.raises(ValueError, match="There are no examples to show"):
        write_chart({("de", "vqa"): 0}, tmp_path / "chart.png")


@pytest.mark.slow
def test_the_chart_shows_96_languages_by_code_and_is_the_same_each_time(tmp_path):
    counts = {(language, "captioning"): 10**6 // (i + 1) for i, language in enumerate(LANGUAGES)}
    for name in ("a.png", "b.png"):
        write_chart(counts, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as chart:
        assert chart.width > 2500  # at least 25 pixels a language
        assert chart.height > 600
    write_chart(COUNTS | {("fr", "vqa"): 0}, tmp_path / "few.png")
    assert (tmp_path / "few.png").stat().st_size > 1000


@pytest.mark.slow
def test_the_whole_mix_is_allotted_by_its_shares():
    allocation = Allocation("mc4", as_released=True)
    counts = Counter()
    for task, number in MIX_V2.items():
        for language, count in drawn(allocation, number, task=task, source=task).items():
            counts[language, task] = count
    assert {task: sum(count for (_, of), count in counts.items() if of == task) for task in MIX_V2} == MIX_V2
    for language, share in allocation.shares.items():
        expected = share * MIX_V2["captioning"]
        assert counts[language, "captioning"] == pytest.approx(expected, abs=5 * expected**0.5 + 2)
    assert counts["en", "vqa"] == pytest.approx(MIX_V2["vqa"] / 2, rel=0.01)
