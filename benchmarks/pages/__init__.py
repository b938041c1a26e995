"""The pages in docs/results/, each made from the figures in benchmarks/results/."""
