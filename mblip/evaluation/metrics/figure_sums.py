"""Figures as functions of sums over examples, so that a comparison can draw the examples again (paired_comparison.py).

Most figures are the ratio of two sums: a share, a mean, recall, precision, F1. BLEU and chrF are other functions.

Shape suffixes: E = examples, K = quantities that are summed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .bootstrap import FloatArray


@dataclass(frozen=True)
class FigureSums:
    """`terms` is what each example adds, (E, K). `of_sums` maps sums over examples, (..., K), to the figure, (...),
    which is NaN where it is not defined."""

    terms: FloatArray = field(repr=False)
    of_sums: Callable[[FloatArray], FloatArray]

    @property
    def value(self) -> float:
        """The figure of all examples."""
        return float(self.of_sums(self.terms.sum(0)))

    @property
    def per_example(self) -> tuple[float, ...]:
        """The figure of each example alone."""
        return tuple(self.of_sums(self.terms).tolist())


def ratio(numerators: npt.ArrayLike, denominators: npt.ArrayLike | None = None) -> FigureSums:
    """The sum of `numerators` divided by that of `denominators`; None: by the number of examples, for a mean."""
    above = np.asarray(numerators, dtype=np.float64)
    below = np.ones_like(above) if denominators is None else np.asarray(denominators, dtype=np.float64)
    return FigureSums(np.column_stack([above, below]), _divide)


def _divide(sums: FloatArray) -> FloatArray:
    above, below = sums[..., 0], sums[..., 1]
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
