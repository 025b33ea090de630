"""Upload: import of an own image, with or without labels."""

import streamlit as st

from app.components.uploads.form import upload_form
from app.components.uploads.inbox import inbox_list
from app.components.uploads.list import upload_list

form_side, list_side = st.columns([1, 1.3], gap="large")
with form_side:
    has_file = upload_form()
    inbox_list()
with list_side:
    upload_list(quiet=has_file)
