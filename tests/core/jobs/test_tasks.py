import pytest

from core.errors import UnknownTask
from core.jobs import tasks
from core.jobs.folder import Order
from core.jobs.tasks import run_task
from core.progress import silent
from tests.core.jobs import toys


def test_a_listed_task_runs_with_its_parameters_and_reports(monkeypatch, capsys):
    monkeypatch.setattr(tasks, "TASKS", toys.TASKS)
    said = []
    run_task(Order("greet", {"whom": "world"}, 1), lambda share, doing: said.append((share, doing)))
    assert said == [(0.5, "half way"), (1, "greeted")]
    assert capsys.readouterr().out == "hello world\n"


@pytest.mark.parametrize("name", ["no such", "os:system", "greet", "core.jobs.child:main"])
def test_what_is_not_listed_never_runs(name: str):
    with pytest.raises(UnknownTask, match=f"Known tasks: {', '.join(sorted(tasks.TASKS))}"):
        run_task(Order(name, {}, 1), silent)
