"""The store of features: keys, shards, identity, and the batches that the collator makes of it."""

import io
import json
import pickle

import pytest
import torch
from PIL import Image
from tiny_inputs import DECODER_ONLY, ENCODER_DECODER, row, tiny_processor

from mblip.data import features as module
from mblip.data.augmentation import Augmentation
from mblip.data.collator import MBlipCollator
from mblip.data.features import (
    FEATURES_FILE,
    FeatureSet,
    FeatureWriter,
    augmented_keys,
    begin_set,
    encoded_keys,
    finish_set,
    image_key,
)

IDENTITY = {"input": "vision_features", "image encoder": "abc", "augmentations": None}
KEYS = [bytes([number]) * 16 for number in range(5)]
FEATURES = torch.arange(5 * 6, dtype=torch.bfloat16).view(5, 3, 2)


def written(folder, *, identity=IDENTITY, keys=KEYS, features=FEATURES):
    begin_set(folder, identity, files=[[1, 2]])
    with FeatureWriter(folder, bytes_per_image=12) as writer:
        writer.add(keys, features)
    finish_set(folder)
    return folder


@pytest.fixture(autouse=True)
def two_images_a_shard(monkeypatch):
    monkeypatch.setattr(module, "SHARD_BYTES", 24)


def png(colour):
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(buffer, format="PNG")
    return buffer.getvalue()


def test_features_come_back_by_their_keys_in_any_order_and_a_copy_for_a_worker_reads_them_too(tmp_path):
    found = FeatureSet(written(tmp_path / "set"), IDENTITY)
    assert sorted(path.name for path in (tmp_path / "set").glob("*.safetensors")) == [
        f"{key.hex()}.safetensors" for key in KEYS[::2]
    ]
    read = found.read([KEYS[4], KEYS[1], KEYS[1]], ["a", "b", "c"])
    assert read.dtype == torch.bfloat16
    assert torch.equal(read, FEATURES[[4, 1, 1]])
    assert torch.equal(pickle.loads(pickle.dumps(found)).read([KEYS[3]], ["d"]), FEATURES[[3]])
    assert KEYS[0] in found
    assert b"\xff" * 16 not in found


def test_an_image_without_features_is_named(tmp_path):
    found = FeatureSet(written(tmp_path / "set"), IDENTITY)
    with pytest.raises(ValueError, match=r"^Row 'r': .*set holds no features of this image. Run `mblip encode`"):
        found.read([b"\xff" * 16], ["Row 'r'"])


@pytest.mark.parametrize("name", ["image encoder", "input", "augmentations"])
def test_features_of_another_identity_are_refused_by_name_in_training_and_by_encode(tmp_path, name):
    folder = written(tmp_path / "set")
    match = rf"set holds features of another {name}: found {IDENTITY[name]}, expected other. Give another"
    with pytest.raises(ValueError, match=match):
        FeatureSet(folder, IDENTITY | {name: "other"})
    with pytest.raises(ValueError, match=match):
        begin_set(folder, IDENTITY | {name: "other"}, files=[])


def test_missing_unfinished_truncated_and_lost_features_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"There are no features in .*none. First run `mblip encode`"):
        FeatureSet(tmp_path / "none", IDENTITY)
    begin_set(tmp_path / "begun", IDENTITY, files=[])
    with pytest.raises(ValueError, match=r"begun is not finished: `mblip encode` was stopped"):
        FeatureSet(tmp_path / "begun", IDENTITY)
    shard = next(written(tmp_path / "set").glob("*.safetensors"))
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match=rf"has {len(whole) - 1} bytes, expected {len(whole)} bytes. Run `mblip"):
        FeatureSet(tmp_path / "set", IDENTITY)
    shard.unlink()
    with pytest.raises(ValueError, match=rf"{shard.name} is missing, expected {len(whole)} bytes"):
        FeatureSet(tmp_path / "set", IDENTITY)


def test_encoding_continues_with_what_is_whole_and_deletes_a_damaged_shard(tmp_path, caplog):
    folder = written(tmp_path / "set")
    damaged = folder / f"{KEYS[2].hex()}.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    begin_set(folder, IDENTITY, files=[])
    assert encoded_keys(folder) == {KEYS[0], KEYS[1], KEYS[4]}
    assert not damaged.exists()
    assert f"{damaged} is damaged" in caplog.text


