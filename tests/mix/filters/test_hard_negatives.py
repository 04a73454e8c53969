"""Wrong captions for caption matching: the rank drawn, what is taken there, and that it is wrong."""

import json
import os
import sys
from collections import Counter
from pathlib import Path

import datasets
import numpy as np
import pytest

from mblip.data.images import open_image
from mblip.data.skipped import SkipReport
from mblip.mix.filters.embeddings import Embedder, embeddings_of, store_embeddings
from mblip.mix.filters.hard_negatives import RANKS, retrieve_negatives
from mblip.mix.filters.negatives import Negative
from tests.mix.filters.tiny_embeddings import (
    all_rows,
    caption,
    made_up_store,
    on_circle,
    pictures,
    save_tiny_model,
    store_captions,
    store_images,
)

COCO = Path(os.environ.get("MBLIP_DATA", Path(__file__).parents[3] / ".." / "shared" / "data")) / "coco"
needs_photos = pytest.mark.skipif(
    not (COCO / "images.jsonl").is_file(), reason="no COCO sample: set MBLIP_DATA to a folder with coco/"
)


@pytest.fixture
def photo_and_captions(tmp_path):
    """A photo at 0 degrees with two captions of its own, and those of other images farther and farther away."""
    examples = [
        caption(0, "A dog on a couch.", "photo"),
        caption(1, "a dog sits on a couch"),
        caption(2, "a brown dog", "photo"),
        caption(3, "a dog, on a couch!"),
        caption(4, "a dog in a room"),
        caption(5, "a cat"),
    ]
    degrees = [1, 2, 3, 4, 5, 170]
    return (
        store_images(tmp_path / "images", ["photo"], on_circle([0])),
        store_captions(tmp_path / "captions", examples, on_circle(degrees)),
        examples,
    )


def texts(negatives):
    return {id_: negative.text for (_, id_), negative in negatives.by_example.items()}


def test_the_caption_at_the_rank_drawn_is_taken_with_its_provenance(photo_and_captions):
    images, captions, examples = photo_and_captions
    negatives = retrieve_negatives(images, captions, seed=0, ranks=[2])
    assert negatives(examples[0]) == Negative(
        "a dog sits on a couch",
        {
            "negative.drawn_rank": "2",
            "negative.rank": "2",
            "negative.source": "made_up",
            "negative.id": "1",
            "negative.model": "tiny-clip",
            "negative.revision": "abc",
        },
    )
    assert negatives(examples[1]) is None  # its image was not asked about


@pytest.mark.parametrize(("rank", "taken", "position"), [(1, "1", "2"), (3, "4", "5"), (4, "4", "5"), (5, "4", "5")])
def test_the_images_own_captions_and_equal_ones_are_skipped_and_counted(photo_and_captions, rank, taken, position):
    images, captions, examples = photo_and_captions
    negatives = retrieve_negatives(images, captions, seed=0, ranks=[rank])
    for own in (examples[0], examples[2]):
        provenance = negatives(own).provenance
        assert (provenance["negative.id"], provenance["negative.rank"]) == (taken, position)
    moved = 2 if str(rank) != position else 0
    assert (negatives.num_drawn, negatives.num_moved[rank]) == ({rank: 2}, moved)
    assert negatives.table().splitlines()[-1] == f"| {rank} | 2 | {moved} |"


def test_as_released_takes_what_the_rank_gives_be_it_right(photo_and_captions):
    images, captions, _ = photo_and_captions
    for rank, text in ((1, "A dog on a couch."), (3, "a brown dog"), (4, "a dog, on a couch!")):
        negatives = retrieve_negatives(images, captions, seed=0, ranks=[rank], as_released=True)
        assert set(texts(negatives).values()) == {text}
    at_random = [
        texts(retrieve_negatives(images, captions, seed=seed, ranks=["random"], as_released=True))["0"]
        for seed in range(40)
    ]
    assert set(at_random) == set(captions["text"])


def test_a_caption_at_random_is_any_of_another_image(photo_and_captions):
    images, captions, examples = photo_and_captions
    drawn = [retrieve_negatives(images, captions, seed=seed, ranks=["random"]) for seed in range(60)]
    assert {text for negatives in drawn for text in texts(negatives).values()} == {
        "a dog sits on a couch",
        "a dog in a room",
        "a cat",
    }
    assert drawn[0](examples[0]).provenance["negative.rank"] == "random"


