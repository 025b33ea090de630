"""The six steps of the demo: what is shown in each, and the one button that leads on."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app import state
from app.components.empty import empty_catalog
from app.components.inspector import big_numbers, tile_name
from app.components.job_buttons import queue
from app.components.job_card import wait_for
from app.components.label_views import label_views
from app.components.prediction_view import prediction_map, score_view
from app.components.text import counted, number, plain
from app.components.tile_map import grid_url, tile_layers, tile_map
from core.about import offered, title_of
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.jobs.store import HIGH
from core.predicted import Predicted, predicted
from core.runs import Run, usable_runs
from core.settings import settings

_STEP = "demo"


@dataclass(frozen=True)
class Step:
    """One screen."""

    title: str
    words: str
    show: Callable[[Catalog], None]


def demo(catalog: Catalog) -> None:
    """The step the visitor is at, which the address carries, with the way on and back."""
    if not catalog.labelled.tiles:
        empty_catalog()
        return
    at = _at()
    step = STEPS[at]
    st.progress((at + 1) / len(STEPS), text=f"Step {at + 1} of {len(STEPS)}")
    st.subheader(step.title)
    st.write(step.words)
    step.show(catalog)
    with st.container(horizontal=True):
        if at and st.button("Back", icon=":material/arrow_back:"):
            _go(at - 1)
        if at + 1 < len(STEPS) and st.button("Next", type="primary", icon=":material/arrow_forward:"):
            _go(at + 1)
        if at and st.button("From the start", icon=":material/restart_alt:"):
            _go(0)


def _at() -> int:
    text = st.query_params.get(_STEP, "1")
    return min(max(int(text) if text.isdecimal() and len(text) < 3 else 1, 1), len(STEPS)) - 1


def _go(step: int) -> None:
    st.query_params[_STEP] = str(step + 1)
    st.rerun()


def _tile(catalog: Catalog) -> Tile:
    """A labelled one: the visitor's, or the showpiece."""
    tile = state.selected_tile(catalog)
    return tile if tile.is_labelled and tile.is_readable else catalog.labelled.showpiece


def _run(tile: Tile) -> Run | None:
    """The newest that was not trained on the tile, else the newest."""
    runs = offered(usable_runs(settings().runs))
    fitting = [run for run in runs if run.record.bands == 3 or tile.eight_bands]
    return next((run for run in fitting if run.taught(tile.id) != "train"), fitting[0] if fitting else None)


def _ground(catalog: Catalog) -> None:
    tiles = catalog.labelled.tiles
    big_numbers(
        {
            "tiles": number(len(catalog.tiles)), "with labels": number(len(tiles)),
            "buildings": number(sum(tile.buildings or 0 for tile in tiles)),
        }
    )  # fmt: skip
    tile = _tile(catalog)
    tile_map(tile_layers(tile)[:1], ("image",), state.focus(), tile.id, grid_url(), key="demo ground", height=460)


def _picture(catalog: Catalog) -> None:
    tile = _tile(catalog)
    tile_name(tile)
    layers = [item for item in tile_layers(tile) if item.key in ("image", "outlines")]
    tile_map(layers, ("image", "outlines"), state.focus(), tile.id, key="demo truth", height=460)


def _labels(catalog: Catalog) -> None:
    label_views(_tile(catalog))


def _network(catalog: Catalog) -> None:
    tile = _tile(catalog)
    run = _run(tile)
    if run is None:
        st.info("No network yet. *Train* makes one in two minutes; the demo goes on with it.")
        return
    record = run.record
    big_numbers(
        {
            "parameters": number(record.parameters), "tiles to learn from": number(len(record.train_tiles)),
            "minutes of training": f"{run.metrics()['seconds'].sum() / 60:.1f}",
        }
    )  # fmt: skip
    st.caption(f"{plain(title_of(run))}, trained on {plain(record.device)}. It has {_known(run, tile)} this tile.")
    _predict(predicted(run.name, tile.id))


def _known(run: Run, tile: Tile) -> str:
    return {"new": "never seen", "validation": "been checked on"}.get(run.taught(tile.id), "been trained on")


def _predict(found: Predicted) -> None:
    jobs = queue().jobs(task="predict")
    wanted = {"run": found.run.name, "tile": found.tile.id}.items()
    job = next((one for one in jobs if wanted <= one.params.items() and not one.state.is_over), None)
    if job is not None:
        wait_for(job.id)
    elif found.exists:
        st.success(f"It has looked at {plain(found.tile.title)}.")
    elif st.button("Let it look at this tile", type="primary", icon=":material/home_pin:"):
        queue().submit("predict", dict(wanted), f"Predict {found.tile.id}", HIGH)
        st.rerun()


def _score(catalog: Catalog) -> None:
    tile = _tile(catalog)
    run = _run(tile)
    found = predicted(run.name, tile.id) if run else None
    if found is None or not found.exists:
        st.info("Nothing is predicted yet: one step back, *Let it look at this tile*.")
        return
    map_side, facts = st.columns([2, 1], gap="medium")
    with map_side:
        prediction_map(found, found.tuning.shaping)
    with facts:
        score_view(found.score(), len(found.footprints()), found.seen_before)


def _home(catalog: Catalog) -> None:
    tile = _tile(catalog)
    run = _run(tile)
    found = predicted(run.name, tile.id) if run else None
    if found is None or not found.exists:
        st.info("Nothing is predicted yet: two steps back, *Let it look at this tile*.")
        return
    file = found.folder / "footprints.gpkg"
    buildings = found.footprints()
    big_numbers({"buildings": number(len(buildings)), "square metres": number(float(buildings.area_m2.sum()))})
    st.download_button(
        "GeoPackage for QGIS", file.read_bytes, f"{tile.id}.gpkg", icon=":material/download:", on_click="ignore",
        type="primary",
    )  # fmt: skip
    st.caption(
        "Predict has more: other formats, thresholds, buildings one by one, the worst tiles first, a report to send. "
        f"{counted(len(catalog.labelled.tiles), 'tile')} of your catalogue can be trained on."
    )
    with st.container(horizontal=True):
        if st.button("Look closer", icon=":material/home_pin:"):
            st.switch_page("app/pages/predict.py")
        if st.button("Train on real tiles", icon=":material/model_training:"):
            st.switch_page("app/pages/train.py")


STEPS = (
    Step("The ground", "Each square is a picture from above. Choose one by clicking, or go on with this one.", _ground),
    Step(
        "What people drew",
        "Somebody drew the buildings on this picture by hand: the truth to learn from.",
        _picture,
    ),
    Step(
        "What a network is told",
        "Outlines become a mask, and metres to the nearest wall.",
        _labels,
    ),
    Step("A network looks", "A small network looks at the picture, on this machine.", _network),
    Step("Right and wrong", "Its outlines against those that people drew: found, invented, missed.", _score),
    Step("Take it home", "The outlines are a file that opens in QGIS.", _home),
)
