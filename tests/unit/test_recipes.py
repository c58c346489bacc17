"""What systems share in planning a training, and weights of another code by other names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sf2f_bench import BenchError, ModelSettings, filled, learning_rate, renamed_tensors, scaled, scheduled

SCHEDULES = {"smoke": {"width": 0.25, "steps": 3}, "default/cpu": {"width": 0.5, "steps": 30}}


@pytest.mark.parametrize(("width", "channels"), [(1.0, 864), (0.25, 216), (0.001, 4), (0.1, 88)])
def test_a_width_scales_channels_to_multiples_of_four(width, channels):
    assert scaled(864, width) == channels


def test_the_budget_chooses_the_schedule_and_the_settings_override_it():
    assert scheduled("mine", ModelSettings(64), SCHEDULES) == {"image_size": 64, "width": 0.5, "steps": 30}
    found = scheduled("mine", ModelSettings(128, "smoke", width=1.0, steps=7), SCHEDULES)
    assert found == {"image_size": 128, "width": 1.0, "steps": 7}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (ModelSettings(64, "paper"), "mine has no budget 'paper': choose one of smoke, default/cpu"),
        (ModelSettings(64, accelerator="cuda"), "no budget 'default/cuda'"),
        (ModelSettings(64, steps=0), "steps is 0: expected a positive number"),
        (ModelSettings(64, width=-1.0), "width is -1.0: expected a positive number"),
    ],
)
def test_what_no_schedule_has_is_refused(settings, message):
    with pytest.raises(BenchError, match=message):
        scheduled("mine", settings, SCHEDULES)


def test_the_rate_falls_linearly_from_its_share_of_the_steps():
    recipe = {"lr": 2.0, "steps": 100, "decay_from": 0.5, "final_lr": 0.1}
    rates = [learning_rate(step, recipe) for step in (0, 50, 75, 100)]
    assert rates == pytest.approx([2.0, 2.0, 1.1, 0.2])


NAMES = {"weight": "fc.w", "bias": "fc.b"}


def test_weights_of_another_code_get_our_names():
    with torch.device("meta"):
        network = nn.Linear(2, 3)
    theirs = {"module.fc.w": torch.arange(6.0).reshape(3, 2), "module.fc.b": torch.ones(3)}
    tensors = renamed_tensors(network, NAMES, theirs, "a line")
    assert torch.equal(filled(network, tensors)(torch.ones(2)), torch.tensor([2.0, 6.0, 10.0]))


def test_weights_that_do_not_fit_are_named():
    with pytest.raises(BenchError) as error:
        renamed_tensors(nn.Linear(2, 3), NAMES, {"fc.w": torch.ones(3), "other": torch.ones(1)}, "a line")
    assert "no official state dict of a line; entries that do not fit: 3" in str(error.value)
    for words in ("missing fc.b", "unexpected other", "fc.w has shape (3,), not (3, 2)"):
        assert words in str(error.value)
