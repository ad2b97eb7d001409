"""Model cards: made from the files that runs left behind, through one template, and merged into a README of the user's.

Needs the extra `cards` (jinja2; matplotlib for the plots): `pip install hf_mlc[cards]`.
"""

from hf_mlc.cards.merge import merge_card
from hf_mlc.cards.render import check_installed
from hf_mlc.cards.writing import write_card


__all__ = ["check_installed", "merge_card", "write_card"]
