"""From an error to the sentence a person reads. Pages have no try/except: what they raise ends here."""

import logging

import streamlit as st

from app.components.common.text import plain
from core.errors import GroundplanError

log = logging.getLogger("groundplan")

#: The first class that fits gives the sentence; Groundplan's own errors are sentences themselves.
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (MemoryError, "There was not enough memory for this. Choose fewer or smaller tiles."),
    (PermissionError, "A file may not be read or written by this server. Check the rights of the data folder."),
    (FileNotFoundError, "A file has been moved or deleted. Add its folder to the catalogue again."),
    (OSError, "The disk did not answer as it should. Check its free space and try again."),
)
_OTHER = "This went wrong in a way nobody foresaw. Nothing was lost; the server's log has the details."


def sentence(error: Exception) -> str:
    """What to tell a person, without a trace of the program's inside."""
    if isinstance(error, GroundplanError):
        return str(error)
    return next((text for kind, text in _SENTENCES if isinstance(error, kind)), _OTHER)


def show_error(error: Exception) -> bool:
    """The one error boundary of the pages: the sentence on the page, the traceback in the log."""
    if not isinstance(error, GroundplanError):
        log.error("a page failed", exc_info=error)
    st.error(plain(sentence(error)), icon=":material/error:")
    return True
