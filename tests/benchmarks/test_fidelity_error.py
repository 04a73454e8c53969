"""The command that measures the error of language fidelity, on small files in the published layouts."""

import json

import pytest
from fidelity_error import error_table, fidelity_errors, main, read_captions

GERMAN = ["Zwei braune Hunde spielen im Schnee", "Eine Frau liest ein Buch in der Küche"]
ENGLISH = ["Two brown dogs are playing in the snow", "A woman is reading a book in the kitchen"]
HEBREW = ["שני כלבים חומים משחקים בשלג", "אישה קוראת ספר במטבח"]


def write_lines(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


@pytest.fixture
def xm3600(tmp_path):
    """Two images as XM3600 publishes them; `he` is our `iw`, and one caption is empty."""
    records = [
        {
            "image/key": f"000{position}",
            "image/locale": "de",
            "de": {"caption": [GERMAN[position], " "], "caption/tokenized": [GERMAN[position], ""]},
            "en": {"caption": [ENGLISH[position]]},
            "he": {"caption": [HEBREW[position]]},
        }
        for position in range(2)
    ]
    return write_lines(tmp_path / "captions.jsonl", records)


def test_captions_of_xm3600_and_of_xflickrco_are_read_by_language(xm3600, tmp_path):
    xflickrco = write_lines(tmp_path / "de" / "test.jsonl", [{"sentences": ["Ein Hund.", "", "Ein Tier."], "id": "1"}])
    assert read_captions([xm3600, xflickrco]) == {
        "de": [*GERMAN, "Ein Hund.", "Ein Tier."],
        "en": ENGLISH,
        "iw": HEBREW,
    }


def test_errors_count_what_is_missed_and_what_is_mistaken():
    # Two of the four captions that are given as German are English.
    errors = fidelity_errors({"de": [*GERMAN, *ENGLISH], "en": ENGLISH, "mi": ["He kurī kei roto i te whare"]})
    german, english, maori = errors
    assert (german.num_captions, german.recognised, german.taken_for) == (4, 0.5, {"en": 2})
    assert german.mistaken == {"en": 0.0, "mi": 0.0}
    assert (english.recognised, english.taken_for) == (1.0, {})
    assert english.mistaken == {"de": 0.5, "mi": 0.0}
    assert english.mean_mistaken == 0.25
    assert (maori.recognised, maori.mistaken) == (1.0, {"de": 0.0, "en": 0.0})


def test_what_is_mistaken_for_a_language_that_py3langid_lacks_is_asked_for_in_it():
    indonesian = "Seekor anjing sedang bermain di salju di depan rumah"
    sundanese, _ = fidelity_errors({"su": ["Hiji anjing keur ulin dina salju"], "id": [indonesian]})
    assert (sundanese.recognised, sundanese.mistaken) == (1.0, {"id": 1.0})


def test_the_table_has_a_row_for_each_language_and_their_mean():
    table = error_table(fidelity_errors({"de": [*GERMAN, *ENGLISH], "en": ENGLISH}))
    lines = table.splitlines()
    assert lines[0] == "| Language | Captions | Recognised | Taken for | Others taken for it |"
    assert lines[2] == "| German (`de`) | 4 | 50.0 [15.0, 85.0] | en 2 | 0.00 |"
    assert lines[3] == "| English (`en`) | 2 | 100.0 [34.2, 100.0] |  | 50.00 (de 50.0) |"
    assert lines[4] == "| mean of 2 | 6 | 75.0 | | 25.00 |"


@pytest.mark.parametrize("candidates", ["mix", "given", "all"])
def test_the_command_prints_the_table(xm3600, capsys, candidates):
    main([str(xm3600), "--candidates", candidates])
    assert "| Hebrew (`iw`) | 2 | 100.0 [34.2, 100.0] |  | 0.00 |" in capsys.readouterr().out


def test_a_language_that_nobody_knows_is_an_error_with_its_location(tmp_path):
    path = write_lines(tmp_path / "captions.jsonl", [{"image/key": "1", "xx": {"caption": ["?"]}}])
    with pytest.raises(ValueError, match=r"captions.jsonl, line 1: the field 'xx' is not a language"):
        read_captions([path])
    path = write_lines(tmp_path / "annotations" / "test.jsonl", [{"sentences": ["?"]}])
    with pytest.raises(ValueError, match=r"line 1: the folder: Found the language 'annotations'"):
        read_captions([path])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"caption": ["a dog"]}, r"line 1: `image/key` is missing"),
        ({"image/key": "1", "de": ["a dog"]}, r"line 1: `de` is a list of 1, expected an object"),
        ({"image/key": "1", "de": {"captions": ["a dog"]}}, r"line 1, de: `caption` is missing"),
        ({"sentences": "a dog"}, r"line 1: `sentences` is 'a dog', text, expected a list"),
        (["a dog"], r"line 1: found a list of 1, expected an object"),
    ],
)
def test_another_layout_is_an_error_with_its_location(tmp_path, record, message):
    path = write_lines(tmp_path / "captions.jsonl", [record])
    with pytest.raises(ValueError, match=message):
        read_captions([path])


def test_nothing_to_measure_on_is_an_error():
    with pytest.raises(ValueError, match="Found no captions to measure the error on"):
        fidelity_errors({})
