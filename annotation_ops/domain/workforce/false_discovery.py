"""Which of many findings to believe when each is tested: the false discovery rate."""

import numpy as np
from scipy.stats import false_discovery_control

from annotation_ops.domain.quality.judgements import BoolArray, FloatArray


def benjamini_hochberg(p_values: FloatArray, *, rate: float) -> BoolArray:
    """Accepted findings, (n,); the expected share of false ones is at most `rate` for independent or positively dependent
    p-values. Benjamini & Hochberg, J R Stat Soc B 57:289-300 (1995)."""
    return np.asarray(false_discovery_control(p_values, method="bh") <= rate)


def e_benjamini_hochberg(e_values: FloatArray, *, rate: float) -> BoolArray:
    """The same for e-values, valid under any dependence. Wang & Ramdas, J R Stat Soc B 84:822-852 (2022)."""
    return benjamini_hochberg(1.0 / np.maximum(e_values, 1.0), rate=rate)
