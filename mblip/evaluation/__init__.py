"""The benchmarks: published records to examples, examples to answers, answers to scores with intervals."""

from .answer_scoring import (
    ChairMetric,
    ChoiceAccuracy,
    ExactMatch,
    GqaAccuracy,
    MaxmAccuracy,
    VqaAccuracy,
    YesNoAccuracy,
)
from .benchmark import ask, ask_example, benchmark_task, with_shuffled_images
from .captioning import CaptionMetric, ask_for_caption, caption_prompts, captioning_task
from .evaluate import evaluate_task
from .generation_settings import GenerationChanges, GenerationSettings
from .multiple_choice import MultipleChoiceAccuracy, ask_choice
from .predictions import Prediction, read_predictions
from .protocol import OWN, Setup, fixed_prompt
from .recipe import EvaluationRecipe, EvaluationRun, TaskRecipe
from .records import DatasetLocation, read_examples, records_in, records_of
from .reports.files import alignment_table, conditions_table, predictions_path, read_results, write_results
from .reports.full_report import write_report
from .reports.tables import markdown_table
from .results import MeanScore, MetricRecord, Ratio, Results, Score, ratio_to_reference, score_predictions
from .runner import RunSettings, run_task
from .task import Answering, EvaluationExample, EvaluationTask, Metric, Origin, RankBy, Scored

__all__ = [
    "OWN",
    "Answering",
    "CaptionMetric",
    "ChairMetric",
    "ChoiceAccuracy",
    "DatasetLocation",
    "EvaluationExample",
    "EvaluationRecipe",
    "EvaluationRun",
    "EvaluationTask",
    "ExactMatch",
    "GenerationChanges",
    "GenerationSettings",
    "GqaAccuracy",
    "MaxmAccuracy",
    "MeanScore",
    "Metric",
    "MetricRecord",
    "MultipleChoiceAccuracy",
    "Origin",
    "Prediction",
    "RankBy",
    "Ratio",
    "Results",
    "RunSettings",
    "Score",
    "Scored",
    "Setup",
    "TaskRecipe",
    "VqaAccuracy",
    "YesNoAccuracy",
    "alignment_table",
    "ask",
    "ask_choice",
    "ask_example",
    "ask_for_caption",
    "benchmark_task",
    "caption_prompts",
    "captioning_task",
    "conditions_table",
    "evaluate_task",
    "fixed_prompt",
    "markdown_table",
    "predictions_path",
    "ratio_to_reference",
    "read_examples",
    "read_predictions",
    "read_results",
    "records_in",
    "records_of",
    "run_task",
    "score_predictions",
    "with_shuffled_images",
    "write_report",
    "write_results",
]
