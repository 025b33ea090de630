"""Which tiles there are, and where their files lie."""
