"""Sizes in words, the same in pages, jobs and terminals."""


def megabytes(size: int) -> str:
    """So many bytes, in the unit that fits."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 1e3:,.0f} KB"
