"""What a training shows: the similarity on the validation split, and how far each loss has fallen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from sf2f_bench.report.curve_plots import OF_SEEDS, Curve, draw_band, draw_line
from sf2f_bench.report.joined import Drawn, systems
from sf2f_bench.report.style import DASHES, LINE_COLORS, name_ends, new_panels, origin_of, write_title
from sf2f_bench.report.tables import NOT_CONVERGED
from sf2f_bench.results.convergence import unconverged
from sf2f_bench.results.records import RunRecord
from sf2f_bench.results.selection import Group, cached_per_group
from sf2f_bench.types.curve import PLACE, SIMILARITY, VALIDATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = (1.25, 1.0)  # inches of the losses of one stage
GAPS = (1.25, 0.85)
ACROSS = 4
LARGE = (5.6, 3.0)  # inches of the validation's panel
TITLE_WIDTH = 32  # characters over a panel
NAME_WIDTH = 14  # characters of a loss beside its panel before it is broken
OVER = 1.15  # inches between it and the losses
ORIGIN_WIDTH = 125
NOT_LOSSES = (*PLACE, *VALIDATION, "learning_rate", "lr", "seconds", "found", "speaker_accuracy")
GAME = {
    "adversarial",
    "discriminator",
    "gan",
}  # two networks hold each other's losses: their height says little
WORDS = {"pixel": "pixels"}


class Stage(NamedTuple):
    """A stage of a system's training: of each loss, in words, its share of its first value against the step."""

    drawn: Drawn
    name: str
    losses: dict[str, Curve]


