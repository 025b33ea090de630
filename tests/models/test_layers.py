"""Normalising in one step is normalising as Keras does it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from models.layers import BatchNormalization


@pytest.fixture
def pictures() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, (4, 16, 16, 5)).astype(np.float32)


def pair() -> tuple[keras.layers.Layer, keras.layers.Layer]:
    ours, theirs = BatchNormalization(epsilon=1e-3), keras.layers.BatchNormalization(epsilon=1e-3)
    for layer in (ours, theirs):
        layer.build((None, None, None, 5))
        layer.gamma.assign([1, 2, 0.5, -1, 1])
        layer.beta.assign([0, 1, 2, 0, -1])
    return ours, theirs


def learned(layer: keras.layers.Layer, pictures: np.ndarray) -> list[np.ndarray]:
    """What it says in training, the gradients of a loss, and what it keeps."""
    x = tf.constant(pictures)
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x, training=True)
        loss = tf.reduce_mean(output**2 * tf.range(5, dtype=tf.float32))
    gradients = tape.gradient(loss, [x, *layer.trainable_weights])
    return [np.asarray(value) for value in (output, *gradients, *layer.weights)]


def test_it_says_learns_and_keeps_what_that_of_keras_does(pictures):
    for ours, theirs in zip(*(learned(layer, pictures) for layer in pair()), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=1e-5)


def test_it_predicts_what_that_of_keras_does(pictures):
    ours, theirs = pair()
    np.testing.assert_array_equal(ours(pictures), theirs(pictures))


def test_it_learns_nothing_where_it_must_not(pictures):
    ours, _ = pair()
    ours.trainable = False
    before = [np.asarray(weight) for weight in ours.weights]
    ours(pictures, training=True)
    for weight, old in zip(ours.weights, before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_files_of_weights_know_it_by_the_name_of_that_of_keras(tmp_path, pictures):
    inputs = keras.Input((None, None, 5))
    ours, theirs = (
        keras.Model(inputs, kind()(inputs)) for kind in (BatchNormalization, keras.layers.BatchNormalization)
    )
    theirs(pictures, training=True)
    theirs.save_weights(tmp_path / "net.weights.h5")
    ours.load_weights(tmp_path / "net.weights.h5")
    np.testing.assert_array_equal(ours(pictures), theirs(pictures))
