"""`plot_symmetry_report`: shares and baselines of subgroups as bars."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._arguments import type_of
from ..stats import SymmetryReport
from ._canvas import new_figure


def plot_symmetry_report(report: object) -> Any:
    """Draws one bar per subgroup: the share that commutes, over the share of random numbers.

    Subgroups that the data contradict are grey, the largest that they do not contradict has a
    black edge.

    Args:
        report: Of `testing.symmetry_report` or `stats.symmetry_report`.

    Returns:
        A `matplotlib.figure.Figure`.

    Raises:
        TypeError: If it is no report.
        ImportError: If matplotlib is missing.
    """
    found = type_of(report, "plot_symmetry_report", "report", SymmetryReport)
    figure, (axes,) = new_figure("plot_symmetry_report", 1, 1, 4.0)
    figure.set_size_inches(6.0, 1.0 + 0.25 * len(found.rows))
    places = np.arange(len(found.rows))[::-1]
    contradicted = [
        found.level is not None and row.p_value is not None and row.p_value <= found.level
        for row in found.rows
    ]
    edges = ["black" if row.subgroup == found.largest else "none" for row in found.rows]
    axes.barh(
        places,
        [row.share for row in found.rows],
        color=["0.75" if wrong else "C0" for wrong in contradicted],
        edgecolor=edges,
        label="share",
    )
    baselines = [row.baseline for row in found.rows]
    axes.plot(baselines, places, "|", color="C1", markersize=12, label="random")
    axes.set_yticks(places, [row.label for row in found.rows])
    axes.set_xlim(0, 1)
    axes.set_xlabel("share that commutes")
    axes.legend(frameon=False, loc="lower right")
    return figure
