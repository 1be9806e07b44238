"""A run on a borrowed GPU in one command: tests, the faster kernels, a training for some minutes, weights, a report."""
