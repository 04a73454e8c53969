"""PangeaBench's copies and the original's own inputs are read like the published files; columns may be renamed."""

import pytest

from mblip.evaluation import Setup
from mblip.evaluation.command_line import parse_command_line
from mblip.evaluation.records import DatasetLocation
from mblip.evaluation.tasks.chair import chair
from mblip.evaluation.tasks.marvl import marvl
from mblip.evaluation.tasks.maxm import maxm
from mblip.evaluation.tasks.nlvr2 import nlvr2
from mblip.evaluation.tasks.pope import pope
from mblip.evaluation.tasks.xgqa import xgqa
from mblip.evaluation.tasks.xm3600 import xm3600
from mblip.evaluation.tasks.xvnli import xvnli
from tests.data.sources.sample_data import write_json
from tests.evaluation.tasks.other_layouts import (
    cell,
    pangea_marvl,
    pangea_maxm,
    pangea_xgqa,
    pangea_xm100,
    store,
    write_inputs,
)

UNCHECKED = Setup(missing_images="unchecked")
XGQA = {
    "201": {"imageId": "n1", "question": "Ist der Bus schwarz?", "answer": "no"},
    "202": {"imageId": "n2", "question": "Wer ist das?", "answer": "women"},
}
MAXM = [{"image_id": "0a", "qa_pairs": [
    {"question_id": "q1", "question": "Combien ?", "answers": ["2"], "processed_answers": ["2", "deux"]},
    {"question_id": "q2", "question": "Où : ici ?", "answers": ["oui"], "processed_answers": ["oui"]},
]}]  # fmt: skip


def asked(task):
    """All that a record decides, except the id of a question, which other layouts may not have."""
    return [(e.language, e.condition, e.prompt, e.references, e.image_id) for e in task.examples]


def by_language(path):
    return DatasetLocation(path, split="{language}")


def files_of(tmp_path, content, language="de"):
    write_json(tmp_path / f"{language}.json", content)
    return tmp_path / "{language}.json"


def test_pangeabenchs_xgqa_is_read_as_it_is_and_questions_are_numbered(tmp_path):
    dataset = by_language(store(tmp_path / "rows", {"de": pangea_xgqa(XGQA)}))
    task = xgqa(UNCHECKED, dataset=dataset, languages=("de",))
    published = xgqa(UNCHECKED, questions=files_of(tmp_path, XGQA), images="no", languages=("de",))
    assert asked(task) == asked(published)
    assert [example.id for example in task.examples] == ["de/0", "de/1"]
    assert all(isinstance(example.images[0], bytes) for example in task.examples)


def test_pangeabenchs_maxm_is_read_as_it_is(tmp_path):
    dataset = by_language(store(tmp_path / "rows", {"fr": pangea_maxm(MAXM)}))
    published = maxm(
        UNCHECKED, questions=files_of(tmp_path, {"annotations": MAXM}, "fr"), images="no", languages=("fr",)
    )
    assert asked(maxm(UNCHECKED, dataset=dataset, languages=("fr",))) == asked(published)


def test_pangeabenchs_xm100_is_read_by_xm3600_with_one_image_for_all_languages(tmp_path):
    parts = {"de": {"0a": "Ein Fluss.", "0b": "Ein Haus."}, "he": {"0a": "נהר.", "0b": "בית."}}
    dataset = by_language(store(tmp_path / "rows", {code: pangea_xm100(part) for code, part in parts.items()}))
    task = xm3600(UNCHECKED, dataset=dataset, languages=("de", "he"))
    assert [(e.id, e.references, e.image_id) for e in task.examples] == [
        ("de/0a", ("Ein Fluss.",), "xm3600/0a"), ("iw/0a", ("נהר.",), "xm3600/0a"),
        ("de/0b", ("Ein Haus.",), "xm3600/0b"), ("iw/0b", ("בית.",), "xm3600/0b"),
    ]  # fmt: skip
    assert task.examples[0].images[0] is task.examples[1].images[0]
    with pytest.raises(ValueError, match="has a part for each language"):
        xm3600(UNCHECKED, dataset=dataset)


