"""Formatting of sizes and counts, the same on pages, in jobs and in terminals."""


def format_bytes(size: int) -> str:
    """Format a number of bytes in KB, MB or GB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 1e3:,.0f} KB"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: "1 tile", "1,532 buildings"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def is_or_are(count: int) -> str:
    """Return the verb for a count: "1 tile is", "2 tiles are"."""
    return "is" if count == 1 else "are"
