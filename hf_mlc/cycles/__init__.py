"""LightDXML's cycle, what happens around its training: encode the documents, centroids of the labels, a proxy of them, shortlists
of nearest labels, the classifier trained on these for some epochs; and again (Mishra et al., "Light-weight Deep Extreme
Multilabel Classification", arXiv:2304.11045)."""
