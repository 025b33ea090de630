"""Jobs on the pages: what is said of each state, and what the buttons do; the queue, sweeps, and whole areas."""

import hashlib
import json
from datetime import UTC, datetime

import numpy as np
import orjson
import pytest
from streamlit.testing.v1 import AppTest

from core.catalog.store import Catalog
from core.datasets.normalization import Normalization
from core.inference.predict import prediction_folder, weights_hash
from core.jobs.folder import JobFolder
from core.jobs.queue import HIGH, LOW, NORMAL, Job, Queue, State
from core.runs.config import TrainingConfig
from core.runs.live_metrics import LiveMetrics
from core.runs.prediction_film import PreviewBatch
from core.runs.run import Record, Run
from core.settings import settings
from core.tasks.sweep import Sweep, submit
from core.training.presets import preset, recommended
from tests.app.conftest import OpenPage

pytestmark = pytest.mark.usefixtures("city")
TRAINING = {
    "run": "mine",
    "tiles": ["AOI_0_Made_img1"],
    "config": {"learning_rate": 0.001, "network": "fcn", "seed": 0},
}


@pytest.fixture
def queue(city: Catalog) -> Queue:
    return Queue(settings().queue)


def ended(queue: Queue, state: State, error: str | None = None, task: str = "train") -> Job:
    """A job that has begun and is over."""
    job = queue.submit(task, TRAINING, "Made, 1 tile")
    queue.claim("w")
    queue.finish(job.id, "w", state, error)
    return queue.get(job.id)


def running(queue: Queue) -> Job:
    job = queue.submit("train", TRAINING, "Made, 1 tile")
    queue.heartbeat("w", None, "CPU toy, 1 core")
    queue.claim("w")
    return queue.get(job.id)


def trained(epochs: int = 2, name: str = "mine") -> Run:
    """A run with whole epochs and something that passes for weights."""
    config = TrainingConfig(epochs=5, name="Mine")
    record = Record(
        config,
        ("AOI_0_Made_img1",),
        ("AOI_0_Made_img2",),
        Normalization((0.0,) * 3, (1.0,) * 3),
        3,
        (0.5, 0.5),
        7,
        "CPU toy",
        {},
    )
    run = Run.create(settings().runs / name, record)
    for epoch in range(1, epochs + 1):
        run.add_metrics(
            {"epoch": epoch, "seconds": 2.0, "loss": 1 / epoch, "val_loss": 1.0, "iou": 0.1, "val_iou": 0.2 * epoch}
        )
    if epochs:
        (run.path / "w.h5").write_bytes(b"weights")
        facts = {"file": "w.h5", "sha256": hashlib.sha256(b"weights").hexdigest(), "epoch": epochs}
        (run.path / "weights.json").write_bytes(orjson.dumps(facts))
    return run


def html(page: AppTest) -> str:
    return " ".join(element.proto.body for element in page.get("html"))


def labels(page: AppTest) -> list[str]:
    """What stands on the buttons and popovers."""
    return [button.label for button in page.button] + [box.proto.popover.label for box in page.get("popover")]


def table(page: AppTest) -> list[dict]:
    """The rows of the queue as the browser gets them."""
    [shown] = [one for one in page.get("bidi_component") if "rows" in one.proto.json]
    return json.loads(shown.proto.json)["rows"]


def chosen(page: AppTest, job: Job) -> AppTest:
    """After a click on the job's row."""
    page.session_state["chosen job"] = job.id
    return page.run()


def test_a_failure_says_why_with_the_last_lines_of_its_log(open_page: OpenPage, queue: Queue) -> None:
    job = ended(queue, State.FAILED, "The disk is full.")
    JobFolder.of(job.id).path.mkdir(parents=True)
    JobFolder.of(job.id).log.write_text("".join(f"line {n}\n" for n in range(20)))
    page = open_page("train")
    assert [error.value for error in page.error] == ["The disk is full."]
    assert "line 19" in page.code[0].value
    assert "line 5\n" not in page.code[0].value


