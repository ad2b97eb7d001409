"""The map of label centroids: how it starts, is trained apart, and comes back."""

from __future__ import annotations

import pytest
import torch

from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.label_proxy import LabelProxy


CENTROIDS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))


def small_proxy(kind: str, hidden: int = 6) -> LabelProxy:
    torch.manual_seed(0)
    proxy = LabelProxy(LightDxmlConfig(embed_dim=4, proxy=kind, proxy_hidden=hidden))
    proxy.reset_parameters()
    return proxy


@pytest.mark.parametrize("kind", ["affine", "two_layer", "none"])
def test_it_starts_as_the_identity(kind):
    torch.testing.assert_close(small_proxy(kind)(CENTROIDS), CENTROIDS)


def test_a_narrow_layer_starts_as_a_projection():
    proxy = small_proxy("two_layer", hidden=2)
    once = proxy(CENTROIDS)
    torch.testing.assert_close(proxy(once), once)
    assert torch.linalg.matrix_rank(once) == 2


@pytest.mark.parametrize(("kind", "layers"), [("affine", 1), ("two_layer", 2)])
def test_trained_layers_are_taken_over(kind, layers):
    proxy = small_proxy(kind)
    trainable = proxy.trainable()
    assert len(trainable) == layers
    assert list(proxy.parameters()) == []
    target = CENTROIDS @ torch.randn(4, 4, generator=torch.Generator().manual_seed(1)) + 1
    optimizer = torch.optim.Adam(trainable.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        (trainable(CENTROIDS) - target).square().mean().backward()
        optimizer.step()
    torch.testing.assert_close(proxy(CENTROIDS), CENTROIDS)  # until they are taken over
    proxy.take(trainable)
    torch.testing.assert_close(proxy(CENTROIDS), target, atol=0.05, rtol=0.05)
