"""Download form for SpaceNet tiles: selection, size, license, the download job, and tile indexes."""

import random

import streamlit as st

from app import state
from app.components.catalog.tile_inspector import key_figures
from app.components.common.navigation import go_to
from app.components.common.text import counted, number, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, job_log, wait_for
from core.catalog import spacenet_names
from core.catalog.register import register_index
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.errors import FetchError, GroundplanError
from core.formatting import format_bytes
from core.jobs.queue import Job, State
from core.spacenet.bucket import AREAS, LICENSE, LICENSE_URL, is_in_bucket
from core.spacenet.download import Plan, free_bytes, plan_download
from core.spacenet.selection import TileSelection, format_numbers, parse_numbers, tile_number

_PLAN = "plan of a download"
#: Widget keys: a choice stays when the catalog changes.
_AREA, _COUNT = "get area", "get count"
_METHODS = {"map": "Selected on the map", "numbers": "By number", "random": "Random sample"}
#: Maximum size of a tile index [MB]; SpaceNet's largest has 2 MB.
_MAX_INDEX_MB = 20


def choose_tiles(catalog: Catalog) -> TileSelection | None:
    """Draw the fields for area, tiles and products; None while no tile is selected."""
    requested = _requested_tiles(catalog)
    default_aoi = requested[0].aoi if requested else next(filter(is_in_bucket, catalog.aois), "AOI_2_Vegas")
    st.session_state.setdefault(_AREA, default_aoi)
    aoi = st.selectbox("Area", AREAS, format_func=lambda name: f"{AREAS[name].city} · {AREAS[name].dataset}", key=_AREA)
    area = catalog.of_aoi(aoi)
    status = f"{number(len(area.downloaded.tiles))} of {counted(len(area.tiles), 'tile')} downloaded"
    st.caption(status if area.tiles else "No tile list for this area yet.")
    numbers = _choose_numbers(aoi, catalog, [tile for tile in requested if tile.aoi == aoi])
    other_count = len({tile.id for tile in requested if tile.aoi != aoi})
    if other_count:
        st.caption(f"{other_count} more selected in other areas. Choose that area to download them.")
    products = _products(aoi)
    return TileSelection.of(aoi, numbers, products) if numbers else None


def _requested_tiles(catalog: Catalog) -> list[Tile]:
    """Return the tiles requested on other pages, with a warning about areas that are not in the bucket."""
    tiles = catalog.named(st.session_state.get(state.GET, ()))
    other_areas = {tile.aoi: None for tile in tiles if not is_in_bucket(tile.aoi)}
    if other_areas:
        st.warning(
            f"SpaceNet has no tiles of {plain(', '.join(other_areas))} with building footprints, so the selected tiles "
            "cannot be downloaded. To use local files, register their folder: `python -m core catalog add FOLDER`.",
            icon=":material/info:",
        )
    return [tile for tile in tiles if is_in_bucket(tile.aoi)]


def _choose_numbers(aoi: str, catalog: Catalog, requested: list[Tile]) -> tuple[int, ...]:
    tiles = catalog.of_aoi(aoi).tiles
    candidates = [tile for tile in tiles if not tile.is_downloaded]
    methods = [
        method for method, available in (("map", requested), ("random", candidates), ("numbers", True)) if available
    ]
    method = methods[0]
    if len(methods) > 1:
        method = st.segmented_control(
            "Tiles to download", methods, default=method, required=True, format_func=_METHODS.__getitem__,
            key=f"way {methods}",
        )  # fmt: skip
    if method == "map":
        st.caption(f"Tiles {_truncate(format_numbers(_numbers_of(requested)))}")
        return _numbers_of(requested)
    if method == "random":
        return _numbers_of(_random_sample(candidates))
    return _numbers_from_text(_numbers_of(tiles))


def _numbers_of(tiles: list[Tile] | tuple[Tile, ...]) -> tuple[int, ...]:
    return tuple(sorted(tile_number(tile.id) for tile in tiles))


def _random_sample(tiles: list[Tile]) -> list[Tile]:
    count_side, seed_side = st.columns(2)
    count = count_side.number_input("Random sample size", 1, len(tiles), min(10, len(tiles)), key=_COUNT)
    seed = seed_side.number_input("Random seed", 0, 2**32 - 1, 0, help="The same seed selects the same tiles.")
    sample = random.Random(seed).sample(tiles, count)
    st.caption(f"Tiles {_truncate(format_numbers(_numbers_of(sample)))}")
    return sample


def _numbers_from_text(valid_numbers: tuple[int, ...]) -> tuple[int, ...]:
    text = st.text_input("Tile numbers", placeholder="1-20, 225", max_chars=2000)
    if not text.strip():
        return ()
    try:
        numbers = parse_numbers(text)
    except FetchError as error:
        st.error(plain(error), icon=":material/error:")
        return ()
    unknown = sorted({*numbers} - {*valid_numbers}) if valid_numbers else []
    if unknown:
        st.caption(f"Not in the tile list, so probably not available: {_truncate(format_numbers(unknown))}")
    return numbers


