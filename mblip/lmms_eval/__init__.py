"""lmms-eval, LMMs-Lab's harness: mBLIP as one of its models (model.py), our benchmarks as its tasks (tasks.py)."""


def models() -> object:
    """The entry point `lmms_eval.models`."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest("mblip", simple_class_path=f"{__name__}.model.MBlip")
