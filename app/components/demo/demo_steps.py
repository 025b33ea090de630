"""The six steps of the demo: what is shown in each, and the one button that leads on."""

from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from app import state
from app.components.catalog.empty_states import empty_catalog, no_runs
from app.components.catalog.label_views import label_views
from app.components.catalog.tile_inspector import attribution, big_numbers, tile_name
from app.components.common.navigation import go_to
from app.components.common.text import number, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, wait_for
from app.components.map.tile_map import grid_url, tile_layers, tile_map
from app.components.prediction.prediction_view import footprint_file, prediction_map, score_view
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.inference.tile_prediction import Predicted, predicted
from core.jobs.queue import HIGH
from core.runs.metadata import offered, title_of
from core.runs.run import Run, usable_runs
from core.settings import settings

_STEP = "demo"


@dataclass(frozen=True)
class Step:
    """One screen."""

    title: str
    words: str
    show: Callable[[Catalog], None]


def demo(catalog: Catalog) -> None:
    """The step the visitor is at, which the address carries, with the way on and back above it."""
    if not catalog.labelled.tiles:
        empty_catalog()
        return
    at = _at()
    step = STEPS[at]
    words_side, way_side = st.columns([3, 2], vertical_alignment="bottom")
    with words_side:
        st.subheader(step.title)
        st.write(step.words)
    with way_side.container(horizontal=True, horizontal_alignment="right"):
        _way(at)
    st.progress((at + 1) / len(STEPS), text=f"Step {at + 1} of {len(STEPS)}")
    step.show(catalog)


def _way(at: int) -> None:
    """In each step the same buttons at the same place."""
    if st.button("From the start", icon=":material/restart_alt:", disabled=not at):
        _go(0)
    if st.button("Back", icon=":material/arrow_back:", disabled=not at):
        _go(at - 1)
    if st.button("Next", type="primary", icon=":material/arrow_forward:", disabled=at + 1 == len(STEPS)):
        _go(at + 1)


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
    label_views(_tile(catalog), ("image", "outlines", "mask", "distance"))


def _network(catalog: Catalog) -> None:
    tile = _tile(catalog)
    run = _run(tile)
    if run is None:
        no_runs()
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


def _predict(found: Predicted) -> bool:
    """Whether the network has looked at the tile; where not, it does, without anybody asking."""
    if found.exists:
        st.success(f"It has looked at {plain(found.tile.title)}. *Next* shows what it found.")
        return True
    jobs = queue().jobs(task="predict")
    wanted = {"run": found.run.name, "tile": found.tile.id}
    job = next((one for one in jobs if wanted.items() <= one.params.items()), None)
    if job is not None and job.state.is_over:
        job_card(job)
        if st.button("Try once more", icon=":material/refresh:"):
            _submit(wanted)
    elif job is not None:
        wait_for(job.id)
    else:
        _submit(wanted)
    return False


def _submit(wanted: dict[str, str]) -> None:
    queue().submit("predict", wanted, f"Predict {wanted['tile']}", HIGH)
    st.rerun()


def _looked(catalog: Catalog) -> Predicted | None:
    """What the network found on the tile, as soon as it has looked; None as long as there is something to wait for."""
    tile = _tile(catalog)
    run = _run(tile)
    if run is None:
        no_runs()
        return None
    found = predicted(run.name, tile.id)
    return found if found.exists or _predict(found) else None


def _score(catalog: Catalog) -> None:
    found = _looked(catalog)
    if found is None:
        return
    map_side, facts = st.columns([2, 1], gap="medium")
    with map_side:
        prediction_map(found, found.tuning.shaping)
    with facts:
        score_view(found.score(), len(found.footprints()), found.seen_before)


def _home(catalog: Catalog) -> None:
    found = _looked(catalog)
    if found is None:
        return
    buildings = found.footprints()
    big_numbers({"buildings": number(len(buildings)), "under roof": number(float(buildings.area_m2.sum()), "m²")})
    with st.container(horizontal=True):
        st.download_button(
            "GeoPackage for QGIS", footprint_file(found, found.tuning.shaping, ".gpkg"), f"{found.tile.id}.gpkg",
            icon=":material/download:", on_click="ignore", type="primary",
        )  # fmt: skip
        if st.button("Look closer", icon=":material/home_pin:"):
            go_to("predict")
        if st.button("Train on real tiles", icon=":material/model_training:"):
            go_to("train")
    st.caption(
        "*Look closer* has more: other formats, thresholds, buildings one by one, the worst tiles first, a report."
    )
    attribution(found.tile.attribution)


STEPS = (
    Step("The ground", "Each square is a picture from above. Choose one by clicking, or go on with this one.", _ground),
    Step(
        "The truth",
        "The outlines of the buildings on this picture, as its labels have them: what to learn from.",
        _picture,
    ),
    Step("What a network is told", "Outlines become a mask, and metres to the nearest wall.", _labels),
    Step("A network looks", "A small network looks at the picture, on this machine.", _network),
    Step("Right and wrong", "Its outlines against the true ones: found, invented, missed.", _score),
    Step("Take it home", "The outlines are a file that opens in QGIS.", _home),
)
