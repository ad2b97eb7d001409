"""What a model is planted with: of PLANT statistics of tokens and labels and a ranker trained on them, of it and SGM linear machines."""

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
