"""NLVR2 and MaRVL: what is read, in which order the images come, and what is refused."""

import unicodedata
from collections import Counter
from pathlib import Path

import pytest

from mblip.data.example import Example
from mblip.data.skipped import SkipReport
from mblip.data.sources.nlvr2 import MARVL_LANGUAGES, marvl, nlvr2
from tests.data.sources.sample_data import SAMPLES, needs_samples, write_lines

NLVR2 = {
    "sentence": "There are exactly six bottles in the right image.",
    "left_url": "https://example.org/l.jpg",
    "right_url": "https://example.org/r.jpg",
    "label": "True",
    "synset": "beer bottle",
    "identifier": "dev-896-0-1",
}
MARVL = {
    "concept": "39-Panci",
    "language": "id",
    "caption": "Terdapat tutup panci pada gambar sebelah kanan",
    "left_img": "39-0.jpg",
    "right_img": "39-4.jpg",
    "annotator_info": {"age": 31},
    "id": "id-0",
    "label": False,
}
COMPOSED, DECOMPOSED = "80-T\u00fckenmez", "80-Tu\u0308kenmez"


def test_a_statement_of_nlvr2_has_the_left_image_first(tmp_path):
    path = write_lines(tmp_path / "dev.jsonl", [NLVR2])
    assert list(nlvr2(0, path=path, images=Path("dev"))) == [
        Example(
            images=(Path("dev/dev-896-0-img0.png"), Path("dev/dev-896-0-img1.png")),
            prompt="",
            target="yes",
            language="en",
            task="two_image_statement",
            source="nlvr2",
            id="en/dev-896-0-1",
            image_id="nlvr2/dev-896-0-img0+nlvr2/dev-896-0-img1",
            inputs={"statement": "There are exactly six bottles in the right image."},
        )
    ]


def test_images_of_the_training_set_lie_in_the_directory_the_record_names(tmp_path):
    record = NLVR2 | {"identifier": "train-10171-0-0", "directory": 42, "label": "False"}
    (example,) = nlvr2(0, path=write_lines(tmp_path / "train.jsonl", [record]), images=Path("train"))
    assert example.images == (Path("train/42/train-10171-0-img0.png"), Path("train/42/train-10171-0-img1.png"))
    assert example.image_id == "nlvr2/train-10171-0-img0+nlvr2/train-10171-0-img1"
    assert example.target == "no"


def test_a_translated_statement_is_in_its_language_and_shares_the_images(tmp_path):
    english = write_lines(tmp_path / "dev.jsonl", [NLVR2])
    swahili = write_lines(tmp_path / "dev-sw_gmt.jsonl", [NLVR2 | {"sentence": "Kuna chupa sita."}])
    (a,) = nlvr2(0, path=english, images=Path("dev"))
    (b,) = nlvr2(0, path=swahili, images=Path("dev"), language="sw")
    assert (b.language, b.id, b.inputs) == ("sw", "sw/dev-896-0-1", {"statement": "Kuna chupa sita."})
    assert (a.images, a.image_id) == (b.images, b.image_id)


def test_a_zero_shot_statement_of_marvl_finds_its_images_by_concept(tmp_path):
    path = write_lines(tmp_path / "marvl-id.jsonl", [MARVL])
    assert list(marvl(0, path=path, images="tar://marvl-images::marvl.tar")) == [
        Example(
            images=(
                "tar://marvl-images/id/images/39-Panci/39-0.jpg::marvl.tar",
                "tar://marvl-images/id/images/39-Panci/39-4.jpg::marvl.tar",
            ),
            prompt="",
            target="no",
            language="id",
            task="two_image_statement",
            source="marvl",
            id="zero_shot/id-0",
            image_id="marvl/id/39-Panci/39-0+marvl/id/39-Panci/39-4",
            inputs={"statement": "Terdapat tutup panci pada gambar sebelah kanan"},
        )
    ]


def test_a_few_shot_statement_names_the_concept_itself_and_has_an_id_of_its_own(tmp_path):
    record = MARVL | {"left_img": "39-Panci/39-n-5.jpg", "right_img": "39-Panci/39-n-2.jpg", "label": True}
    (example,) = marvl(0, path=write_lines(tmp_path / "marvl-id_train1.jsonl", [record]), images=Path("m"))
    assert example.images == (Path("m/id/images/39-Panci/39-n-5.jpg"), Path("m/id/images/39-Panci/39-n-2.jpg"))
    assert (example.id, example.target) == ("few_shot/id-0", "yes")


