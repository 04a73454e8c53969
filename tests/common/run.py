"""Run transformers' own common tests for models, processors and image processors against the classes of this project.

    python tests/common/run.py [--cache FOLDER] [any argument of pytest]

Needs the `test` extra, and the network once: the source distribution of the installed transformers is downloaded into
FOLDER (by default a folder of the user's cache), see `transformers_source.py`. What cannot apply is listed, with the
reason, in `not_applicable.py`; everything else has to pass.
"""

import argparse
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = ("processor_cases.py", "image_processor_cases.py", "model_cases.py")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "mblip-common-tests")
    arguments, pytest_arguments = parser.parse_known_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parent.parent)]
    os.environ["HF_HUB_OFFLINE"] = "1"

    import transformers_source

    transformers_source.install(transformers_source.find_source(arguments.cache))
    cases = [str(HERE / name) for name in CASES]
    # transformers does not run its tests with warnings as errors.
    return pytest.main([*cases, "-o", "filterwarnings=", "-o", "addopts=", "-q", *pytest_arguments])


if __name__ == "__main__":
    sys.exit(main())
