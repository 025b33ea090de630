"""What looks on while a network trains: the film strip, TensorBoard, MLflow."""