def test_pangeabenchs_marvl_has_both_images_in_one_which_changes_the_papers_protocol_alone(tmp_path):
    rows = {
        "sw": pangea_marvl([("Kuna paka.", True), ("Text: Options", False)]),
        "en": pangea_marvl([("A cat.", True)]),
    }
    dataset = by_language(store(tmp_path / "rows", rows))
    task = marvl(UNCHECKED, dataset=dataset, languages=("sw",))
    assert [(e.prompt.split('"')[1], e.references, len(e.images)) for e in task.examples] == [
        ("Kuna paka.", ("yes",), 1),
        ("Text: Options", ("no",), 1),
    ]
    assert len({example.image_id for example in task.examples}) == 2
    assert task.changes == ("both images in one",)
    pangea = Setup(protocol="pangea", missing_images="unchecked")
    assert marvl(pangea, dataset=dataset, languages=("sw",)).changes == ()
    rows["sw"][0]["conversations"][0]["value"] = "<image>\nIs it true? Kuna paka."
    dataset = by_language(store(tmp_path / "others", rows))
    with pytest.raises(ValueError, match=r"`language`, `caption`, `label`.* is missing .*`conversations`"):
        marvl(UNCHECKED, dataset=dataset, languages=("sw",))
    english = nlvr2(UNCHECKED, dataset=dataset)
    assert [(e.language, e.references, len(e.images)) for e in english.examples] == [("en", ("yes",), 1)]
    assert english.changes == ("split dev", "both images in one")


def test_columns_give_fields_other_names(tmp_path):
    rows = [{"id": 5, "photo": "n1", "frage": "Wer?", "answer": "women", "image": None} for _ in "a"]
    for row, stored in zip(rows, pangea_xgqa(XGQA), strict=False):
        row["image"] = stored["image"]
    path = store(tmp_path / "rows", {"de": rows})
    words = ["--task.dataset.path", path, "--task.dataset.split", "{language}", "--task.languages", "[de]"]
    for field, column in (("question_id", "id"), ("imageId", "photo"), ("question", "frage")):
        words += [f"--task.dataset.columns.{field}", column]
    (task,) = parse_command_line(["m", "--task", "xgqa", *words]).evaluation.build_tasks()
    assert [(e.id, e.image_id, e.references) for e in task.examples] == [("de/5", "gqa/n1", ("women",))]
    columns = {"text": "question", "label": "answer", "image": "image_source", "images": "image"}  # of lmms-lab/POPE
    named = {
        "question_id": "7",
        "question": "Is there a dog?",
        "answer": "yes",
        "image_source": "COCO_val2014_000000000042",
    }
    there = store(tmp_path / "pope", {"random": [{**named, "image": cell()}]})
    dataset = DatasetLocation(there, split="{split}", columns=columns)
    (example,) = pope(UNCHECKED, dataset=dataset, splits=("random",)).examples
    assert (example.id, example.prompt, example.image_id) == ("7", "Is there a dog?", "coco/000000000042")
    rows = [{"key": "0a", "deutsch": {"caption": ["Ein Haus."]}, "image": cell()}]
    dataset = DatasetLocation(store(tmp_path / "xm", {"test": rows}), columns={"image/key": "key", "de": "deutsch"})
    (example,) = xm3600(UNCHECKED, dataset=dataset, languages=("de",)).examples
    assert (example.id, example.references) == ("de/0a", ("Ein Haus.",))
    dataset = DatasetLocation(path, split="de", columns={"question_id": "number"})
    with pytest.raises(ValueError, match="found no column number of `columns`, only id, photo, frage, answer, image"):
        list(dataset.records())


