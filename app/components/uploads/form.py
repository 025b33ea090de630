"""Bringing an image: the file, what was found in it, where it lies if it does not say so, its labels and its name."""

from dataclasses import dataclass, replace

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.components.catalog.tile_inspector import table
from app.components.common.text import number, plain, share
from app.components.jobs.job_buttons import queue
from core.errors import GroundplanError, RasterWithoutCRS, WithoutCoordinates
from core.formatting import megabytes
from core.runs.run import trained_gsd
from core.settings import settings
from core.uploads.labels import FORMATS, drop_labels, put_labels
from core.uploads.upload import LONGEST_NAME, Upload, delete, receive, tidy
from core.uploads.validation import ImageFacts, Place

#: Keys of the session: how many uploads were made (a new number empties the boxes), and what the boxes hold.
_TURN, _RECEIVED, _PLACE, _LABELS, LATEST = (
    "upload turn",
    "upload received",
    "upload place",
    "upload labels",
    "uploaded",
)


@dataclass(frozen=True)
class _Received:
    """What became of a file that the page was given."""

    key: tuple[str, Place]
    upload: Upload | None = None
    problem: GroundplanError | None = None


def upload_form() -> bool:
    """The whole form, from the file to the button that submits the job; returns whether there is a file in it."""
    st.subheader("Add an image")
    turn = st.session_state.setdefault(_TURN, 0)
    largest = round(settings().max_upload_bytes / 1e6)
    image = st.file_uploader(
        "GeoTIFF, 1 to 16 bands", type=["tif", "tiff"], max_upload_size=largest, key=f"image {turn}"
    )
    if image is None:
        _start_anew()
        st.caption(
            "8-bit, 16-bit or real numbers, any coordinate system. It is checked first, then made ready for the map."
        )
        return False
    received = _receive(image)
    if received.upload is not None:
        _describe(received.upload, turn)
    elif received.problem is not None:
        st.error(plain(str(received.problem)), icon=":material/error:")
        if isinstance(received.problem, RasterWithoutCRS):
            _ask_for_place(only_edges=isinstance(received.problem, WithoutCoordinates))
    return True


def _start_anew() -> None:
    """Forgets what the boxes held; a file that was not submitted is removed from the server."""
    received = st.session_state.pop(_RECEIVED, None)
    if received is not None and received.upload is not None:
        delete(received.upload.id)
    for key in (_PLACE, _LABELS):
        st.session_state.pop(key, None)


def _receive(image: UploadedFile) -> _Received:
    """Checks a file once, and again when it is given another place."""
    before: _Received | None = st.session_state.get(_RECEIVED)
    if before is not None and before.key[0] != image.file_id:
        _start_anew()
        before = None
    place: Place = st.session_state.get(_PLACE, Place())
    key = (image.file_id, place)
    if before is None or before.key != key:
        st.session_state[_RECEIVED] = before = _check(image, key)
    return before


def _check(image: UploadedFile, key: tuple[str, Place]) -> _Received:
    bar = st.progress(0.0, text="Checking the file")

    def report(done: float, doing: str) -> None:
        bar.progress(done, plain(doing.capitalize()))

    try:
        return _Received(key, receive(image, image.name, key[1], report, trained_gsd(settings().runs)))
    except GroundplanError as problem:
        return _Received(key, problem=problem)
    finally:
        bar.empty()


def _ask_for_place(only_edges: bool) -> None:
    """An EPSG code, or the four edges."""
    ways = ["Edges"] if only_edges else ["EPSG code", "Edges"]
    way = st.segmented_control("Say where it lies by", ways, default=ways[0], required=True)
    if way == "EPSG code":
        code = st.text_input("EPSG code of its coordinates", placeholder="for example 32611", max_chars=12)
        place = Place(epsg=code.strip())
    else:
        west, east = _two_degrees("West", "East", 180.0)
        south, north = _two_degrees("South", "North", 90.0)
        place = Place(edges=(west, south, east, north))
    if st.button("Put it there", type="primary", icon=":material/place:", disabled=not place):
        st.session_state[_PLACE] = place
        st.rerun()


def _two_degrees(low: str, high: str, limit: float) -> tuple[float, float]:
    """Two boxes beside each other for opposite edges."""
    first, second = (
        column.number_input(f"{name} edge, degrees", -limit, limit, 0.0, step=0.001, format="%.6f")
        for column, name in zip(st.columns(2), (low, high), strict=True)
    )
    return first, second


def _describe(upload: Upload, turn: int) -> None:
    """What was found, the boxes for what only a person knows, and the button."""
    facts(upload.facts)
    if upload.place:
        st.caption(f"Its place was given by hand: {plain(upload.place)}.")
    for note in upload.facts.notes:
        st.warning(plain(note), icon=":material/info:")
    name = st.text_input("Name", upload.name, max_chars=LONGEST_NAME, key=f"name {upload.id}")
    owner = st.text_input(
        "Who made the image", upload.attribution, max_chars=200, key=f"owner {upload.id}",
        placeholder="shown wherever its pixels are", help="Maker and licence, for example Maxar, CC BY-SA 4.0.",
    )  # fmt: skip
    upload, problem = _label_box(upload, turn)
    if problem is not None:
        st.error(plain(str(problem)), icon=":material/error:")
    elif upload.labels is not None:
        mended = f" Mended: {upload.labels.repairs}." if upload.labels.repairs else ""
        st.success(f"{number(upload.labels.buildings)} buildings lie on the image.{mended}", icon=":material/check:")
    if st.button("Add to the map", type="primary", icon=":material/add_location_alt:", disabled=problem is not None):
        _submit(replace(upload, name=tidy(name, upload.name), attribution=" ".join(owner.split())))


def facts(found: ImageFacts) -> None:
    """A table of what an image is made of."""
    table(
        {
            "Size": f"{number(found.width)} × {number(found.height)} px, {megabytes(found.size)}",
            "Bands": f"{found.bands}, {found.dtype}",
            "Coordinates": found.crs,
            "A pixel": f"{number(found.gsd_m, 'm')} on the ground",
            "Without picture": share(found.nodata_share),
        }
    )


def _label_box(upload: Upload, turn: int) -> tuple[Upload, GroundplanError | None]:
    """The box for labels; what it holds is checked once. Returns the upload with them, or what is wrong with them."""
    file = st.file_uploader(
        "Building footprints, if you have them", type=[suffix[1:] for suffix in FORMATS], key=f"labels {turn}",
        max_upload_size=round(settings().max_vector_bytes / 1e6),
        help="GeoJSON, or SpaceNet's CSV in pixels of this image.",
    )  # fmt: skip
    key = (upload.id, file.file_id if file else "")
    seen, problem = st.session_state.get(_LABELS, ((upload.id, ""), None))
    if seen == key:
        return Upload.find(upload.id), problem
    problem = None
    try:
        upload = put_labels(upload.id, file, file.name) if file else drop_labels(upload.id)
    except GroundplanError as error:
        upload, problem = drop_labels(upload.id), error
    st.session_state[_LABELS] = (key, problem)
    return upload, problem


def _submit(upload: Upload) -> None:
    upload.save()
    queue().submit("upload", {"upload": upload.id}, f"Add {upload.name}")
    for key in (_RECEIVED, _PLACE, _LABELS):
        st.session_state.pop(key, None)
    st.session_state[LATEST] = upload.id
    st.session_state[_TURN] += 1
    st.rerun()
