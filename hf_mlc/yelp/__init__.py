"""Yelp's open data set, its reviews joined with the categories of what they are about."""

from hf_mlc.yelp.preparing import prepare_yelp


__all__ = ["prepare_yelp"]