def test_a_job_that_was_interrupted_says_which_start_it_is(open_page: OpenPage, queue: Queue) -> None:
    job = running(queue)
    assert "attempt" not in html(open_page("train"))
    queue.mark_lost(job.id, "w")
    queue.claim("w")
    assert "attempt 2" in html(open_page("train"))


@pytest.mark.parametrize(
    ("state", "there", "absent"),
    [
        (State.DONE, {"Continue", "Delete", "Use for prediction"}, {"Stop", "Retry"}),
        (State.FAILED, {"Continue", "Delete", "Retry"}, {"Stop"}),
        (State.STOPPED, {"Continue", "Delete", "Retry"}, {"Stop"}),
    ],
)
def test_a_job_offers_what_its_state_allows(
    open_page: OpenPage, queue: Queue, state: State, there: set[str], absent: set[str]
) -> None:
    trained()
    ended(queue, state)
    offered = set(labels(open_page("train")))
    assert there <= offered
    assert not absent & offered


def test_a_running_training_can_be_stopped_and_nothing_else(open_page: OpenPage, queue: Queue) -> None:
    trained()
    running(queue)
    offered = labels(open_page("train"))
    assert "Stop" in offered
    assert not {"Delete", "Retry", "Continue"} & set(offered)


@pytest.mark.parametrize(("suffix", "keep", "words"), [(" keep", True, "finishing early"), ("", False, "stopping")])
def test_a_running_training_stops_at_once_or_keeps_what_it_has(
    open_page: OpenPage, queue: Queue, suffix: str, keep: bool, words: str
) -> None:
    job = running(queue)
    page = open_page("train").button(key=f"stop {job.id}{suffix}").click().run()
    asked = queue.get(job.id)
    assert (asked.stop_requested, asked.keep) == (True, keep)
    assert f"{words} ·" in html(page)


def test_who_keeps_what_there_is_can_still_stop_at_once(open_page: OpenPage, queue: Queue) -> None:
    job = running(queue)
    page = open_page("train").button(key=f"stop {job.id} keep").click().run()
    page.button(key=f"stop {job.id}").click().run()
    assert not queue.get(job.id).keep


def test_retry_queues_the_same_job_again(open_page: OpenPage, queue: Queue) -> None:
    job = ended(queue, State.FAILED, "No.")
    page = open_page("train").button(key=f"retry {job.id}").click().run()
    assert queue.get(job.id).state is State.QUEUED
    assert not page.error


def test_continue_submits_so_many_more_epochs_and_shows_them(open_page: OpenPage, queue: Queue) -> None:
    trained(2)
    job = ended(queue, State.DONE)
    page = open_page("train")
    page.number_input(key=f"more {job.id}").set_value(4).run()
    page.button(key=f"continue {job.id} 0").click().run()
    newest = queue.jobs()[0]
    assert (newest.params["from"], newest.params["config"]["epochs"]) == ("mine", 6)
    assert page.session_state["watched job"] == newest.id


def test_a_run_without_a_whole_epoch_cannot_be_continued(open_page: OpenPage, queue: Queue) -> None:
    trained(0)
    ended(queue, State.STOPPED)
    assert "Continue" not in labels(open_page("train"))


def test_delete_leaves_the_run_unless_it_is_ticked(open_page: OpenPage, queue: Queue) -> None:
    run, job = trained(), ended(queue, State.DONE)
    page = open_page("train").button(key=f"delete {job.id}").click().run()
    assert not page.exception
    assert queue.jobs() == []
    assert run.exists


def test_delete_with_the_run_warns_what_goes_with_it(open_page: OpenPage, queue: Queue) -> None:
    run, job = trained(), ended(queue, State.DONE)
    page = open_page("train").checkbox(key=f"delete run {job.id}").check().run()
    assert any("the weights of 2 epochs" in warning.value for warning in page.warning)
    page.button(key=f"delete {job.id}").click().run()
    assert not run.exists


