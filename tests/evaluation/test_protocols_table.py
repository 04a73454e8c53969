"""docs/protocols.md says what each protocol does here, and gives a reason wherever its source does something else."""

import re
from pathlib import Path

import pytest

from mblip.data.sources.xvnli import ANSWERS
from mblip.evaluation import Setup
from mblip.evaluation.languages import OTHER_NAMES
from mblip.evaluation.protocol import PROTOCOLS
from mblip.evaluation.recipe import find_task
from tests.data.sources.sample_data import write_json, write_lines

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
PHOTO = "COCO_val2014_000000000139.jpg"


@pytest.fixture(scope="module")
def benchmarks(tmp_path_factory):
    """A record of each benchmark, whose texts are `{question}` and the like, so that prompts show where they go."""
    folder = tmp_path_factory.mktemp("records")
    said = {code: {"caption": ["A dog."]} for code in ("bn", "en", "fa")}
    photo = {"sentences": ["A dog."], "id": "1", "img_path": "1.jpg"}
    karpathy = {"filepath": "val2014", "filename": PHOTO, "cocoid": 139, "sentences": [{"raw": "A dog.", "sentid": 1}]}
    splits = [karpathy | {"split": split} for split in ("val", "test")]
    gqa = {"1": {"imageId": "n1", "question": "{question}", "answer": "yes"}}
    asked = {"question_id": 1, "image_id": 139, "question": "{question}"}
    answers = [{"answer": "yes", "answer_confidence": "yes", "answer_id": number} for number in range(1, 11)]
    answered = {"question_id": 1, "image_id": 139, "question_type": "is", "answer_type": "yes/no", "answers": answers}
    answered["multiple_choice_answer"] = "yes"
    pair = {"question_id": "1", "question": "{question}", "answers": ["2"], "processed_answers": ["2"]}
    marvl = {"concept": "1-A", "language": "sw", "caption": "{statement}", "left_img": "1.jpg", "right_img": "2.jpg"}
    marvl |= {"id": "sw-1", "label": True}
    xvnli = {"Flikr30kID": "1", "pairID": "1.jpg#0r1n", "gold_label": next(iter(ANSWERS)), "sentence2": "{hypothesis}"}
    nlvr2 = {"identifier": "test1-1-0-1", "sentence": "{statement}", "label": "True"}
    pope = {"question_id": 1, "image": PHOTO, "text": "{question}", "label": "yes"}
    for language in ("de", "en", "fr", "sw"):
        (folder / language).mkdir()
        write_json(folder / language / "gqa.json", gqa)
        write_lines(folder / language / "captions.jsonl", [photo])
        write_json(folder / language / "maxm.json", {"annotations": [{"image_id": "a1", "qa_pairs": [pair]}]})
        write_lines(folder / language / "xvnli.jsonl", [xvnli])
        write_lines(folder / language / "marvl.jsonl", [marvl])
    write_lines(folder / "random.json", [pope])
    (folder / "synonyms.txt").write_text("dog, puppy\n")
    return {
        "xm3600": {"captions": write_lines(folder / "xm3600.jsonl", [{"image/key": "a1"} | said])},
        "xflickrco": {
            "captions": folder / "{language}/captions.jsonl",
            "english": write_lines(folder / "test_ann.jsonl", [photo | {"id": "2", "img_path": "2.jpg"}]),
            "languages": ("de", "en"),
        },
        "coco_karpathy": {"captions": write_json(folder / "karpathy.json", {"images": splits})},
        "xgqa": {"questions": folder / "{language}/gqa.json", "languages": ("de", "en")},
        "vqav2": {
            "questions": write_json(folder / "questions.json", {"questions": [asked]}),
            "annotations": write_json(folder / "annotations.json", {"annotations": [answered]}),
        },
        "maxm": {"questions": folder / "{language}/maxm.json", "languages": ("fr",)},
        "xvnli": {"pairs": folder / "{language}/xvnli.jsonl", "languages": ("en",)},
        "marvl": {"statements": folder / "{language}/marvl.jsonl", "languages": ("sw",)},
        "nlvr2": {"statements": write_lines(folder / "nlvr2.jsonl", [nlvr2])},
        "pope": {"questions": folder / "{split}.json", "splits": ("random",)},
        "chair": {
            "synonyms": folder / "synonyms.txt",
            "objects": write_lines(folder / "objects.jsonl", [{"image": PHOTO, "objects": ["dog"]}]),
            "karpathy": folder / "karpathy.json",
        },
    }  # fmt: skip


def settings(protocol, name, arguments):
    """What the protocol does on a benchmark here: setting -> value."""
    setup = Setup(protocol=protocol, missing_images="unchecked")
    task = find_task(name, Path())(setup, images="images", **arguments)
    found = {"decoding": ", ".join(f"{key} {value:g}" for key, value in task.generation.arguments().items() if value)}
    found["main figure"] = f"`{task.metric.main}`"
    for example in task.examples:
        condition = "" if example.condition in ("as_is", "random") else f", {example.condition}"
        found[f"prompt, {example.language}{condition}"] = f"`{example.prompt}`".replace("\n", "\\n")
    return found | {key: str(value) for key, value in setup.rules(name).arguments.items()}


def live_rows(benchmarks):
    rows = {}
    for name, protocol in PROTOCOLS.items():
        names = OTHER_NAMES[protocol.language_names]
        rows[name, "all", "language names"] = ", ".join(f"{code} {word}" for code, word in names.items()) or "ours"
        rows[name, "all", "language model"] = protocol.load_in or "not quantised"
        for benchmark in protocol.benchmarks:
            for setting, value in settings(name, benchmark, benchmarks[benchmark]).items():
                rows[name, benchmark, setting] = value
    return rows


def page_rows():
    """(protocol, benchmark, setting) -> (ours, the source's, where, reason)."""
    rows, protocol, benchmark = {}, "", ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            protocol = line.split("`")[1] if "`" in line else ""
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("| ") and protocol else []
        if len(cells) == 6 and cells[1] != "setting":
            benchmark = cells[0] or benchmark
            rows[protocol, benchmark, cells[1]] = tuple(cells[2:])
    return rows


def test_the_page_says_what_every_setting_is_here(benchmarks):
    rows = page_rows()
    live = live_rows(benchmarks)
    assert {key: rows.get(key, ("no row",))[0] for key in live} == live
    assert len(live) > 90


def test_every_row_has_a_source_and_where_it_differs_a_reason():
    rows = page_rows()
    assert [key for key, (_, _, where, _) in rows.items() if not where] == []
    assert [key for key, (ours, theirs, _, reason) in rows.items() if ours != theirs and not reason] == []


def test_a_file_and_a_line_stand_beside_every_rule():
    """The sources of the code's table are on the page, too."""
    page = re.sub(r"\s+", " ", PAGE.read_text(encoding="utf-8"))
    for protocol in PROTOCOLS.values():
        for rules in protocol.benchmarks.values():
            for source in rules.source.split(", "):
                assert source in page
