from dataclasses import asdict, fields

import pytest

from core.compat import STORED_NAMES, from_stored, stored_name, to_stored
from core.datasets.config import DatasetConfig
from core.jobs.job import Job
from core.jobs.process import Process
from core.metrics.calibration import Bin
from core.postprocessing.config import VectorizeConfig
from core.postprocessing.thresholds import Thresholds
from core.runs.checkpoints import TrainerState
from core.runs.config import TrainingConfig
from core.runs.run import Record
from core.uploads.upload import Upload

CLASSES = (VectorizeConfig, DatasetConfig, TrainingConfig, Record, Thresholds, Bin, Job, Process, TrainerState, Upload)


def test_the_table_names_fields_of_every_class_in_it():
    assert set(STORED_NAMES) == {kind.__name__ for kind in CLASSES}
    for kind in CLASSES:
        assert set(STORED_NAMES[kind.__name__]) <= {field.name for field in fields(kind)}


@pytest.mark.parametrize("kind", CLASSES)
def test_no_field_is_stored_under_the_name_of_another(kind):
    stored = [stored_name(kind, field.name) for field in fields(kind)]
    assert len(set(stored)) == len(stored)


@pytest.mark.parametrize("value", [VectorizeConfig(saddle_ratio=2.0, rescore=True), TrainingConfig(ema_momentum=0.9)])
def test_stored_names_are_read_back(value):
    stored = to_stored(value)
    assert not set(stored) & set(STORED_NAMES[type(value).__name__])
    assert asdict(type(value)(**from_stored(type(value), stored))).keys() == asdict(value).keys()


def test_the_names_of_0_6_2_stay_on_disk():
    assert to_stored(VectorizeConfig()) == {
        "threshold": 0.5, "seed": 0.0, "min_area_m2": 5.0, "simplify_px": 0.6, "grow_px": 0.0, "square": False,
        "judged": False,
    }  # fmt: skip
    config = to_stored(TrainingConfig(strong_augmentation=True))
    assert (config["vary"], config["average"], config["recipe"]["scaling"]) == (True, 0.0, "percentile")


def test_todays_names_are_accepted_as_well():
    assert TrainingConfig.of({"strong_augmentation": True}) == TrainingConfig.of({"vary": True})


@pytest.mark.parametrize("value", [None, 3, ["a"]])
def test_anything_but_a_mapping_is_a_type_error(value):
    with pytest.raises(TypeError):
        from_stored(VectorizeConfig, value)
