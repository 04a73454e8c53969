"""The metadata of a model card, in the Hub's words: what it searches, links and plots by."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from mblip.evaluation.languages import evaluation_language

from .run_record import Evaluation, RunRecord

PIPELINE_TAG = "image-text-to-text"
HUB_LANGUAGES = {"iw": "he"}  # where the Hub writes another code than languages.tsv
CONTROLS = ("shuffled",)  # conditions that show what a model cannot do without its picture


def card_metadata(record: RunRecord) -> ModelCardData:
    """Languages, licence, base models, datasets, task, library, tags, and each measured score."""
    facts = [stage.facts for stage in record.stages]
    languages = sorted({hub_language(code) for fact in facts for code in fact.num_prompts or {}})
    base_models = [parent.name for parent in record.parents if parent.is_on_hub]
    results = [result for evaluation in record.evaluations for result in eval_results(evaluation)]
    return ModelCardData(
        language=languages or None,
        license=record.license,
        library_name="transformers",
        pipeline_tag=PIPELINE_TAG,
        base_model=base_models or None,
        datasets=list(record.datasets) or None,
        tags=["mblip", "multilingual"],
        model_name=record.name if results else None,
        eval_results=results or None,
    )


def hub_language(code: str) -> str:
    """The Hub's code of a language of the mix."""
    return HUB_LANGUAGES.get(code, code)


def eval_results(evaluation: Evaluation) -> list[EvalResult]:
    """The model's scores, in per cent as the card's tables show them: one for each task, condition and language.

    Controls, scores on stand-ins for photos, and the models it is compared with are in the tables only.
    """
    return [
        _eval_result(result, score)
        for name, result in evaluation.results.items()
        if name == result["task"] and not result.get("has_stand_ins", False)
        for score in result["scores"]
        if score["condition"] not in CONTROLS
    ]


def _eval_result(result: Mapping[str, Any], score: Mapping[str, Any]) -> EvalResult:
    code, condition = score["language"], score["condition"]
    return EvalResult(
        task_type=PIPELINE_TAG,
        dataset_type=result["task"],
        dataset_name=f"{result['task']}, {condition} ({evaluation_language(code).name})",
        dataset_config=hub_language(code),
        dataset_split=condition,
        metric_type=result["metric"],
        metric_name=result["description"],
        metric_value=round(100 * score["value"], 1),
        metric_args={"prompt": result["prompts"][condition][code], "protocol": result["protocol"]},
    )
