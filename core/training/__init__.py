"""The training loop, its sampler, schedule, presets and callbacks."""