def test_behind_the_last_caption_the_first_one_follows_at_random(tmp_path):
    images = store_images(tmp_path / "images", ["photo"], on_circle([0]))
    captions = store_captions(
        tmp_path / "captions", [caption(0, "a cat"), caption(1, "a dog", "photo")], on_circle([0, 1])
    )
    drawn = [retrieve_negatives(images, captions, seed=seed, ranks=["random"]) for seed in range(20)]
    assert [texts(negatives) for negatives in drawn] == [{"1": "a cat"}] * 20
    assert {negatives.num_moved["random"] for negatives in drawn} == {0, 1}


def test_where_no_later_caption_is_wrong_there_is_none_which_is_counted(tmp_path):
    examples = [caption(0, "a dog"), caption(1, "a cat", "photo"), caption(2, "A CAT.", "photo")]
    images = store_images(tmp_path / "images", ["photo"], on_circle([0]))
    captions = store_captions(tmp_path / "captions", examples, on_circle([0, 1, 2]))
    skipped = SkipReport()
    assert texts(retrieve_negatives(images, captions, seed=0, ranks=[2], skipped=skipped)) == {}
    assert skipped.names == {"no caption of another image at the rank drawn or later": ["made_up/1", "made_up/2"]}
    assert texts(retrieve_negatives(images, captions, seed=0, ranks=[1])) == {"1": "a dog", "2": "a dog"}


def test_a_photo_with_more_captions_than_were_searched_for_still_gets_a_wrong_one(tmp_path):
    examples = [caption(i, f"own caption {i}", "photo") for i in range(100)] + [caption(100, "another")]
    images = store_images(tmp_path / "images", ["photo"], on_circle([0]))
    captions = store_captions(tmp_path / "captions", examples, on_circle(np.arange(101) / 2))
    negatives = retrieve_negatives(images, captions, seed=0, ranks=[3])
    assert set(texts(negatives).values()) == {"another"}
    assert {negative.provenance["negative.rank"] for negative in negatives.by_example.values()} == {"101"}


def test_the_rank_depends_on_seed_source_and_id_only(tmp_path):
    images, captions, _ = made_up_store(tmp_path)
    ranks = [1, 5, 25, "random"]

    def drawn(negatives):
        return {key: negative.provenance["negative.drawn_rank"] for key, negative in negatives.by_example.items()}

    whole = drawn(retrieve_negatives(images, captions, seed=0, ranks=ranks))
    part = drawn(retrieve_negatives(images.select([7, 3]), captions.shuffle(seed=1), seed=0, ranks=ranks))
    other = drawn(retrieve_negatives(images, captions, seed=1, ranks=ranks))
    assert len(part) == 6
    assert part == {key: whole[key] for key in part}
    assert whole != other
    counts = Counter(whole.values())
    assert set(counts) == {"1", "5", "25", "random"}
    assert min(counts.values()) > 25


def test_no_negative_is_a_caption_of_the_image_and_the_originals_way_gave_some(tmp_path):
    images, captions, examples = made_up_store(tmp_path)
    own = {}
    for example in examples:
        own.setdefault(example.image_id, set()).add(example.target)

    def num_right(negatives):
        assert len(negatives.by_example) == len(examples)
        return sum(negatives(example).text in own[example.image_id] for example in examples)

    ranks = [1, 2, 3, 60, "random"]
    assert num_right(retrieve_negatives(images, captions, seed=0, ranks=ranks)) == 0
    assert num_right(retrieve_negatives(images, captions, seed=0, ranks=ranks, as_released=True)) > 0


def test_without_faiss_the_error_says_how_to_install_it(photo_and_captions, monkeypatch):
    images, captions, _ = photo_and_captions
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ImportError, match=r"FAISS is not installed: `pip install faiss-cpu`, or search with torch"):
        retrieve_negatives(images, captions, seed=0, ranks=[1], engine="faiss")


@pytest.mark.parametrize("rank", [0, 7, True, "often"])
def test_a_rank_that_no_caption_has_is_an_error(photo_and_captions, rank):
    images, captions, _ = photo_and_captions
    with pytest.raises(ValueError, match=rf"Found the rank {rank!r}, expected 'random' or a number from 1 to 6"):
        retrieve_negatives(images, captions, seed=0, ranks=[1, rank])


