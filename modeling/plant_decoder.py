"""PLANT's decoder: every label's view of a document, and the logit that it reads out of it.

Shape legend: B documents, T tokens, L labels, D hidden width, S chosen or shortlisted labels, K top labels.
"""

import torch
from torch import nn

from .configuration_plant import PlantConfig
from .label_attention import label_attention, label_attention_weights
from .planted_attention import KeptTokens, MutualInformationAttention, RankedAttention, TokenIndex
from .planted_readout import PlantedReadout


class PlantLabelDecoder(nn.Module):
    """Label-wise attention and read-out: `logit_l = w_l . sum_t a_lt h_t + b_l`.

    `a_l` is `softmax_t(e_l . h_t)`, to which planted attentions are added where the configuration has them. With
    `config.shortlist_size` only the labels that the planted read-out puts first attend to a document; the logits of the others
    are the read-out and the bias.
    """

    def __init__(self, config: PlantConfig):
        super().__init__()
        self.attention_implementation = config.attention_implementation
        self.attention_block_size = config.attention_block_size
        self.vocab_size, self._config = config.vocab_size, config
        planted = config.planting == "attention"
        shape_LD = (config.num_labels, config.hidden_size)
        self.query = nn.Parameter(torch.empty(shape_LD)) if config.learned_attention or not planted else None  # e
        uses_values, uses_ranks = config.mutual_information_attention, config.ranked_attention
        self.mutual_information = MutualInformationAttention(config) if planted and uses_values else None
        self.ranked = RankedAttention(config) if planted and uses_ranks else None
        num_attentions = sum(part is not None for part in (self.query, self.mutual_information, self.ranked))
        has_mix = planted and config.attention_mix == "learned"
        self.mix = nn.Parameter(torch.empty(num_attentions)) if has_mix else None
        self.readout = None
        if planted and config.planted_readout is not None:
            sizes = (config.vocab_size, config.num_labels, config.readout_tokens or config.stored_tokens)
            self.readout = PlantedReadout(*sizes, learns=not config.has_linear_readout)
        self.weight = nn.Parameter(torch.empty(shape_LD))  # w, "boost" in the authors' code
        self.bias = nn.Parameter(torch.empty(config.num_labels))  # b

    @property
    def shortlist_size(self) -> int | None:
        """Labels that attend to a document; asked anew each time, because a trained model's may be changed."""
        return self._config.shortlist_size

    @property
    def is_planted(self) -> bool:
        """Whether token ids are needed, beside token vectors."""
        return any(part is not None for part in (self.mutual_information, self.ranked, self.readout))

    def forward(
        self,
        hidden_BTD: torch.Tensor,
        mask_BT: torch.Tensor,
        rows: slice | torch.LongTensor = slice(None),
        input_ids_BT: torch.LongTensor | None = None,
        ranked_ids_BT: torch.LongTensor | None = None,
    ) -> torch.Tensor:
        """Logits `(B, L)`, or those of the labels in `rows`; planted attention reads the token ids.

        Args:
            hidden_BTD, mask_BT: token vectors, and which of them are text.
            rows (`slice` or `torch.LongTensor`, *optional*): labels; all of them if not given.
            input_ids_BT (`torch.LongTensor`, *optional*): the tokens that planted attention looks up.
            ranked_ids_BT (`torch.LongTensor`, *optional*): those that its ranker scores; the same if not given.
        """
        index = self.index_of(mask_BT, input_ids_BT)
        if self.shortlist_size is None:
            logits_BL = self._attend(hidden_BTD, mask_BT, index, rows, input_ids_BT, ranked_ids_BT) + self.bias[rows]
            return logits_BL if self.readout is None else logits_BL + self._read_out(index, rows).to(logits_BL.dtype)
        read_out_BL = self._read_out(index) + self.bias.float()
        shortlist_BS = self._shortlist(read_out_BL)
        attended_BS = self._attend(hidden_BTD, mask_BT, index, shortlist_BS, input_ids_BT, ranked_ids_BT)
        return read_out_BL.scatter_add(1, shortlist_BS, attended_BS.float())[:, rows]

    def _read_out(self, index: TokenIndex, rows: slice | torch.LongTensor = slice(None)) -> torch.FloatTensor:
        return self.readout(index.counts[:, : self.vocab_size], rows)

    def _shortlist(self, read_out_BL: torch.Tensor) -> torch.LongTensor:
        """The labels of each document that attend to it, `(B, S)`."""
        return read_out_BL.detach().topk(min(self.shortlist_size, read_out_BL.shape[1]), dim=1).indices

    def _attend(self, hidden_BTD, mask_BT, index, rows, input_ids_BT, ranked_ids_BT) -> torch.Tensor:
        """What labels read out of what they attend to, `(B, L)`: those in `rows`, or where it is `(B, S)` each document's own."""
        contexts = []
        if self.query is not None and isinstance(rows, torch.Tensor) and rows.ndim == 2:
            # of so few labels all weights may exist
            weights_BST = label_attention_weights(self.query[rows], hidden_BTD, mask_BT)
            contexts.append(weights_BST.to(hidden_BTD.dtype) @ hidden_BTD)
        elif self.query is not None:
            learned_BLD = label_attention(
                self.query[rows],
                hidden_BTD,
                hidden_BTD,
                mask_BT,
                implementation=self.attention_implementation,
                block_size=self.attention_block_size,
            )
            contexts.append(learned_BLD)
        for kept in self.planted(index, mask_BT, rows, input_ids_BT, ranked_ids_BT):
            contexts.append(kept.context(hidden_BTD).to(hidden_BTD.dtype))
        if self.mix is not None:
            contexts = [weight * context for weight, context in zip(self.mix, contexts, strict=True)]
        return (sum(contexts) * self.weight[rows]).sum(dim=-1)

    def index_of(self, mask_BT, input_ids_BT) -> TokenIndex | None:
        """Where each token stands: what every planted part looks its tokens up in; `None` where there is no such part."""
        return TokenIndex.of(input_ids_BT, mask_BT, self.vocab_size) if self.is_planted else None

    def planted(self, index, mask_BT, rows, input_ids_BT, ranked_ids_BT=None) -> list[KeptTokens]:
        """What the planted attentions keep of the document for the labels in `rows`; empty where there are none."""
        kept = []
        if self.mutual_information is not None:
            kept.append(self.mutual_information(index, rows))
        if self.ranked is not None:
            if ranked_ids_BT is not None:
                input_ids_BT, index = ranked_ids_BT, TokenIndex.of(ranked_ids_BT, mask_BT, self.vocab_size)
            kept.append(self.ranked(index, input_ids_BT, mask_BT, rows))
        return kept

    def attention_weights(
        self, hidden_BTD, mask_BT, chosen_ids_S, input_ids_BT=None, ranked_ids_BT=None
    ) -> torch.FloatTensor:
        """The weights that the tokens have in the chosen labels' contexts, of all attentions together, `(B, S, T)`.

        With a shortlist, 0 where a label isn't on the document's.
        """
        weights = []
        if self.query is not None:
            weights.append(label_attention_weights(self.query[chosen_ids_S], hidden_BTD, mask_BT))
        index = self.index_of(mask_BT, input_ids_BT)
        for kept in self.planted(index, mask_BT, chosen_ids_S, input_ids_BT, ranked_ids_BT):
            weights.append(kept.dense(mask_BT.shape[1]))
        if self.mix is not None:
            weights = [weight * source for weight, source in zip(self.mix, weights, strict=True)]
        if self.shortlist_size is None:
            return sum(weights)
        shortlist_BS = self._shortlist(self._read_out(index) + self.bias.float())
        is_listed_BL = torch.zeros(len(shortlist_BS), len(self.bias), dtype=torch.bool, device=shortlist_BS.device)
        return sum(weights) * is_listed_BL.scatter(1, shortlist_BS, True)[:, chosen_ids_S, None]

    def contributions(self, hidden_BTD, mask_BT, chosen_ids_S, input_ids_BT=None, ranked_ids_BT=None) -> torch.Tensor:
        """What each token adds to the chosen labels' logits, `(B, S, T)`; their sum and the bias are the logit."""
        weights_BST = self.attention_weights(hidden_BTD, mask_BT, chosen_ids_S, input_ids_BT, ranked_ids_BT)
        shares_BST = weights_BST * (self.weight[chosen_ids_S] @ hidden_BTD.transpose(1, 2))
        if self.readout is None:
            return shares_BST
        index = self.index_of(mask_BT, input_ids_BT)
        counts_BV = index.counts[:, : self.vocab_size]
        return shares_BST + self.readout.contributions(counts_BV, chosen_ids_S, input_ids_BT, mask_BT)

    def state_after(self, logits_BL: torch.Tensor, top_k: int) -> torch.Tensor:
        """What a chunk read before the window hands on: the probabilities of its K best labels, 0 for all others."""
        scores_BL = logits_BL.sigmoid()
        best_BK = scores_BL.topk(min(top_k, scores_BL.shape[1]), dim=1).indices
        return torch.zeros_like(scores_BL).scatter(1, best_BK, scores_BL.gather(1, best_BK))