def test_a_run_that_is_needed_is_not_deleted_and_says_by_whom(open_page: OpenPage, queue: Queue) -> None:
    run, job = trained(), ended(queue, State.DONE)
    queue.submit("predict", {"run": "mine", "tile": "AOI_0_Made_img1"}, "Predict img1")
    page = open_page("train").checkbox(key=f"delete run {job.id}").check().run()
    page.button(key=f"delete {job.id}").click().run()
    assert any("Predict img1" in error.value for error in page.error)
    assert run.exists


def test_live_figures_are_those_of_the_run(open_page: OpenPage, queue: Queue) -> None:
    run = trained()
    running(queue)
    LiveMetrics(3, 5, 7, 40, 0.25, 0.001, 123.0, 2_500_000_000, datetime.now(UTC)).write(run.path)
    shown = html(open_page("train"))
    for words in (
        "epoch of 5",
        "batch of 40",
        "0.25",
        "123",
        "images/s",
        "2.5 GB",
        "device memory",
        "best epoch, 2",
    ):
        assert words in shown


def test_what_training_told_of_itself_is_said_above_the_curves(open_page: OpenPage, queue: Queue) -> None:
    run = trained()
    running(queue)
    for text in ("Epoch 1 of 5 in 2.0 s: loss 0.7", "Resuming after 1 epoch.", "Epoch 2 of 5 in 2.0 s: loss 0.6"):
        run.log(text)
    page = open_page("train")
    captions = [caption.value for caption in page.caption]
    assert "Resuming after 1 epoch." in captions
    assert not any(caption.startswith("Epoch 1 of 5") for caption in captions)
    assert "Epoch 2 of 5 in 2.0 s: loss 0.6" in page.code[0].value


def test_a_cpu_without_a_memory_figure_shows_none(open_page: OpenPage, queue: Queue) -> None:
    run = trained()
    running(queue)
    LiveMetrics(3, 5, 7, 40, 0.25, 0.001, 123.0, None, datetime.now(UTC)).write(run.path)
    assert "device memory" not in html(open_page("train"))


def test_curves_have_both_grounds_the_best_epoch_and_the_pace(open_page: OpenPage, queue: Queue) -> None:
    run = trained()
    (run.path / "steps.jsonl").write_bytes(b'{"epoch":0.5,"loss":0.7,"learning_rate":0.001,"images_s":9.0}\n')
    ended(queue, State.DONE)
    charts = [chart.proto.spec for chart in open_page("train").get("vega_lite_chart")]
    assert len(charts) == 4
    assert all(word in charts[0] for word in ("training", "validation", "best epoch"))
    assert "learning_rate" in charts[2]
    assert "images_s" in charts[3]


@pytest.mark.parametrize("name", ["metrics.jsonl", "config.json", "film/image.png"])
def test_a_damaged_file_of_a_run_takes_neither_its_log_nor_its_buttons(open_page: OpenPage, queue: Queue, name: str):
    run, job = trained(), ended(queue, State.FAILED, "It failed.")
    film(run, 1, 2)
    run.log("Something was said.")
    (run.path / name).write_bytes(b"{\n")
    page = open_page("train")
    assert not page.exception
    assert [error.value for error in page.error][:1] == ["It failed."]
    assert len(page.error) == 2
    assert "Something was said." in page.code[-1].value
    assert page.button(key=f"delete {job.id}")


def test_more_epochs_ask_for_as_much_of_the_cluster_as_the_run_did(open_page: OpenPage, queue: Queue) -> None:
    trained()
    job = queue.submit("train", TRAINING | {"gpus": 2, "nodes": 3}, "Made, 1 tile")
    queue.claim("w")
    queue.finish(job.id, "w", State.DONE)
    open_page("train").button(key=f"continue {job.id} 0").click().run()
    more = queue.jobs()[0]
    assert (more.params["from"], more.params["gpus"], more.params["nodes"]) == ("mine", 2, 3)