@pytest.mark.parametrize("concept", [COMPOSED, DECOMPOSED])
def test_a_concept_is_one_however_it_is_written(tmp_path, concept):
    record = MARVL | {"language": "tr", "concept": concept}
    path = write_lines(tmp_path / "marvl-tr.jsonl", [record])
    (published,) = marvl(0, path=path, images=Path("m"))
    (composed,) = marvl(0, path=path, images=Path("m"), file_names="NFC")
    assert published.image_id == composed.image_id == f"marvl/tr/{COMPOSED}/39-0+marvl/tr/{COMPOSED}/39-4"
    assert published.images[0] == Path(f"m/tr/images/{DECOMPOSED}/39-0.jpg")
    assert composed.images[0] == Path(f"m/tr/images/{COMPOSED}/39-0.jpg")


def test_an_empty_statement_is_skipped_by_name(tmp_path):
    skipped = SkipReport()
    assert not list(nlvr2(0, skipped, path=write_lines(tmp_path / "a", [NLVR2 | {"sentence": ""}]), images="m"))
    assert not list(marvl(0, skipped, path=write_lines(tmp_path / "b", [MARVL | {"caption": " "}]), images="m"))
    assert skipped.names == {"empty text": ["nlvr2/en/dev-896-0-1", "marvl/zero_shot/id-0"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "true"}, r"dev\.jsonl, line 2: `label` is 'true', text, expected one of 'True', 'False'"),
        ({"label": True}, r"dev\.jsonl, line 2: `label` is True, true or false, expected text"),
        (
            {"identifier": "dev-896"},
            r"dev\.jsonl, line 2: `identifier` is 'dev-896', expected one such as dev-896-0-1",
        ),
        ({"sentence": None}, r"dev\.jsonl, line 2: `sentence` is missing or null, expected text"),
    ],
)
def test_a_statement_of_nlvr2_that_is_not_as_published_is_named(tmp_path, changes, message):
    path = write_lines(tmp_path / "dev.jsonl", [NLVR2, NLVR2 | changes])
    with pytest.raises(ValueError, match=message):
        list(nlvr2(0, path=path, images=tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "True"}, r"marvl\.jsonl, line 2: `label` is 'True', text, expected true or false"),
        ({"language": "de"}, r"marvl\.jsonl, line 2: `language` is 'de', text, expected one of 'id', 'sw', 'ta'"),
        ({"left_img": None}, r"marvl\.jsonl, line 2: `left_img` is missing or null, expected text"),
    ],
)
def test_a_statement_of_marvl_that_is_not_as_published_is_named(tmp_path, changes, message):
    path = write_lines(tmp_path / "marvl.jsonl", [MARVL, MARVL | changes])
    with pytest.raises(ValueError, match=message):
        list(marvl(0, path=path, images=tmp_path))


@needs_samples("nlvr2")
def test_every_published_statement_of_nlvr2_is_read_in_every_language():
    folder = SAMPLES / "nlvr2/annotations"
    english = list(nlvr2(0, path=folder / "dev.jsonl", images=Path("dev")))
    assert Counter(example.target for example in english) == {"yes": 155, "no": 145}
    for language in ("id", "sw", "tr", "zh"):
        translated = list(nlvr2(0, path=folder / f"dev-{language}_gmt.jsonl", images=Path("dev"), language=language))
        assert [(e.image_id, e.target) for e in translated] == [(e.image_id, e.target) for e in english]


@needs_samples("marvl")
@pytest.mark.parametrize("language", MARVL_LANGUAGES)
def test_every_published_statement_of_marvl_is_read(language):
    examples = list(marvl(0, path=SAMPLES / f"marvl/zero_shot/annotations/marvl-{language}.jsonl", images=Path("m")))
    assert len({example.id for example in examples}) == 360
    assert {example.language for example in examples} == {language}


@needs_samples("marvl")
def test_published_few_shot_files_hold_each_other_and_are_not_the_zero_shot_ones():
    folder = SAMPLES / "marvl"
    for language in ("id", "tr", "zh"):
        name = f"few_shot/annotations/marvl-{language}_train"
        few, more = (list(marvl(0, path=folder / f"{name}{n}.jsonl", images=Path("m"))) for n in (1, 10))
        zero = list(marvl(0, path=folder / f"zero_shot/annotations/marvl-{language}.jsonl", images=Path("m")))
        assert (len(few), len(more)) == (4, 40)
        assert [example for example in more if example.id in {e.id for e in few}] == few
        assert not {example.id for example in more} & {example.id for example in zero}
        assert all(unicodedata.is_normalized("NFC", example.image_id) for example in [*more, *zero])
        assert all(unicodedata.is_normalized("NFD", str(image)) for e in [*more, *zero] for image in e.images)
