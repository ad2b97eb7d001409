"""Texts of the extreme-classification repository, and of those who prepared them before, as data sets."""

from hf_mlc.xmc.preparing import prepare_xmc


__all__ = ["prepare_xmc"]
