"""Upload form: image file, validation, georeference, labels and metadata."""

from dataclasses import dataclass, replace

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from app.components.catalog.tile_inspector import table
from app.components.common.text import counted, number, plain, share
from app.components.jobs.job_buttons import queue
from core.errors import GroundplanError, MissingCRS, RasterWithoutCRS
from core.formatting import format_bytes
from core.runs.run import trained_gsd
from core.settings import settings
from core.uploads.labels import FORMATS, delete_labels, save_labels
from core.uploads.upload import MAX_NAME_LENGTH, Upload, clean_name, delete, receive
from core.uploads.validation import Georeference, ImageFacts

#: Session keys: number of uploads (a new number empties the fields), and values of the fields.
_TURN, _RECEIVED, _PLACE, _LABELS, LATEST = (
    "upload turn",
    "upload received",
    "upload place",
    "upload labels",
    "uploaded",
)

_BOX = "Bounding box"


@dataclass(frozen=True)
class _Received:
    """Result of receiving a file."""

    key: tuple[str, Georeference]
    upload: Upload | None = None
    problem: GroundplanError | None = None


def upload_form() -> bool:
    """Draw the upload form; returns whether it contains a file."""
    st.subheader("Add an image")
    reset_count = st.session_state.setdefault(_TURN, 0)
    max_mb = round(settings().max_upload_bytes / 1e6)
    key = f"image {reset_count}"
    image = st.file_uploader("GeoTIFF (1–16 bands)", type=["tif", "tiff"], max_upload_size=max_mb, key=key)
    if image is None:
        _reset_form()
        st.caption("8-bit, 16-bit or floating point, any coordinate system. Validated, then converted to COG.")
        return False
    received = _receive(image)
    if received.upload is not None:
        _upload_details(received.upload, reset_count)
    elif received.problem is not None:
        st.error(plain(str(received.problem)), icon=":material/error:")
        if isinstance(received.problem, RasterWithoutCRS):
            _georeference_form(only_edges=isinstance(received.problem, MissingCRS))
    return True


def _reset_form() -> None:
    """Reset the form; a file that was not submitted is removed from the server."""
    received = st.session_state.pop(_RECEIVED, None)
    if received is not None and received.upload is not None:
        delete(received.upload.id)
    for key in (_PLACE, _LABELS):
        st.session_state.pop(key, None)


def _receive(image: UploadedFile) -> _Received:
    """Validate a file once, and again after its georeference changes."""
    received: _Received | None = st.session_state.get(_RECEIVED)
    if received is not None and received.key[0] != image.file_id:
        _reset_form()
        received = None
    georeference: Georeference = st.session_state.get(_PLACE, Georeference())
    key = (image.file_id, georeference)
    if received is None or received.key != key:
        st.session_state[_RECEIVED] = received = _check(image, key)
    return received


def _check(image: UploadedFile, key: tuple[str, Georeference]) -> _Received:
    bar = st.progress(0.0, text="Validating the file")

    def report(fraction: float, activity: str) -> None:
        bar.progress(fraction, plain(activity.capitalize()))

    try:
        return _Received(key, receive(image, image.name, key[1], report, trained_gsd(settings().runs)))
    except GroundplanError as problem:
        return _Received(key, problem=problem)
    finally:
        bar.empty()


def _georeference_form(only_edges: bool) -> None:
    """Draw the georeference fields: EPSG code or bounding box."""
    methods = [_BOX] if only_edges else ["EPSG code", _BOX]
    method = st.segmented_control("Georeference by", methods, default=methods[0], required=True)
    if method == "EPSG code":
        code = st.text_input("EPSG code", placeholder="for example 32611", max_chars=12)
        georeference = Georeference(epsg=code.strip())
    else:
        west, east = _degree_fields("West", "East", 180.0)
        south, north = _degree_fields("South", "North", 90.0)
        georeference = Georeference(edges=(west, south, east, north))
    if st.button("Apply", type="primary", icon=":material/place:", disabled=not georeference):
        st.session_state[_PLACE] = georeference
        st.rerun()


def _degree_fields(low_name: str, high_name: str, limit: float) -> tuple[float, float]:
    """Draw two fields side by side for opposite edges."""
    first, second = (
        column.number_input(f"{name} (degrees)", -limit, limit, 0.0, step=0.001, format="%.6f")
        for column, name in zip(st.columns(2), (low_name, high_name), strict=True)
    )
    return first, second


def _upload_details(upload: Upload, reset_count: int) -> None:
    """Show the validated image, fields for its metadata, and the button."""
    facts(upload.facts)
    if upload.georeference:
        st.caption(f"Georeferenced manually: {plain(upload.georeference)}")
    for note in upload.facts.notes:
        st.warning(plain(note), icon=":material/info:")
    name = st.text_input("Name", upload.name, max_chars=MAX_NAME_LENGTH, key=f"name {upload.id}")
    owner = st.text_input(
        "Attribution", upload.attribution, max_chars=200, key=f"owner {upload.id}",
        placeholder="shown with the image", help="Owner and license, for example Maxar, CC BY-SA 4.0.",
    )  # fmt: skip
    upload, problem = _label_field(upload, reset_count)
    if problem is not None:
        st.error(plain(str(problem)), icon=":material/error:")
    elif upload.labels is not None:
        repairs = f" Repaired: {upload.labels.repairs}." if upload.labels.repairs else ""
        st.success(f"{counted(upload.labels.buildings, 'building')} matched.{repairs}", icon=":material/check:")
    if st.button("Add to the map", type="primary", icon=":material/add_location_alt:", disabled=problem is not None):
        _submit(replace(upload, name=clean_name(name, upload.name), attribution=" ".join(owner.split())))


def facts(image: ImageFacts) -> None:
    """Show the properties of an image."""
    table(
        {
            "Size": f"{number(image.width)} × {number(image.height)} px, {format_bytes(image.size)}",
            "Bands": f"{image.bands}, {image.dtype}",
            "Coordinate system": image.crs,
            "Pixel size": number(image.gsd_m, "m"),
            "No data": share(image.nodata_share),
        }
    )


def _label_field(upload: Upload, reset_count: int) -> tuple[Upload, GroundplanError | None]:
    """Draw the label field and validate its file once; returns the upload, and the error of invalid labels."""
    file = st.file_uploader(
        "Building footprints (optional)", type=[suffix[1:] for suffix in FORMATS], key=f"labels {reset_count}",
        max_upload_size=round(settings().max_vector_bytes / 1e6),
        help="GeoJSON, or SpaceNet CSV in pixel coordinates of this image.",
    )  # fmt: skip
    key = (upload.id, file.file_id if file else "")
    stored, problem = st.session_state.get(_LABELS, ((upload.id, ""), None))
    if stored == key:
        return Upload.find(upload.id), problem
    problem = None
    try:
        upload = save_labels(upload.id, file, file.name) if file else delete_labels(upload.id)
    except GroundplanError as error:
        upload, problem = delete_labels(upload.id), error
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
