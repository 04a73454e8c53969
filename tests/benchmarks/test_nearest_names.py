"""The order of names by a CLIP model: a tiny one with drawn weights."""

import json

import pytest
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from benchmarks.nearest_names import main

TEXT = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 600,
}
VISION = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
}


@pytest.mark.slow
def test_each_photo_has_a_line_with_all_english_classes_the_most_similar_first(tmp_path):
    CLIPModel(
        CLIPConfig(text_config=TEXT, vision_config=VISION | {"patch_size": 4}, projection_dim=8)
    ).save_pretrained(tmp_path / "clip")
    characters = [chr(code) for code in range(33, 127)]
    tokens = [*characters, *(f"{c}</w>" for c in characters), "<|startoftext|>", "<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    images = CLIPImageProcessor(size={"shortest_edge": 8}, crop_size={"height": 8, "width": 8})
    CLIPProcessor(images, tokenizer).save_pretrained(tmp_path / "clip")
    (tmp_path / "photos").mkdir()
    for number, name in enumerate(["n00000000_a", "n00000001_b"]):
        Image.new("RGB", (9, 8), (100 * number, 0, 0)).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "imagenet_classes.json").write_text(json.dumps({"n00000000": 0, "n00000001": 7}))
    labels = {"EN": [[0, 7, 9], ["tench", "cock", "ostrich"]], "DE": [[0], ["Schleie"]]}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    arguments = {"photos": "photos", "labels": "labels.json", "out": "nearest.jsonl", "model": "clip"}
    main([part for key, name in arguments.items() for part in (f"--{key}", str(tmp_path / name))])
    lines = [json.loads(line) for line in (tmp_path / "nearest.jsonl").read_text().splitlines()]
    assert [line["photo"] for line in lines] == ["n00000000_a", "n00000001_b"]
    processor, clip = CLIPProcessor.from_pretrained(tmp_path / "clip"), CLIPModel.from_pretrained(tmp_path / "clip")
    texts = [f"an image of a {name}" for name in labels["EN"][1]]
    for line in lines:
        image = Image.open(tmp_path / "photos" / f"{line['photo']}.png")
        (scores,) = clip(**processor(text=texts, images=image, return_tensors="pt", padding=True)).logits_per_image
        of_class = dict(zip(labels["EN"][0], scores.tolist(), strict=True))
        assert line["classes"] == sorted(of_class, key=lambda index: -of_class[index])
