"""Tiles from SpaceNet's bucket: which, how large, on what terms; the job that brings them; indexes of what there is."""

import random

import streamlit as st

from app import state
from app.components.catalog.tile_inspector import big_numbers
from app.components.common.navigation import go_to
from app.components.common.text import number, plain
from app.components.jobs.job_buttons import queue
from app.components.jobs.job_card import job_card, job_log, wait_for
from core.catalog import spacenet_names
from core.catalog.register import register_index
from core.catalog.store import Catalog
from core.catalog.tile import Tile
from core.errors import FetchError, GroundplanError
from core.formatting import megabytes
from core.jobs.queue import Job, State
from core.spacenet.bucket import AREAS, LICENCE, LICENCE_URL, Product, is_in_bucket
from core.spacenet.download import Plan, ask_bucket, free_bytes
from core.spacenet.selection import Request, number_of, parse_numbers, spell_numbers

_PLAN = "plan of a download"
#: Keys of boxes: what the visitor chose stays, however the catalogue changes meanwhile.
_AREA, _COUNT = "get area", "get count"
_WAYS = {"map": "Chosen on the map", "numbers": "By number", "random": "At random"}
#: Megabytes; the largest of SpaceNet's is two.
_LARGEST_INDEX = 20


def choose_tiles(catalog: Catalog) -> Request | None:
    """Boxes for area, tiles and products; None while no tile is named."""
    asked = _asked(catalog)
    first = asked[0].aoi if asked else next(filter(is_in_bucket, catalog.aois), "AOI_2_Vegas")
    st.session_state.setdefault(_AREA, first)
    aoi = st.selectbox("Area", AREAS, format_func=_area_label, key=_AREA)
    st.caption(_known(catalog.of_aoi(aoi)))
    numbers = _numbers(aoi, catalog, [tile for tile in asked if tile.aoi == aoi])
    elsewhere = len({tile.id for tile in asked if tile.aoi != aoi})
    if elsewhere:
        st.caption(f"{elsewhere} more were chosen on the map in other areas. Choose the area to get them.")
    products = _products(aoi)
    return Request.of(aoi, numbers, products) if numbers else None


def _asked(catalog: Catalog) -> list[Tile]:
    """The tiles chosen on the map; says so where some are of areas that the bucket does not have."""
    tiles = catalog.named(st.session_state.get(state.GET, ()))
    others = {tile.aoi: None for tile in tiles if not is_in_bucket(tile.aoi)}
    if others:
        st.warning(
            f"SpaceNet's bucket has no tiles of {plain(', '.join(others))} with building footprints, so those chosen "
            "on the map cannot come from it. If you have their files, add their folder: "
            "`python -m core catalog add FOLDER`.",
            icon=":material/info:",
        )
    return [tile for tile in tiles if is_in_bucket(tile.aoi)]


def _area_label(aoi: str) -> str:
    return f"{AREAS[aoi].city} · {AREAS[aoi].dataset}"


def _known(area: Catalog) -> str:
    if not area.tiles:
        return "No index of this area is here yet."
    return f"{number(len(area.tiles))} tiles known, {number(len(area.here.tiles))} here."


def _numbers(aoi: str, catalog: Catalog, asked: list[Tile]) -> tuple[int, ...]:
    known = catalog.of_aoi(aoi).tiles
    absent = [tile for tile in known if not tile.is_here]
    ways = [way for way, offered in (("map", asked), ("random", absent), ("numbers", True)) if offered]
    way = ways[0]
    if len(ways) > 1:
        way = st.segmented_control(
            "Which tiles", ways, default=way, required=True, format_func=lambda way: _WAYS[way], key=f"way {ways}"
        )
    if way == "map":
        st.caption(f"Tiles {_shortened(spell_numbers(_numbers_of(asked)))}")
        return _numbers_of(asked)
    if way == "random":
        return _numbers_of(_drawn(absent))
    return _written(_numbers_of(known))


def _numbers_of(tiles: list[Tile] | tuple[Tile, ...]) -> tuple[int, ...]:
    return tuple(sorted(number_of(tile.id) for tile in tiles))


def _drawn(tiles: list[Tile]) -> list[Tile]:
    count_side, seed_side = st.columns(2)
    count = count_side.number_input("How many", 1, len(tiles), min(10, len(tiles)), key=_COUNT)
    seed = seed_side.number_input("Seed", 0, 2**32 - 1, 0, help="Another number, other tiles.")
    drawn = random.Random(seed).sample(tiles, count)
    st.caption(f"Tiles {_shortened(spell_numbers(_numbers_of(drawn)))}")
    return drawn


def _written(known: tuple[int, ...]) -> tuple[int, ...]:
    text = st.text_input("Numbers of the tiles", placeholder="1-20, 225", max_chars=2000)
    if not text.strip():
        return ()
    try:
        numbers = parse_numbers(text)
    except FetchError as error:
        st.error(plain(error), icon=":material/error:")
        return ()
    unknown = sorted({*numbers} - {*known}) if known else []
    if unknown:
        st.caption(f"Not in the index, so most likely not in the bucket: {_shortened(spell_numbers(unknown))}")
    return numbers