def training_figure(group: Group) -> Figure | None:
    """The similarity of all systems in one panel, and a panel for the losses of each stage; None without curves.

    The seeds of a system are joined. A stage that two systems share is shown once, and losses of adversarial games are
    left out.
    """
    shown, repeated = stages(group)
    similar = validation_curves(group)
    if not shown and not similar:
        return None
    down = max(1, -(-len(shown) // ACROSS))
    figure, panels = new_panels(down, min(ACROSS, max(1, len(shown))), PANEL, GAPS)
    names = list(dict.fromkeys(name for stage in shown for name in stage.losses))
    for axes in panels.ravel()[len(shown) :]:
        axes.set_axis_off()
    for axes, stage in zip(panels.ravel(), shown, strict=False):
        _draw_losses(axes, stage, names)
    for axes in panels[:, 0] if shown else ():
        axes.set_ylabel("share of start", fontsize="small")
    for axes in panels.ravel()[max(0, len(shown) - panels.shape[1]) : len(shown)]:
        axes.set_xlabel("step", fontsize="small")
    above = 0.5
    if similar:
        _draw_similarity(figure, group, similar)
        above = OVER + LARGE[1] + 0.1
    parts = [
        OF_SEEDS,
        f"{NOT_CONVERGED} still rose at the end" if unconverged(group) else "",
        "small panels: losses as shares of their first value, without those of adversarial games",
        *repeated,
    ]
    origin = origin_of(group, *parts, width=ORIGIN_WIDTH, role="training-loss")
    write_title(figure, "Had the trainings converged, and which losses fell?", above, origin)
    return figure


@cached_per_group
def validation_curves(group: Group) -> dict[Drawn, Curve]:
    """The mean cosine on the validation split against the share of the training's steps, of each system that has it."""
    found: dict[Drawn, Curve] = {}
    for drawn in systems(group):
        seeds = [seen for record in _records(drawn) if len((seen := _validation(record))[0])]
        if seeds:
            found[drawn] = _joined(seeds)
    return found


def _validation(record: RunRecord) -> tuple[np.ndarray, np.ndarray]:
    """Shares of all stages' steps, and similarities."""
    curve = record.curve()
    if curve is None or SIMILARITY not in curve:
        return np.empty(0), np.empty(0)
    steps, before = curve["step"].to_numpy(np.float64).copy(), 0.0
    for stage in curve["stage"].unique():
        here = (curve["stage"] == stage).to_numpy()
        last = steps[here].max()
        steps[here] += before
        before += last
    here = curve[SIMILARITY].notna().to_numpy()
    return steps[here] / before, curve[SIMILARITY].to_numpy(np.float64)[here]


@cached_per_group
def stages(group: Group) -> tuple[list[Stage], list[str]]:
    """Every stage with losses to show, and in words which are another system's.

    A stage that is the same for all seeds of a system as for another one's belongs to the one with the fewest stages.
    """
    parts = {drawn: _parts(drawn) for drawn in systems(group)}
    owners: list[tuple[Drawn, str, set[bytes]]] = []
    shown: set[tuple[Drawn, str]] = set()
    repeated: list[str] = []
    for drawn in sorted(parts, key=lambda one: len(parts[one])):
        for name, frames in parts[drawn].items():
            marks = {frame.to_numpy(np.float64).tobytes() for frame in frames}
            owner = next((one for one, _, others in owners if marks <= others), None)
            if owner is not None:
                repeated.append(f"the {name} of {drawn.name} is that of {owner.name}")
            elif frames and len(frames[0].columns) > 1:
                owners.append((drawn, name, marks))
                shown.add((drawn, name))
    made = [
        Stage(drawn, name, _shares(frames))
        for drawn, found in parts.items()
        for name, frames in found.items()
        if (drawn, name) in shown
    ]
    return made, repeated


def _parts(drawn: Drawn) -> dict[str, list[pd.DataFrame]]:
    """Of each stage a frame a seed: the column `step`, and every loss that is logged in it."""
    found: dict[str, list[pd.DataFrame]] = {}
    for record in _records(drawn):
        curve = record.curve()
        for name, part in curve.groupby("stage", sort=False) if curve is not None else ():
            kept = ["step", *(loss for loss in _losses(part))]
            found.setdefault(str(name), []).append(part[kept].dropna())
    return found


def _records(drawn: Drawn) -> list[RunRecord]:
    return [entry.record for entry in drawn.entries]


def _losses(part: pd.DataFrame) -> list[str]:
    names = (str(name) for name in part.columns if part[name].notna().any())
    return [name for name in names if name not in NOT_LOSSES and not GAME & set(name.split("_"))]


def _shares(frames: Sequence[pd.DataFrame]) -> dict[str, Curve]:
    """By the words for each loss."""
    found: dict[str, Curve] = {}
    for name in frames[0].columns[1:]:
        seeds = [frame[["step", name]].to_numpy(np.float64).T for frame in frames if name in frame]
        relative = [(steps, values / values[0]) for steps, values in seeds if len(values) and values[0] > 0]
        if relative:
            found[WORDS.get(name, name.replace("_", " "))] = _joined(relative)
    return found


def _joined(seeds: Sequence[tuple[np.ndarray, np.ndarray]]) -> Curve:
    """At the places of the first seed, of the seeds that have as many."""
    heights = np.stack([values for _, values in seeds if len(values) == len(seeds[0][1])])
    return Curve(seeds[0][0], heights.mean(axis=0), heights.min(axis=0), heights.max(axis=0))


def _draw_similarity(figure: Figure, group: Group, curves: Mapping[Drawn, Curve]) -> None:
    """A panel above all others; its names have the sign of what had not converged."""
    width, height = figure.get_figwidth(), figure.get_figheight()
    axes = figure.add_axes((0, 1 + OVER / height, LARGE[0] / width, LARGE[1] / height))
    rising = unconverged(group)
    ends = {}
    for drawn, curve in curves.items():
        color = draw_line(axes, drawn, curve)
        name = f"{drawn.name} {NOT_CONVERGED}" if drawn.label in rising else drawn.name
        ends[name] = (float(curve.places[-1]), float(curve.middle[-1]), color)
    axes.set(
        xlim=(0, 1),
        xlabel="share of the training's steps, all stages",
        ylabel="similarity to true faces, validation",
    )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.0f} %"))
    name_ends(axes, ends)


def _draw_losses(axes: Axes, stage: Stage, names: Sequence[str]) -> None:
    """The losses of one stage; the place in `names` decides colour and dashes, the same in all panels."""
    axes.set_yscale("log")
    ends = {}
    for name, curve in stage.losses.items():
        index = names.index(name)
        color = LINE_COLORS[index % len(LINE_COLORS)]
        axes.plot(
            *curve[:2], color=color, ls=DASHES[index // len(LINE_COLORS) % len(DASHES)], lw=1.1, label=name
        )
        draw_band(axes, curve, color)
        ends[name] = (float(curve.places[-1]), float(curve.middle[-1]), color)
    low = min(float(curve.low.min()) for curve in stage.losses.values())
    high = max(float(curve.high.max()) for curve in stage.losses.values())
    axes.set_ylim(min(0.85 * low, 0.45), max(1.2 * high, 1.2))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if low > 0.05 else (1,)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_major_locator(MaxNLocator(2, integer=True))
    axes.tick_params(labelsize="small")
    axes.set_title(f"{fill(stage.drawn.name, TITLE_WIDTH)}\n{stage.name}", loc="left", fontsize="small")
    name_ends(axes, ends, NAME_WIDTH)
