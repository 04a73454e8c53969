"""The committed cards: the Hub's rules, as far as they can be held to offline, and every number against its source.

The Hub's own check needs the Hub; here its rules are those of its client and of its documented lists. A card of a
trained model is what the generator writes from the record beside it, and its tables hold that record's figures.
"""

import re
import statistics
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, close_session
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from huggingface_hub.utils import validate_repo_id
from PIL import Image
from transformers.pipelines import get_supported_tasks

from mblip.data.languages import get_language
from mblip.training.model_card import build_card
from mblip.training.run_record import Evaluation, RunRecord
from tests.card_tables import CARD_FOLDER, read_card, tables
from tests.hub.client import Client
from tests.hub.server import LoopbackHub
from tests.tiny import tiny_model, tiny_processor

ROOT = Path(__file__).parents[1]
CARDS = sorted(CARD_FOLDER.glob("*.md"))
RECORDS = {
    "mblip-quickstart": ROOT / "quickstart" / "results" / "quickstart.json",
    "mblip-quickstart-decoder-only": ROOT / "quickstart" / "results" / "quickstart_decoder_only.json",
}
DRAFTS = ("mblip-mt0-xl", "mblip-bloomz-7b")  # held to their facts by test_card_drafts.py
# Of the Hub's identifiers of licences (hf.co/docs/hub/repositories-licenses), those that the cards use.
LICENSES = ("mit", "apache-2.0", "bigscience-bloom-rail-1.0")
ISO_639_1 = """aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz
ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja
jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng
nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw
ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"""
ISO_639_3 = ("ceb", "fil")  # the mix's languages that have no code of two letters

every_card = pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)


def test_every_card_is_a_trained_models_or_a_draft():
    assert sorted(path.stem for path in CARDS) == sorted([*RECORDS, *DRAFTS])


@every_card
def test_the_metadata_follow_the_hubs_rules(path):
    card = ModelCard.load(path)
    assert card.data.pipeline_tag == "image-text-to-text"
    assert card.data.pipeline_tag in get_supported_tasks()
    assert card.data.library_name == "transformers"
    assert card.data.license in LICENSES
    assert card.data.language == sorted(card.data.language)
    assert len(card.data.language) in (12, 96)
    assert [code for code in card.data.language if code not in (*ISO_639_1.split(), *ISO_639_3)] == []
    for name in [*card.data.get("base_model", []), *card.data.get("datasets", [])]:
        assert "/" in name
        validate_repo_id(name)


@every_card
def test_the_metadata_are_the_same_when_the_client_writes_them_again(path):
    text = path.read_text(encoding="utf-8")
    metadata = yaml.safe_load(text.split("---\n")[1])
    card = ModelCard(text)
    assert card.data.to_dict() == metadata
    assert ModelCard(str(card)).data.to_dict() == metadata


@every_card
def test_the_client_finds_the_card_valid(path, tmp_path, monkeypatch):
    with LoopbackHub() as hub:
        Client(hub, tmp_path, monkeypatch)
        ModelCard.load(path).validate()
        close_session()
    assert len(hub.asked("POST", "/api/validate-yaml")) == 1


@every_card
def test_a_card_names_no_path_of_a_machine(path):
    assert re.findall(r"(?<![\w.:])/(?:home|root|tmp|opt|work|mnt|Users)\b.*", path.read_text(encoding="utf-8")) == []


