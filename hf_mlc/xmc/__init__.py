"""Data sets of the extreme-classification repository: its texts, its sparse features, and a generated set of their kind."""

from hf_mlc.xmc.power_law import PowerLawSet
from hf_mlc.xmc.preparing import prepare_xmc


__all__ = ["PowerLawSet", "prepare_xmc"]
