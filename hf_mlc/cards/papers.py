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
    "sgm": Paper(
        title="SGM: Sequence Generation Model for Multi-label Classification",
        url="https://arxiv.org/abs/1806.04822",
        holds=(
            "This model holds the paper's frame: an encoder, and a recurrent decoder with attention that writes the labels one "
            "after another and never one twice."
        ),
        bibtex="""@inproceedings{yang2018sgm,
  title     = {{SGM}: Sequence Generation Model for Multi-label Classification},
  author    = {Yang, Pengcheng and Sun, Xu and Li, Wei and Ma, Shuming and Wu, Wei and Wang, Houfeng},
  booktitle = {Proceedings of the 27th International Conference on Computational Linguistics},
  pages     = {3915--3926},
  year      = {2018},
  url       = {https://arxiv.org/abs/1806.04822}
}""",
    ),
    "msdn": Paper(
        title=(
            "Multi-Scale Label Relation Learning for Multi-Label Classification Using 1-Dimensional Convolutional Neural "
            "Networks"
        ),
        url="https://arxiv.org/abs/2107.05941",
        holds=(
            "This model is a reconstruction from the paper's abstract: 1-D convolutions of several widths over the labels take the "
            "place of the recurrent memory of other models of label dependence. Layers, sizes, label order, loss and decoding are "
            "our own and need not be the paper's, so results of the paper say nothing about this model, nor the other way round."
        ),
        bibtex="""@misc{kim2021multiscale,
  title         = {Multi-Scale Label Relation Learning for Multi-Label Classification Using 1-Dimensional Convolutional
                   Neural Networks},
  author        = {Kim, Junhyung and Park, Byungyoon and Hong, Charmgil},
  year          = {2021},
  eprint        = {2107.05941},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG},
  url           = {https://arxiv.org/abs/2107.05941}
}""",
    ),
    "lanet": Paper(
        title="Label Attention Network for Temporal Sets Prediction: You Were Looking at a Wrong Self-Attention",
        url="https://arxiv.org/abs/2303.00280",
        holds=(
            "This model holds the paper's idea: a history of label sets is folded into one token a label, labels attend to each other, "
            "and each one's output gives its score. Windowed and causal form are its two published ones; the set that is predicted is never "
            "part of what is read, as it is where the released code measures the causal form, so the paper's numbers are not comparable."
        ),
        bibtex="""@misc{kovtun2023label,
  title         = {Label Attention Network for Temporal Sets Prediction: You Were Looking at a Wrong Self-Attention},
  author        = {Kovtun, Elizaveta and Boeva, Galina and Shulga, Andrey and Zaytsev, Alexey},
  year          = {2023},
  eprint        = {2303.00280},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG},
  url           = {https://arxiv.org/abs/2303.00280}
}""",
    ),
    "lightdxml": Paper(
        title="Light-weight Deep Extreme Multilabel Classification",
        url="https://arxiv.org/abs/2304.11045",
        holds=(
            "This model holds the paper's frame: a document is scored against a shortlist of labels alone, those nearest to it by label "
            "embeddings learned as proxies; lists and classifier are made in turns, in cycles, and nothing ranks anew what the classifier "
            "scored. The share of the classifier in a score is chosen on validation rows, where the released code tries all on the test rows, "
            "so the paper's numbers and these are not measured alike."
        ),
        bibtex="""@inproceedings{mishra2023lightweight,
  title         = {Light-weight Deep Extreme Multilabel Classification},
  author        = {Mishra, Istasis and Dasgupta, Arpan and Jawanpuria, Pratik and Mishra, Bamdev and Kumar, Pawan},
  booktitle     = {International Joint Conference on Neural Networks (IJCNN)},
  year          = {2023},
  eprint        = {2304.11045},
  archivePrefix = {arXiv},
  primaryClass  = {cs.LG},
  url           = {https://arxiv.org/abs/2304.11045}
}""",
    ),
}
