"""The machine: Keras backend, devices and cores, prefetching."""