def _truncate(text: str, max_length: int = 160) -> str:
    return text if len(text) <= max_length else text[:max_length].rsplit(",", 1)[0] + ", …"


def _products(aoi: str) -> list[str]:
    """Return the default products and the optional ones that are checked."""
    area = AREAS[aoi]
    included = " and ".join(
        f"{product.description} ({product.name})" for product in area.products if not product.optional
    )
    products = [*area.default_products]
    for product in area.products:
        label = f"Add {product.description} ({product.name}), about {format_bytes(product.typical_bytes)} per tile"
        if product.optional and st.checkbox(label, help="Needed for 4-channel models."):
            products.append(product.name)
    st.caption(f"Included: {included}")
    return products


def request_facts(request: TileSelection, missing: TileSelection) -> None:
    """Show number and size of the files, free disk space, and the license."""
    plan: Plan | None = st.session_state.get(_PLAN)
    if plan is not None and plan.selection != missing:  # the exact size of other tiles was checked
        plan = None
    precision, size = ("exact", plan.missing_bytes) if plan else ("approx.", missing.typical_bytes)
    key_figures(
        {
            "tiles": number(len(request.numbers)),
            "already downloaded": number(len(request.numbers) - len(missing.numbers)),
            f"download size ({precision})": format_bytes(size),
            "free disk space": format_bytes(free_bytes()),
        }
    )
    for problem in plan.problems if plan else ():
        st.warning(plain(problem), icon=":material/info:")
    if size > free_bytes():
        st.error("Not enough disk space. Choose fewer tiles or free some space.", icon=":material/error:")
    st.caption(
        f"License: [{LICENSE}]({LICENSE_URL}). Attribute the source and share derived data under the same license. "
        f"Source: {spacenet_names.SPACENET}."
    )


def submit_download(missing: TileSelection) -> None:
    """Draw the download buttons, or the running download."""
    last = _last_job()
    if last is not None and not last.state.is_over:
        wait_for(last.id)
        return
    is_complete = not missing.numbers
    with st.container(horizontal=True):
        if st.button("Download", type="primary", icon=":material/cloud_download:", disabled=is_complete):
            _submit(missing)
        if st.button(
            "Check exact size",
            icon=":material/help:",
            disabled=is_complete,
            help="Reads the file sizes from SpaceNet (AWS).",
        ):
            _check_size(missing)
    if is_complete:
        st.caption("All of these tiles are already downloaded.")


def _last_job() -> Job | None:
    return next(iter(queue().jobs(limit=1, task="fetch")), None)


def _submit(request: TileSelection) -> None:
    queue().submit("fetch", request.params(), request.title)
    st.rerun()


def _check_size(request: TileSelection) -> None:
    try:
        with st.spinner("Checking file sizes"):
            st.session_state[_PLAN] = plan_download(request)
    except FetchError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.rerun()


def last_download(catalog: Catalog) -> None:
    """Show the result of the last download, with links to the tiles."""
    job = _last_job()
    if job is None or not job.state.is_over:
        return
    st.divider()
    st.caption("Last download")
    job_card(job)
    request = TileSelection.from_params(job.params)
    missing = request.missing(catalog)
    downloaded = catalog.downloaded.named(request.tiles)
    if job.state is State.DONE and missing.numbers:
        st.warning(f"Some tiles could not be downloaded: {_truncate(format_numbers(missing.numbers))}. See the log.")
        job_log(job)
    with st.container(horizontal=True):
        if downloaded and st.button("View on map", icon=":material/map:"):
            state.select(downloaded[0])
            go_to("explore")
        if job.state is not State.DONE and st.button("Resume", icon=":material/resume:"):
            _submit(request)
    if job.state is not State.DONE:
        st.caption("Finished files are kept.")


def add_index(has_index: bool) -> None:
    """Draw the upload field for SpaceNet tile indexes."""
    if not has_index:
        st.info(
            "No tile list yet. Add one, or enter tile numbers.",
            icon=":material/info:",
        )
    with st.expander("Add a tile list", expanded=not has_index, icon=":material/grid_on:"):
        st.write(
            "A SpaceNet tile index, such as `AOI_2_Vegas_Train_Tindex.geojson`, lists every tile of an area. Listed "
            "tiles appear on the map and can be selected before they are downloaded."
        )
        reset_count = st.session_state.setdefault("index turn", 0)
        files = st.file_uploader(
            "Tile index (GeoJSON)",
            "geojson",
            accept_multiple_files=True,
            max_upload_size=_MAX_INDEX_MB,
            key=f"index {reset_count}",
        )
        if files and st.button("Add tiles to the map", icon=":material/add:"):
            _register_indexes({file.name: file.getvalue() for file in files})


def _register_indexes(files: dict[str, bytes]) -> None:
    try:
        for name, content in files.items():
            st.toast(f"{number(len(register_index(content).tiles))} tiles of {plain(name)} added to the map.")
    except GroundplanError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.session_state["index turn"] += 1  # a new key empties the field
    st.rerun()
