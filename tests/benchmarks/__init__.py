"""Benchmarks: `make bench` measures them all and writes docs/BENCHMARKS.md."""
