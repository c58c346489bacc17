"""Curves of a group: a line a system with a band over its training seeds, and thin grey lines of the anchors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from scipy.stats import norm

from sf2f_bench.report.joined import Drawn, floors, landmarks, systems
from sf2f_bench.report.style import GREY, PANEL, look_of, name_ends, new_figure, origin_of, write_title
from sf2f_bench.report.tables import all_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sf2f_bench.results.selection import Group
    from sf2f_bench.types import FloatArray

DET_TICKS = (0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)  # of both rates
MOST_FALSE_ACCEPTS, FEWEST_FALSE_REJECTS = 0.5, 0.01  # beyond them nobody sets a threshold
NEVER = 1e-6  # a rate that lies off a normal deviate scale
DEEPEST = 3  # a CMC curve ends at this fraction of the gallery, where lines still lie apart
BAND = 0.11  # opacity
OF_INTERVALS = "lines: means over training seeds; bands: 95 % intervals (of three seeds: for new seeds too)"
OF_SEEDS = "lines: means over training seeds; bands: from the lowest to the highest seed"


class Curve(NamedTuple):
    """A line and its band ``[N]`` each: the mean over the training seeds, and the lowest and highest at each place."""

    places: FloatArray
    middle: FloatArray
    low: FloatArray
    high: FloatArray


def recall_figure(group: Group) -> Figure | None:
    """recall@k against k; None where nobody has it at several k."""
    metrics = {float(k): name for k, name in group.variants("k").items()}
    found = _with_scores(group, (*systems(group), *landmarks(group)), metrics)
    if not found:
        return None
    figure, axes = new_figure(*PANEL)
    axes.set_ylim(0, 1.02)
    _logarithmic(axes, sorted({place for curve in found.values() for place in curve.places}))
    _draw(axes, found)
    axes.set(xlabel="k", ylabel=f"{group.headline_card.quantity}@k")
    where = group.protocol.searched(group.part)
    origin = origin_of(group, where, OF_INTERVALS)
    write_title(figure, "How often is the right person among the first k?", 0.08, origin)
    return figure


def cmc_figure(group: Group) -> Figure | None:
    """The share of identities found up to each rank of the full gallery: the CMC curves, up to a third of it."""
    found = seed_curves(group, "rank", "identified")
    if not found:
        return None
    deepest = max(curve.places[-1] for curve in found.values()) / DEEPEST
    figure, axes = new_figure(*PANEL)
    axes.set(ylim=(0, 1.02), xscale="log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))
    _draw(axes, {drawn: _until(curve, deepest) for drawn, curve in found.items()})
    axes.set(xlabel="rank", ylabel="share of identities found up to it")
    where = f"cumulative match (CMC) in the full gallery, up to rank {deepest:.0f}"
    write_title(
        figure, "How far down the list does the right person stand?", 0.08, origin_of(group, where, OF_SEEDS)
    )
    return figure


def det_figure(group: Group) -> Figure | None:
    """False rejects against false accepts of every threshold, both on a normal deviate scale: the DET curves."""
    found = seed_curves(group, "false_accepts", "false_rejects")
    if not found:
        return None
    figure, axes = new_figure(*PANEL)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(norm.ppf(DET_TICKS)))
        axis.set_major_formatter(FuncFormatter(lambda place, _: f"{norm.cdf(place):.3g}"))
    axes.set(
        xlim=norm.ppf([DET_TICKS[0], MOST_FALSE_ACCEPTS]),
        ylim=norm.ppf([FEWEST_FALSE_REJECTS, DET_TICKS[-1]]),
    )
    _draw(axes, {drawn: _deviates(cut) for drawn, curve in found.items() if (cut := _of_det(curve))})
    axes.set(xlabel="false accept rate", ylabel="false reject rate")
    origin = origin_of(group, "detection error trade-off (DET) of all pairs", OF_SEEDS)
    write_title(figure, "How many matches are missed for so many false alarms?", 0.08, origin)
    return figure


def lengths_figure(group: Group) -> Figure | None:
    """The headline score against the seconds of speech that a system heard; None where none heard less than all."""
    metrics = by_length(group)
    found = _with_scores(group, systems(group), metrics)
    if not found:
        return None
    figure, axes = new_figure(*PANEL)
    for drawn in floors(group):  # the same however much is heard
        if score := drawn.headline(group):
            places = np.array(list(metrics), dtype=np.float64)
            found[drawn] = Curve(places, *(np.full(len(places), score.value) for _ in range(3)))
    highest = max(max(curve.high.max(), curve.middle.max()) for curve in found.values())
    axes.set_ylim(0, 1.04 * highest)
    _logarithmic(axes, list(metrics))
    _draw(axes, found)
    axes.set(xlabel="seconds of speech", ylabel=group.headline_card.term)
    origin = origin_of(group, group.protocol.searched(group.part), OF_INTERVALS)
    write_title(figure, "Does more speech help?", 0.08, origin)
    return figure


def by_length(group: Group) -> dict[float, str]:
    """The headline metric after so many seconds of speech, up to all of it."""
    metrics = {float(seconds): name for seconds, name in group.variants("seconds").items()}
    return metrics | {all_seconds(group): group.headline}


def seed_curves(group: Group, x: str, y: str) -> dict[Drawn, Curve]:
    """Two columns of the records' `det_cmc`, of systems and anchors; empty without a system that has them.

    The seeds of a system are joined at the places of the first one.
    """
    found: dict[Drawn, Curve] = {}
    for drawn in (*systems(group), *landmarks(group)):
        frames = [frame for entry in drawn.entries if (frame := entry.record.det_cmc()) is not None]
        curves = [frame[[x, y]].dropna().to_numpy(np.float64).T for frame in frames]
        if curves:
            places = curves[0][0]
            heights = np.stack([np.interp(places, *curve) for curve in curves])
            found[drawn] = Curve(places, heights.mean(axis=0), heights.min(axis=0), heights.max(axis=0))
    return found if any(drawn.index is not None for drawn in found) else {}


def _with_scores(group: Group, rows: Iterable[Drawn], metrics: Mapping[float, str]) -> dict[Drawn, Curve]:
    """Of those that have at least two of the metrics; empty without a record that has."""
    found: dict[Drawn, Curve] = {}
    for drawn in rows:
        scores = {
            place: score
            for place, name in metrics.items()
            if (score := drawn.score(group, name, group.protocol.headline_role))
        }
        if len(scores) > 1:
            numbers = [(score.value, score.low, score.high) for score in scores.values()]
            found[drawn] = Curve(np.array(list(scores), dtype=np.float64), *np.array(numbers).T)
    return found if any(drawn.entries for drawn in found) else {}


def _changed(curve: Curve, change: Callable[[Any], Any]) -> Curve:
    return Curve(*(change(values) for values in curve))


def _until(curve: Curve, last: float) -> Curve:
    """Up to this place, where the line is interpolated."""
    places = np.append(curve.places[curve.places < last], min(last, curve.places[-1]))
    return Curve(places, *(np.interp(places, curve.places, values) for values in curve[1:]))


def _of_det(curve: Curve) -> Curve | None:
    """The part inside the picture; None where there is none, as of a network that never errs."""
    (inside,) = np.nonzero((curve.middle >= FEWEST_FALSE_REJECTS) & (curve.places <= MOST_FALSE_ACCEPTS))
    if not len(inside):
        return None
    last = inside[-1] + 1
    after = Curve(*(values[: last + 1] for values in curve))
    if last == len(curve.places) or curve.middle[last] >= FEWEST_FALSE_REJECTS:
        return _until(after, MOST_FALSE_ACCEPTS)
    leaves = np.interp(-FEWEST_FALSE_REJECTS, -after.middle[-2:], after.places[-2:])
    return _until(after, min(float(leaves), MOST_FALSE_ACCEPTS))


def _deviates(curve: Curve) -> Curve:
    """Rates as normal deviates; 0 and 1 far outside the picture."""
    return _changed(curve, lambda rates: norm.ppf(np.clip(rates, NEVER, 1 - NEVER)))


def _draw(axes: Axes, found: Mapping[Drawn, Curve]) -> None:
    """Every line with its name at its end; the limits of the panel are set before."""
    low, high = axes.get_ylim()
    ends = {}
    for drawn, curve in found.items():
        color = draw_line(axes, drawn, curve)
        ends[drawn.name] = (float(curve.places[-1]), float(np.clip(curve.middle[-1], low, high)), color)
    axes.set_xlim(right=max(float(curve.places[-1]) for curve in found.values()))
    name_ends(axes, ends)


def draw_line(axes: Axes, drawn: Drawn, curve: Curve) -> Any:
    """One line and its band; gives its colour. Few points have marks, so that lines of like colour are told apart."""
    if drawn.index is None:
        axes.plot(*curve[:2], color=GREY, ls=(0, (4, 2)), lw=1.0, label=drawn.name, zorder=1)
        return GREY
    look = look_of(drawn.index)
    if len(curve.places) > 20:
        look["marker"] = ""
    axes.plot(*curve[:2], lw=1.6, markersize=4, label=drawn.name, zorder=4 - drawn.index / 100, **look)
    draw_band(axes, curve, look["color"])
    return look["color"]


def draw_band(axes: Axes, curve: Curve, color: Any) -> None:
    """From the lowest to the highest at each place; nothing where they are the same."""
    if (curve.high > curve.low).any():
        axes.fill_between(curve.places, curve.low, curve.high, color=color, alpha=BAND, lw=0)


def _logarithmic(axes: Axes, places: list[float]) -> None:
    """A logarithmic axis with a tick at each place, as a plain number."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place:g}"))
