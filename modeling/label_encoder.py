"""Layers in which labels attend to each other: attention and a feed-forward part, each added and then normalised.

The layout of Vaswani et al., 2017 (normalised after the addition, ReLU). No place is coded: the same tokens in another order give
the same outputs in that order, and a label is known by its vector alone.

Shape legend: B rows, S tokens, H heads, D width of a token, F width of the feed-forward part.
"""

import torch
from torch import nn
from torch.nn import functional as F


class LabelSelfAttention(nn.Module):
    """Attention of all tokens to all, fused; step by step where its weights are asked for, or by `attn_implementation="eager"`."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.num_heads = config.num_heads
        self.dropout = config.dropout if config.attention_dropout is None else config.attention_dropout
        self.query_key_value = nn.Linear(config.token_dim, 3 * config.token_dim)
        self.output = nn.Linear(config.token_dim, config.token_dim)

    def forward(
        self, states_BSD: torch.Tensor, mask_BS: torch.BoolTensor | None, with_weights: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What each token reads, `(B, S, D)`, and, if asked for, from which, `(B, H, S, S)`.

        Args:
            states_BSD (`torch.Tensor` of shape `(B, S, D)`): the tokens.
            mask_BS (`torch.BoolTensor` of shape `(B, S)`, *optional*): which may be read; all, if not given.
            with_weights (`bool`): compute the weights; the result is the same but for rounding.
        """
        heads = self.query_key_value(states_BSD).unflatten(-1, (3, self.num_heads, -1)).transpose(1, 3)
        query_BHSd, key_BHSd, value_BHSd = heads.unbind(dim=2)
        mask_B11S = None if mask_BS is None else mask_BS[:, None, None]
        dropout, weights_BHSS = self.dropout if self.training else 0.0, None
        if with_weights or self.config._attn_implementation == "eager":
            scores_BHSS = (query_BHSd @ key_BHSd.transpose(-1, -2)).float() * query_BHSd.shape[-1] ** -0.5
            if mask_B11S is not None:
                scores_BHSS = scores_BHSS.masked_fill(~mask_B11S, float("-inf"))
            weights_BHSS = scores_BHSS.softmax(dim=-1).to(value_BHSd.dtype)
            read_BHSd = F.dropout(weights_BHSS, dropout) @ value_BHSd
        else:
            read_BHSd = F.scaled_dot_product_attention(
                query_BHSd, key_BHSd, value_BHSd, attn_mask=mask_B11S, dropout_p=dropout
            )
        return self.output(read_BHSd.transpose(1, 2).flatten(2)), weights_BHSS if with_weights else None


class LabelLayer(nn.Module):
    """Attention, where the configuration has it, and a feed-forward part."""

    def __init__(self, config):
        super().__init__()
        self.attention = LabelSelfAttention(config) if config.label_attention else None
        self.attention_norm = nn.LayerNorm(config.token_dim) if config.label_attention else None
        inner_dim = int(config.ffn_ratio * config.token_dim)
        self.inner = nn.Linear(config.token_dim, inner_dim)
        self.outer = nn.Linear(inner_dim, config.token_dim)
        self.norm = nn.LayerNorm(config.token_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, states_BSD: torch.Tensor, mask_BS: torch.BoolTensor | None, with_weights: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As [`LabelSelfAttention.forward`]; without attention there are no weights."""
        weights_BHSS = None
        if self.attention is not None:
            read_BSD, weights_BHSS = self.attention(states_BSD, mask_BS, with_weights)
            states_BSD = self.attention_norm(states_BSD + self.dropout(read_BSD))
        inner_BSF = self.dropout(self.inner(states_BSD).relu())
        return self.norm(states_BSD + self.dropout(self.outer(inner_BSF))), weights_BHSS


class LabelEncoder(nn.Module):
    """`num_layers` layers, one after the other."""

    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList(LabelLayer(config) for _ in range(config.num_layers))

    def forward(
        self, states_BSD: torch.Tensor, mask_BS: torch.BoolTensor | None = None, *, with_weights: bool = False
    ) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """The states before, between and after the layers, and the weights of each layer that has some, if asked for.

        Args:
            states_BSD (`torch.Tensor` of shape `(B, S, D)`): the tokens.
            mask_BS (`torch.BoolTensor` of shape `(B, S)`, *optional*): `False` for padding.
            with_weights (`bool`, *optional*, defaults to `False`): return the weights, `(B, H, S, S)` a layer.
        """
        all_states, all_weights = [states_BSD], []
        for layer in self.layers:
            states_BSD, weights_BHSS = layer(states_BSD, mask_BS, with_weights)
            all_states.append(states_BSD)
            if weights_BHSS is not None:
                all_weights.append(weights_BHSS)
        return tuple(all_states), tuple(all_weights)


__all__ = ["LabelEncoder"]
