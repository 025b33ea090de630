"""Steps of training in JAX: the same figures as in TensorFlow, for a machine that has JAX and no TensorFlow."""

from collections.abc import Sequence
from typing import Any

import jax
import keras
import numpy as np
from jax import numpy as jnp
from numpy.typing import NDArray

from models.augmentation import changed
from models.steps.base import Batch, Places, Sums, sums
from models.steps.crops import crops


class JaxSteps:
    """See models.steps.base.Steps."""

    ranks = 1
    own = slice(0, 1)

    def __init__(self, model: keras.Model, optimizer: keras.Optimizer, heads: Sequence[str]) -> None:
        self._model, self._optimizer, self._heads = model, optimizer, tuple(heads)
        self._held: tuple[jax.Array, ...] = ()
        self._chip = 0
        optimizer.build(model.trainable_variables)
        self._train, self._check, self._answer = jax.jit(self._learn), jax.jit(self._look), jax.jit(self._say)

    def hold(self, scenes: Batch, chip: int) -> bool:
        """See Steps."""
        try:
            self._held = tuple(jnp.asarray(part) for part in scenes)
        except jax.errors.JaxRuntimeError:
            return False
        self._chip = chip
        return True

    def train(self, batch: Batch | Places, rate: float, looks: NDArray[np.float32] | None = None) -> Sums:
        """See Steps."""
        self._optimizer.learning_rate.assign(rate)
        total, state = self._run(self._train, batch, looks)
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return np.asarray(total, np.float64)

    def check(self, batch: Batch | Places) -> Sums:
        """See Steps."""
        return np.asarray(self._run(self._check, batch), np.float64)

    def answer(self, pixels: NDArray[np.float32]) -> Any:
        """See Steps."""
        # One layer after the other, each would be translated for the device by itself: most of a minute.
        return self._answer(self._state(), pixels)

    def _run(self, step: Any, batch: Batch | Places, looks: NDArray[np.float32] | None = None) -> Any:
        arrays = batch if isinstance(batch, tuple) else (batch,)
        unchanged = np.zeros((len(arrays[0]), 0), np.float32)
        try:
            result = step(self._state(), (*arrays, unchanged if looks is None else looks), self._held)
            jax.tree_util.tree_leaves(result)[0].block_until_ready()  # where memory ran out is told only here
            return result
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise MemoryError("the device has no room for a batch of this size") from error

    def _state(self) -> list[list[Any]]:
        return [[variable.value for variable in variables] for variables in self._variables()]

    def _variables(self) -> tuple[list[Any], list[Any], list[Any]]:
        return self._model.trainable_variables, self._model.non_trainable_variables, self._optimizer.variables

    def _arrays(self, batch: Any, held: Any) -> Any:
        return crops(batch, held, self._chip, self._heads)

    def _learn(self, state: Any, batch: Any, held: Any) -> Any:
        trainable, others, optimizer = state
        pixels, target, weight = self._arrays(batch, held)

        def loss(trainable: Any) -> Any:
            seen = changed(pixels, batch[-1])
            guess, moved = self._model.stateless_call(trainable, others, seen, training=True)
            total = sums(self._heads, target, guess, weight)
            value = total[0] / jnp.maximum(total[1], 1.0)
            return self._scaled(value, optimizer), (total, moved)

        gradients, (total, moved) = jax.grad(loss, has_aux=True)(trainable)
        trainable, optimizer = self._optimizer.stateless_apply(optimizer, gradients, trainable)
        return total, (trainable, moved, optimizer)

    def _scaled(self, loss: Any, optimizer: Any) -> Any:
        with keras.StatelessScope(zip(self._optimizer.variables, optimizer, strict=True)):
            return self._optimizer.scale_loss(loss)

    def _look(self, state: Any, batch: Any, held: Any) -> Any:
        pixels, target, weight = self._arrays(batch, held)
        return sums(self._heads, target, self._say(state, pixels), weight)

    def _say(self, state: Any, pixels: Any) -> Any:
        trainable, others, _ = state
        return self._model.stateless_call(trainable, others, pixels, training=False)[0]
