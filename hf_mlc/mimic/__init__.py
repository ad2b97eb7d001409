"""MIMIC-III and MIMIC-IV tables to data sets of discharge summaries and ICD codes, by the protocols of the literature."""

from hf_mlc.mimic.mimic3 import prepare_mimic3
from hf_mlc.mimic.mimic4 import prepare_mimic4


__all__ = ["prepare_mimic3", "prepare_mimic4"]
