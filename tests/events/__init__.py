"""Event sequences as input: reading, target rows, fitting, batches, the made-up shop."""
