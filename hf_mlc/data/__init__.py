"""Loading, checking, splitting, tokenising and collating data sets."""

from hf_mlc.data.checking import DataReport, SplitCounts, check_splits
from hf_mlc.data.collating import MultiLabelCollator
from hf_mlc.data.file_splits import iterate_rows
from hf_mlc.data.fingerprint import fingerprint
from hf_mlc.data.loading import load_splits
from hf_mlc.data.rows import Columns
from hf_mlc.data.splitting import SplitReport, add_validation_split, iterative_stratified_split, split_report
from hf_mlc.data.tokenizing import texts_of, tokenize_splits, train_tokenizer


__all__ = [
    "Columns",
    "DataReport",
    "MultiLabelCollator",
    "SplitCounts",
    "SplitReport",
    "add_validation_split",
    "check_splits",
    "fingerprint",
    "iterate_rows",
    "iterative_stratified_split",
    "load_splits",
    "split_report",
    "texts_of",
    "tokenize_splits",
    "train_tokenizer",
]
