"""The benchmarks are right in what they say; how fast anything is, no test says."""