def test_the_key_of_an_image_is_that_of_its_file_wherever_it_is(tmp_path):
    path = tmp_path / "red.png"
    path.write_bytes(png("red"))
    key = image_key(path, name="x")
    assert key == image_key(png("red"), name="x") == image_key({"bytes": png("red"), "path": None}, name="x")
    assert key != image_key(png("blue"), name="x")
    palette = Image.new("RGB", (8, 8), "red").convert("P")
    assert image_key(Image.new("RGB", (8, 8), "red"), name="x") == image_key(palette, name="x")
    with pytest.raises(ValueError, match=r"^x: .*gone.png"):
        image_key(tmp_path / "gone.png", name="x")


def test_the_key_of_an_augmented_image_tells_draw_row_number_and_whether_it_may_be_flipped():
    augmentation = Augmentation()
    safe = row("r", colours=("red", "red"), task="image_naming")
    sided = row("r", colours=("red", "red"), targets=("a dog on the left",))
    keys = [
        key
        for each in (safe, sided, row("s", colours=("red", "red"), task="image_naming"))
        for draw in range(2)
        for key in augmented_keys([KEYS[0], KEYS[0]], each, augmentation, draw)
    ]
    assert len(set(keys)) == 12
    assert augmented_keys([KEYS[0]] * 2, safe, augmentation, 0) == keys[:2]


@pytest.mark.parametrize("config", [ENCODER_DECODER, DECODER_ONLY])
def test_the_collator_emits_features_where_it_would_emit_pixels_and_decodes_nothing(tmp_path, monkeypatch, config):
    processor = tiny_processor(is_encoder_decoder=config.is_encoder_decoder)
    colours = {"a": ("red", "blue"), "b": ("white",), "c": (), "d": ("white",)}
    rows = [row(name, colours=mine, prompts=("what", "is"), targets=("a", "dog")) for name, mine in colours.items()]
    keys = {colour: image_key(Image.new("RGB", (40, 32), colour), name="x") for colour in ("red", "blue", "white")}
    written(tmp_path / "set", keys=list(keys.values()), features=FEATURES[:3])
    expected = MBlipCollator(processor, config)(rows)
    monkeypatch.setattr("mblip.data.collator.open_image", lambda *_, **__: pytest.fail("an image is decoded"))
    batch = MBlipCollator(processor, config, features=FeatureSet(tmp_path / "set", IDENTITY))(rows)
    assert expected.pop("pixel_values").shape[0] == 4
    assert torch.equal(batch.pop("vision_features"), FEATURES[[0, 1, 2, 2]])
    assert batch["image_indices"].tolist() == [0, 1, 0, 1, 2, 2, 3, 3]
    assert batch.keys() == expected.keys()
    assert all(torch.equal(batch[name], expected[name]) for name in batch)


def test_epoch_e_takes_draw_e_modulo_the_number_of_draws(tmp_path):
    augmentation, marked = Augmentation(), row("r", task="image_naming")
    key = image_key(marked["images"][0], name="x")
    keys = [augmented_keys([key], marked, augmentation, draw)[0] for draw in range(2)]
    identity = IDENTITY | {"augmentations": 2}
    written(tmp_path / "set", identity=identity, keys=keys, features=FEATURES[:2])
    collator = MBlipCollator(
        tiny_processor(is_encoder_decoder=True),
        ENCODER_DECODER,
        augmentation=augmentation,
        features=FeatureSet(tmp_path / "set", identity),
    )
    shown = [collator([marked | {"epoch": epoch}])["vision_features"][0] for epoch in range(4)]
    assert torch.equal(torch.stack(shown), FEATURES[[0, 1, 0, 1]])


def test_a_set_lists_its_shards_and_the_files_of_its_weights(tmp_path):
    found = json.loads((written(tmp_path / "set") / FEATURES_FILE).read_text())
    assert found.items() >= IDENTITY.items()
    assert found["files"] == [[1, 2]]
    assert list(found["shards"]) == [f"{key.hex()}.safetensors" for key in KEYS[::2]]
