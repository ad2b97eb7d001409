"""A document as the sum of its tokens' vectors by weight, tf-idf computed on the way, and a residual block on top.

The encoder of Astec (Dahiya and others, "DeepXML", WSDM 2021), on which LightDXML builds: `e = dropout(relu(sum_f x_f E[f]))` of a
row x of length 1, then `r = e + dropout(relu(W e + b))`, W divided by its largest singular value and started as the identity.
What it costs grows with the distinct tokens of a document, never with the vocabulary.

Shape legend: B documents, F places of the longest (tokens, or distinct features), V vocabulary, D width.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import initialization as init

from .encoder_parts import text_mask
from .label_tables import StoredTable, read_rows
from .table_encoder import EncodedDocument


def occurrences(input_ids_BF: torch.LongTensor, counts_BF: torch.BoolTensor) -> torch.FloatTensor:
    """How often the token of each place stands in its document, `(B, F)`, among the places where `counts_BF` is true; 1 elsewhere.

    By sorting: no row as long as the vocabulary is made.
    """
    # places that don't count sort behind all tokens, and are alike
    sorted_BF, order_BF = input_ids_BF.masked_fill(~counts_BF, torch.iinfo(torch.int64).max).sort(dim=1)
    starts_BF = F.pad(sorted_BF[:, 1:] != sorted_BF[:, :-1], (1, 0), value=False)
    run_BF = starts_BF.long().cumsum(dim=1)
    ones_BF = torch.ones(input_ids_BF.shape, device=input_ids_BF.device)
    lengths_BF = torch.zeros_like(ones_BF).scatter_add(1, run_BF, ones_BF)
    found_BF = torch.zeros_like(ones_BF).scatter(1, order_BF, lengths_BF.gather(1, run_BF))
    return found_BF.masked_fill(~counts_BF, 1.0)


def tfidf_shares(
    input_ids_BF: torch.LongTensor,
    is_known_BF: torch.BoolTensor,
    idf_V: torch.Tensor,
    token_counts_BF: torch.Tensor | None = None,
) -> torch.FloatTensor:
    """What each place adds to its document's tf-idf row, float32 `(B, F)`.

    A token weighs `(1 + log count) x idf`, and a row is scaled to length 1. With counts every place is a token of its own; without,
    each of a token's places has an equal share of its weight, and the sum over the places is the same.

    Args:
        input_ids_BF (`torch.LongTensor` of shape `(B, F)`): token ids.
        is_known_BF (`torch.BoolTensor` of shape `(B, F)`): which places count; others weigh 0.
        idf_V (`torch.Tensor` of shape `(V,)`): what a token weighs.
        token_counts_BF (`torch.Tensor` of shape `(B, F)`, *optional*): how often each token stands in the document.
    """
    if token_counts_BF is None:
        counts_BF, places_BF = (occurrences(input_ids_BF, is_known_BF),) * 2
    else:
        counts_BF, places_BF = token_counts_BF.float(), torch.ones_like(token_counts_BF, dtype=torch.float32)
        is_known_BF = is_known_BF & (counts_BF > 0)
    weights_BF = (1 + counts_BF.clamp(min=1).log()) * idf_V.float()[input_ids_BF]
    weights_BF = weights_BF.masked_fill(~is_known_BF, 0.0)
    # of the squares of a token, one a document: each of its places has its share of that too
    length_B1 = (weights_BF.square() / places_BF).sum(dim=1, keepdim=True).sqrt()
    return weights_BF / places_BF / length_B1.clamp(min=1e-12)


class TokenVectors(nn.Embedding):
    """A table of token vectors, Xavier-uniform at first as Astec's is; padding is 0."""

    def reset_parameters(self) -> None:
        init.xavier_uniform_(self.weight, gain=2**0.5)
        if self.padding_idx is not None and not getattr(self.weight, "_is_hf_initialized", False):
            init.zeros_(self.weight[self.padding_idx])


