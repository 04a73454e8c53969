"""Training from features gives the bits of encoding on the fly, and the image encoder is neither loaded nor lost."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mblip import encode, train
from mblip import eval as evaluate
from mblip.data import features as store
from mblip.evaluation import EvaluationTask
from mblip.evaluation.protocol import Setup
from mblip.training import encoding
from mblip.training.encoding import open_features, plan_sets
from mblip.training.recipe_reading import parse_command_line, read_recipe
from mblip.training.run_folder import Run
from mblip.training.starting_model import build_model
from modeling_mblip import MBlipForConditionalGeneration
from scenes.task import scenes
from tests.training.tiny_run import torchrun, write_components, write_recipe, write_tiny_rows

WARM_UP = {"stage": "warm_up", "batch_size": 4, "learning_rate": 5e-3, "warmup_steps": 2}
RE_ALIGNMENT = WARM_UP | {"stage": "re_alignment", "learning_rate": 1e-3, "lora": {"r": 2, "lora_dropout": 0.1}}
RESULTS = ("model/model.safetensors", "model/config.json", "adapter/adapter_model.safetensors")
EVALUATION = {"scenes.task:scenes": {"num_images": 4, "languages": ["en", "sw"]}}


@pytest.fixture(autouse=True)
def one_thread():
    """With several, the last bits of so narrow a ViT depend on the batch."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny_run(folder: Path, *, family: str = "mt5", steps: int = 2, **changes: Any) -> Path:
    """A recipe of both stages on twelve images and as many rows without any."""
    write_components(folder, family=family, dropout=0.1)
    write_tiny_rows(folder / "rows.parquet")
    data = {"rows": {"path": str(folder / "rows.parquet")}} | changes.pop("data", {})
    defaults = {
        "data": data,
        "stages": [WARM_UP | {"max_steps": steps}, RE_ALIGNMENT | {"max_steps": steps}],
        "training": {"save_steps": steps, "logging_steps": 1},
    }
    return write_recipe(folder, **(defaults | changes))


def run(folder: Path, name: str, *options: str) -> Path:
    """Train the recipe in `folder` into `folder/name`, which is returned."""
    train.main([str(folder / "recipe.yaml"), "--output_dir", str(folder / name), *options])
    return folder / name


def with_features(folder: Path, **options: int) -> list[str]:
    """The options of a recipe that reads features in `folder`."""
    return [
        "--features.path",
        str(folder / "features"),
        *(f"--features.{name}={value}" for name, value in options.items()),
    ]


def losses(output: Path) -> list[float]:
    lines = (output / "training_log.jsonl").read_text(encoding="utf-8").splitlines()
    return [entry["loss"] for entry in map(json.loads, lines) if "loss" in entry]


def check_equal(first: Path, second: Path, *, num_losses: int) -> None:
    assert len(losses(first)) == num_losses
    assert losses(first) == losses(second)
    for name in RESULTS:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


@pytest.mark.slow
def test_training_from_features_has_the_same_bits_and_loads_the_image_encoder_only_to_save_it(tmp_path, monkeypatch):
    tiny_run(tmp_path)
    encode.main([str(tmp_path / "recipe.yaml"), *with_features(tmp_path)])
    forms, load_tower = [], train.load_tower

    def counted(model, dtype):
        forms.append((type(model.vision_model).__name__, [*model.vision_model.parameters()]))
        return load_tower(model, dtype)

    monkeypatch.setattr(train, "load_tower", counted)
    monkeypatch.setattr(encoding, "load_tower", lambda *_: pytest.fail("loaded, though its files are the same"))
    monkeypatch.setattr("mblip.data.collator.open_image", lambda *_, **__: pytest.fail("an image is decoded"))
    fast = run(tmp_path, "fast", *with_features(tmp_path))
    assert forms == [("NoTower", [])]
    monkeypatch.undo()
    check_equal(run(tmp_path, "plain"), fast, num_losses=4)


