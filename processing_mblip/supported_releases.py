"""Which releases of transformers the processor was tested with. Imported before anything that another may not have: as
remote code these files meet any release.

pyproject.toml and modeling_mblip/configuration_mblip.py have the same range.
"""

import transformers

release = tuple(map(int, transformers.__version__.split(".")[:2]))
if release < (5, 23):
    raise ImportError(
        f"mBLIP needs transformers>=5.23,<5.25, but {transformers.__version__} is installed: "
        "`pip install 'transformers>=5.23,<5.25'`."
    )
if release > (5, 24):
    transformers.utils.logging.get_logger("transformers").warning_once(
        f"mBLIP was tested with transformers>=5.23,<5.25, but {transformers.__version__} is installed: results may "
        "differ."
    )
