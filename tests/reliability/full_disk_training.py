"""A program that runs under full_disk.c: a training whose k-th write fails or is half done, and which then goes on with
room on the disk.

Prints how many writes there are, how many trainings said so, and everything that was broken or came out differently.
"""

import ctypes
import json
import shutil
import sys
from pathlib import Path

from core.errors import CannotWrite, DiskFull, GroundplanError
from core.runs.run import Run
from tests.reliability.toy_training import toy_training, what_is_broken

disk_is_full = ctypes.CDLL(None).disk_is_full
disk_is_full.restype = ctypes.c_long
disk_is_full.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_long]


def train(folder: Path, first: int, last: int) -> tuple[bool, int]:
    """Whether it came to its end, and its writes."""
    disk_is_full(str(folder).encode(), first, last)
    try:
        toy_training(folder)
        whole = True
    except (DiskFull, CannotWrite):
        whole = False
    return whole, int(disk_is_full(b"", -1, -1))


def problems(folder: Path, whole: bool, usual: Run) -> list[str]:
    """What is wrong after the k-th write has failed, and after the training has gone on."""
    wrong = what_is_broken(Run(folder))
    over = Run(folder) if whole else toy_training(folder)
    if over.metrics()["loss"].tolist() != usual.metrics()["loss"].tolist():
        wrong.append("losses")
    if over.weights().read_bytes() != usual.weights().read_bytes():
        wrong.append("weights of the end")
    return wrong


def main(data: Path, how: str) -> None:
    """For every k; "lasting": all writes after the k-th fail, too; "half": the k-th is half done."""
    _, writes = train(data / "usual", -1, -1)
    wrong, said = [], 0
    if how == "half":
        ctypes.CDLL(None).take_halves()
    for k in range(1, writes + 1):
        folder = data / str(k)
        try:
            whole, _ = train(folder, k, 10**9 if how == "lasting" else k)
            said += not whole
            wrong += [f"k = {k}: {words}" for words in problems(folder, whole, Run(data / "usual"))]
        except (GroundplanError, OSError, ValueError, KeyError) as error:
            wrong.append(f"k = {k}: {type(error).__name__} {error}")
        disk_is_full(b"", -1, -1)
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"writes": writes, "said": said, "broken": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