def test_a_training_that_runs_is_watched_however_many_are_newer(open_page: OpenPage, queue: Queue) -> None:
    old = running(queue)
    for n in range(60):
        queue.submit("train", TRAINING, f"Newer {n}")
    page = open_page("train")
    box = page.selectbox(key="watched job")
    assert box.value == old.id
    assert len(box.options) == 51


def film(run: Run, *epochs: int) -> None:
    grid = np.zeros((2, 32, 32))
    run.film.begin(PreviewBatch(np.zeros((2, 32, 32, 3), np.float32), grid.astype(np.uint8), grid == 0), 0)
    for epoch in epochs:
        run.film.add(epoch, grid.astype(np.float32))


def test_the_film_follows_the_newest_epoch_until_it_is_scrubbed(open_page: OpenPage, queue: Queue) -> None:
    run = trained()
    running(queue)
    film(run, 1, 2)
    page = open_page("train")
    slider = page.select_slider(key="film mine")
    assert slider.value == 2
    run.film.add(3, np.zeros((2, 32, 32), np.float32))
    assert page.run().select_slider(key="film mine").value == 3
    page.select_slider(key="film mine").set_value(1).run()
    run.film.add(4, np.zeros((2, 32, 32), np.float32))
    page.run()
    assert page.select_slider(key="film mine").value == 1
    assert not page.exception


def test_the_page_says_where_tensorboard_looks(open_page: OpenPage, queue: Queue) -> None:
    trained()
    ended(queue, State.DONE)
    assert any(f"tensorboard --logdir {settings().runs}" in caption.value for caption in open_page("train").caption)


def test_the_queue_lists_jobs_in_the_order_in_which_they_start(open_page: OpenPage, queue: Queue) -> None:
    over, now = ended(queue, State.DONE), running(queue)
    low, normal, high = (queue.submit("predict", {}, "p", priority) for priority in (LOW, NORMAL, HIGH))
    rows = table(open_page("train"))
    assert [row["id"] for row in rows] == [now.id, high.id, normal.id, low.id, over.id]
    assert [row["place"] for row in rows] == ["", "1.", "2.", "3.", ""]
    assert "low priority" in rows[3]["note"]


def test_an_empty_queue_says_so(open_page: OpenPage) -> None:
    assert any("No jobs yet" in caption.value for caption in open_page("train").caption)


@pytest.mark.parametrize(("button", "order"), [("Start next", [2, 0, 1]), ("Up", [0, 2, 1]), ("Down", [0, 1, 2])])
def test_a_waiting_job_changes_its_place(open_page: OpenPage, queue: Queue, button: str, order: list[int]) -> None:
    jobs = [queue.submit("predict", {}, f"p{n}") for n in range(3)]
    page = chosen(open_page("train"), jobs[2])
    pressed = page.button(key=f"{button} {jobs[2].id}")
    assert pressed.disabled == (button == "Down")
    if not pressed.disabled:
        pressed.click().run()
    assert [job.id for job in queue.waiting()] == [jobs[n].id for n in order]


def test_a_waiting_job_changes_its_priority(open_page: OpenPage, queue: Queue) -> None:
    jobs = [queue.submit("predict", {}, f"p{n}") for n in range(2)]
    page = chosen(open_page("train"), jobs[1])
    next(group for group in page.button_group if group.options == ["High", "Normal", "Low"]).set_value(HIGH).run()
    assert [job.id for job in queue.waiting()] == [jobs[1].id, jobs[0].id]
    assert queue.get(jobs[1].id).priority == HIGH


def test_any_job_of_the_queue_can_be_stopped_retried_and_deleted(open_page: OpenPage, queue: Queue) -> None:
    job = queue.submit("predict", {}, "p")
    page = chosen(open_page("train"), job)
    page.button(key=f"row stop {job.id}").click().run()
    assert queue.get(job.id).state is State.STOPPED
    page.button(key=f"row retry {job.id}").click().run()
    assert queue.get(job.id).state is State.QUEUED
    page.button(key=f"row delete {job.id}").click().run()
    assert queue.jobs() == []
    assert not page.exception


