"""Error messages of pages. Pages have no try/except; their exceptions are handled here."""

import logging

import streamlit as st

from app.components.common.text import plain
from core.errors import GroundplanError

log = logging.getLogger("groundplan")

#: The first matching class gives the message. Groundplan's own errors are messages themselves.
_MESSAGES: tuple[tuple[type[Exception], str], ...] = (
    (MemoryError, "Not enough memory. Choose fewer or smaller tiles."),
    (PermissionError, "The server cannot read or write a file. Check the permissions of the data folder."),
    (FileNotFoundError, "A file was moved or deleted. Add its folder to the catalog again."),
    (OSError, "Disk error. Check the free disk space and try again."),
)
_DEFAULT_MESSAGE = "Unexpected error. No data was lost. See the server log for details."


def message(error: Exception) -> str:
    """Return the message for an error, without a traceback."""
    if isinstance(error, GroundplanError):
        return str(error)
    return next((text for kind, text in _MESSAGES if isinstance(error, kind)), _DEFAULT_MESSAGE)


def show_error(error: Exception) -> bool:
    """Show an exception as a message on the page, and log its traceback: the error boundary of all pages."""
    if not isinstance(error, GroundplanError):
        log.error("a page failed", exc_info=error)
    st.error(plain(message(error)), icon=":material/error:")
    return True
