"""What a PLANT model is planted with: statistics of tokens and labels, a ranker trained on them, and both put in."""

from hf_mlc.planting.presence import count_labels, count_tokens
from hf_mlc.planting.statistics import TokenLabelStore, token_label_store
from hf_mlc.planting.training_rows import check_training_rows, planting_fingerprint


__all__ = [
    "TokenLabelStore",
    "check_training_rows",
    "count_labels",
    "count_tokens",
    "planting_fingerprint",
    "token_label_store",
]
