"""`mblip embed`: what caption matching needs to find captions of images that look alike."""

import json

import datasets
import pytest

from mblip.data import load_rows
from mblip.data.sources.image_names import url_image_id
from mblip.mix.build.command import main as build
from mblip.mix.build.embed import main
from tests.mix.build.mix_files import (
    BROKEN,
    NUM_PHOTOS,
    SCENES,
    captions_source,
    write_captions,
    write_mix_recipe,
)
from tests.mix.fetching.loopback_images import LoopbackImages
from tests.mix.filters.tiny_embeddings import save_tiny_model


@pytest.fixture
def recipe(tmp_path):
    write_captions(tmp_path)
    save_tiny_model("clip", tmp_path / "clip")
    embeddings = {"captions": str(tmp_path / "captions"), "images": str(tmp_path / "embedded"), "ranks": [3, 10]}
    matching = {"source": "matching", "captions": captions_source(tmp_path), "embeddings": embeddings}
    return write_mix_recipe(tmp_path, matching)


def test_captions_and_images_are_embedded_once_and_negatives_are_found_among_them(recipe, tmp_path, capsys):
    main([str(recipe), "--model", str(tmp_path / "clip")])
    assert f"| image refused: not an image | 1 | coco/{BROKEN.removesuffix('.jpg')} |" in capsys.readouterr().out
    assert len(datasets.load_from_disk(tmp_path / "captions")) == 2 * NUM_PHOTOS
    assert len(datasets.load_from_disk(tmp_path / "embedded")) == NUM_PHOTOS - 1
    main([str(recipe), "--model", str(tmp_path / "clip")])  # finds all there


def test_a_caption_that_stands_in_a_file_twice_is_embedded_and_asked_about_once(tmp_path):
    write_captions(tmp_path)
    save_tiny_model("clip", tmp_path / "clip")
    file = tmp_path / "captions.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"annotations": content["annotations"] * 2}))
    embeddings = {"captions": str(tmp_path / "captions"), "images": str(tmp_path / "embedded"), "ranks": [3]}
    matching = {"source": "matching", "captions": captions_source(tmp_path), "embeddings": embeddings}
    recipe = write_mix_recipe(tmp_path, matching)
    main([str(recipe), "--model", str(tmp_path / "clip")])
    assert len(datasets.load_from_disk(tmp_path / "captions")) == 2 * NUM_PHOTOS
    build([str(recipe), "--output", str(tmp_path / "out")])
    ids = [id for row in load_rows(tmp_path / "out" / "data") for id in row["ids"]]
    assert len(ids) == len(set(ids)) == 2 * (NUM_PHOTOS - 1)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| stands there a second time | 23 | matching/coco_captions/" in card


def test_images_of_the_web_are_fetched_and_embedded(tmp_path, capsys):
    save_tiny_model("clip", tmp_path / "clip")
    embeddings = {"captions": str(tmp_path / "captions"), "images": str(tmp_path / "embedded"), "ranks": [3]}
    with LoopbackImages() as server:
        urls = [server.url("good", number) for number in range(5)] + [server.url("gone", 1)]
        records = [{"url": url, "caption": f"thing {number}"} for number, url in enumerate(urls)]
        (tmp_path / "web.json").write_text(json.dumps(records))
        captions = {"source": "capfilt", "path": str(tmp_path / "web.json")}
        matching = {"source": "matching", "captions": captions, "embeddings": embeddings}
        fetching = {"allow_private_addresses": True, "requests_per_second_per_host": 1000}
        recipe = write_mix_recipe(tmp_path, matching, fetching=fetching)
        main([str(recipe), "--model", str(tmp_path / "clip"), "--fetched", str(tmp_path / "fetched")])
    assert len(datasets.load_from_disk(tmp_path / "embedded")) == 5
    assert f"| image refused: missing | 1 | {url_image_id(urls[-1])} |" in capsys.readouterr().out


def test_without_caption_matching_there_is_nothing_to_embed(tmp_path):
    save_tiny_model("clip", tmp_path / "clip")
    with pytest.raises(ValueError, match="no source `matching` with `embeddings`"):
        main([str(write_mix_recipe(tmp_path, SCENES)), "--model", str(tmp_path / "clip")])


def test_a_mix_asks_about_the_captions_found(recipe, tmp_path):
    main([str(recipe), "--model", str(tmp_path / "clip")])
    build([str(recipe), "--output", str(tmp_path / "out")])
    rows = list(load_rows(tmp_path / "out" / "data"))
    assert {target for row in rows for target in row["targets"]} == {"yes", "no"}
    assert any("negative.rank" in provenance for row in rows for provenance in row["provenance"])
