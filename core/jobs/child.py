"""The old name of `core.jobs.runner`: clusters submitted to by version 0.6 start `python -m core.jobs.child`."""

import sys

from core.jobs.runner import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
