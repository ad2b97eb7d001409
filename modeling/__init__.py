"""What is published with the weights: flat files that import torch, transformers, the standard library and each other."""
