"""Exit codes and failure messages of a job's process."""

import errno

from core.errors import is_out_of_memory

#: Seconds a job has between SIGTERM and SIGKILL to remove its temporary files.
GRACE_S = 4.0

OUT_OF_MEMORY = "The job ran out of memory. Try again with a smaller batch size or fewer tiles."

DISK_FULL = "There is not enough disk space. Free some space and start the job again."

UNEXPECTED = "Unexpected error. See the log for details."

#: Messages by exit code, for a process that could not write its own message, as on a full disk.
REASONS = {1: UNEXPECTED, 3: OUT_OF_MEMORY, 4: DISK_FULL}

_CODES = {sentence: code for code, sentence in REASONS.items()}


def failure_message(error: Exception) -> str:
    """Message for an unexpected exception."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "no space left" in str(error).lower():
        return DISK_FULL
    return UNEXPECTED
