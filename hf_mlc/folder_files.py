"""What commands leave in a model's folder beside the weights, and others look for there."""

RESULTS_FILE = "results.json"  # what `train` did and measured; written last
METRICS_FILE = "metrics.json"  # what `evaluate` measured, where it was told to write here
