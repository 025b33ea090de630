"""Run details and training curves."""

import re

import altair as alt
import pandas as pd
import streamlit as st

from app.components.catalog.tile_inspector import key_figures, table
from app.components.common.text import counted, number, plain, share
from core.formatting import format_bytes
from core.rendering import colors
from core.runs.run import Run

_BEST = "#8B949E"
#: Example of the timestamp before each line of a run's log.
_TIMESTAMP = "2026-11-22 21:58:27"
_EPOCH = re.compile(r"Epoch \d+(, [\d.]+)? of [\d.]+( min)?,? in [\d.]+ s")
_MAX_EVENTS = 2
_SPEED_COLOR = "#8B949E"
_EPOCHS = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d"))

_CURVES = {"loss": "Loss", "iou": "Building IoU (pixels)"}
_SPEED = {"learning_rate": ("Learning rate", ".1e"), "images_s": ("Images/s", ".0f")}
_SPLIT_COLORS = {"training": colors.TRAINING, "validation": colors.VALIDATION}


def live_figures(run: Run) -> None:
    """Show live metrics of the running epoch; nothing before its first batch."""
    live = run.live()
    if live is None:
        return
    figures = {
        f"epoch of {number(live.epochs)}" if live.epochs else "epoch": number(live.epoch),
        f"batch of {number(live.batches)}": number(live.batch),
        "loss": number(live.loss),
        "learning rate": f"{live.learning_rate:.2g}",
        "images/s": number(live.images_s),
    }
    if live.device_memory_bytes is not None:
        figures["device memory"] = format_bytes(live.device_memory_bytes)
    key_figures(figures)


def training_events(run: Run) -> None:
    """Show the last events of the training log: resumed, out of memory, reason of the end."""
    lines = [line[len(_TIMESTAMP) :].strip() for line in run.log_text.splitlines()]
    events = [line for line in lines if line not in run.record.notes and not _EPOCH.match(line)]
    for event in events[-_MAX_EVENTS:]:
        st.caption(plain(event))


def curves(run: Run) -> None:
    """Plot training and validation curves of loss and building IoU, the used epoch, learning rate and speed."""
    metrics, steps = run.metrics(), run.steps()
    if metrics.empty and steps.empty:
        st.caption("The curves appear after the first batches.")
        return
    best = run.best_epoch if run.is_usable else 0
    used_epoch = "last epoch" if run.refitted else "best epoch"
    legend = " ".join(_legend_key(f"background:{color}", label) for label, color in _SPLIT_COLORS.items())
    best_key = _legend_key(f"border-left:2px dashed {_BEST}; width:2px", f"{used_epoch}, {best}") if best else ""
    st.html(legend + best_key)
    for column, (name, title) in zip(st.columns(len(_CURVES)), _CURVES.items(), strict=True):
        within_epoch = steps if name == "loss" else steps.iloc[:0]
        column.altair_chart(_curve_chart(metrics, within_epoch, name, title, (used_epoch, best)), width="stretch")
    if not steps.empty:
        for column, (name, (title, number_format)) in zip(st.columns(len(_SPEED)), _SPEED.items(), strict=True):
            column.altair_chart(_speed_chart(steps, name, title, number_format), width="stretch")


def _legend_key(style: str, label: str) -> str:
    return f'<span class="gp-key" style="{style}"></span>{label}'


def _curve_chart(
    metrics: pd.DataFrame, steps: pd.DataFrame, name: str, title: str, used_epoch: tuple[str, int]
) -> alt.LayerChart | alt.FacetChart:
    """Plot a metric by epoch, over a thin line of its values within epochs; the used epoch is marked."""
    label, best = used_epoch
    columns = {name: "training", f"val_{name}": "validation"}
    long_frame = metrics.rename(columns=columns).melt("epoch", list(columns.values()), "ground", "value")
    color_scale = alt.Scale(domain=list(_SPLIT_COLORS), range=list(_SPLIT_COLORS.values()))
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=name != "loss"))
    points = alt.Chart(long_frame.dropna()).encode(
        x=_EPOCHS, y=y, color=alt.Color("ground:N", title=None, scale=color_scale, legend=None),
        tooltip=["epoch", alt.Tooltip("ground:N", title="split"), alt.Tooltip("value:Q", format=".4f")],
    )  # fmt: skip
    layers: list[alt.Chart] = [points.mark_line(point=True)]
    if not steps.empty:
        step_line = alt.Chart(steps.rename(columns={name: "value"})[["epoch", "value"]]).encode(x=_EPOCHS, y=y)
        layers.insert(0, step_line.mark_line(color=colors.TRAINING, opacity=0.45, strokeWidth=1))
    if best:
        rule = alt.Chart(pd.DataFrame({"epoch": [best]})).mark_rule(color=_BEST, strokeDash=[4, 3])
        layers.append(rule.encode(x=_EPOCHS, tooltip=alt.Tooltip("epoch:Q", title=label)))
    return alt.layer(*layers).properties(title=title, height=240)


def _speed_chart(steps: pd.DataFrame, name: str, title: str, number_format: str) -> alt.Chart:
    base = alt.Chart(steps[["epoch", name]], title=title, height=150)
    y = alt.Y(f"{name}:Q", title=None, scale=alt.Scale(zero=True), axis=alt.Axis(format=number_format, tickCount=3))
    tooltip = alt.Tooltip(f"{name}:Q", format=number_format)
    x = alt.X("epoch:Q", title=None, axis=alt.Axis(tickMinStep=1, format="d"))
    return base.mark_line(color=_SPEED_COLOR, strokeWidth=1.5).encode(x=x, y=y, tooltip=["epoch", tooltip])


_PIXELS = {"Building IoU": "iou", "Precision": "precision", "Recall": "recall", "Accuracy": "accuracy"}


def run_facts(run: Run) -> None:
    """Show device, network, tiles and last metrics of a run."""
    record, metrics = run.record, run.metrics()
    validated = metrics.dropna(subset="val_loss")
    last = validated.iloc[-1].dropna() if len(validated) else pd.Series(dtype=float)
    pixel_width_m, pixel_height_m = record.gsd_m
    length = f"in {record.config.minutes:g} min" if record.config.minutes else f"of {record.config.epochs}"
    best = f"; uses epoch {run.best_epoch}" if run.is_usable else ""
    table(
        {
            "Device": record.device,
            "Network": f"{record.config.network}, {record.bands} channels",
            "Parameters": number(record.parameters),
            "Training tiles": number(len(record.train_tiles)),
            "Validation tiles": ", ".join(record.validation_tiles) or "none",
            **({"Refit on": f"all {counted(len(record.tiles), 'tile')}"} if run.refitted else {}),
            "Model resolution": f"{pixel_width_m:.3f} × {pixel_height_m:.3f} m/pixel",
            "Epochs": f"{run.epochs_done} {length}{best}",
            **({"Continued from": record.continues} if record.continues else {}),
            "Time per epoch": f"{number(float(metrics['seconds'].mean()), 's')}" if len(metrics) else "–",
            **{f"{name} (validation)": share(last.get(f"val_{key}")) for name, key in _PIXELS.items()},
        }
    )
    for note in record.notes:
        st.caption(plain(note))