class TokenTable(nn.Module):
    """The vectors of tokens; named as in other encoders of text. In a model for prediction alone, in half precision."""

    def __init__(self, config):
        super().__init__()
        if config.table_dtype != "float32":
            self.word_embeddings = StoredTable(config.vocab_size, config.embed_dim, "float16")
        else:
            self.word_embeddings = TokenVectors(
                config.vocab_size, config.embed_dim, padding_idx=config.pad_token_id, sparse=config.sparse_tokens
            )


class TfidfBag(nn.Module):
    """Token ids, or features with weights of their own, to `dropout(activation(weighted sum of vectors))`; of nothing, 0.

    Buffers:
        idf (`torch.FloatTensor` of shape `(V,)`, of `encoder` "tfidf"):
            what a token weighs, of training documents; 1 until it is filled in. A token of idf 0, the unknown one and padding count
            for nothing.
    """

    def __init__(self, config):
        super().__init__()
        self.embeddings = TokenTable(config)
        self.activation = nn.ReLU() if config.embedding_activation == "relu" else nn.Identity()
        self.dropout = nn.Dropout(config.embedding_dropout)
        self.has_idf = config.encoder == "tfidf"
        self.pad_token_id, self.unk_token_id = config.pad_token_id, config.unk_token_id
        if self.has_idf:
            self.register_buffer("idf", torch.ones(config.vocab_size))

    def reset_parameters(self) -> None:
        if self.has_idf:
            init.ones_(self.idf)

    def resize_idf(self, num_tokens: int) -> None:
        """Another number of tokens; new ones count for nothing until their idf is known."""
        if self.has_idf:
            self.idf = F.pad(self.idf, (0, max(0, num_tokens - len(self.idf))))[:num_tokens].clone()

    @torch.no_grad()
    def shares(
        self,
        input_ids: torch.LongTensor,
        attention_mask: torch.Tensor | None = None,
        token_counts: torch.Tensor | None = None,
        token_weights: torch.Tensor | None = None,
    ) -> torch.FloatTensor:
        """The weight of each place, float32 `(B, F)`; 0 on padding.

        Raises:
            `ValueError`: rows of features without their weights.
        """
        mask_BF = text_mask(input_ids, attention_mask, None, self.pad_token_id)
        if token_weights is not None:
            return token_weights.float().masked_fill(~mask_BF, 0.0)
        if not self.has_idf:
            raise ValueError("`token_weights` are needed by the encoder 'features', found none")
        if self.unk_token_id is not None:
            mask_BF = mask_BF & (input_ids != self.unk_token_id)
        return tfidf_shares(input_ids, mask_BF, self.idf, token_counts)

    def encode(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_counts: torch.Tensor | None = None,
        token_weights: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        output_hidden_states: bool = False,
    ) -> EncodedDocument:
        """Documents to vectors `(B, D)`, before the residual block.

        Args:
            input_ids (`torch.LongTensor` of shape `(B, F)`): token ids, in any order; needed beside `inputs_embeds` too.
            attention_mask (`torch.Tensor` of shape `(B, F)`, *optional*): 0 for padding; everything but the padding token if not given.
            token_counts (`torch.Tensor` of shape `(B, F)`, *optional*):
                how often each id stands in its document, each id then given once; counted from the places if not given.
            token_weights (`torch.Tensor` of shape `(B, F)`, *optional*): taken as they are, in place of tf-idf.
            inputs_embeds (`torch.Tensor` of shape `(B, F, D)`, *optional*): vectors in place of those of the ids.
            output_hidden_states (`bool`, *optional*, defaults to `False`): return the tokens' vectors as well, `(B, F, D)`.

        Raises:
            `ValueError`: without `input_ids`.
        """
        if input_ids is None:
            raise ValueError("`input_ids` are needed, beside `inputs_embeds` too: what a token weighs hangs on them")
        shares_BF = self.shares(input_ids, attention_mask, token_counts, token_weights)
        states = None
        if output_hidden_states or inputs_embeds is not None:
            if inputs_embeds is None:
                inputs_embeds = self.embeddings.word_embeddings(input_ids)
            states = (inputs_embeds,)
            # padding may hold anything, and 0 x NaN is no 0
            read_BFD = inputs_embeds.masked_fill((shares_BF == 0)[..., None], 0)
            sums_BD = (shares_BF.to(read_BFD.dtype)[:, None] @ read_BFD).squeeze(1)
        else:
            sums_BD = self._sums(input_ids, shares_BF)
        return EncodedDocument(self.dropout(self.activation(sums_BD)), states if output_hidden_states else None)

    def _sums(self, input_ids_BF: torch.LongTensor, shares_BF: torch.Tensor) -> torch.Tensor:
        table = self.embeddings.word_embeddings
        if torch.compiler.is_compiling() and not isinstance(table, StoredTable):
            # sizes of a graph must not depend on the documents
            weights_BF = shares_BF.to(table.weight.dtype)
            return F.embedding_bag(
                input_ids_BF, table.weight, mode="sum", per_sample_weights=weights_BF, sparse=table.sparse
            )
        kept_BF = shares_BF != 0
        ids_n, starts_B = input_ids_BF[kept_BF], F.pad(kept_BF.sum(dim=1).cumsum(0)[:-1], (1, 0))
        if isinstance(table, StoredTable) or table.sparse:
            # each vector is read once; a sparse gradient then has one row of each, and not one a place
            ids_m, ids_n = ids_n.unique(return_inverse=True)
            rows_mD = read_rows(table, ids_m)
        else:
            rows_mD = table.weight
        weights_n = shares_BF[kept_BF].to(rows_mD.dtype)
        return F.embedding_bag(ids_n, rows_mD, starts_B, mode="sum", per_sample_weights=weights_n)


