"""Words for sides: found in every language that has a list, and nowhere in what asks for a task."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from mblip.data.augmentation import UNSPACED_SCRIPTS, Augmentation, names_a_side, read_side_words
from mblip.data.languages import LANGUAGES
from mblip.data.prompts import TASKS, native_templates
from mblip.data.stable_random import stable_random
from scenes.languages import SCENE_LANGUAGES, caption
from scenes.world import sample_training_scene

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
SIDED = {  # (to the left, to the right) in a sentence
    "am": ("ድመቱ በግራ በኩል ነው", "በቀኝ በኩል"),
    "ar": ("قطة على يسار كلب", "إلى اليمين"),
    "bn": ("কুকুরের বাঁদিকে একটি বিড়াল", "ডান দিকে"),
    "de": ("Eine Katze links vom Hund.", "Rechts steht ein Hund"),
    "el": ("μια γάτα στα ΑΡΙΣΤΕΡΆ", "στη δεξιά πλευρά"),
    "en": ("A cat on the left-hand side", "The dog at Right."),
    "es": ("un gato a la izquierda", "a su derecha"),
    "eu": ("txakurraren ezkerrean", "eskuinean"),
    "fa": ("گربه در سمتِ‌چپ", "سمت راست"),
    "fi": ("kissa vasemmalla", "koira oikealla"),
    "fr": ("un chat à gauche", "à l'extrême droite"),
    "hi": ("बाएँ हाथ में", "दाहिनी ओर"),
    "hu": ("a bal oldalon", "jobbra egy kutya"),
    "id": ("di sebelah kiri", "di sebelah kanan"),
    "iw": ("חתול משמאל", "מצד ימין"),
    "ja": ("犬の左に猫がいる", "右手に傘"),
    "ka": ("მარცხნივ", "მარჯვენა მხარეს"),
    "km": ("នៅខាងឆ្វេង", "នៅខាងស្ដាំ"),
    "ko": ("개 왼쪽에 고양이", "오른손에 우산"),
    "ml": ("ഇടതുവശത്ത്", "വലത് കൈ"),
    "my": ("ဘယ်ဘက်မှာ", "ညာဘက်မှာ"),
    "pl": ("kot po lewej stronie", "z prawej"),
    "ru": ("кошка слева от собаки", "в правой руке"),
    "sw": ("upande wa kushoto", "mkono wa kulia"),
    "ta": ("இடது பக்கத்தில்", "வலதுபுறம்"),
    "th": ("แมวอยู่ทางซ้ายของหมา", "มือขวา"),
    "tr": ("köpeğin solunda", "sağ elinde"),
    "uk": ("кіт ліворуч", "праворуч"),
    "vi": ("bên trái", "bên phải"),
    "yi": ("אויף דער לינקער זייט", "רעכטס"),
    "zh": ("狗的左边有一只猫", "右手"),
    "zu": ("ngakwesokunxele", "ngakwesokudla"),
}
SIDELESS = {
    "ar": "قطة صغيرة على طاولة",
    "bn": "টেবিলের উপর একটি বিড়াল",
    "de": "Eine Katze auf einem rechteckigen Tisch, dahinter ein Regal.",
    "en": "A bright kitten on a table, upright and delightful.",
    "es": "este gato sobre la mesa",
    "fr": "un chat est sur la table",
    "hi": "मेज़ पर एक बिल्ली",
    "id": "makanan dan kucing di atas meja",
    "ja": "テーブルの上の猫",
    "ru": "кошка на столе у окна",
    "th": "แมวอยู่บนโต๊ะ",
    "tr": "gün batımında masada bir kedi, doğum günü",
    "zh": "桌子上的东西和一副眼镜",
}


def test_nearly_every_language_has_words_for_left_and_right():
    words = read_side_words()
    assert set(LANGUAGES) - set(words) == {"st"}
    for language, kinds in words.items():
        assert {"left", "right"} <= set(kinds) <= {"left", "right", "turn", "mirror", "compass", "reading"}, language


def test_every_word_of_the_list_is_found_in_its_language():
    words = [(code, word) for code, kinds in read_side_words().items() for word in sum(kinds.values(), ())]
    assert len(words) > 1000
    for code, word in words:
        assert word.strip(), code
        assert names_a_side(f"… {word.replace('*', '')}!", code), (code, word)
        if LANGUAGES[code].script in UNSPACED_SCRIPTS:
            assert "*" not in word, (code, word)


@pytest.mark.parametrize("language", SIDED)
def test_left_and_right_are_found_in_a_sentence(language):
    left, right = SIDED[language]
    assert names_a_side(left, language)
    assert names_a_side(right, language)


@pytest.mark.parametrize("language", SIDELESS)
def test_a_text_without_a_side_names_none(language):
    assert names_a_side(SIDELESS[language], language) is False


@pytest.mark.parametrize("text", ["clockwise", "in a mirror", "the east wing", "WESTERN", "What does the sign say?"])
def test_what_else_a_mirror_changes_is_found_in_english(text):
    assert names_a_side(text, "en")


def test_composed_and_decomposed_spellings_are_one():
    assert names_a_side("go\u0300ch", "ht")  # an o and a combining grave accent
    assert names_a_side("בִּשְׂמֹאל", "iw") is names_a_side("בשמאל", "iw") is True
    assert names_a_side("ABAJO A LA IZQUIERDA", "es")


def test_a_language_without_a_list_is_not_known_to_name_none():
    assert names_a_side("katse", "st") is None


def test_the_drawn_world_names_a_side_exactly_where_its_captions_say_left():
    kinds = Counter()
    for number in range(60):
        scene = sample_training_scene(stable_random(0, number))
        is_sided = "left" in caption(scene, "en")
        kinds[is_sided] += 1
        for language in SCENE_LANGUAGES:
            assert names_a_side(caption(scene, language), language) == is_sided, (language, caption(scene, language))
    assert min(kinds[True], kinds[False]) > 5


def test_no_template_of_training_names_a_side_by_itself():
    num_templates = 0
    for name in set(TASKS) - Augmentation().flip_tasks:
        for language in LANGUAGES:
            for template in TASKS[name].templates if language == "en" else native_templates(language, name):
                num_templates += 1
                assert not names_a_side(template.text, language), template
                assert not names_a_side(template.text, "en"), template
    assert num_templates > 400


@pytest.mark.skipif(not (REAL / "xgqa").is_dir(), reason="no xGQA sample: set MBLIP_DATA to a folder with xgqa/")
@pytest.mark.parametrize("language", ["bn", "de", "id", "ko", "pt", "ru", "zh"])
def test_the_questions_of_xgqa_name_a_side_in_every_language_where_they_do_in_english(language):
    english, translated = (
        json.loads((REAL / f"xgqa/few_shot/{code}/dev.json").read_text()) for code in ("en", language)
    )
    sided = {
        number for number, record in english.items() if " left" in record["question"] or " right" in record["question"]
    }
    assert len(sided) > 30
    missed = [
        translated[number]["question"]
        for number in sided
        if not names_a_side(translated[number]["question"], language)
    ]
    assert missed == []
