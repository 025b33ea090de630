"""Networks: a config in, a keras.Model out. No files, no paths."""
