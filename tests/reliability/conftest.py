from tests.core.jobs.conftest import queue

__all__ = ["queue"]
