"""Embeddings of captions and images are those of the model, and are kept with what they belong to."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertConfig, BertModel

from mblip.mix.filters.embeddings import EmbeddedBatch, Embedder, embeddings_of, store_embeddings
from tests.mix.filters.tiny_embeddings import SIDE, all_rows, caption, on_circle, pictures, save_tiny_model


@pytest.fixture(scope="module", params=["clip", "siglip"])
def model_folder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / f"tiny-{request.param}"
    save_tiny_model(request.param, folder)
    return folder


@pytest.fixture(scope="module")
def embedder(model_folder):
    return Embedder.from_pretrained(model_folder)


def test_captions_and_images_are_embedded_as_the_model_does_in_any_batches(embedder):
    examples = [caption(0, "a dog"), caption(1, "a man with a cat on the table"), caption(2, "street")]
    alone, together = (all_rows(embedder.embed_captions(examples, batch_size=size)) for size in (1, 3))
    np.testing.assert_allclose(alone, together, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(alone, axis=1), 1, atol=1e-6)
    ids = {"clip": [[3, 4, 1]], "siglip": [[3, 4, 1, 0, 0, 0, 0, 0]]}[embedder.model.config.model_type]
    with torch.no_grad():
        features = embedder.model.get_text_features(input_ids=torch.tensor(ids)).pooler_output
    np.testing.assert_allclose(alone[:1], (features / features.norm()).numpy(), atol=1e-6)

    alone, together = (all_rows(embedder.embed_images(pictures(3), batch_size=size)) for size in (1, 3))
    np.testing.assert_allclose(alone, together, atol=1e-6)
    pixel_values = embedder.processor.image_processor([pictures(1)[0][1]], return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        features = embedder.model.get_image_features(pixel_values).pooler_output
    np.testing.assert_allclose(alone[:1], (features / features.norm()).numpy(), atol=1e-6)


def test_images_of_any_mode_and_orientation_are_embedded_as_they_look(embedder):
    upright = pictures(1)[0][1].convert("L")
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    turned.getexif()[0x0112] = 6  # to be shown turned by 90 degrees clockwise
    shown = all_rows(embedder.embed_images([("a", upright), ("b", turned), ("c", upright.convert("RGBA"))]))
    np.testing.assert_allclose(shown[1:], shown[:1].repeat(2, axis=0), atol=1e-6)


def test_rows_carry_what_they_came_with_and_the_model_that_made_them(embedder, model_folder, tmp_path):
    rows = store_embeddings(embedder.embed_captions([caption(7, "a dog", "photo")]), tmp_path / "captions")
    row = rows[0]
    assert len(row.pop("embedding")) in (12, 16)
    revision = row.pop("revision")
    assert row == {
        "source": "made_up",
        "id": "7",
        "image_id": "photo",
        "language": "en",
        "text": "a dog",
        "model": model_folder.name,
    }
    assert revision.startswith("sha256:")
    images = store_embeddings(embedder.embed_images(pictures(2)), tmp_path / "images")
    assert images.column_names == ["image_id", "model", "revision", "embedding"]
    assert images["image_id"][:] == ["image 0", "image 1"]


def test_an_embedding_that_is_not_finite_names_its_caption(model_folder):
    embedder = Embedder.from_pretrained(model_folder)
    torch.nn.init.constant_(embedder.model.text_model.embeddings.token_embedding.weight[4:5], float("nan"))
    with pytest.raises(ValueError, match=r"Example '1' of 'made_up': its embedding by tiny-.* is not finite"):
        list(embedder.embed_captions([caption(0, "a cat"), caption(1, "a dog")]))


def test_a_model_without_two_towers_is_an_error(tmp_path):
    BertModel(BertConfig(vocab_size=8, **SIDE)).save_pretrained(tmp_path / "bert")
    with pytest.raises(ValueError, match="bert is a BertModel, expected a model with `get_text_features`"):
        Embedder.from_pretrained(tmp_path / "bert")


def test_a_store_is_written_atomically_and_never_overwritten(tmp_path):
    def broken_off():
        yield EmbeddedBatch({"id": ["0"]}, on_circle([0]))
        raise RuntimeError("no more power")

    with pytest.raises(RuntimeError, match="no more power"):
        store_embeddings(broken_off(), tmp_path / "rows")
    with pytest.raises(ValueError, match=r"nothing to write to .*rows, expected at least one"):
        store_embeddings([], tmp_path / "rows")
    assert list(tmp_path.iterdir()) == []
    batches = [EmbeddedBatch({"id": ["0"]}, on_circle([0])), EmbeddedBatch({"id": ["1", "2"]}, on_circle([1, 2]))]
    rows = store_embeddings(batches, tmp_path / "rows")
    assert rows["id"][:] == ["0", "1", "2"]
    np.testing.assert_array_equal(embeddings_of(rows.select([2, 0])), on_circle([2, 0]))
    with pytest.raises(ValueError, match=r"rows already exists. Read it with `datasets.load_from_disk`"):
        store_embeddings(batches, tmp_path / "rows")
