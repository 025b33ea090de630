import pytest

from core.jobs.job import Resources


@pytest.mark.parametrize(
    ("asked", "params", "words"),
    [
        (Resources(), {}, "a CPU"),
        (Resources(gpus=1), {"gpus": 1}, "1 GPU"),
        (Resources(gpus=2, nodes=3), {"gpus": 2, "nodes": 3}, "3 machines with 2 GPUs"),
        (Resources(nodes=2), {"nodes": 2}, "2 machines with a CPU"),
    ],
)
def test_what_is_asked_for_goes_into_the_params_and_comes_out_of_them(asked, params, words):
    assert asked.as_params() == params
    assert Resources.of(params | {"tiles": []}) == asked
    assert str(asked) == words
