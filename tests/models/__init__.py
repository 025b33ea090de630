import pyogrio  # noqa: F401  before keras, or GDAL finds TensorFlow's SQLite (see core.training.start_keras)