@pytest.mark.parametrize(
    ("kinds", "augmentation", "expected"),
    [
        (["warm_up"], None, {"query_features": ([0], True)}),
        (["re_alignment", "re_alignment"], None, {"vision_features": ([0, 1], True)}),
        (["warm_up", "re_alignment"], None, {"query_features": ([0], False), "vision_features": ([1], True)}),
        (
            ["warm_up", "re_alignment"],
            {},
            {
                "query_features_0_warm_up": ([0], False),
                "vision_features_1_re_alignment": ([1], False),
                "vision_features": ([], True),
            },
        ),
    ],
)
def test_a_stage_reads_the_last_part_that_is_as_at_the_start_and_the_evaluation_what_the_last_stage_reads(
    tmp_path, kinds, augmentation, expected
):
    stages = [(WARM_UP if kind == "warm_up" else RE_ALIGNMENT) | {"max_steps": 2} for kind in kinds]
    data = {"rows": {"path": "rows.parquet"}, "augmentation": augmentation}
    features = {"path": "features"} | ({} if augmentation is None else {"augmentations": 3})
    recipe = write_recipe(tmp_path, stages=stages, data=data, features=features, evaluation=EVALUATION)
    plans = plan_sets(Run(read_recipe(recipe)))
    assert {
        plan.folder.name: ([int(stage.folder.name[0]) for stage in plan.stages], plan.has_evaluation) for plan in plans
    } == expected


@pytest.mark.parametrize(
    ("options", "match"),
    [
        (["--features.augmentations", "2"], "goes with `data.augmentation`, but the data have no `augmentation`"),
        (["--data.augmentation", "{}"], "goes with `data.augmentation`, but it is missing"),
        (["--model.random_weights", "true"], "of a pretrained image encoder, but `random_weights` has none"),
        (
            ["--stages", "[{stage: full, batch_size: 4, learning_rate: 1e-3, max_steps: 2}]"],
            "the stage `full` trains it",
        ),
    ],
)
def test_a_recipe_for_which_features_make_no_sense_is_refused(tmp_path, options, match):
    with pytest.raises(ValueError, match=match):
        parse_command_line([str(write_recipe(tmp_path)), "--features.path", "features", *options])


def test_features_of_other_weights_processor_draws_and_images_are_refused_by_name(tmp_path):
    stages = [RE_ALIGNMENT | {"max_steps": 2}]
    recipe = tiny_run(tmp_path, stages=stages, data={"augmentation": {}}, evaluation=EVALUATION)
    options = with_features(tmp_path, augmentations=1)
    encode.main([str(recipe), *options])

    def opened(*more: str) -> None:
        found = Run(parse_command_line([str(recipe), *options, *more]))
        model, processor = build_model(found.recipe.model, found.recipe.seed, has_tower=False)
        open_features(found, model, processor, train.build_tasks(found.recipe))

    opened()
    for more, name in [
        (["--seed", "8"], "seed: found 7, expected 8"),
        (["--features.augmentations", "2"], "augmentations: found 1, expected 2"),
        (["--data.augmentation", "{flip_probability: 0.1}"], r"augmentation: found .*: 0.5.*: 0.1"),
        (["--model.dtype", "bfloat16"], "dtype: found float32, expected bfloat16"),
    ]:
        with pytest.raises(ValueError, match=f"re_alignment holds features of another {name}.*Give another `features"):
            opened(*more)
    with pytest.raises(ValueError, match=r"scenes: Image set 'unseen-4': .*/vision_features holds no features of"):
        opened("--evaluation.scenes.task:scenes.num_images", "6")

    settings = tmp_path / "blip2" / "preprocessor_config.json"
    path = settings if settings.is_file() else tmp_path / "blip2" / "processor_config.json"
    before = path.read_text()
    path.write_text(before.replace('"resample": 3', '"resample": 2'))
    assert path.read_text() != before
    with pytest.raises(ValueError, match=r"another image processor: found 28x28 pixels, .*expected 28x28 pixels"):
        opened()
    path.write_text(before)
    weights = tmp_path / "blip2" / "model.safetensors"
    tensors = load_file(weights)
    save_file(tensors, weights, metadata={"format": "pt"})
    opened()  # the file is another, its weights are the same
    tensors["vision_model.post_layernorm.bias"][0] += 1e-3
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"another image encoder: found \w{32}, expected \w{32}"):
        opened()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "prompts_per_image", "is_augmented"),
    [("mt5", 1, False), ("mt5", 4, True), ("bloom", 4, False), ("bloom", 1, True)],
)
def test_twenty_four_steps_of_both_stages_have_equal_losses_and_weights(
    tmp_path, family, prompts_per_image, is_augmented
):
    data = {"prompts_per_image": prompts_per_image} | ({"augmentation": {}} if is_augmented else {})
    tiny_run(tmp_path, family=family, steps=12, data=data, evaluation=EVALUATION)
    options = with_features(tmp_path, **({"augmentations": 2} if is_augmented else {}))
    encode.main([str(tmp_path / "recipe.yaml"), *options])
    plain, fast = run(tmp_path, "plain"), run(tmp_path, "fast", *options)
    check_equal(plain, fast, num_losses=24)
    answers = "predictions_scenes.jsonl"
    assert (plain / answers).read_bytes() == (fast / answers).read_bytes()


