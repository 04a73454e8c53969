"""The benchmarks: tasks to questions, questions to answers, answers to scores with intervals."""

from .evaluate import evaluate_scenes, evaluate_task
from .generation import GenerationSettings
from .predictions import Prediction, read_predictions
from .results import Ratio, Results, Score, ratio_to_reference, score_predictions, write_results
from .runner import RunSettings, run_task
from .tables import markdown_table
from .task import EvaluationExample, EvaluationTask
from .tasks.scenes import scenes_task

__all__ = [
    "EvaluationExample",
    "EvaluationTask",
    "GenerationSettings",
    "Prediction",
    "Ratio",
    "Results",
    "RunSettings",
    "Score",
    "evaluate_scenes",
    "evaluate_task",
    "markdown_table",
    "ratio_to_reference",
    "read_predictions",
    "run_task",
    "scenes_task",
    "score_predictions",
    "write_results",
]
