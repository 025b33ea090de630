"""Training and evaluation steps on TensorFlow and JAX."""