def test_a_training_of_the_queue_can_be_watched(open_page: OpenPage, queue: Queue) -> None:
    old, _new = ended(queue, State.DONE), ended(queue, State.DONE)
    page = chosen(open_page("train"), old)
    page.button(key="watch it").click().run()
    assert page.session_state["watched job"] == old.id


def test_a_job_that_somebody_else_deleted_makes_no_error(open_page: OpenPage, queue: Queue) -> None:
    old, new = ended(queue, State.DONE), ended(queue, State.DONE)
    page = chosen(open_page("train"), new)
    queue.delete(new.id)
    page.run()
    assert not page.exception
    assert page.session_state["watched job"] == old.id


def test_a_reload_shows_the_same(open_page: OpenPage, queue: Queue) -> None:
    trained()
    running(queue)
    queue.submit("predict", {}, "p")
    first, second = open_page("train"), open_page("train")
    assert table(first) == table(second)
    assert html(first) == html(second)


def own_settings(page: AppTest) -> AppTest:
    """Instead of a ready-made choice."""
    return page.selectbox(key="preset").select("own").run()


def test_a_ready_made_choice_trains_so_many_minutes(open_page: OpenPage, queue: Queue) -> None:
    page = open_page("train")
    assert [box.label for box in page.number_input if box.label == "Epochs"] == []
    assert any("2 minutes of training" in caption.value for caption in page.caption)
    press(page, "Train")
    config = TrainingConfig.of(queue.jobs()[0].params["config"])
    assert (config.network, config.minutes, config.best_by) == (preset("quick").network, 2, "f1")


def test_settings_begin_as_is_best_for_the_network(open_page: OpenPage, queue: Queue) -> None:
    page = own_settings(open_page("train"))
    next(box for box in page.toggle if box.label == "Train for a fixed time").set_value(True).run()
    press(page, "Train")
    config = TrainingConfig.of(queue.jobs()[0].params["config"])
    wanted = recommended("unet")
    assert (config.minutes, config.schedule, config.strong_augmentation) == (
        10,
        wanted.schedule,
        wanted.strong_augmentation,
    )
    assert config.dataset == wanted.dataset


def press(page: AppTest, label: str) -> AppTest:
    return next(button for button in page.button if button.label == label).click().run()


def test_a_sweep_says_how_many_trainings_it_is_and_submits_them_all(open_page: OpenPage, queue: Queue) -> None:
    page = own_settings(open_page("train"))
    page.number_input[0].set_value(2).run()
    next(box for box in page.number_input if box.label == "Seeds").set_value(2).run()
    assert any(caption.value.startswith("6 runs, about") for caption in page.caption)
    press(page, "Train all 6")
    jobs = queue.jobs()
    assert not page.exception
    assert len(jobs) == 6
    assert {job.priority for job in jobs} == {LOW}
    assert {job.params["config"]["epochs"] for job in jobs} == {2}
    assert len({job.params["sweep"] for job in jobs}) == 1


def test_a_sweep_without_a_rate_cannot_be_started(open_page: OpenPage) -> None:
    page = open_page("train")
    next(box for box in page.multiselect if box.label == "Learning rates").set_value([]).run()
    button = next(button for button in page.button if button.label == "Select rates and networks")
    assert button.disabled


def test_the_results_of_a_sweep_are_a_row_a_run(open_page: OpenPage, queue: Queue) -> None:
    sweep = Sweep("Rates", ("AOI_0_Made_img1",), TrainingConfig(), (1e-3, 3e-3), ("fcn",), (0,))
    _first, second = submit(sweep, queue)
    trained(2, second.params["run"])
    page = open_page("train")
    found = page.dataframe[0].value
    assert list(found["job"]) == [second.id, second.id - 1]
    assert found["iou"].iloc[0] == pytest.approx(0.4)
    page.button(key="stop sweep Rates").click().run()
    assert {job.state for job in queue.jobs()} == {State.STOPPED}


