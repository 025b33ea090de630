import pytest

from core.errors import UnknownTask
from core.jobs import registry
from core.jobs.folder import JobSpec
from core.jobs.registry import run_task
from core.progress import silent
from tests.core.jobs import fake_tasks


def test_a_listed_task_runs_with_its_parameters_and_reports(monkeypatch, capsys):
    monkeypatch.setattr(registry, "TASKS", fake_tasks.TASKS)
    said = []
    run_task(JobSpec("greet", {"whom": "world"}, 1), lambda share, doing: said.append((share, doing)))
    assert said == [(0.5, "half way"), (1, "greeted")]
    assert capsys.readouterr().out == "hello world\n"


@pytest.mark.parametrize("name", ["no such", "os:system", "greet", "core.jobs.runner:main"])
def test_what_is_not_listed_never_runs(name: str):
    with pytest.raises(UnknownTask, match=f"This worker runs: {', '.join(sorted(registry.TASKS))}"):
        run_task(JobSpec(name, {}, 1), silent)
