"""What a label's centroid becomes before it enters the index: the map that LightDXML's first phase trains.

Its weights are buffers: the loss of the classifier doesn't reach them, so no optimiser of it must have them. Phase one trains the
layers that `trainable` gives, and hands them back by `take`.

Shape legend: L labels, D width, H width between two layers.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init


class LabelProxy(nn.Module):
    """`u = A mu + a` of a label's centroid mu: one layer, two without a non-linearity between them, or the centroid as it is.

    It starts as the identity; with fewer than D numbers between two layers, as a projection.
    """

    def __init__(self, config):
        super().__init__()
        sizes = {"none": [], "affine": [config.embed_dim] * 2}
        sizes["two_layer"] = [config.embed_dim, config.proxy_hidden, config.embed_dim]
        sizes = sizes[config.proxy]
        self.num_layers = max(0, len(sizes) - 1)
        for number in range(self.num_layers):
            self.register_buffer(f"weight_{number}", torch.empty(sizes[number + 1], sizes[number]))
            self.register_buffer(f"bias_{number}", torch.empty(sizes[number + 1]))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        if self.num_layers == 1:
            init.eye_(self.weight_0)
        elif self.num_layers == 2:
            init.orthogonal_(self.weight_0)
            init.copy_(self.weight_1, self.weight_0.T)
        for number in range(self.num_layers):
            init.zeros_(getattr(self, f"bias_{number}"))

    def forward(self, centroids_LD: torch.Tensor) -> torch.Tensor:
        for number in range(self.num_layers):
            centroids_LD = F.linear(centroids_LD, getattr(self, f"weight_{number}"), getattr(self, f"bias_{number}"))
        return centroids_LD

    @torch.no_grad()
    def trainable(self) -> nn.Sequential:
        """Linear layers with these weights, as parameters of their own."""
        layers = []
        for number in range(self.num_layers):
            weight, bias = getattr(self, f"weight_{number}"), getattr(self, f"bias_{number}")
            layer = nn.Linear(weight.shape[1], weight.shape[0], device=weight.device, dtype=weight.dtype)
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)
            layers.append(layer)
        return nn.Sequential(*layers)

    @torch.no_grad()
    def take(self, layers: nn.Sequential) -> None:
        """Takes over the weights of what `trainable` gave."""
        for number, layer in enumerate(layers):
            getattr(self, f"weight_{number}").copy_(layer.weight)
            getattr(self, f"bias_{number}").copy_(layer.bias)


__all__ = ["LabelProxy"]
