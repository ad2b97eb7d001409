"""What commands leave in a model's folder beside the weights, and others look for there."""

RESULTS_FILE = "results.json"  # what `train` did and measured; written last
METRICS_FILE = "metrics.json"  # what `evaluate` measured, where it was told to write here

# what a card shows of the very weights, and is wrong with others
EXAMPLES = "examples.json"
STEPS = "attention_steps.json"
RELATIONS = "label_relations.json"
ATTENTION = "label_attention.json"
OF_THE_WEIGHTS = (EXAMPLES, STEPS, RELATIONS, ATTENTION)
