"""What the store costs, beside what nothing can go below and beside its peers: `python -m benchmarks`."""