@pytest.mark.slow
def test_the_image_encoder_sees_each_image_of_both_stages_once(tmp_path, monkeypatch):
    tiny_run(tmp_path)
    seen, encode_vision = [], MBlipForConditionalGeneration.encode_vision

    def counted(self, pixel_values):
        seen.append(len(pixel_values))
        return encode_vision(self, pixel_values)

    monkeypatch.setattr(MBlipForConditionalGeneration, "encode_vision", counted)
    encode.main([str(tmp_path / "recipe.yaml"), *with_features(tmp_path)])
    assert sorted(seen) == [2, 2, 12]  # a blank image tells the size of an image's features, for each set


@pytest.mark.slow
def test_two_processes_encode_and_train_what_two_processes_do_on_the_fly(tmp_path):
    recipe = str(tiny_run(tmp_path, steps=12))
    options = with_features(tmp_path)
    target = ("-m", "mblip")
    torchrun(2, "encode", recipe, "--features.path", str(tmp_path / "by_two"), target=target)
    encode.main([recipe, *options])
    assert content(tmp_path / "by_two") == content(tmp_path / "features")
    for name, more in (("plain", []), ("fast", ["--features.path", str(tmp_path / "by_two")])):
        torchrun(2, recipe, "--output_dir", str(tmp_path / name), *more)
    check_equal(tmp_path / "plain", tmp_path / "fast", num_losses=24)


@pytest.mark.slow
def test_workers_streams_and_a_bfloat16_image_encoder_have_equal_losses_too(tmp_path):
    rows = {"path": str(tmp_path / "rows.parquet"), "streaming": True}
    training = {"save_steps": 12, "logging_steps": 1, "dataloader_num_workers": 1}
    model = {"blip2": str(tmp_path / "blip2"), "language_model": str(tmp_path / "language_model"), "dtype": "bfloat16"}
    tiny_run(tmp_path, steps=12, data={"rows": rows}, training=training, model=model)
    encode.main([str(tmp_path / "recipe.yaml"), *with_features(tmp_path)])
    fast = run(tmp_path, "fast", *with_features(tmp_path))
    check_equal(run(tmp_path, "plain"), fast, num_losses=24)


@pytest.mark.slow
def test_a_folder_of_ours_and_an_adapter_train_further_from_the_features_of_their_image_encoder(tmp_path):
    tiny_run(tmp_path)
    first = run(tmp_path, "first")
    encode.main([str(tmp_path / "recipe.yaml"), *with_features(tmp_path)])
    for start in ("model", "adapter"):
        stages = [RE_ALIGNMENT | {"max_steps": 3}]
        model = {"name_or_path": str(first / start)}
        tiny_run(tmp_path / start, stages=stages, model=model, data={"rows": {"path": str(tmp_path / "rows.parquet")}})
        plain, fast = run(tmp_path / start, "plain"), run(tmp_path / start, "fast", *with_features(tmp_path))
        check_equal(plain, fast, num_losses=3)