def test_the_form_trains_with_what_was_chosen_in_the_recipe(open_page: OpenPage, queue: Queue) -> None:
    page = own_settings(open_page("train"))
    next(box for box in page.selectbox if box.label == "Network").select("fcn").run()
    next(box for box in page.selectbox if box.label == "Learning-rate schedule").select_index(1).run()
    next(box for box in page.number_input if box.label.startswith("Early-stopping")).set_value(3).run()
    next(box for box in page.checkbox if box.label == "Augmentation: flips and rotations").check().run()
    next(box for box in page.selectbox if box.label == "Precision").select_index(2).run()
    press(page, "Train")
    config = TrainingConfig.of(queue.jobs()[0].params["config"])
    assert (config.schedule, config.patience, config.augment, config.precision) == ("cosine", 3, True, "bfloat16")
    assert not {"gpus", "nodes"} & queue.jobs()[0].params.keys()


def test_on_a_cluster_the_form_asks_for_gpus_and_nodes(
    open_page: OpenPage, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDPLAN_LAUNCHER", "ray")
    settings.cache_clear()
    page = open_page("train")
    next(box for box in page.number_input if box.label == "GPUs per node").set_value(2).run()
    next(box for box in page.number_input if box.label == "Nodes").set_value(3).run()
    assert any("needs a fixed number of epochs" in warning.value for warning in page.warning)
    press(own_settings(page), "Train")
    assert (queue.jobs()[0].params["gpus"], queue.jobs()[0].params["nodes"]) == (2, 3)


def note(run: Run, tile: str) -> None:
    """What a prediction with the present weights leaves behind."""
    folder = prediction_folder(run, tile)
    folder.mkdir(parents=True)
    (folder / "weights.sha256").write_text(weights_hash(run))


def test_a_whole_area_is_predicted_behind_what_people_wait_for(open_page: OpenPage, queue: Queue) -> None:
    note(trained(), "AOI_0_Made_img3")
    page = open_page("predict", tile="AOI_0_Made_img1")
    assert any("1 of 3 tiles predicted" in caption.value for caption in page.caption)
    press(page, "Predict remaining 2")
    press(page, "Predict")
    area, single = queue.jobs()[1], queue.jobs()[0]
    assert (area.task, area.priority) == ("predict_tiles", LOW)
    assert area.params["tiles"] == ["AOI_0_Made_img1", "AOI_0_Made_img2"]
    assert (single.task, single.priority) == ("predict", HIGH)


def test_on_a_cluster_each_job_of_an_area_asks_for_gpus(
    open_page: OpenPage, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDPLAN_LAUNCHER", "ray")
    settings.cache_clear()
    trained()
    page = open_page("predict", tile="AOI_0_Made_img1")
    next(box for box in page.number_input if box.label == "GPUs per job").set_value(1).run()
    press(page, "Predict all 3 tiles")
    assert queue.jobs()[0].params["gpus"] == 1


def test_an_area_under_way_can_be_stopped(open_page: OpenPage, queue: Queue) -> None:
    trained()
    page: AppTest = press(open_page("predict", tile="AOI_0_Made_img1"), "Predict all 3 tiles")
    page.button(key="stop the area").click().run()
    assert [job.state for job in queue.jobs()] == [State.STOPPED]
    assert "Predict all 3 tiles" in [button.label for button in page.button]


def test_an_area_that_failed_says_why_and_can_be_tried_again(open_page: OpenPage, queue: Queue) -> None:
    trained()
    ended(queue, State.FAILED, "1 of 3 tiles could not be predicted.", task="predict_tiles")
    page = open_page("predict", tile="AOI_0_Made_img1")
    assert [error.value for error in page.error] == ["1 of 3 tiles could not be predicted."]
    press(page, "Predict all 3 tiles")
    assert queue.jobs()[0].state is State.QUEUED
