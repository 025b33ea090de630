"""Callbacks of a training: prediction film, TensorBoard, MLflow."""