@pytest.mark.slow
def test_an_evaluation_from_features_gives_the_same_answers(tmp_path):
    tiny_run(tmp_path, evaluation=EVALUATION)
    encode.main([str(tmp_path / "recipe.yaml"), *with_features(tmp_path)])
    model = run(tmp_path, "fast", *with_features(tmp_path)) / "model"
    task = ["--task", "scenes.task:scenes", "--task.num_images", "4", "--task.languages", "[en, sw]"]
    for name, more in (("plain", []), ("stored", ["--features", str(tmp_path / "features")])):
        evaluate.main([str(model), *task, "--output_dir", str(tmp_path / name), *more])
    answers = "predictions_scenes.jsonl"
    assert (tmp_path / "plain" / answers).read_bytes() == (tmp_path / "stored" / answers).read_bytes()
    more = [str(model), *task[:2], "--task.num_images", "9", "--features", str(tmp_path / "features")]
    with pytest.raises(ValueError, match=r"Image set 'unseen-4': .*holds no features of this image"):
        evaluate.main([*more, "--output_dir", str(tmp_path / "more")])
    encode.main(more)
    evaluate.main([*more, "--output_dir", str(tmp_path / "more")])


def ranked_scenes(setup: Setup) -> EvaluationTask:
    """A task that shows a grey image."""
    task = scenes(setup, num_images=4, languages=("en",))
    ranked = [replace(each, candidates=("red", "a circle"), content_free="What?") for each in task.examples]
    return replace(task, examples=ranked, answering="rank", rank_by="calibrated")


@pytest.mark.slow
def test_a_grey_image_is_encoded_by_eval_and_refused_in_training(tmp_path):
    tiny_run(tmp_path, evaluation=EVALUATION)
    encode.main([str(tmp_path / "recipe.yaml"), *with_features(tmp_path)])
    model = run(tmp_path, "fast", *with_features(tmp_path)) / "model"
    task = [str(model), "--task", f"{__name__}:{ranked_scenes.__name__}"]
    for name, more in (("plain", []), ("stored", ["--features", str(tmp_path / "features")])):
        evaluate.main([*task, "--output_dir", str(tmp_path / name), *more])
    answers = "predictions_scenes.jsonl"
    assert (tmp_path / "plain" / answers).read_bytes() == (tmp_path / "stored" / answers).read_bytes()
    ranking = tiny_run(tmp_path / "ranking", evaluation={f"{__name__}:{ranked_scenes.__name__}": {}})
    with pytest.raises(ValueError, match="`rank_by: calibrated` in a recipe with `features`"):
        train.main([str(ranking), *with_features(tmp_path)])


@pytest.mark.slow
def test_killed_at_any_shard_and_run_again_encode_writes_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "SHARD_BYTES", 1000)  # two images
    arguments = [str(tiny_run(tmp_path)), "--features.path"]
    encode.main([*arguments, str(tmp_path / "undisturbed")])
    expected = files(tmp_path / "undisturbed")
    assert len(expected) == 2 + 6 + 4  # both identities; two images of vision features in a shard, three of queries

    for number in range(4):
        process = os.fork()
        if process == 0:
            die_at_shard(number)
            encode.main([*arguments, str(tmp_path / "killed")])
            os._exit(0)
        assert os.WTERMSIG(os.waitpid(process, 0)[1]) == signal.SIGKILL
    encode.main([*arguments, str(tmp_path / "killed")])
    assert files(tmp_path / "killed") == expected


def die_at_shard(number: int) -> None:
    """From here on, kill this process in place of writing its shard `number`, counted from 0."""
    write, calls = store.FeatureWriter.flush, []

    def counted(writer: store.FeatureWriter) -> None:
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(write(writer))

    store.FeatureWriter.flush = counted  # type: ignore[method-assign]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def content(folder: Path) -> dict[str, Any]:
    """The features by key, or the text of a file, of all files of a folder."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*.*")):
        name = str(path.relative_to(folder).parent)
        if path.suffix == ".safetensors":
            shard = load_file(path)
            pairs = zip(shard["keys"].tolist(), shard["features"].tolist(), strict=True)
            found |= {f"{name}/{bytes(key).hex()}": row for key, row in pairs}
        elif path.name == store.FEATURES_FILE:
            found[name] = {key: value for key, value in json.loads(path.read_text()).items() if key != "shards"}
    return found
