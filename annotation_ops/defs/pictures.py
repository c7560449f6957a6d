"""Pictures for people: a contact sheet of what was sent out, and a verdict's evidence against its threshold."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

TILE = 56
"""Pixels a side: large enough to recognise a digit or a product, 24 of them fit a metadata row."""
COLUMNS = 8


def contact_sheet(tiles: Sequence[NDArray[np.float64]]) -> dg.MetadataValue:
    """Grey tiles, each shape (TILE * TILE,), as one picture."""
    from PIL import Image

    rows = -(-len(tiles) // COLUMNS)
    sheet = np.ones((rows * (TILE + 2), COLUMNS * (TILE + 2)))
    for number, tile in enumerate(tiles):
        top, left = number // COLUMNS * (TILE + 2), number % COLUMNS * (TILE + 2)
        sheet[top : top + TILE, left : left + TILE] = tile.reshape(TILE, TILE)
    buffer = io.BytesIO()
    Image.fromarray(np.rint(sheet * 255).astype(np.uint8)).save(buffer, format="PNG", optimize=True)
    return _picture("samples of this batch", buffer.getvalue())


def evidence(statistics: Mapping[str, Mapping[str, Any]], *, primary: str, threshold: float) -> dg.MetadataValue:
    """Every statistic with its interval; the criteria's statistic and threshold stand out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [(name, row) for name, row in statistics.items() if row.get("value") is not None]
    figure = Figure(figsize=(6.4, 0.6 + 0.34 * len(shown)), dpi=110)
    axes = figure.add_subplot()
    for position, (name, row) in enumerate(reversed(shown)):
        colour = "#1f4fbf" if name == primary else "#8a8f98"
        low, high = row.get("low"), row.get("high")
        if low is not None and high is not None:
            axes.plot([low, high], [position, position], color=colour, linewidth=3, solid_capstyle="butt")
        axes.plot([row["value"]], [position], "o", color=colour, markersize=6)
    axes.axvline(threshold, color="#c0392b", linewidth=1.2, linestyle="--")
    axes.set_yticks(range(len(shown)), [name.replace("_", " ") for name, _ in reversed(shown)], fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(min([0.0, *[row["value"] for _, row in shown]]), 1.02)
    axes.set_title(f"95% intervals; {primary.replace('_', ' ')} must reach {threshold:g}", fontsize=8, loc="left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return _picture("agreement", buffer.getvalue())


def _picture(caption: str, png: bytes) -> dg.MetadataValue:
    return dg.MetadataValue.md(f"![{caption}](data:image/png;base64,{base64.b64encode(png).decode()})")
