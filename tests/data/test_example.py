"""Examples, and how they become rows."""

import io
import json

import pytest
from PIL import Image

from mblip.data.example import COLUMNS, Example, check_row, rows_to_dataset, to_rows
from mblip.data.training_rows import add_length


def example(number=0, **changes):
    fields = {
        "images": ("cat.jpg",),
        "prompt": "What is this?",
        "target": "eine Katze",
        "language": "de",
        "task": "captioning",
        "source": "test",
        "id": str(number),
        "image_id": "cat",
    }
    return Example(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"target": " "}, "Example '7' of 'test' has an empty target"),
        ({"target": "ein <image>"}, "Example '7' of 'test' has `<image>` in its target"),
        ({"language": "he"}, r"Example '7' of 'test': Found the language 'he'.*`iw` \(Hebrew\)"),
        ({"language": False}, "Example '7' of 'test': Found the language False.*Norwegian"),
        ({"prompt": "<image> or <image>?"}, r"has 1 image\(s\), but its prompt holds 2 `<image>`"),
        ({"images": (3,)}, "holds an image of type int"),
        (
            {"id": "7\ud800"},
            r"^An id of Example .* holds half a character \(a lone surrogate\): '7\\ud800'. Correct",
        ),
        ({"image_id": "\udc80"}, r"^An id of Example .* holds half a character .*'\\udc80'"),
        ({"provenance": {"target.revision": 7}}, "Example '7' of 'test' has the provenance 'target.revision': 7"),
    ],
)
def test_an_example_no_model_should_learn_from_is_refused_by_name(changes, match):
    with pytest.raises(ValueError, match=match):
        example(7, **changes)


def test_a_prompt_may_speak_of_the_word_image_in_angle_brackets():
    assert example(prompt=r"What does \<image> mean?").prompt == r"What does \<image> mean?"


def test_examples_about_one_image_become_one_row_wherever_they_stand():
    dog = {"images": ("dog.jpg",), "image_id": "dog"}
    rows = list(to_rows([example(0), example(1, **dog, target="ein Hund"), example(2, language="nl", target="kat")]))
    assert rows == [
        {
            "images": ["cat.jpg"],
            "image_id": "cat",
            "prompts": ["What is this?", "What is this?"],
            "targets": ["eine Katze", "kat"],
            "languages": ["de", "nl"],
            "tasks": ["captioning", "captioning"],
            "sources": ["test", "test"],
            "ids": ["0", "2"],
        },
        {
            "images": ["dog.jpg"],
            "image_id": "dog",
            "prompts": ["What is this?"],
            "targets": ["ein Hund"],
            "languages": ["de"],
            "tasks": ["captioning"],
            "sources": ["test"],
            "ids": ["1"],
        },
    ]


TRANSLATED = {"target.source_text": 'a "cat"', "target.engine": "nllb", "target.model": "é", "target.revision": "1"}
AS_JSON = '{"target.engine": "nllb", "target.model": "é", "target.revision": "1", "target.source_text": "a \\"cat\\""}'


def test_a_row_tells_the_provenance_of_every_prompt_where_one_has_any():
    other = {"images": ("dog.jpg",), "image_id": "dog"}
    rows = list(to_rows([example(0), example(1, provenance=TRANSLATED), example(2, **other)]))
    assert rows[0]["provenance"] == ["{}", AS_JSON]
    assert json.loads(rows[0]["provenance"][1]) == TRANSLATED
    assert "provenance" not in rows[1]


def test_a_dataset_has_a_column_of_provenance_only_where_a_row_has_it():
    with_one = [example(0, images=(), provenance=TRANSLATED), example(1, images=(), image_id="dog")]
    assert rows_to_dataset(to_rows(with_one))["provenance"][:] == [[AS_JSON], None]
    assert rows_to_dataset(to_rows([example(images=())])).column_names == list(COLUMNS)


def test_a_row_whose_provenance_is_not_one_a_prompt_is_an_error():
    (row,) = to_rows([example()])
    check_row(row | {"provenance": None})
    with pytest.raises(ValueError, match=r"Row 'cat' .*lists of lengths .*'provenance': 2"):
        check_row(row | {"provenance": ["{}", "{}"]})


def test_equal_image_ids_with_different_images_are_an_error():
    with pytest.raises(ValueError, match="Example '1' of 'test' and Example '0' of 'test' have the image_id 'cat'"):
        list(to_rows([example(0), example(1, images=("dog.jpg",))]))


def test_an_example_without_a_prompt_does_not_become_a_row():
    with pytest.raises(ValueError, match=r"Example '0' of 'test' has no prompt.*apply_prompt"):
        list(to_rows([example(0, prompt="")]))


def test_a_dataset_holds_every_image_as_a_file_that_decodes_to_the_same_pixels():
    drawn = Image.effect_noise((9, 7), 50).convert("RGB")
    stored = rows_to_dataset(to_rows([example(images=(drawn,))]))[0]["images"]
    again = rows_to_dataset(to_rows([example(images=(stored[0]["bytes"],))]))[0]["images"]
    assert again == stored
    assert Image.open(io.BytesIO(stored[0]["bytes"])).tobytes() == drawn.tobytes()


@pytest.mark.parametrize(
    ("content", "match"), [(None, r"there is no file .*gone\.png"), (b"no", r"gone\.png cannot be")]
)
def test_a_missing_or_broken_image_never_gets_into_a_dataset(tmp_path, content, match):
    path = tmp_path / "gone.png"
    if content:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=f"Row 'cat' .*{match}"):
        rows_to_dataset(to_rows([example(images=(path,))]))


def test_bytes_stay_where_the_working_folder_holds_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (4, 4), "red").save("dog.png")
    rows = rows_to_dataset(to_rows([example(images=("dog.png",))]))
    Image.new("RGB", (4, 4), "blue").save("dog.png")
    for image in (rows[0]["images"][0], add_length(rows)[0]["images"][0]):
        assert image["path"] == "dog.png"
        assert Image.open(io.BytesIO(image["bytes"])).getpixel((0, 0)) == (255, 0, 0)


def test_images_may_stay_where_they_lie_and_others_are_inside(tmp_path):
    path, member = tmp_path / "a.png", f"zip://a.png::{tmp_path}/photos.zip"
    Image.new("RGB", (4, 4)).save(path)
    rows = list(to_rows([example(images=(path, member, Image.new("RGB", (4, 4))))]))
    on_disk, in_archive, inside = rows_to_dataset(rows, are_images_inside=False)[0]["images"]
    assert on_disk == {"bytes": None, "path": str(path)}
    assert in_archive == {"bytes": None, "path": member}
    assert inside["bytes"].startswith(b"\x89PNG")


def test_a_row_without_prompts_is_an_error():
    (row,) = to_rows([example()])
    empty = row | {name: [] for name in ("prompts", "targets", "languages", "tasks", "sources", "ids")}
    with pytest.raises(ValueError, match="at least one"):
        check_row(empty)


def test_a_row_whose_prompt_shows_more_images_than_there_are_never_gets_into_a_dataset():
    (row,) = to_rows([example(prompt="<image> what \\<image> is?")])
    check_row(row)
    with pytest.raises(ValueError, match=r"Row 'cat' .*has 0 image\(s\), but its prompt holds 1 `<image>`"):
        rows_to_dataset([row | {"images": []}])


def test_no_examples_make_an_empty_dataset():
    assert len(rows_to_dataset(to_rows([]))) == 0
