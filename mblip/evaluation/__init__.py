"""The benchmarks: tasks to questions, questions to answers, answers to scores with intervals."""

from .evaluate import evaluate_scenes, evaluate_task
from .generation_settings import GenerationChanges, GenerationSettings
from .predictions import Prediction, read_predictions
from .protocol import Setup
from .recipe import EvaluationRecipe, EvaluationRun
from .reports.files import alignment_table, conditions_table, predictions_path, write_results
from .reports.full_report import write_report
from .reports.tables import markdown_table
from .results import Ratio, Results, Score, ratio_to_reference, score_predictions
from .runner import RunSettings, run_task
from .scoring import ExactMatch
from .task import EvaluationExample, EvaluationTask
from .tasks.babel_imagenet import babel_imagenet_task
from .tasks.scenes import scenes_task

__all__ = [
    "EvaluationExample",
    "EvaluationRecipe",
    "EvaluationRun",
    "EvaluationTask",
    "ExactMatch",
    "GenerationChanges",
    "GenerationSettings",
    "Prediction",
    "Ratio",
    "Results",
    "RunSettings",
    "Score",
    "Setup",
    "alignment_table",
    "babel_imagenet_task",
    "conditions_table",
    "evaluate_scenes",
    "evaluate_task",
    "markdown_table",
    "predictions_path",
    "ratio_to_reference",
    "read_predictions",
    "run_task",
    "scenes_task",
    "score_predictions",
    "write_report",
    "write_results",
]
