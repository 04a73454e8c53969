"""Until the tasks of the drawn world stand beside it in quickstart/, they find it there."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3] / "quickstart"))
