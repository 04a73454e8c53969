"""Check of the installed transformers release.

The other files import this one before anything that may be missing in other releases: as remote code, they can meet
any release. pyproject.toml and modeling_mblip/configuration_mblip.py give the same range.
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
