"""What a run is and how its training went."""

import re

import altair as alt
import pandas as pd
import streamlit as st

from app.components.catalog.tile_inspector import big_numbers, table
from app.components.common.text import counted, number, plain, share
from core.formatting import megabytes
from core.rendering import colors
from core.runs.config import TrainingConfig
from core.runs.run import Run

_BEST = "#8B949E"
#: Before each line of a run's log.
_TIME = "2026-11-22 21:58:27"
_EPOCH = re.compile(r"Epoch \d+ of \d+ ")
_REMARKS = 2
_PACE_COLOUR = "#8B949E"
_EPOCHS = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"))

_CURVES = {"loss": "Loss", "iou": "Building IoU (pixels)"}
_PACE = {"learning_rate": ("Learning rate", ".1e"), "images_s": ("Images a second", ".0f")}
_GROUNDS = {"training": colors.TRAIN, "validation": colors.VALIDATION}


def live_figures(run: Run) -> None:
    """What training is at this second; nothing before its first batch."""
    live = run.live()
    if live is None:
        return
    figures = {
        f"epoch of {number(live.epochs)}" if live.epochs else "epoch": number(live.epoch),
        f"batch of {number(live.batches)}": number(live.batch),
        "loss": number(live.loss),
        "learning rate": f"{live.learning_rate:.2g}",
        "images a second": number(live.images_s),
    }
    if live.device_memory_bytes is not None:
        figures["device memory"] = megabytes(live.device_memory_bytes)
    big_numbers(figures)


def remarks(run: Run) -> None:
    """The last of what training told of itself: that it was resumed, that memory ran out, why it ended."""
    told = [line[len(_TIME) :].strip() for line in run.log_text.splitlines()]
    events = [line for line in told if line not in run.record.notes and not _EPOCH.match(line)]
    for event in events[-_REMARKS:]:
        st.caption(plain(event))


def curves(run: Run) -> None:
    """Loss and building IoU by epoch, training and validation, the epoch kept marked; learning rate and pace below."""
    metrics, steps = run.metrics(), run.steps()
    if metrics.empty and steps.empty:
        st.caption("The curves appear after the first batches.")
        return
    best = run.best_epoch if run.is_usable else 0
    kept = "last epoch" if run.refitted else "best epoch"
    legend = " ".join(_key(f"background:{colour}", word) for word, colour in _GROUNDS.items())
    marked = _key(f"border-left:2px dashed {_BEST}; width:2px", f"{kept}, {best}") if best else ""
    st.html(legend + marked)
    for column, (name, title) in zip(st.columns(len(_CURVES)), _CURVES.items(), strict=True):
        within = steps if name == "loss" else steps.iloc[:0]
        column.altair_chart(_curve(metrics, within, name, title, (kept, best)), width="stretch")
    if not steps.empty:
        for column, (name, (title, form)) in zip(st.columns(len(_PACE)), _PACE.items(), strict=True):
            column.altair_chart(_pace(steps, name, title, form), width="stretch")


def _key(style: str, words: str) -> str:
    return f'<span class="gp-key" style="{style}"></span>{words}'


def _curve(
    metrics: pd.DataFrame, steps: pd.DataFrame, name: str, title: str, mark: tuple[str, int]
) -> alt.LayerChart | alt.FacetChart:
    """Points an epoch; behind them a thin line within the epochs, where there is one; the epoch that is kept marked."""
    kept, best = mark
    columns = {name: "training", f"val_{name}": "validation"}
    long = metrics.rename(columns=columns).melt("epoch", list(columns.values()), "ground", "value")
    colour = alt.Scale(domain=list(_GROUNDS), range=list(_GROUNDS.values()))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=name != "loss"))
    points = alt.Chart(long.dropna()).encode(
        x=_EPOCHS, y=y, color=alt.Color("ground:N", title=None, scale=colour, legend=None),
        tooltip=["epoch", "ground", alt.Tooltip("value:Q", format=".4f")],
    )  # fmt: skip
    layers: list[alt.Chart] = [points.mark_line(point=True)]
    if not steps.empty:
        thin = alt.Chart(steps.rename(columns={name: "value"})[["epoch", "value"]]).encode(x=_EPOCHS, y=y)
        layers.insert(0, thin.mark_line(color=colors.TRAIN, opacity=0.45, strokeWidth=1))
    if best:
        rule = alt.Chart(pd.DataFrame({"epoch": [best]})).mark_rule(color=_BEST, strokeDash=[4, 3])
        layers.append(rule.encode(x=_EPOCHS, tooltip=alt.Tooltip("epoch:Q", title=kept)))
    return alt.layer(*layers).properties(title=title, height=240)


def _pace(steps: pd.DataFrame, name: str, title: str, form: str) -> alt.Chart:
    base = alt.Chart(steps[["epoch", name]], title=title, height=150)
    y = alt.Y(f"{name}:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(format=form, tickCount=3))
    shown = alt.Tooltip(f"{name}:Q", format=form)
    x = alt.X("epoch:Q", title=None, axis=alt.Axis(tickMinStep=1, format="d"))
    return base.mark_line(color=_PACE_COLOUR, strokeWidth=1.5).encode(x=x, y=y, tooltip=["epoch", shown])


_PIXELS = {"Building IoU": "iou", "Precision": "precision", "Recall": "recall", "Accuracy": "accuracy"}


def _last(row: pd.Series | None, name: str) -> str:
    return share(float(row[name])) if row is not None and pd.notna(row[name]) else "–"


def _asked(config: TrainingConfig) -> str:
    return f", {config.minutes:g} min" if config.minutes else f" of {config.epochs}"


def _best(run: Run) -> str:
    return f", predicts with epoch {run.best_epoch}" if run.is_usable else ""


def run_facts(run: Run) -> None:
    """Device, network, ground and the last figures of a run."""
    record, metrics = run.record, run.metrics()
    checked = metrics.dropna(subset="val_loss")
    last = checked.iloc[-1] if len(checked) else None
    across, down = record.gsd_m
    table(
        {
            "Device": record.device,
            "Network": f"{record.config.network}, {record.bands} channels",
            "Parameters": number(record.parameters),
            "Trained on": counted(len(record.train_tiles), "tile"),
            "Validated on": ", ".join(record.validation_tiles) or "nothing",
            **({"In the end trained on": f"all {len(record.tiles)} tiles"} if run.refitted else {}),
            "Pixels of the network": f"{across:.3f} × {down:.3f} m",
            "Epochs": f"{run.epochs_done}{_asked(record.config)}{_best(run)}",
            **({"Goes on from": record.continues} if record.continues else {}),
            "An epoch": f"{number(float(metrics['seconds'].mean()), 's')}" if len(metrics) else "–",
            **{f"{name}, validation": _last(last, f"val_{key}") for name, key in _PIXELS.items()},
        }
    )
    for note in record.notes:
        st.caption(plain(note))
