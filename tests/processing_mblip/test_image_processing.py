"""MBlipImageProcessor gives the values of transformers' BLIP image processor, bit for bit, by whichever path."""

import io
import multiprocessing
import os

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BlipImageProcessorPil

from processing_mblip import MBlipImageProcessor
from processing_mblip.image_processing_mblip import is_usual

SIZE = {"height": 12, "width": 10}


def photo(seed: int, width: int = 40, height: int = 31) -> Image.Image:
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG")
    return Image.open(buffer)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"resample": Image.Resampling.BILINEAR},
        {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.1]},
        {"do_normalize": False},
        {"do_rescale": False},
        {"do_resize": False},
        {"rescale_factor": 1 / 127.5},
        {"do_center_crop": True, "crop_size": {"height": 8, "width": 8}},
        {"size": {"shortest_edge": 12}, "do_center_crop": True, "crop_size": {"height": 8, "width": 8}},
    ],
    ids=str,
)
def test_values_equal_those_of_transformers(settings):
    images = [photo(0), photo(1)]
    theirs = BlipImageProcessorPil(**({"size": SIZE} | settings))(images, return_tensors="pt")
    ours = MBlipImageProcessor(**({"size": SIZE} | settings))(images, return_tensors="pt")
    assert list(ours) == ["pixel_values"]
    assert ours["pixel_values"].dtype == theirs["pixel_values"].dtype
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])


def test_every_value_of_a_pixel_is_scaled_to_the_same_bits():
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).convert("RGB")
    size = {"height": 16, "width": 16}
    theirs = BlipImageProcessorPil(size=size)(image, return_tensors="pt")["pixel_values"]
    assert theirs.unique().numel() == 3 * 256
    assert torch.equal(MBlipImageProcessor(size=size)(image, return_tensors="pt")["pixel_values"], theirs)


def test_the_usual_settings_take_the_fast_path_and_others_do_not():
    usual = {name: getattr(MBlipImageProcessor(), name) for name in MBlipImageProcessor()._valid_kwargs_names}
    assert is_usual(usual)
    for change in ({"do_rescale": False}, {"rescale_factor": 1.0}, {"do_center_crop": True}, {"size": None}):
        assert not is_usual(usual | change)


@pytest.mark.parametrize("return_tensors", [None, "np", "pt"])
def test_the_results_have_the_types_of_transformers(return_tensors):
    theirs = BlipImageProcessorPil(size=SIZE)([photo(0)], return_tensors=return_tensors)["pixel_values"]
    ours = MBlipImageProcessor(size=SIZE)([photo(0)], return_tensors=return_tensors)["pixel_values"]
    assert type(ours) is type(theirs)
    assert type(ours[0]) is type(theirs[0])
    assert np.array_equal(np.asarray(ours), np.asarray(theirs))


def test_one_nested_and_batched_images_are_taken():
    batch = np.stack([np.asarray(photo(0)), np.asarray(photo(1))])
    processor = MBlipImageProcessor(size=SIZE)
    assert processor(photo(0), return_tensors="pt")["pixel_values"].shape == (1, 3, 12, 10)
    want = processor([photo(0), photo(1)], return_tensors="pt")["pixel_values"]
    for images in (batch, torch.from_numpy(batch), [[photo(0)], [photo(1)]]):
        assert torch.equal(processor(images, return_tensors="pt")["pixel_values"], want)


def test_the_default_is_the_size_mblip_was_trained_at():
    assert MBlipImageProcessor()(photo(0), return_tensors="pt")["pixel_values"].shape == (1, 3, 224, 224)


@pytest.fixture
def restored_num_threads():
    num_threads = torch.get_num_threads()
    yield
    torch.set_num_threads(num_threads)


@pytest.mark.usefixtures("restored_num_threads")
@pytest.mark.parametrize("num_images", [1, 2, 7])
def test_threads_change_nothing(num_images):
    processor, images = MBlipImageProcessor(size=SIZE), [photo(i) for i in range(num_images)]
    torch.set_num_threads(1)
    alone = processor(images, return_tensors="pt")["pixel_values"]
    torch.set_num_threads(3)
    assert torch.equal(processor(images, return_tensors="pt")["pixel_values"], alone)


@pytest.mark.usefixtures("restored_num_threads")
def test_a_lazily_opened_image_given_twice_is_decoded_by_one_thread():
    torch.set_num_threads(3)
    image = photo(0, 400, 300)
    twice = MBlipImageProcessor(size=SIZE)([image, image, photo(0, 400, 300)], return_tensors="pt")["pixel_values"]
    assert torch.equal(twice[0], twice[1])
    assert torch.equal(twice[0], twice[2])


def process_in_a_fork(connection):
    connection.send(MBlipImageProcessor(size=SIZE)([photo(0), photo(1)], return_tensors="np")["pixel_values"])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
@pytest.mark.usefixtures("restored_num_threads")
def test_a_fork_has_threads_of_its_own():
    torch.set_num_threads(2)
    here = MBlipImageProcessor(size=SIZE)([photo(0), photo(1)], return_tensors="np")["pixel_values"]
    fork = multiprocessing.get_context("fork")
    mine, theirs = fork.Pipe()
    process = fork.Process(target=process_in_a_fork, args=(theirs,))
    process.start()
    assert mine.poll(60), "the forked process waits for threads that it does not have"
    np.testing.assert_array_equal(mine.recv(), here)
    process.join()


@pytest.mark.parametrize("size", [[], 10**12, {"height": 10**9, "width": 10**9}], ids=str)
def test_a_size_that_cannot_be_is_a_value_error(size):
    with pytest.raises(ValueError, match=r"size|allocate|big"):
        MBlipImageProcessor()(photo(0), size=size)
