"""The paper behind each architecture: how to cite it, and which of its ideas our model holds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """One paper.

    Args:
        title (`str`): as published.
        url (`str`): where to read it.
        holds (`str`): what of it every model of the architecture has; Markdown.
        bibtex (`str`): the entry.
    """

    title: str
    url: str
    holds: str
    bibtex: str


PAPERS: dict[str, Paper] = {
    "plant": Paper(
        title="Don't Pay Attention, PLANT It: Pretraining Attention via Learning-to-Rank",
        url="https://arxiv.org/abs/2410.23066",
        holds=(
            "This model holds the paper's frame: label-wise attention, one attention over the document's tokens for "
            "every label, read by one linear classifier a label."
        ),
        bibtex="""@misc{saharoy2024plant,
  title         = {Don't Pay Attention, {PLANT} It: Pretraining Attention via Learning-to-Rank},
  author        = {Saha Roy, Debjyoti and Wallace, Byron C. and Aslam, Javed A.},
  year          = {2024},
  eprint        = {2410.23066},
  archivePrefix = {arXiv},
  primaryClass  = {cs.CL},
  url           = {https://arxiv.org/abs/2410.23066}
}""",
    ),
}
