"""Layers in which labels attend to each other: attention and a feed-forward part, each added to what it has read.

The layout of Vaswani et al., 2017 (normalised after each addition, ReLU), as in the paper, or with `norm_first` that of Xiong et al.,
"On Layer Normalization in the Transformer Architecture" (ICML 2020): what a part reads is normalised, what is added up is not but at
the end. No place is coded: the same tokens in another order give the same outputs in that order, and a label is known by its vector
alone.

Which tokens can be read is a mask, or, where they are few, a list of their places: then the cost is S times P, and each token may
also read nothing, a key and a value of zeros.

Shape legend: B rows, S tokens, P tokens that can be read (with one more of zeros: Q), H heads, D width of a token, F width of the
feed-forward part.
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
        self,
        states_BSD: torch.Tensor,
        mask_BS: torch.BoolTensor | None,
        with_weights: bool,
        places_BP: torch.LongTensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What each token reads, `(B, S, D)`, and, if asked for, from which, `(B, H, S, S)`.

        Args:
            states_BSD (`torch.Tensor` of shape `(B, S, D)`): the tokens.
            mask_BS (`torch.BoolTensor` of shape `(B, S)`, *optional*): which may be read; all, if not given.
            with_weights (`bool`): compute the weights; the result is the same but for rounding.
            places_BP (`torch.LongTensor` of shape `(B, P)`, *optional*):
                From `places_of`: the tokens that may be read, in place of the mask. What a token gives to nothing is in no weight.
        """
        if places_BP is not None:
            return self._read_at(places_BP, states_BSD, with_weights)
        heads = self.query_key_value(states_BSD).unflatten(-1, (3, self.num_heads, -1)).transpose(1, 3)
        query_BHSd, key_BHSd, value_BHSd = heads.unbind(dim=2)
        mask_B11S = None if mask_BS is None else mask_BS[:, None, None]
        return self._read(query_BHSd, key_BHSd, value_BHSd, mask_B11S, with_weights)

    def _read_at(self, places_BP, states_BSD, with_weights) -> tuple[torch.Tensor, torch.Tensor | None]:
        (B, S, D), is_there_BP = states_BSD.shape, places_BP >= 0
        places_BP = places_BP.clamp(min=0)
        readable_BPD = states_BSD.gather(1, places_BP[..., None].expand(-1, -1, D))
        weight, bias = self.query_key_value.weight, self.query_key_value.bias
        query_BSD = F.linear(states_BSD, weight[:D], bias[:D])
        query_BHSd = query_BSD.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
        pairs_BP2Hd = F.linear(readable_BPD, weight[D:], bias[D:]).unflatten(-1, (2, self.num_heads, -1))
        key_BHQd, value_BHQd = F.pad(pairs_BP2Hd, (0, 0, 0, 0, 0, 0, 0, 1)).transpose(1, 3).unbind(dim=2)
        mask_B11Q = F.pad(is_there_BP, (0, 1), value=True)[:, None, None]
        read_BSD, weights_BHSQ = self._read(query_BHSd, key_BHQd, value_BHQd, mask_B11Q, with_weights)
        if weights_BHSQ is None:
            return read_BSD, None
        # places that aren't there are the first one's, with a weight of 0
        columns_BHSP = places_BP[:, None, None].expand(-1, self.num_heads, S, -1)
        weights_BHSS = weights_BHSQ.new_zeros(B, self.num_heads, S, S)
        return read_BSD, weights_BHSS.scatter_add(3, columns_BHSP, weights_BHSQ[..., :-1])

    def _read(
        self, query_BHSd, key_BHQd, value_BHQd, mask_B11Q, with_weights
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """What is read, `(B, S, D)`, and, if asked for, the weights `(B, H, S, Q)`."""
        dropout, weights_BHSQ = self.dropout if self.training else 0.0, None
        if with_weights or self.config._attn_implementation == "eager":
            scores_BHSQ = (query_BHSd @ key_BHQd.transpose(-1, -2)).float() * query_BHSd.shape[-1] ** -0.5
            if mask_B11Q is not None:
                scores_BHSQ = scores_BHSQ.masked_fill(~mask_B11Q, float("-inf"))
            weights_BHSQ = scores_BHSQ.softmax(dim=-1).to(value_BHQd.dtype)
            read_BHSd = F.dropout(weights_BHSQ, dropout) @ value_BHQd
        else:
            read_BHSd = F.scaled_dot_product_attention(
                query_BHSd, key_BHQd, value_BHQd, attn_mask=mask_B11Q, dropout_p=dropout
            )
        return self.output(read_BHSd.transpose(1, 2).flatten(2)), weights_BHSQ if with_weights else None


class LabelLayer(nn.Module):
    """Attention, where the configuration has it, and a feed-forward part."""

    def __init__(self, config):
        super().__init__()
        self.norm_first = config.norm_first
        self.attention = LabelSelfAttention(config) if config.label_attention else None
        self.attention_norm = nn.LayerNorm(config.token_dim) if config.label_attention else None
        inner_dim = int(config.ffn_ratio * config.token_dim)
        self.inner = nn.Linear(config.token_dim, inner_dim)
        self.outer = nn.Linear(inner_dim, config.token_dim)
        self.norm = nn.LayerNorm(config.token_dim)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        states_BSD: torch.Tensor,
        mask_BS: torch.BoolTensor | None,
        with_weights: bool,
        places_BP: torch.LongTensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """As [`LabelSelfAttention.forward`]; without attention there are no weights."""
        weights_BHSS = None
        if self.attention is not None:
            given_BSD = self.attention_norm(states_BSD) if self.norm_first else states_BSD
            read_BSD, weights_BHSS = self.attention(given_BSD, mask_BS, with_weights, places_BP)
            states_BSD = states_BSD + self.dropout(read_BSD)
            states_BSD = states_BSD if self.norm_first else self.attention_norm(states_BSD)
        given_BSD = self.norm(states_BSD) if self.norm_first else states_BSD
        inner_BSF = self.dropout(self.inner(given_BSD).relu())
        states_BSD = states_BSD + self.dropout(self.outer(inner_BSF))
        return states_BSD if self.norm_first else self.norm(states_BSD), weights_BHSS


class LabelEncoder(nn.Module):
    """`num_layers` layers, one after the other, and with `norm_first` a normalisation of the last one's outputs."""

    def __init__(self, config):
        super().__init__()
        self.layers = nn.ModuleList(LabelLayer(config) for _ in range(config.num_layers))
        self.norm = nn.LayerNorm(config.token_dim) if config.norm_first else None

    def forward(
        self,
        states_BSD: torch.Tensor,
        mask_BS: torch.BoolTensor | None = None,
        *,
        with_weights: bool = False,
        places_BP: torch.LongTensor | None = None,
    ) -> tuple[tuple[torch.Tensor, ...], tuple[torch.Tensor, ...]]:
        """The states before, between and after the layers (the last ones normalised), and the weights of each layer that has some, if
        asked for.

        Args:
            states_BSD (`torch.Tensor` of shape `(B, S, D)`): the tokens.
            mask_BS (`torch.BoolTensor` of shape `(B, S)`, *optional*): `False` for padding.
            with_weights (`bool`, *optional*, defaults to `False`): return the weights, `(B, H, S, S)` a layer.
            places_BP (`torch.LongTensor` of shape `(B, P)`, *optional*): from `places_of`, the tokens that may be read.
        """
        all_states, all_weights = [states_BSD], []
        for layer in self.layers:
            states_BSD, weights_BHSS = layer(states_BSD, mask_BS, with_weights, places_BP)
            all_states.append(states_BSD)
            if weights_BHSS is not None:
                all_weights.append(weights_BHSS)
        if self.norm is not None:
            all_states[-1] = self.norm(states_BSD)
        return tuple(all_states), tuple(all_weights)


def places_of(readable_BS: torch.BoolTensor) -> torch.LongTensor:
    """The places of what is true in each row, rising, padded with -1, int64 `(B, P)`."""
    found_BS = readable_BS.int().sort(dim=1, descending=True, stable=True)
    places_BP = found_BS.indices.masked_fill(found_BS.values == 0, -1)
    if torch.compiler.is_compiling():  # a graph keeps to shapes that it knows
        return places_BP
    return places_BP[:, : int(found_BS.values.sum(dim=1).max())]


__all__ = ["LabelEncoder", "places_of"]
