"""What a run is and how its training went."""

import altair as alt
import pandas as pd
import streamlit as st

from app.components.inspector import table
from app.components.text import number, plain, share
from core import colours
from core.runs import Run

_CURVES = {"loss": "Loss (cross-entropy)", "iou": "Building IoU (pixels)"}


def curves(run: Run) -> None:
    """Loss and building IoU by epoch, training and validation."""
    metrics = run.metrics()
    if metrics.empty:
        st.caption("The curves appear when the first epoch is done.")
        return
    keys = {"training": colours.TRAIN, "validation": colours.VALIDATION}
    st.html(
        " ".join(f'<span class="gp-key" style="background:{colour}"></span>{word}' for word, colour in keys.items())
    )
    for column, (name, title) in zip(st.columns(len(_CURVES)), _CURVES.items(), strict=True):
        column.altair_chart(_curve(metrics, name, title), width="stretch")


def _curve(metrics: pd.DataFrame, name: str, title: str) -> alt.Chart:
    columns = {name: "training", f"val_{name}": "validation"}
    long = metrics.rename(columns=columns).melt("epoch", list(columns.values()), "ground", "value")
    colour = alt.Scale(domain=["training", "validation"], range=[colours.TRAIN, colours.VALIDATION])
    base = alt.Chart(long.dropna(), title=title, height=250).encode(
        x=alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d")),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=name != "loss")),
        color=alt.Color("ground:N", title=None, scale=colour, legend=None),
        tooltip=["epoch", "ground", alt.Tooltip("value:Q", format=".4f")],
    )
    return base.mark_line(point=True)


_PIXELS = {"Building IoU": "iou", "Precision": "precision", "Recall": "recall", "Accuracy": "accuracy"}


def _last(row: pd.Series | None, name: str) -> str:
    return share(float(row[name])) if row is not None and pd.notna(row[name]) else "–"


def run_facts(run: Run) -> None:
    """Device, network, ground and the last figures of a run."""
    record, metrics = run.record, run.metrics()
    last = metrics.iloc[-1] if len(metrics) else None
    across, down = record.gsd_m
    table(
        {
            "Device": record.device,
            "Network": f"{record.config.network}, {record.bands} channels",
            "Parameters": number(record.parameters),
            "Trained on": f"{len(record.train_tiles)} tiles",
            "Validated on": ", ".join(record.validation_tiles) or "nothing",
            "Pixels of the network": f"{across:.3f} × {down:.3f} m",
            "Epochs": f"{run.epochs_done} of {record.config.epochs}",
            "An epoch": f"{number(float(metrics['seconds'].mean()), 's')}" if len(metrics) else "–",
            **{f"{name}, validation": _last(last, f"val_{key}") for name, key in _PIXELS.items()},
        }
    )
    for note in record.notes:
        st.caption(plain(note))