def test_the_originals_inputs_of_xgqa_and_maxm_are_asked_in_their_own_prompts(tmp_path):
    write_inputs(tmp_path / "in_de.json", [("Ist der Bus schwarz?", "n1", "no"), ("Wer ist das?", "n2", "women")])
    arguments = {"images": "no", "languages": ("de",)}
    task = xgqa(UNCHECKED, questions=tmp_path / "in_{language}.json", **arguments)
    assert asked(task) == asked(xgqa(UNCHECKED, questions=files_of(tmp_path, XGQA), **arguments))
    prompts = [f"Question: {pair['question']} Short answer in French:" for pair in MAXM[0]["qa_pairs"]]
    answers = (["2", "deux"], ["oui"])
    write_inputs(tmp_path / "in_fr.json", [(prompts[0], "0a.jpg", answers[0]), (prompts[1], "0a.jpg", answers[1])])
    task = maxm(UNCHECKED, questions=tmp_path / "in_{language}.json", images="no", languages=("fr",))
    assert [(e.prompt, e.references) for e in task.examples] == [(prompts[0], ("2", "deux")), (prompts[1], ("oui",))]
    assert {example.image_id for example in task.examples} == {"xm3600/0a"}


def test_the_originals_inputs_of_xvnli_pope_and_chair_are_read(tmp_path):
    pair = {"context": "A dog.", "label": "", "image_id": "36979", "pair_id": "36979.jpg#0r1n", "text_label": "maybe"}
    write_inputs(tmp_path / "in_en.json", [pair])
    (example,) = xvnli(UNCHECKED, pairs=tmp_path / "in_{language}.json", images="no", languages=("en",)).examples
    assert (example.id, example.references, example.image_id) == ("en/36979.jpg#0r1n", ("maybe",), "flickr30k/36979")
    photo = "COCO_val2014_000000000042.jpg"
    write_inputs(tmp_path / "random.json", [("Is there a dog?", photo, "yes"), ("Is there a cat?", photo, "no")])
    task = pope(UNCHECKED, questions=tmp_path / "{split}.json", images="no", splits=("random",))
    assert [(e.id, e.prompt, e.references) for e in task.examples] == [
        ("1", "Is there a dog?", ("yes",)),
        ("2", "Is there a cat?", ("no",)),
    ]
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text("dog, puppy\n", encoding="utf-8")
    objects = write_inputs(tmp_path / "chair_val.json", [("English", photo, ["dog"])])
    task = chair(UNCHECKED, synonyms=synonyms, objects=objects, images="no")
    assert [e.references for e in task.examples] == [("dog",), ("dog",)]


def test_the_originals_inputs_of_marvl_and_nlvr2_name_both_images(tmp_path):
    shown = {"left_image": "sw/images/1-A/1-0.jpg", "right_image": "sw/images/1-A/1-4.jpg", "label": ""}
    row = {"context": "Kuna paka.", "concept": "1-A", "language": "sw", "text_label": "False", **shown}
    write_inputs(tmp_path / "in_sw.json", [row])
    task = marvl(UNCHECKED, statements=tmp_path / "in_{language}.json", images="no", languages=("sw",))
    (example,) = task.examples
    assert (example.id, example.references, len(example.images)) == ("zero_shot/sw-0", ("no",), 2)
    assert list(map(str, example.images)) == ["no/sw/images/1-A/1-0.jpg", "no/sw/images/1-A/1-4.jpg"]
    shown = {"left_image": "dev-896-0-img0.png", "right_image": "dev-896-0-img1.png", "label": ""}
    path = write_inputs(tmp_path / "en.json", [{"context": "A cat.", "text_label": "True", **shown}])
    (example,) = nlvr2(UNCHECKED, statements=path, images="no").examples
    assert (example.id, example.references) == ("en/dev-896-0-0", ("yes",))
    assert list(map(str, example.images)) == ["no/dev-896-0-img0.png", "no/dev-896-0-img1.png"]