def _shortened(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[:most].rsplit(",", 1)[0] + ", …"


def _products(aoi: str) -> list[str]:
    """The usual ones, and the others where they are ticked."""
    area = AREAS[aoi]
    usual = " and ".join(f"{product.title} ({product.name})" for product in area.products if not product.optional)
    chosen = [product.name for product in area.products if product.optional and _ticked(product)]
    st.caption(f"Always with it: {usual}.")
    return [*area.usual, *chosen]


def _ticked(product: Product) -> bool:
    words = f"Also {product.title} ({product.name}), about {megabytes(product.typical_bytes)} a tile"
    return st.checkbox(words, help="The thesis recipe takes its fourth channel from them.")


def request_facts(request: Request, lacking: Request) -> None:
    """How many and how large, the room on the disk, and the licence."""
    plan = _plan(lacking)
    exactly, size = ("exactly", plan.missing) if plan else ("about", lacking.typical_bytes)
    big_numbers(
        {
            "tiles": number(len(request.numbers)),
            "here already": number(len(request.numbers) - len(lacking.numbers)),
            f"to download, {exactly}": megabytes(size),
            "free on the disk": megabytes(free_bytes()),
        }
    )
    for problem in plan.problems if plan else ():
        st.warning(plain(problem), icon=":material/info:")
    if size > free_bytes():
        st.error("The disk has no room for so much. Choose fewer tiles, or free some space.", icon=":material/error:")
    st.caption(
        f"Licence: [{LICENCE}]({LICENCE_URL}). Name the makers wherever the pictures, or what was made of "
        f"them, are shown, and share it alike: {spacenet_names.SPACENET}."
    )


def get_them(lacking: Request) -> None:
    """The buttons, or the download that runs."""
    last = _last()
    if last is not None and not last.state.is_over:
        wait_for(last.id)
        return
    none = not lacking.numbers
    with st.container(horizontal=True):
        if st.button("Download", type="primary", icon=":material/cloud_download:", disabled=none):
            _submit(lacking)
        if st.button(
            "Ask the bucket", icon=":material/help:", disabled=none, help="Exact sizes; takes a second or two."
        ):
            _ask(lacking)
    if none:
        st.caption("All of these tiles are on this machine.")


def _last() -> Job | None:
    return next(iter(queue().jobs(limit=1, task="fetch")), None)


def _submit(request: Request) -> None:
    queue().submit("fetch", request.params(), request.title)
    st.rerun()


def _ask(request: Request) -> None:
    try:
        with st.spinner("Asking SpaceNet's bucket"):
            st.session_state[_PLAN] = ask_bucket(request)
    except FetchError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.rerun()


def _plan(request: Request) -> Plan | None:
    """What the bucket said, where it was asked about these very tiles."""
    plan: Plan | None = st.session_state.get(_PLAN)
    return plan if plan is not None and plan.request == request else None


def last_download(catalog: Catalog) -> None:
    """How the last one ended, and where to go from there."""
    job = _last()
    if job is None or not job.state.is_over:
        return
    st.divider()
    st.caption("Last download")
    job_card(job)
    request = Request.from_params(job.params)
    lacking = request.lacking(catalog)
    come = catalog.here.named(request.tiles)
    if job.state is State.DONE and lacking.numbers:
        st.warning(f"Not all came of the tiles {_shortened(spell_numbers(lacking.numbers))}. The log says why.")
        job_log(job)
    with st.container(horizontal=True):
        if come and st.button("See them on the map", icon=":material/map:"):
            state.select(come[0])
            go_to("explore")
        if job.state is not State.DONE and st.button("Go on with it", icon=":material/resume:"):
            _submit(request)
    if job.state is not State.DONE:
        st.caption("What has come is kept and is not sent again.")


def add_index(known: bool) -> None:
    """A box that takes SpaceNet's tile indexes."""
    if not known:
        st.info(
            "No tile index is here yet, so nobody knows which tiles there are. Add one, or write the numbers of tiles.",
            icon=":material/info:",
        )
    with st.expander("Add a tile index", expanded=not known, icon=":material/grid_on:"):
        st.write(
            "SpaceNet's lists of tiles, such as `AOI_2_Vegas_Train_Tindex.geojson`, put every tile of an area on the "
            "map, where it can be chosen before anything is downloaded."
        )
        turn = st.session_state.setdefault("index turn", 0)
        files = st.file_uploader(
            "Tile indexes", "geojson", accept_multiple_files=True, max_upload_size=_LARGEST_INDEX, key=f"index {turn}"
        )
        if files and st.button("Add their tiles", icon=":material/add:"):
            _add({file.name: file.getvalue() for file in files})


def _add(files: dict[str, bytes]) -> None:
    try:
        for name, content in files.items():
            st.toast(f"{number(len(register_index(content).tiles))} tiles of {plain(name)} are on the map.")
    except GroundplanError as error:
        st.error(plain(error), icon=":material/error:")
        return
    st.session_state["index turn"] += 1  # an empty box again
    st.rerun()
