"""The photos recipe: its image encoder, its texts, and what its recipes hold out."""

import json
import random
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from class_names import ADDED_LANGUAGES, prompts
from efficientnet_lite0 import STAGES, EfficientNetLite0, EfficientNetLite0Config, SamePadConv2d, image_processor
from language_models import World, build, train_tokenizer
from mblip.data.languages import add_languages
from mblip.data.sources.babel_imagenet import babel_imagenet
from mblip.data.stable_random import stable_random
from mblip.training.recipe_reading import parse_command_line
from modeling_mblip import MBlipForConditionalGeneration
from prepare import prepare

pytestmark = pytest.mark.usefixtures("table_of_96")
ROOT = Path(__file__).parents[2]
SYNSETS = {"n01440764": 0, "n01443537": 1}
LABELS = {
    "EN": [[0, 1], ["tench", "goldfish"]],
    "DE": [[0, 1], ["Schleie", "Goldfisch"]],
    "FR": [[0, 1], ["tanche", "carassin doré"]],
    "BR": [[1], ["pesk aour"]],
}


@pytest.fixture
def english():
    """The language model and tokenizer of a world of two names."""
    world = World({0: {"en": "tench"}, 1: {"en": "goldfish"}}, [0, 1], {"en": ["a photo of a {}."]})
    tokenizer = train_tokenizer(world, 400)
    return build("english", 8 * (len(tokenizer) // 8 + 1)), tokenizer


@pytest.fixture
def tower(tmp_path):
    folder = tmp_path / "tower"
    model = EfficientNetLite0(EfficientNetLite0Config(image_size=64)).eval()
    model.save_pretrained(folder)
    image_processor(64).save_pretrained(folder)
    return folder


def test_the_own_image_encoder_composes_with_a_new_qformer(tower, english, tmp_path):
    for part in english:
        part.save_pretrained(tmp_path / "english")
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    model = MBlipForConditionalGeneration.from_sub_models_pretrained(
        tower, None, tmp_path / "english", num_query_tokens=3, qformer_config=small
    )
    pixel_values = torch.rand(2, 3, 64, 64)
    own = AutoModel.from_pretrained(tower)(pixel_values).last_hidden_state
    assert own.shape == (2, 1280, 2, 2)
    torch.testing.assert_close(model.encode_vision(pixel_values), own.flatten(2).transpose(1, 2), rtol=0, atol=0)
    assert model.get_image_features(pixel_values).pooler_output.shape == (2, 3, 192)


def test_a_stride_of_two_pads_more_at_the_right_and_bottom():
    convolution = SamePadConv2d(1, 1, 3, 2)
    torch.nn.init.ones_(convolution.weight)
    sums = convolution(torch.ones(1, 1, 4, 4))
    assert sums.tolist() == [[[[9.0, 6.0], [6.0, 4.0]]]]
    assert sum(blocks for blocks, *_ in STAGES) == 16


def test_pixels_are_less_127_and_divided_by_128(tower):
    processor = AutoImageProcessor.from_pretrained(tower)
    pixel_values = processor(Image.new("RGB", (64, 64), (255, 127, 0)), return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(pixel_values[0, :, 0, 0], torch.tensor([1.0, 0.0, -127 / 128]))


def test_a_text_asks_for_a_name_as_the_recipe_asks_below_a_photo():
    world = World({1: {"en": "goldfish", "de": "Goldfisch"}}, [1], {})
    rng = random.Random(0)
    drawn = [world.draw(rng) for _ in range(200)]
    assert {answer for _, _, answer in drawn} == {"goldfish", "Goldfisch"}
    assert {name for parts, _, _ in drawn for name in parts} == {"goldfish", "Goldfisch"}
    assert {prompt for _, prompt, answer in drawn if answer == "Goldfisch"} == set(prompts("de"))


def test_the_tokenizer_gives_every_name_back():
    add_languages(ADDED_LANGUAGES)
    world = World({1: {"en": "goldfish", "zh": "金鱼", "br": "pesk aour"}}, [1], {"en": ["a photo of a {}."]})
    tokenizer = train_tokenizer(world, 4000)
    names = ["goldfish", "金鱼", "pesk aour", "Ünbekannt fish"]
    assert tokenizer.tokenize("pesk aour") == ["▁pesk▁aour"]
    assert [tokenizer.decode(tokenizer(name)["input_ids"], skip_special_tokens=True) for name in names] == names


@pytest.fixture
def data(tmp_path):
    """Tiny-ImageNet's archive in little: ten training photos of each of two classes, and a validation photo."""
    with zipfile.ZipFile(tmp_path / "tiny-imagenet-200.zip", "w") as archive:
        for number in range(10):
            for synset in SYNSETS:
                image = Image.new("RGB", (8, 8), (number, SYNSETS[synset], 0))
                image.save(tmp_path / "image.png")
                archive.write(
                    tmp_path / "image.png", f"tiny-imagenet-200/train/{synset}/images/{synset}_{number}.JPEG"
                )
        archive.write(tmp_path / "image.png", "tiny-imagenet-200/val/images/val_0.JPEG")
        archive.writestr("tiny-imagenet-200/val/val_annotations.txt", "val_0.JPEG\tn01443537\t0\t0\t7\t7\n")
        archive.writestr("tiny-imagenet-200/words.txt", "n01443537\tgoldfish, Carassius auratus\n")
    (tmp_path / "imagenet_classes.json").write_text(json.dumps(SYNSETS))
    (tmp_path / "labels.json").write_text(json.dumps(LABELS), encoding="utf-8")
    prepare(tmp_path / "tiny-imagenet-200.zip", tmp_path / "imagenet_classes.json", tmp_path / "photos")
    return tmp_path


def test_a_tenth_of_the_training_photos_is_set_aside(data):
    names = {part: len(list((data / "photos" / part).rglob("*.JPEG"))) for part in ("train", "aside", "val")}
    assert names == {"train": 18, "aside": 2, "val": 1}


def test_no_photo_is_trained_with_a_held_out_name_or_in_a_held_out_language(data):
    source = _recipe("photos").data.sources[0].arguments
    settings = {name: source[name] for name in ("held_out_share", "held_out_languages", "tasks", "rounds")}
    files = {"photos": data / "photos" / "train", "labels": data / "labels.json"}
    names = {
        split: {(e.language, e.target) for e in babel_imagenet(42, split=split, **files, **settings)}
        for split in ("train", "held_out", "held_out_language")
    }
    assert names["held_out_language"] == {("de", "Schleie"), ("de", "Goldfisch")}
    assert not names["train"] & names["held_out"]
    assert names["train"] | names["held_out"] == {
        ("en", "tench"),
        ("en", "goldfish"),
        ("fr", "tanche"),
        ("fr", "carassin doré"),
        ("br", "pesk aour"),
    }


def test_the_recipes_train_and_evaluate_with_the_same_names_held_out():
    recipe = _recipe("photos")
    trained, (asked,) = recipe.data.sources[0].arguments, [task.arguments for task in recipe.evaluation.tasks]
    for name in ("held_out_share", "held_out_languages"):
        assert trained[name] == asked[name]
    assert recipe.add_languages == ADDED_LANGUAGES
    assert _recipe("english").imports == ("efficientnet_lite0",)


def test_the_held_out_languages_are_those_of_the_formula():
    names = json.loads(LABEL_FILE.read_text(encoding="utf-8")) if LABEL_FILE.is_file() else pytest.skip(NO_LABELS)
    codes = {"HE": "iw", "TL": "fil"}
    languages = sorted(codes.get(code, code.lower()) for code in names if code != "EN")
    drawn = stable_random("photos: held-out languages").sample(languages, 10)
    assert sorted(drawn) == list(_recipe("photos").data.sources[0].arguments["held_out_languages"])


LABEL_FILE = ROOT.parent / "shared" / "data" / "babel_imagenet" / "babel_imagenet.json"
NO_LABELS = "no labels: ../shared/data/babel_imagenet/babel_imagenet.json"


def _recipe(name):
    return parse_command_line([str(ROOT / "quickstart" / "photos" / f"{name}.yaml")])
