"""Tables as input: what training rows say about the features, rows made ready for training, batches, ARFF files."""
