"""The prediction of an area, cut into jobs: the network itself is tested elsewhere and replaced here."""

import hashlib
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from core.catalog.store import Catalog, write_catalog
from core.catalog.tile import Tile
from core.cli import main
from core.datasets.normalization import Normalization
from core.errors import DamagedRun, DiskFull, NoSuchTile, TilesNotPredicted, TruncatedRaster
from core.inference.predict import prediction_folder, stored_weights_hash, weights_hash
from core.jobs.queue import LOW, Queue, State
from core.progress import silent
from core.runs.config import TrainingConfig
from core.runs.run import Record, Run
from core.settings import settings
from core.tasks import predict as predict_area
from core.tasks.predict import AreaPrediction, area_jobs, predict_tiles_task, submit_area
from tests.core.tile_factory import grid_at, make_tile


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GROUNDPLAN_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield Queue(settings().queue)
    settings.cache_clear()


@pytest.fixture
def tiles(queue, tmp_path) -> tuple[Tile, ...]:
    found = tuple(make_tile(tmp_path / "city", f"img{n}", grid_at(column=64 * n)) for n in range(1, 6))
    write_catalog(Catalog(found))
    return found


@pytest.fixture
def run(queue) -> Run:
    return with_weights(settings().runs / "mine", b"first")


def with_weights(path: Path, weights: bytes, bands: int = 3) -> Run:
    """A run whose weights are these bytes."""
    run = Run(path)
    if not run.exists:
        record = Record(TrainingConfig(), ("x",), (), Normalization((0.0,), (1.0,)), bands, (0.5, 0.5), 1, "CPU", {})
        Run.create(path, record)
    (path / "epoch-1.weights.h5").write_bytes(weights)
    facts = {"file": "epoch-1.weights.h5", "sha256": hashlib.sha256(weights).hexdigest(), "epoch": 1}
    (path / "weights.json").write_bytes(orjson.dumps(facts))
    return run


@pytest.fixture
def predicted(monkeypatch) -> list[str]:
    """The ids of the tiles that a network would have been run on."""
    done: list[str] = []

    def predict_tile(run, tile, folder, report):
        report(0.5, "window 1 of 2")
        note_weights(run, tile)
        done.append(tile.id)

    monkeypatch.setattr(predict_area, "predict_tile", predict_tile)
    return done


def note_weights(run: Run, tile: Tile) -> None:
    """What a whole prediction leaves behind."""
    folder = prediction_folder(run, tile.id)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.sha256").write_text(weights_hash(run))


def task(run: Run, tiles, **more) -> None:
    names = [tile.id for tile in tiles]
    predict_tiles_task({"run": run.name, "tiles": names}, more.pop("report", silent), **more)


def test_an_area_is_cut_into_jobs_that_let_others_go_first(queue, run, tiles, monkeypatch):
    monkeypatch.setattr(predict_area, "TILES_A_JOB", 2)
    jobs = submit_area(run, tiles, queue)
    assert [job.params["tiles"] for job in jobs] == [["img1", "img2"], ["img3", "img4"], ["img5"]]
    assert {(job.task, job.priority, job.params["run"]) for job in jobs} == {("predict_tiles", LOW, "mine")}
    assert jobs[2].title == "Predict 1 tile of AOI_0_Made, part 3 of 3"


def test_the_jobs_of_an_area_ask_for_gpus_where_they_are_to(queue, run, tiles):
    [job] = submit_area(run, tiles[:1], queue)
    assert "gpus" not in job.params
    [job] = submit_area(run, tiles[1:], queue, gpus=2)
    assert job.params["gpus"] == 2


def test_what_is_predicted_or_about_to_be_is_not_asked_for_again(queue, run, tiles):
    note_weights(run, tiles[0])
    [job] = submit_area(run, tiles, queue)
    assert job.params["tiles"] == ["img2", "img3", "img4", "img5"]
    assert submit_area(run, tiles, queue) == []
    queue.request_stop(job.id)
    assert len(submit_area(run, tiles, queue)) == 1


def test_predictions_by_earlier_weights_count_as_lacking(queue, run, tiles):
    for tile in tiles:
        note_weights(run, tile)
    assert AreaPrediction(run, tiles).pending == ()
    again = with_weights(run.path, b"better")
    assert AreaPrediction(again, tiles).done == ()
    assert len(AreaPrediction(again, tiles).pending) == 5


def test_tiles_that_are_not_here_or_lack_the_bands_are_told_apart(queue, tiles):
    run = with_weights(settings().runs / "four", b"w", bands=4)
    assert (AreaPrediction(run, tiles).pending, AreaPrediction(run, tiles).incompatible) == ((), 5)
    three = with_weights(settings().runs / "three", b"w")
    gone = replace(tiles[0], products={"3band": Path("/gone.tif")})
    assert AreaPrediction(three, (gone, *tiles[1:])).incompatible == 1