@every_card
@pytest.mark.parametrize("family", ["mt5", "llama"])
def test_the_lines_of_use_answer(path, family, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny_model(family).save_pretrained("FOLDER")
    tiny_processor(family).save_pretrained("FOLDER")
    Image.new("RGB", (40, 30), "green").save("image.png")
    (block,) = re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert block.count("\n") <= 10
    exec(compile(block, path.name, "exec"), {})
    assert capsys.readouterr().out.endswith("\n")


trained = pytest.mark.parametrize("name", RECORDS)


@trained
def test_the_card_of_a_trained_model_is_what_its_record_gives(name):
    written = (CARD_FOLDER / f"{name}.md").read_text(encoding="utf-8")
    assert written == build_card(RunRecord.read(RECORDS[name]))


@trained
def test_the_scores_in_the_metadata_sum_up_the_records(name):
    card = read_card(name)
    plain = card.data.to_dict()["model-index"]
    model_name, results = model_index_to_eval_results(plain)
    assert model_name == name
    assert results == card.data.eval_results
    assert eval_results_to_model_index(model_name, results) == plain
    expected = []
    for evaluation in evaluations_of(name):
        scores = [score for score in evaluation.results["scenes"]["scores"] if score["condition"] != "shuffled"]
        for condition in dict.fromkeys(score["condition"] for score in scores):
            shares = {score["language"]: score["value"] for score in scores if score["condition"] == condition}
            mean, lowest = statistics.mean(shares.values()), min(shares, key=shares.__getitem__)
            expected += [
                (condition, "mean of 12 languages", f"{100 * mean:.1f}"),
                (condition, f"lowest of 12 languages ({get_language(lowest).name})", f"{100 * shares[lowest]:.1f}"),
            ]
    found = [(r.dataset_split, r.metric_name.partition(", ")[2], f"{r.metric_value:.1f}") for r in results]
    assert sorted(found) == sorted(expected)
    assert len(expected) >= 2


@every_card
def test_the_metadata_are_short(path):
    metadata = path.read_text(encoding="utf-8").split("---\n")[1]
    assert metadata.count("\n") < 150


def evaluations_of(name: str) -> list[Evaluation]:
    """The evaluations of the model as it is, without those in other precisions."""
    return [evaluation for evaluation in RunRecord.read(RECORDS[name]).evaluations if "scenes" in evaluation.results]


def shown(share: float, interval: dict[str, float]) -> str:
    return f"{100 * share:.1f} [{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]"


COLUMNS = {
    "before": ("scenes_before", "as_is"),
    "after": ("scenes", "as_is"),
    "after, images shuffled": ("scenes", "shuffled"),
    "English BLIP-2": ("scenes_english_parent", "as_is"),
}


def column_of(evaluation, heading: str) -> dict[str, tuple[float, dict[str, float]]]:
    """What the record holds for a column of a table: language -> share and interval."""
    if heading == "after / English BLIP-2":
        return {code: (ratio["value"], ratio["interval"]) for code, ratio in evaluation.ratios.items()}
    name, condition = COLUMNS.get(heading, ("scenes", heading))
    scores = [score for score in evaluation.results[name]["scores"] if score["condition"] == condition]
    assert scores, heading
    return {score["language"]: (score["value"], score["interval"]) for score in scores}


@trained
def test_every_cell_of_the_language_tables_is_the_records(name):
    evaluations = evaluations_of(name)
    found = [table for table in tables(read_card(name).text) if table[0][0] == "Language"]
    assert len(found) == len(evaluations)
    for (headings, *rows), evaluation in zip(found, evaluations, strict=True):
        columns = [column_of(evaluation, heading) for heading in headings[2:]]
        *languages, means = rows
        assert len(languages) == 12
        for label, script, *cells in languages:
            code = re.findall(r"`(\w+)`", label)[0]
            assert script == get_language(code).script
            assert cells == [shown(*column[code]) if code in column else "–" for column in columns]
        shares = [[share for share, _ in column.values()] for column in columns]
        expected = [f"{100 * statistics.mean(column):.1f}" if len(column) > 1 else "–" for column in shares]
        assert means == ["mean of 12", "", *expected]


@trained
def test_every_cell_of_the_group_tables_is_the_records(name):
    evaluations = [evaluation for evaluation in evaluations_of(name) if not evaluation.is_of_run]
    found = [table for table in tables(read_card(name).text) if table[0][0].startswith("By ")]
    assert len(found) == 2 * len(evaluations)
    for headings, *rows in found:
        columns = [column_of(evaluations[0], heading) for heading in headings[1:]]
        cells = [
            re.fullmatch(r"([\d.]+) \(languages: (\d+), answers: (\d+)\)", cell) for row in rows for cell in row[1:]
        ]
        assert all(cells)
        for i, column in enumerate(columns):
            groups = [cell.groups() for cell in cells[i :: len(columns)]]
            assert sum(int(languages) for _, languages, _ in groups) == len(column)
            mean = sum(float(share) * int(languages) for share, languages, _ in groups) / len(column)
            assert mean == pytest.approx(100 * statistics.mean(share for share, _ in column.values()), abs=0.06)
    script = next((table for table in found if table[0][0] == "By script"), [])
    for group, *shares in script[1:]:
        for heading, cell in zip(script[0][1:], shares, strict=True):
            column = column_of(evaluations[0], heading)
            own = [share for code, (share, _) in column.items() if get_language(code).script == group]
            assert cell.startswith(f"{100 * statistics.mean(own):.1f} (languages: {len(own)}, ")


@trained
def test_the_table_of_stages_is_the_records(name):
    (table,) = [table for table in tables(read_card(name).text) if table[0][0] == "stage"]
    stages = RunRecord.read(RECORDS[name]).stages
    assert [row[0] for row in table[1:]] == ["warm_up", "re_alignment"]
    for row, stage in zip(table[1:], stages, strict=True):
        counts = [f"{count:,}" for count in (sum(stage.facts.num_trained.values()), *stage.facts.num_trained.values())]
        assert re.findall(r"[\d,]*\d", row[1]) == counts
        rates = [f"{rate:g}" for rate in stage.learning_rates.values()]
        assert row[2:4] == [f"{stage.num_steps:,}", str(stage.batch_size)]
        assert re.findall(r"[\d.e-]*\d", row[4]) == rates
        assert row[5] == f"{stage.minutes:.1f}"


def num_right_of(scores: list[dict[str, Any]]) -> int:
    return sum(round(score["value"] * score["num_prompts"]) for score in scores)


def precisions_of(name: str) -> dict[str, dict[str, Any]]:
    """The results in each precision, by its words."""
    return {
        result["model"]["precision"]: result
        for evaluation in RunRecord.read(RECORDS[name]).evaluations
        for key, result in evaluation.results.items()
        if key.startswith("scenes_") and "disk_bytes" in result
    }


@trained
def test_the_tables_of_precisions_are_the_records(name):
    results = precisions_of(name)
    assert list(results) == [
        "float32",
        "bfloat16",
        "bfloat16, language model in 8 bit",
        "bfloat16, language model in 4 bit (nf4)",
    ]
    card = tables(read_card(name).text)
    (quality,) = [table for table in card if table[0][0] == "scenes, as_is"]
    (sizes,) = [table for table in card if table[0][0] == "held in"]
    for row, size, (words, result) in zip(quality[1:], sizes[1:], results.items(), strict=True):
        shares = {score["language"]: score["value"] for score in result["scores"]}
        lowest = min(shares, key=shares.__getitem__)
        assert row[:3] == [
            words,
            f"{100 * statistics.mean(shares.values()):.1f}",
            f"{100 * shares[lowest]:.1f} ({get_language(lowest).name})",
        ]
        num_right, first = (num_right_of(scored["scores"]) for scored in (result, results["float32"]))
        assert int(row[4]) - int(row[3]) == num_right - first
        names = ("disk_bytes", "memory_bytes", "language_model_bytes")
        assert size == [words, *[f"{result[key] / 1e6:.2f}" for key in names]]


def test_each_precision_of_the_quickstart_is_smaller_than_the_one_before():
    for key in ("disk_bytes", "memory_bytes", "language_model_bytes"):
        sizes = [result[key] for result in precisions_of("mblip-quickstart").values()]
        assert sizes == sorted(sizes, reverse=True)
        assert len(set(sizes)) == 4
