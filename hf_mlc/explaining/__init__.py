"""Why a label: words with weights, a page or a picture of them, and how far they can be trusted (docs/explanations.md)."""

from hf_mlc.explaining.explanation import Explanation
from hf_mlc.explaining.methods import METHODS, explain, explain_labels
from hf_mlc.explaining.page import to_html
from hf_mlc.explaining.picture import to_png


__all__ = ["METHODS", "Explanation", "explain", "explain_labels", "to_html", "to_png"]
