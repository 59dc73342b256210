"""Benchmarks: `make bench` prints ratios of medians, each pair measured in turn in one process."""
