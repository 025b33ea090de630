"""Exit codes of a job's process and the sentence of each failure."""

import errno

from core.errors import is_out_of_memory

#: Seconds a job has between SIGTERM and SIGKILL to remove its temporary files.
GRACE_S = 4.0

OUT_OF_MEMORY = (
    "The memory was not enough for this job. Try again with smaller batches, smaller windows or fewer tiles."
)

DISK_FULL = "There is no room left on the disk. Free some space and start the job again."

UNEXPECTED = "The job failed unexpectedly. The log has the details."

#: What an exit code says where the job could not leave a sentence, as on a full disk.
REASONS = {1: UNEXPECTED, 3: OUT_OF_MEMORY, 4: DISK_FULL}

_CODES = {sentence: code for code, sentence in REASONS.items()}


def sentence_for(error: Exception) -> str:
    """What people are told of an exception nobody foresaw."""
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "no space left" in str(error).lower():
        return DISK_FULL
    return UNEXPECTED
