"""Steps for the Keras backend in use, and the optimizer."""

from collections.abc import Sequence
from typing import Any

import keras

from models.steps.base import Steps


def steps(
    model: keras.Model, optimizer: keras.Optimizer, heads: Sequence[str], strategy: Any = None, xla: bool = False
) -> Steps:
    """The steps for Keras's backend; `strategy` is a tf.distribute.Strategy in whose scope both were made."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from models.steps.tensorflow import TensorflowSteps

        return TensorflowSteps(model, optimizer, heads, strategy, xla)
    if backend == "jax":
        from models.steps.jax import JaxSteps

        return JaxSteps(model, optimizer, heads)
    raise ValueError(f"Groundplan trains on tensorflow or jax, not on {backend}.")


def optimizer_for(precision: str, weight_decay: float = 0.0, averaged: float = 0.0) -> keras.Optimizer:
    """Adam, with decay of the weights AdamW; with the weights' moving average over about 1 / (1 - averaged) steps.

    Under half precision with a scale that keeps small gradients from vanishing. Its rate is set each step.
    """
    average = {"use_ema": True, "ema_momentum": averaged, "ema_overwrite_frequency": None} if averaged else {}
    decaying = keras.optimizers.AdamW(weight_decay=weight_decay, **average) if weight_decay else None
    adam = decaying or keras.optimizers.Adam(**average)
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "float16" else adam