def test_embeddings_that_cannot_be_compared_are_an_error(photo_and_captions, tmp_path):
    images, captions, examples = photo_and_captions
    others = store_images(tmp_path / "others", ["photo"], on_circle([0]), model="tiny-siglip")
    with pytest.raises(ValueError, match=r"embeddings have the models \['tiny-clip', 'tiny-siglip'\], expected one"):
        retrieve_negatives(others, captions, seed=0, ranks=[1])
    mixed = [*examples[:5], caption(5, "eine Katze", language="de")]
    mixed = store_captions(tmp_path / "mixed", mixed, embeddings_of(captions))
    with pytest.raises(ValueError, match=r"captions are in \['en', 'de'\], expected one language"):
        retrieve_negatives(images, mixed, seed=0, ranks=[1])


def test_an_image_or_a_caption_that_is_there_twice_is_an_error(photo_and_captions):
    images, captions, _ = photo_and_captions
    with pytest.raises(ValueError, match=r"caption 'made_up/2' is repeated, as are 0 others"):
        retrieve_negatives(images, captions.select([0, 1, 2, 2]), seed=0, ranks=[1])
    with pytest.raises(ValueError, match=r"image 'photo' is repeated"):
        retrieve_negatives(images.select([0, 0]), captions, seed=0, ranks=[1])


def test_a_negative_without_text_is_an_error():
    with pytest.raises(ValueError, match=r"A negative came with the text ' ', expected a caption"):
        Negative(" ")


def coco_photos_and_captions():
    paths = {}
    for line in (COCO / "images.jsonl").read_text().splitlines():
        record = json.loads(line)
        paths[record["image_id"]] = COCO / "images" / record["file"]
    examples = []
    for release in ("train2017", "val2017"):
        records = json.loads((COCO / "annotations" / f"captions_{release}.json").read_text())["annotations"]
        examples += [caption(record["id"], record["caption"], f"coco/{record['image_id']:012d}") for record in records]
    photos = [(f"coco/{image_id:012d}", path) for image_id, path in sorted(paths.items())]
    return photos, examples


@needs_photos
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_real_photos_get_wrong_captions_the_same_with_faiss_and_with_torch(kind, tmp_path):
    pytest.importorskip("faiss", reason="FAISS is not installed: `pip install faiss-cpu`")
    save_tiny_model(kind, tmp_path / "model")
    embedder = Embedder.from_pretrained(tmp_path / "model")
    photos, examples = coco_photos_and_captions()
    opened = ((image_id, open_image(path, name=image_id)) for image_id, path in photos)
    images = store_embeddings(embedder.embed_images(opened), tmp_path / "images")
    captions = store_embeddings(embedder.embed_captions(examples), tmp_path / "captions")
    assert (len(images), len(captions)) == (144, 2161)
    found = [retrieve_negatives(images, captions, seed=42, engine=engine) for engine in ("faiss", "torch")]
    assert found[0] == found[1]
    negatives = found[0]
    with_photo = {image_id for image_id, _ in photos}
    asked = [example for example in examples if example.image_id in with_photo]
    assert len(negatives.by_example) == len(asked) > 600
    assert set(negatives.num_drawn) == set(RANKS)
    own = {}
    for example in examples:
        own.setdefault(example.image_id, set()).add(example.target)
    assert not [example for example in asked if negatives(example).text in own[example.image_id]]
    again = retrieve_negatives(
        datasets.load_from_disk(tmp_path / "images"), datasets.load_from_disk(tmp_path / "captions"), seed=42
    )
    assert again == negatives


@pytest.mark.gpu
@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_gpu_embeds_and_finds_what_the_cpu_does(kind, tmp_path):
    save_tiny_model(kind, tmp_path / "model")
    examples = [caption(0, "a dog"), caption(1, "a man with a cat")]
    for embed in (
        lambda embedder: embedder.embed_images(pictures(5)),
        lambda embedder: embedder.embed_captions(examples),
    ):
        on_gpu, on_cpu = (all_rows(embed(Embedder.from_pretrained(tmp_path / "model", device=device)))
                          for device in ("cuda", "cpu"))  # fmt: skip
        np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-4)
    images, captions, _ = made_up_store(tmp_path)
    ranks = [3, 30, "random"]
    on_gpu, on_cpu = (
        retrieve_negatives(images, captions, seed=0, ranks=ranks, device=device) for device in ("cuda", "cpu")
    )
    assert on_gpu == on_cpu
