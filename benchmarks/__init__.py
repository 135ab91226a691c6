"""What the library costs, beside what the alternatives cost: run `python -m benchmarks`."""