def test_the_job_predicts_every_tile_and_says_how_far_it_is(run, tiles, predicted):
    said: list[tuple[float, str]] = []
    task(run, tiles, report=lambda share, doing: said.append((share, doing)))
    assert predicted == [tile.id for tile in tiles]
    assert [share for share, _ in said] == sorted(share for share, _ in said)
    assert said[1] == (0.3, "Tile 2 of 5, img2: window 1 of 2")


def test_the_job_passes_over_what_is_there(run, tiles, predicted):
    note_weights(run, tiles[1])
    task(run, tiles[:3])
    assert predicted == ["img1", "img3"]


def test_the_job_ends_after_the_present_tile_when_it_is_asked_to_finish(run, tiles, predicted):
    task(run, tiles, finish=lambda: len(predicted) == 2)
    assert predicted == ["img1", "img2"]


def test_a_tile_that_fails_does_not_hold_up_the_others(run, tiles, predicted, monkeypatch, capsys):
    good = predict_area.predict_tile

    def sometimes(run, tile, folder, report):
        if tile.id == "img2":
            raise TruncatedRaster(name="img2.tif")
        good(run, tile, folder, report)

    monkeypatch.setattr(predict_area, "predict_tile", sometimes)
    with pytest.raises(TilesNotPredicted, match=r"1 of 5 tiles could not .* img2.tif is damaged"):
        task(run, tiles)
    assert predicted == ["img1", "img3", "img4", "img5"]
    assert "img2: img2.tif is damaged" in capsys.readouterr().err


def test_a_full_disk_ends_the_job_at_once(run, tiles, predicted, monkeypatch):
    def full(*_):
        predicted.append("tried")
        raise DiskFull(name="probability.tif")

    monkeypatch.setattr(predict_area, "predict_tile", full)
    with pytest.raises(DiskFull):
        task(run, tiles)
    assert predicted == ["tried"]


def test_a_tile_that_left_the_catalogue_is_told(run, tiles, predicted):
    write_catalog(Catalog(tiles[1:]))
    with pytest.raises(TilesNotPredicted, match="no tile named img1") as told:
        task(run, tiles)
    assert not isinstance(told.value, NoSuchTile)
    assert len(predicted) == 4


def test_a_run_without_weights_is_no_run_to_predict_with(queue, run, tiles):
    (run.path / "weights.json").unlink()
    with pytest.raises(DamagedRun):
        submit_area(run, tiles, queue)
    assert queue.jobs() == []


def test_how_long_an_area_takes_goes_by_the_last_such_job(queue, run, tiles, monkeypatch):
    area = AreaPrediction(run, tiles)
    assert area.seconds(queue) == 5 * predict_area._TWO_CORES_S
    [job] = submit_area(run, tiles, queue)
    queue.claim("w")
    queue.finish(job.id, "w", State.DONE)
    assert area.seconds(queue) < 1
    assert area_jobs(run, queue) == []


@pytest.mark.slow
def test_a_real_network_leaves_the_note_of_its_weights_last(queue, tmp_path):
    from tests.core.inference.test_predict import make_run

    run, tile = make_run(settings().runs / "real"), make_tile(tmp_path / "city")
    write_catalog(Catalog((tile,)))
    task(run, [tile])
    folder = prediction_folder(run, tile.id)
    assert stored_weights_hash(folder) == weights_hash(run)
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "weights.sha256"
    assert AreaPrediction(run, (tile,)).done == (tile,)


def command(monkeypatch, *words: str) -> int:
    monkeypatch.setattr("sys.argv", ["core", "predict-area", *words])
    with pytest.raises(SystemExit) as left:
        main.main()
    return int(left.value.code or 0)


def test_the_command_line_submits_an_area(queue, run, tiles, monkeypatch, capsys):
    note_weights(run, tiles[0])
    assert command(monkeypatch, "mine", "AOI_0_Made") == 0
    said = capsys.readouterr()
    assert said.out == "1\tPredict 4 tiles of AOI_0_Made\n"
    assert "1 of 5 tiles predicted, 0 incompatible" in said.err
    assert command(monkeypatch, "mine", "AOI_0_Made") == 0
    assert len(queue.jobs()) == 1


def test_the_command_line_asks_for_gpus(queue, run, tiles, monkeypatch):
    assert command(monkeypatch, "mine", "AOI_0_Made", "--gpus", "1") == 0
    assert [job.params["gpus"] for job in queue.jobs()] == [1]


@pytest.mark.parametrize(
    ("words", "said"), [(("mine", "AOI_9"), "no area named AOI_9"), (("x", "AOI_0_Made"), "no run")]
)
def test_the_command_line_names_what_is_not_there(queue, run, tiles, monkeypatch, capsys, words, said):
    assert command(monkeypatch, *words) == 2
    assert said in capsys.readouterr().err
