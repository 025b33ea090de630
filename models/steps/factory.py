"""Factory of training steps and of the optimizer (Adam or AdamW), for the Keras backend in use."""

from collections.abc import Sequence
from typing import Any

import keras

from models.steps.base import Steps


def make_steps(
    model: keras.Model, optimizer: keras.Optimizer, heads: Sequence[str], strategy: Any = None, xla: bool = False
) -> Steps:
    """Make the training steps for the Keras backend in use.

    Args:
        model: Network to train.
        optimizer: See optimizer_for.
        heads: Names of the heads of the network.
        strategy: tf.distribute.Strategy in whose scope model and optimizer were made.
        xla: Whether TensorFlow compiles the steps with XLA.

    Raises:
        ValueError: The backend is neither tensorflow nor jax.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow":
        from models.steps.tensorflow import TensorflowSteps

        return TensorflowSteps(model, optimizer, heads, strategy, xla)
    if backend == "jax":
        from models.steps.jax import JaxSteps

        return JaxSteps(model, optimizer, heads)
    raise ValueError(f"Unsupported Keras backend {backend}. Use tensorflow or jax.")


def optimizer_for(precision: str, weight_decay: float = 0.0, ema_momentum: float = 0.0) -> keras.Optimizer:
    """Make Adam, with weight decay AdamW (Loshchilov and Hutter 2019). Its learning rate is set in each step.

    Args:
        precision: "float16" adds loss scaling, so that small gradients do not underflow.
        weight_decay: Decoupled weight decay, 0 for none.
        ema_momentum: Momentum of the moving average of the weights, over about 1 / (1 - ema_momentum) steps; 0 for
            none.
    """
    averaging = {"use_ema": True, "ema_momentum": ema_momentum, "ema_overwrite_frequency": None} if ema_momentum else {}
    adamw = keras.optimizers.AdamW(weight_decay=weight_decay, **averaging) if weight_decay else None
    adam = adamw or keras.optimizers.Adam(**averaging)
    return keras.optimizers.LossScaleOptimizer(adam) if precision == "float16" else adam