class ResidualBlock(nn.Module):
    """`x + dropout(relu(W x / sigma + b))`, sigma the largest singular value of W, or 1 without spectral norm.

    Sigma is found by power iteration (Miyato and others, "Spectral Normalization", 2018), one step for each state of the weights that
    training comes through: batches of which several make one step of the optimiser see the same sigma.

    Buffers:
        left, right (`torch.FloatTensor` of shape `(D,)`): singular vectors, of W to be.
    """

    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.embed_dim, config.embed_dim))
        self.bias = nn.Parameter(torch.empty(config.embed_dim))
        self.dropout = nn.Dropout(config.residual_dropout)
        self.has_norm = config.spectral_norm
        if self.has_norm:
            self.register_buffer("left", torch.empty(config.embed_dim))
            self.register_buffer("right", torch.empty(config.embed_dim))
        self._seen: torch.Tensor | None = None  # the weights of the last step of the iteration
        self.reset_parameters()

    def reset_parameters(self) -> None:
        init.eye_(self.weight)
        init.zeros_(self.bias)
        if self.has_norm:
            # a direction that no training could be orthogonal to for long; of the identity every one is a singular vector
            for vector_D in (self.left, self.right):
                init.constant_(vector_D, vector_D.shape[0] ** -0.5)

    @torch.no_grad()
    @torch.compiler.disable
    def _iterate(self) -> None:
        # by their values: a fused optimiser changes weights without counting their version up
        if self._seen is not None and self._seen.device == self.weight.device and self._seen.equal(self.weight):
            return
        self._seen = self.weight.detach().clone()
        self.right.copy_(F.normalize(self.weight.T @ self.left, dim=0))
        self.left.copy_(F.normalize(self.weight @ self.right, dim=0))

    def forward(self, vectors_BD: torch.Tensor) -> torch.Tensor:
        scale = 1.0
        if self.has_norm:
            if self.training:
                self._iterate()
            with torch.autocast(self.weight.device.type, enabled=False):
                # copies: the next step of the iteration must not change what a gradient still needs
                scale = torch.dot(self.left.clone(), self.weight @ self.right.clone())
        hidden_BD = F.linear(vectors_BD, self.weight) / scale + self.bias
        return vectors_BD + self.dropout(torch.relu(hidden_BD))


__all__ = ["ResidualBlock", "TfidfBag", "TokenVectors", "occurrences", "tfidf_shares"]
