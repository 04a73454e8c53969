"""Words of languages without spaces: by character, by the libraries, and as the original had them from spaCy."""

import sys

import pytest

from mblip.evaluation.metrics.segmentation import load_segmenter

NO_JAPANESE = "SudachiPy is not installed: `pip install mblip[ja]`"
NO_THAI = "PyThaiNLP is not installed: `pip install mblip[th]`"
TEXTS = [
    "",
    " ",
    "蓝天白云下，一条 小河",
    "サッカースタジアム、客席に  お客さんがいる…。",
    "ジャングルの木の枝に　抱きつく猿２匹",
    "株式会社㍿ ﾊﾝｶｸ abc\tdef\n123",
    "ผู้หญิงคนหนึ่ง ยืนอยู่  ริมน้ำ",
    "👩‍👩‍👧の絵 e\u0301",
]


@pytest.fixture
def japanese():
    pytest.importorskip("sudachipy", reason=NO_JAPANESE)
    pytest.importorskip("sudachidict_core", reason=NO_JAPANESE)
    return load_segmenter("ja")


@pytest.fixture
def thai():
    pytest.importorskip("pythainlp", reason=NO_THAI)
    return load_segmenter("th")


@pytest.mark.parametrize("language", ["en", "ko", "km", "my", "lo", "iw"])
def test_other_languages_are_left_as_they_are(language):
    assert load_segmenter(language) is None
    assert load_segmenter(language, by_character=True) is None


def test_chinese_is_split_into_code_points_and_spaces_fall_out():
    assert load_segmenter("zh").words("一条 小河A4\u3000。") == ["一", "条", "小", "河", "A", "4", "。"]


def test_japanese_is_split_into_short_words(japanese):
    assert japanese.words("赤いモノレールが走る") == ["赤い", "モノレール", "が", "走る"]
    assert japanese.name.startswith("SudachiPy ")
    assert "sudachidict_core" in japanese.name


def test_an_ellipsis_leaves_no_empty_words(japanese):
    assert japanese.words("猫…") == ["猫", "…"]


def test_thai_is_split_into_words(thai):
    assert thai.words("แมวสองตัว นอนหลับ") == ["แมว", "สอง", "ตัว", "นอนหลับ"]
    assert thai.name.startswith("PyThaiNLP ")


@pytest.mark.parametrize(
    ("language", "text", "characters"),
    [
        ("th", "ที่ น้ำ", ["ที่", "น้", "ำ"]),
        ("ja", "猫が 2", ["猫", "が", "2"]),
        ("zh", "小河", ["小", "河"]),
    ],
)
def test_by_character_marks_stay_with_what_they_mark_and_no_library_is_asked(language, text, characters, monkeypatch):
    monkeypatch.setitem(sys.modules, "sudachipy", None)
    monkeypatch.setitem(sys.modules, "pythainlp", None)
    segmenter = load_segmenter(language, by_character=True)
    assert segmenter.words(text) == characters
    assert segmenter.name == "characters"


@pytest.mark.parametrize(
    ("language", "module", "message"),
    [
        ("ja", "sudachipy", r"Japanese captions .* SudachiPy with sudachidict_core, .*`pip install mblip\[ja\]`"),
        ("th", "pythainlp.tokenize", r"Thai captions .* PyThaiNLP, .*`pip install mblip\[th\]`"),
    ],
)
def test_a_missing_library_is_an_error_that_says_what_to_install(language, module, message, monkeypatch):
    from mblip.evaluation.metrics import segmentation

    segmentation._load_japanese.cache_clear()
    segmentation._load_thai.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=message):
        load_segmenter(language)


def test_a_missing_dictionary_is_an_error_that_says_what_to_install(monkeypatch):
    sudachipy = pytest.importorskip("sudachipy", reason=NO_JAPANESE)
    from mblip.evaluation.metrics import segmentation

    def dictionary():
        raise ModuleNotFoundError("Package `sudachidict_core` does not exist.")

    segmentation._load_japanese.cache_clear()
    monkeypatch.setattr(sudachipy, "Dictionary", dictionary)
    with pytest.raises(ImportError, match=r"`pip install mblip\[ja\]`"):
        load_segmenter("ja")


# spaCy asks SudachiPy by a name that SudachiPy 0.7 deprecates.
@pytest.mark.filterwarnings("ignore:Dictionary.create:DeprecationWarning")
@pytest.mark.parametrize("language", ["zh", "ja", "th"])
def test_the_words_are_those_of_spacy(language, request):
    classes = {"zh": "Chinese", "ja": "Japanese", "th": "Thai"}
    module = pytest.importorskip(f"spacy.lang.{language}", reason="spaCy is not installed: `pip install spacy`")
    if language != "zh":
        request.getfixturevalue(classes[language].lower())
    spacy_language = getattr(module, classes[language])()
    segmenter = load_segmenter(language)
    for text in TEXTS:
        words = " ".join(token.text for token in spacy_language(text)).split()
        assert " ".join(segmenter.words(text)).split() == words
