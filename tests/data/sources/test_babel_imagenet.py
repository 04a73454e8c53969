"""ImageNet photos with Babel-ImageNet labels: what is asked, what is held out, and what is refused."""

import json
import logging
import os
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from mblip.data.languages import LANGUAGES
from mblip.data.skipped import SkipReport
from mblip.data.sources.babel_imagenet import BabelImageNet, HoldOut
from mblip.data.sources.babel_imagenet_files import OUR_CODES, PUBLISHED_CODES, Photo, read_labels, read_photos

REAL = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
needs_real_data = pytest.mark.skipif(
    not (REAL / "imagenet" / "images.jsonl").is_file(),
    reason="no ImageNet sample: set MBLIP_DATA to a folder with imagenet/ and babel_imagenet/",
)

ALL = HoldOut(share=0.0)
LABELS = {
    "EN": [[0, 1, 2], ["tench", "goldfish", "shark"]],
    "HE": [[0, 1], ["טנקה", "דג זהב"]],
    "DE": [[0, 1, 2], ["Schleie", "schleie", "Hai"]],
    "LA": [[1], ["carassius"]],
}
SYNSETS = {"n01440764": 0, "n01443537": 1, "n01484850": 2}


@pytest.fixture
def photos(tmp_path):
    """Three photos, of classes 0 to 2, and the file that tells the classes of synsets."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for synset, index in SYNSETS.items():
        Image.new("RGB", (8, 8), (index, 0, 0)).save(folder / f"{synset}_{index}.JPEG")
    (tmp_path / "imagenet_classes.json").write_text(json.dumps(SYNSETS))
    return folder


@pytest.fixture
def label_file(tmp_path):
    return write_labels(tmp_path, LABELS)


def write_labels(folder, labels):
    path = folder / "labels.json"
    path.write_text(json.dumps(labels), encoding="utf-8")
    return path


def test_a_photo_is_named_in_every_language_that_has_a_name_for_it(photos, label_file):
    source = BabelImageNet.read(photos, label_file)
    named = {
        (example.image_id, example.language): example.target
        for example in source.examples("train", hold_out=ALL, tasks=["image_naming"])
    }
    assert named == {
        ("babel_imagenet/n01440764_0", "en"): "tench",
        ("babel_imagenet/n01440764_0", "iw"): "טנקה",
        ("babel_imagenet/n01440764_0", "de"): "Schleie",
        ("babel_imagenet/n01443537_1", "en"): "goldfish",
        ("babel_imagenet/n01443537_1", "iw"): "דג זהב",
        ("babel_imagenet/n01443537_1", "de"): "schleie",
        ("babel_imagenet/n01484850_2", "en"): "shark",
        ("babel_imagenet/n01484850_2", "de"): "Hai",
    }  # fmt: skip


def test_deciding_asks_about_the_right_name_or_a_wrong_one(photos, label_file):
    source = BabelImageNet.read(photos, label_file)
    names = {
        (photo.path.stem, language): labels.get(photo.class_index)
        for photo in source.photos
        for language, labels in source.labels.items()
    }
    answers = Counter()
    for seed in range(50):
        for example in source.examples("train", hold_out=ALL, tasks=["image_deciding"], seed=seed):
            right = names[example.image_id.split("/")[1], example.language]
            is_right = example.inputs["label"] == right
            assert example.target == ("yes" if is_right else "no")
            if not is_right:  # "Schleie" and "schleie" are one name
                assert example.inputs["label"].casefold() != right.casefold()
            answers[example.target] += 1
    assert answers["yes"] == pytest.approx(answers["no"], rel=0.25)


def test_a_wrong_name_is_never_the_right_one_as_it_may_be_in_the_original(photos, label_file):
    source = BabelImageNet.read(photos, label_file, languages=["de"])
    rights = {photo.path.stem: source.labels["de"][photo.class_index].casefold() for photo in source.photos}

    def denied_right_names(as_released):
        """How often the answer about the right name is no."""
        return sum(
            example.target == "no" and example.inputs["label"].casefold() == rights[example.image_id.split("/")[1]]
            for seed in range(50)
            for example in source.examples("train", hold_out=ALL, seed=seed, as_released=as_released)
            if example.task == "image_deciding"
        )

    assert denied_right_names(as_released=False) == 0
    assert denied_right_names(as_released=True) > 10


def test_photos_of_one_name_in_the_folders_of_their_classes_are_different_photos(tmp_path, label_file):
    (tmp_path / "imagenet_classes.json").write_text(json.dumps(SYNSETS))
    for synset in SYNSETS:
        (tmp_path / "train" / synset).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "train" / synset / "1.png")
    source = BabelImageNet.read(tmp_path / "train", label_file)
    examples = list(source.examples("train", hold_out=ALL))
    shown = {(example.image_id, *example.images) for example in examples}
    assert shown == {
        (f"babel_imagenet/00{index}/1", tmp_path / "train" / synset / "1.png") for synset, index in SYNSETS.items()
    }
    assert len({example.id for example in examples}) == len(examples)


def test_imagenets_own_folders_are_classes_in_their_order(tmp_path, label_file):
    for number in range(1000):
        (tmp_path / "train" / f"n{90_000_000 + 7 * number}").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "train" / "n90000014" / "n90000014_5.JPEG")
    (photo,) = BabelImageNet.read(tmp_path / "train", label_file).photos
    assert photo.class_index == 2
    (tmp_path / "train" / "n90000007").rmdir()
    with pytest.raises(ValueError, match=r"and 999 synset folders\. Add one of the files"):
        BabelImageNet.read(tmp_path / "train", label_file)


def test_two_photos_of_a_class_with_one_name_are_refused(photos, label_file):
    (photos / "again").mkdir()
    Image.new("RGB", (8, 8)).save(photos / "again" / "n01440764_0.png")
    with pytest.raises(ValueError, match=r"n01440764_0\.(png|JPEG) have the same name, expected names unique"):
        BabelImageNet.read(photos, label_file)


def more_photos(folder, number):
    """So many photos of class 0 besides the one there is."""
    for index in range(number):
        Image.new("RGB", (8, 8)).save(folder / f"n01440764_more_{index}.JPEG")


def test_so_many_photos_are_asked_about_for_each_language_and_class_as_there_are_rounds(photos, label_file):
    more_photos(photos, 9)
    source = BabelImageNet.read(photos, label_file)
    examples = list(source.examples("train", hold_out=ALL, rounds=4))
    counts = Counter((example.image_id[:24], example.language, example.task) for example in examples)
    tench, goldfish, shark = (f"babel_imagenet/{synset}" for synset in SYNSETS)
    languages = {tench: ("en", "iw", "de"), goldfish: ("en", "iw", "de"), shark: ("en", "de")}
    assert counts == {
        (synset, language, task): 4 if synset == tench else 1
        for synset in languages
        for language in languages[synset]
        for task in ("image_naming", "image_deciding")
    }
    assert len({example.id for example in examples}) == len(examples)
    every = list(source.examples("train", hold_out=ALL))
    assert [example for example in every if example in examples] == examples


def test_photos_of_another_class_do_not_move_what_the_rounds_draw(photos, label_file):
    more_photos(photos, 9)
    draws = []
    for _ in range(2):
        examples = BabelImageNet.read(photos, label_file).examples(
            "train", hold_out=ALL, rounds=2, tasks=["image_naming"]
        )
        draws.append([example.id for example in examples if "n01440764" in example.id])
        Image.new("RGB", (8, 8)).save(photos / "n01443537_0_more.JPEG")
    assert draws[0] == draws[1]
    assert len(draws[0]) == 6


def test_rounds_below_1_are_an_error(photos, label_file):
    with pytest.raises(ValueError, match="Found 0 rounds, expected 1 or more, or None for all photos"):
        list(BabelImageNet.read(photos, label_file).examples("train", rounds=0))


def test_a_language_with_one_name_has_nothing_to_decide_which_is_counted(photos, tmp_path):
    label_file = write_labels(tmp_path, {"EN": LABELS["EN"], "SW": [[0], ["kamongo"]]})
    skipped = SkipReport()
    examples = list(BabelImageNet.read(photos, label_file).examples("train", hold_out=ALL, skipped=skipped))
    assert Counter((example.task, example.language) for example in examples) == {
        ("image_naming", "en"): 3,
        ("image_deciding", "en"): 3,
        ("image_naming", "sw"): 1,
    }
    assert skipped.names == {"no wrong name to ask about": ["babel_imagenet/n01440764_0/sw/image_deciding"]}


def test_a_language_outside_the_96_is_skipped_counted_and_logged(photos, label_file, caplog):
    with caplog.at_level(logging.INFO):
        source = BabelImageNet.read(photos, label_file)
    assert source.skipped == {"LA": 1}
    assert list(source.labels) == ["en", "iw", "de"]
    assert "skipped {'LA': 1}" in caplog.text
    skipped = SkipReport()
    assert list(source.examples("train", hold_out=ALL, skipped=skipped))
    assert skipped.counts == {"label in a language that is none of the 96": 1}


def test_the_names_of_the_other_split_are_counted(photos, label_file):
    source, hold_out = BabelImageNet.read(photos, label_file), HoldOut(share=0.5, seed=1)
    num_names, counted = {}, {}
    for split in ("train", "held_out"):
        skipped = SkipReport()
        num_names[split] = len(
            list(source.examples(split, hold_out=hold_out, tasks=["image_naming"], skipped=skipped))
        )
        counted[split] = skipped.counts["name of the other split (held_out_share)"]
    assert num_names == {"train": counted["held_out"], "held_out": counted["train"]}
    assert min(num_names.values()) > 0


def test_every_published_code_is_ours_or_known_to_be_none_of_ours():
    ours = {OUR_CODES.get(code, code.lower()) for code in PUBLISHED_CODES} & set(LANGUAGES)
    assert len(PUBLISHED_CODES) == 298
    assert ours == set(LANGUAGES)


@pytest.mark.parametrize("by_language", [True, False])
def test_the_held_out_part_and_the_training_part_make_up_the_whole(photos, label_file, by_language):
    source = BabelImageNet.read(photos, label_file)
    hold_out = HoldOut(share=0.4, by_language=by_language)
    parts = [
        {example.id for example in source.examples(split, hold_out=hold_out, tasks=["image_naming"])}
        for split in ("train", "held_out")
    ]
    assert all(parts)
    assert not parts[0] & parts[1]
    assert parts[0] | parts[1] == {
        example.id for example in source.examples("train", hold_out=ALL, tasks=["image_naming"])
    }


def test_a_class_held_out_is_held_out_in_all_languages_and_a_name_in_one():
    by_class, by_name = HoldOut(share=0.3, by_language=False), HoldOut(share=0.3)
    splits = [{by_class.split(index, language) for language in LANGUAGES} for index in range(50)]
    assert {len(split) for split in splits} == {1}
    shares = [sum(by_name.split(index, language) == "held_out" for language in LANGUAGES) / 96 for index in range(50)]
    assert all(0.1 < share < 0.5 for share in shares)


def test_languages_can_be_chosen_but_must_have_labels(photos, label_file):
    assert list(BabelImageNet.read(photos, label_file, languages=["de", "en"]).labels) == ["de", "en"]
    with pytest.raises(ValueError, match=r"labels\.json has no labels in \['sw'\]. It has en, iw, de"):
        BabelImageNet.read(photos, label_file, languages=["en", "sw"])
    with pytest.raises(ValueError, match=r"Found the language False.*Norwegian"):
        BabelImageNet.read(photos, label_file, languages=["en", False])


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ({"XQ": LABELS["EN"]}, r"labels\.json: found the language code 'XQ'"),
        ({"en": LABELS["EN"]}, "found the language code 'en'.*upper case; nearest: EN"),
        ({"EN": [[0, 1, 2], ["tench"]]}, "labels.json, language 'EN': found 3 class indices, but 1 labels"),
        ({"EN": [[0, 1], ["tench", " "]]}, "language 'EN', position 1: the class index 1 has no label, found ' '"),
        ({"EN": [[0, 1], ["tench", None]]}, "position 1: the class index 1 has no label, found None"),
        ({"EN": [[0, 1000], ["tench", "x"]]}, "position 1: found the class index 1000, expected 0 to 999"),
        ({"EN": [[0, 0], ["tench", "x"]]}, "position 1: the class index 0 is repeated"),
        ({"EN": ["tench"]}, "language 'EN': expected .class indices, labels., two lists"),
        ([], "found a list of 0, expected an object"),
    ],
)
def test_a_label_file_that_is_not_as_published_names_its_location(photos, tmp_path, labels, match):
    with pytest.raises(ValueError, match=match):
        BabelImageNet.read(photos, write_labels(tmp_path, labels))


def test_a_label_file_that_is_no_json_names_its_location(photos, tmp_path):
    path = tmp_path / "labels.json"
    path.write_text('{"EN": ')
    with pytest.raises(ValueError, match=r"labels\.json is not JSON in UTF-8: .*char 7"):
        BabelImageNet.read(photos, path)
    with pytest.raises(ValueError, match=r"no file .*gone\.json"):
        BabelImageNet.read(photos, tmp_path / "gone.json")


def test_a_photo_whose_class_has_no_label_in_any_language_is_an_error(photos, tmp_path):
    path = write_labels(tmp_path, {"EN": [[0, 1], ["tench", "goldfish"]]})
    with pytest.raises(ValueError, match=r"n01484850_2\.JPEG shows class 2, which .*labels\.json gives no label"):
        BabelImageNet.read(photos, path)


def test_a_photo_of_an_unknown_synset_is_an_error(photos, label_file):
    Image.new("RGB", (8, 8)).save(photos / "n99999999_unicorn.jpg")
    with pytest.raises(ValueError, match=r"n99999999_unicorn\.jpg: expected a synset id of .*such as n02101006"):
        BabelImageNet.read(photos, label_file)


def test_a_listed_photo_that_is_missing_is_named_with_its_line(photos, label_file):
    listing = photos / "images.jsonl"
    listing.write_text('{"file": "n01440764_0.JPEG", "class_index": 0}\n{"file": "gone.JPEG", "class_index": 1}\n')
    with pytest.raises(ValueError, match=r"images\.jsonl, line 2: there is no photo .*gone\.JPEG"):
        BabelImageNet.read(photos, label_file)
    listing.write_text('{"file": "n01440764_0.JPEG"}\n')
    with pytest.raises(ValueError, match=r"images\.jsonl, line 1: `class_index` is missing or null"):
        BabelImageNet.read(photos, label_file)
    listing.write_text('{"file": "n01440764_0.JPEG", "class_index": "0"}\n')
    with pytest.raises(
        ValueError, match=r"images\.jsonl, line 1: `class_index` is '0', text, expected a whole number"
    ):
        BabelImageNet.read(photos, label_file)


def test_listed_photos_may_lie_in_a_folder_of_images(photos, tmp_path, label_file):
    photos.rename(tmp_path / "images")
    (tmp_path / "images.jsonl").write_text('{"file": "n01443537_1.JPEG", "class_index": 1}\n')
    for folder in (tmp_path, tmp_path / "images"):
        (photo,) = BabelImageNet.read(folder, label_file).photos
        assert (photo.path, photo.class_index) == (tmp_path / "images" / "n01443537_1.JPEG", 1)


def test_a_folder_may_be_named_by_its_synset_as_that_of_imagenet_is(photos, label_file):
    (photos / "n01484850").mkdir()
    (photos / "n01484850_2.JPEG").rename(photos / "n01484850" / "ILSVRC2012_val_00000001.JPEG")
    classes = {photo.path.name: photo.class_index for photo in BabelImageNet.read(photos, label_file).photos}
    assert classes["ILSVRC2012_val_00000001.JPEG"] == 2


def test_photos_without_classes_and_a_folder_without_photos_are_errors(photos, tmp_path, label_file):
    (tmp_path / "imagenet_classes.json").unlink()
    with pytest.raises(ValueError, match=r"Found neither images\.jsonl nor imagenet_classes.json"):
        BabelImageNet.read(photos, label_file)
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "imagenet_classes.json").write_text("{}")
    with pytest.raises(ValueError, match="empty holds no photos"):
        BabelImageNet.read(empty, label_file)


def test_an_unknown_task_is_an_error(photos, label_file):
    with pytest.raises(ValueError, match=r"Found the tasks \['vqa'\], but babel_imagenet gives"):
        list(BabelImageNet.read(photos, label_file).examples("train", tasks=["vqa"]))


@needs_real_data
def test_the_published_files_give_a_name_for_every_photo_language_and_label():
    source = BabelImageNet.read(REAL / "imagenet" / "images", REAL / "babel_imagenet" / "babel_imagenet.json")
    assert (len(source.photos), len(source.labels), sum(source.skipped.values())) == (400, 83, 1590)
    listed = (REAL / "imagenet" / "images.jsonl").read_text().splitlines()
    languages = sum(json.loads(line)["n_babel_languages"] for line in listed)
    counted = sum(photo.class_index in labels for photo in source.photos for labels in source.labels.values())
    published = json.loads((REAL / "babel_imagenet" / "babel_imagenet.json").read_text(encoding="utf-8"))
    outside = sum(photo.class_index in published[code][0] for photo in source.photos for code in source.skipped)
    assert (counted, outside) == (14138, 621)
    assert counted + outside == languages
    examples = list(source.examples("train", hold_out=ALL, tasks=["image_naming"]))
    assert len(examples) == counted


@needs_real_data
def test_the_larger_published_file_covers_all_96_languages():
    source = BabelImageNet.read(REAL / "imagenet" / "images", REAL / "babel_imagenet" / "babel_imagenet-298.json")
    assert set(source.labels) == set(LANGUAGES)


@pytest.mark.slow
@needs_real_data
@pytest.mark.parametrize(
    ("name", "num_labels"), [("babel_imagenet.json", 35_848), ("babel_imagenet-298.json", 36_982)]
)
def test_eight_rounds_over_the_published_labels_are_the_300_thousand_of_the_mix(name, num_labels):
    """One round is made here, an eighth of it, on made-up photos."""
    photos = [Photo(Path(f"{index:03d}_{number}.jpg"), index) for index in range(1000) for number in range(2)]
    labels, skipped = read_labels(REAL / "babel_imagenet" / name)
    source = BabelImageNet(photos, labels, skipped)
    assert sum(1 for _ in source.examples("train", hold_out=ALL, rounds=1, tasks=["image_naming"])) == num_labels
    assert round(8 * num_labels, -5) == 300_000


def test_names_that_differ_by_an_invisible_mark_are_one(photos, tmp_path):
    """The published file has four such pairs; between them there is no wrong name to ask about."""
    marked = write_labels(tmp_path, {"EN": [[0, 1, 2], ["a", "b", "c"]], "FA": [[0, 1], ["گهواره", "گهواره\u200e"]]})
    source = BabelImageNet.read(photos, marked)
    asked = [e.language for e in source.examples("train", hold_out=ALL, tasks=["image_deciding"])]
    assert set(asked) == {"en"}


def test_annotations_tell_the_classes_of_tiny_imagenets_validation_photos(photos, tmp_path):
    images = tmp_path / "val" / "images"
    images.mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(images / "val_7.JPEG")
    (tmp_path / "val" / "val_annotations.txt").write_text("val_7.JPEG\tn01443537\t0\t0\t63\t55\n")
    assert read_photos(tmp_path / "val") == (Photo(images / "val_7.JPEG", 1),)
