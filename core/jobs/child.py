"""Former name of `core.jobs.runner`: Ray jobs submitted by version 0.6 run `python -m core.jobs.child`."""

import sys

from core.jobs.runner import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
