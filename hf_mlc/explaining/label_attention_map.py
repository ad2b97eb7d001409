"""Which labels a LANET lets look at which others: its label-to-label attention, as a mean over histories, with names.

Label i's token, from whose last state the score of label i is read, gives every token a share of its attention: itself, the other
labels, the user. Shares are means over a layer's heads and over the histories. *Rolled out* they go through all layers (Abnar and
Zuidema, "Quantifying Attention Flow in Transformers", ACL 2020): each layer is half attention and half what its residual connection
carries on, and their product says where the last state comes from.

Some labels get much from everyone, whatever that is good for. What tells labels apart is how much more i gives to j than the other
labels do; by this pairs are ranked, labels are chosen for the picture and put in a row.

Beside a pair's share stand two that no network is needed for: i's attention to others dealt out by how often each stood in one event
with i (`together`), and by how often each stood in the event before one with i (`before`), in the same events that the model read.

Of K labels, all of which are tokens, the model itself holds layers x heads x (K + 1)^2 x 4 bytes a history while attention is asked
for; kept are sums over the histories for at most `MOST_CANDIDATES` labels, 8 bytes each a pair and layer.

Shape legend: B histories of a batch, H heads, T tokens, n events, m labels of an event, K labels, C candidates, S shown labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from scipy import sparse

from hf_mlc.errors import UserError
from hf_mlc.inference import LoadedModel, encoded_batches
from hf_mlc.labels import LabelSpace
from hf_mlc.seriation import order_of_graph


SHOWN_LABELS, MOST_PAIRS = 40, 20
MOST_CANDIDATES = 1000  # labels among which the shown ones are looked for: the most frequent in training
MOST_BYTES = 2**32  # that one history's attention may take
BYTES_AT_ONCE = 2**28  # that a batch of more than one should
LEAST_HISTORIES = (
    10  # in which two labels must have been tokens together, if there are so many, for a mean that counts
)
LEAST_BEYOND = 1e-6  # of a share, beyond what other labels give: less is rounding
DIGITS = 4  # that count, of a share


@dataclass(frozen=True)
class LabelAttentionMap:
    """What [`label_attention_map`] finds, ready for JSON (`to_dict`). A matrix is a list of rows: row i is the label that looks.

    Args:
        labels (`list[str]`): S of them, in an order in which labels that look at each other stand together.
        num_labels (`int`): K, all of the model's.
        num_histories (`int`): over which means were taken.
        rolled_out (`dict[str, list]`): `attention`, the `(S, S)` mean shares through all layers, `None` where two labels were hardly ever
            tokens together; `usual`, what the other labels (of all candidates) give to each of the S in the mean.
        layers (`list[dict[str, list]]`): the same of each layer by itself.
        pairs (`list[dict]`): the strongest first: `label`, the one that looks; `looks_at`; `attention`, its share, rolled out;
            `usual`, what the other labels give; `when_there`, the share in histories that hold the label looked at (`None` where none
            does); `together` and `before`, the shares by what stands in one event and in the event before.
        correlation (`dict[str, float | None]`): of all pairs of candidates, how far what attention gives beyond the usual goes along with the same
            of `together` and of `before`; `None` where one of them doesn't vary.
    """

    labels: list[str]
    num_labels: int
    num_histories: int
    rolled_out: dict[str, list[Any]]
    layers: list[dict[str, list[Any]]]
    pairs: list[dict[str, Any]]
    correlation: dict[str, float | None]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def has_label_attention(config: Any) -> bool:
    """Whether a model of this configuration lets labels attend to each other."""
    return config.model_type == "lanet" and config.label_attention


def check_label_attention(config: Any) -> None:
    """`UserError` for a model of another configuration."""
    if not has_label_attention(config):
        raise UserError(
            f"a model of type {config.model_type} without attention between labels",
            field="model",
            accepted="a lanet model with label_attention",
        )


@torch.no_grad()
def label_attention_map(
    loaded: LoadedModel,
    histories: Sequence[Any],
    *,
    labels: Sequence[str] | None = None,
    num_shown: int = SHOWN_LABELS,
    most_pairs: int = MOST_PAIRS,
    batch_size: int = 32,
) -> LabelAttentionMap:
    """Attention between labels as the model looks at these histories to say what comes next.

    Args:
        loaded (`LoadedModel`): a LANET.
        histories (`list`): what its processor reads.
        labels (`list[str]`, *optional*): those to show, two at least; else chosen by the strongest pairs.
        num_shown (`int`, *optional*, defaults to 40): S, where none are named.
        most_pairs (`int`, *optional*, defaults to 20): pairs to list.
        batch_size (`int`, *optional*, defaults to 32): histories a forward pass; fewer where attention would take more than 256 MiB.

    Raises:
        `UserError`: a model without attention between labels, no history, a label that the model doesn't know, fewer than two labels, or so many that
            one history's attention takes more than 4 GiB.
    """
    config, space = loaded.model.config, loaded.label_space
    check_label_attention(config)
    if not len(histories):
        raise UserError("no histories", field="input", accepted="one or more: attention depends on what was read")
    named = None if labels is None else sorted({int(label) for label in space.encode(list(labels))})
    if named is not None and len(named) < 2:
        raise UserError("fewer than two labels", field="label", accepted="two or more; or none, to have some chosen")
    if named is None and min(num_shown, len(space)) < 2:
        cause = "model" if len(space) < 2 else "top_labels"
        raise UserError("fewer than two labels", field=cause, accepted="two or more")
    sums = _Sums(_candidates(space, named), len(space), config.num_layers)
    for batch in _batches(loaded, histories, batch_size):
        output = loaded.model(**batch, output_attentions=True)
        sums.add(output.attentions, _labels_of_tokens(loaded.model, output), batch["event_ids"])
    return sums.found(space, named, num_shown=num_shown, most_pairs=most_pairs)


def _candidates(space: LabelSpace, named: list[int] | None) -> np.ndarray:
    """Ids `(C,)` of the labels among which pairs are looked for, the most frequent first."""
    by_frequency = np.argsort(-_counts(space), kind="stable")
    if named is not None:
        return by_frequency[np.isin(by_frequency, named)]
    return by_frequency[:MOST_CANDIDATES]


def _counts(space: LabelSpace) -> np.ndarray:
    return np.zeros(len(space), np.int64) if space.counts is None else space.counts


def _batches(loaded: LoadedModel, histories: Sequence[Any], batch_size: int) -> Iterator[dict[str, torch.Tensor]]:
    """The histories' tensors, so many at a time that their attention fits."""
    config = loaded.model.config
    num_labels = config.num_labels
    for _, batch in encoded_batches(loaded, histories, batch_size):
        if config.has_popular_tokens:
            most_read = int((batch["event_ids"] >= 0).sum(dim=(1, 2)).max())
            num_labels = min(config.num_labels, config.num_popular_tokens + most_read)
        num_tokens = num_labels + config.num_context_tokens
        bytes_each = 4 * config.num_layers * config.num_heads * num_tokens**2
        if bytes_each > MOST_BYTES:
            raise UserError(
                f"attention between {num_tokens:,} tokens takes {bytes_each / 2**30:.0f} GiB a history",
                field="model",
                accepted=f"{MOST_BYTES // 2**30} GiB at most: fewer labels, layers or heads, or num_popular_tokens",
            )
        at_once = max(1, BYTES_AT_ONCE // bytes_each)
        for start in range(0, len(batch["event_ids"]), at_once):
            yield {name: tensor[start : start + at_once] for name, tensor in batch.items()}


def _labels_of_tokens(model: Any, output: Any) -> torch.Tensor:
    """The label `(B, T)` of each token, -1 of those of the user and the time, and of padding."""
    num_rows, device = len(output.logits), output.logits.device
    if output.token_ids is None:
        ids_BK = torch.arange(model.config.num_labels, device=device).expand(num_rows, -1)
    else:
        ids_BK = output.token_ids
    return torch.nn.functional.pad(ids_BK, (model.config.num_context_tokens, 0), value=-1)


class _Sums:
    """Sums over histories, of the candidates alone.

    Args:
        candidates_C (`np.ndarray`): ids of labels.
        num_labels (`int`): K.
        num_layers (`int`): of attention.
    """

    def __init__(self, candidates_C: np.ndarray, num_labels: int, num_layers: int):
        self.candidates_C, self.num_labels = candidates_C, num_labels
        num = len(candidates_C)
        self.layers = np.zeros((num_layers, num, num))
        self.rolled_out, self.times = np.zeros((num, num)), np.zeros((num, num))
        self.when_there, self.times_there = np.zeros((num, num)), np.zeros((num, num))
        self.on_others, self.times_token = np.zeros(num), np.zeros(num)
        self.num_histories = 0
        # of every event that was read its history, its place and each of its labels
        self.of_events: list[np.ndarray] = []

    def add(self, attentions: Sequence[torch.Tensor], ids_BT: torch.Tensor, event_ids_Bnm: torch.Tensor) -> None:
        """Adds one batch.

        Args:
            attentions (sequence of `torch.Tensor` of shape `(B, H, T, T)`): the layers', from the first one up.
            ids_BT (`torch.Tensor` of shape `(B, T)`): the tokens' labels, -1 where they have none.
            event_ids_Bnm (`torch.Tensor` of shape `(B, n, m)`): the labels that were read, padded with -100.
        """
        num_rows, num_tokens = ids_BT.shape
        is_token_BT = ids_BT >= 0
        # where each candidate's token stands; of those that have none, anywhere
        place_BK = ids_BT.new_full((num_rows, self.num_labels + 1), -1)
        places_BT = torch.arange(num_tokens, device=ids_BT.device).expand(num_rows, -1)
        place_BK.scatter_(1, ids_BT.where(is_token_BT, self.num_labels), places_BT)
        candidates_C = torch.from_numpy(self.candidates_C).to(ids_BT.device)
        place_BC = place_BK[:, candidates_C]
        has_BC = place_BC >= 0
        rows_BC1, columns_B1C = place_BC.clamp(min=0)[:, :, None], place_BC.clamp(min=0)[:, None, :]
        has_BCC = (has_BC[:, :, None] & has_BC[:, None, :]).float()

        def of_candidates(values_BCT: torch.Tensor) -> torch.Tensor:
            return values_BCT.gather(2, columns_B1C.expand(-1, len(candidates_C), -1)) * has_BCC

        rolled_out_BCT = None
        for number in reversed(range(len(attentions))):
            mean_BTT = attentions[number].float().mean(dim=1)
            own_BCT = mean_BTT.gather(1, rows_BC1.expand(-1, -1, num_tokens))
            self.layers[number] += _numpy(of_candidates(own_BCT).sum(dim=0))
            if rolled_out_BCT is None:
                itself_BCT = torch.zeros_like(own_BCT).scatter_(2, rows_BC1, 1.0)
                rolled_out_BCT = (own_BCT + itself_BCT) / 2
            else:
                rolled_out_BCT = (rolled_out_BCT @ mean_BTT + rolled_out_BCT) / 2
        rolled_out_BCC = of_candidates(rolled_out_BCT)
        there_BK = torch.zeros_like(place_BK, dtype=torch.float32)
        read_BE = event_ids_Bnm.flatten(1)
        there_BK.scatter_(1, read_BE.where(read_BE >= 0, self.num_labels), 1.0)
        there_B1C = there_BK[:, candidates_C][:, None, :]
        self.rolled_out += _numpy(rolled_out_BCC.sum(dim=0))
        self.times += _numpy(has_BCC.sum(dim=0))
        self.when_there += _numpy((rolled_out_BCC * there_B1C).sum(dim=0))
        self.times_there += _numpy((has_BCC * there_B1C).sum(dim=0))
        on_labels_BC = (rolled_out_BCT * is_token_BT[:, None, :]).sum(dim=2)
        on_self_BC = rolled_out_BCC.diagonal(dim1=1, dim2=2)
        self.on_others += _numpy(((on_labels_BC - on_self_BC) * has_BC).sum(dim=0))
        self.times_token += _numpy(has_BC.sum(dim=0))
        row, event, place = (event_ids_Bnm >= 0).nonzero(as_tuple=True)
        found = torch.stack([row + self.num_histories, event, event_ids_Bnm[row, event, place]])
        self.of_events.append(found.cpu().numpy())
        self.num_histories += num_rows

    def found(
        self, space: LabelSpace, named: list[int] | None, *, num_shown: int, most_pairs: int
    ) -> LabelAttentionMap:
        """Means, chosen labels, pairs."""
        times_CC = np.where(self.times >= min(LEAST_HISTORIES, self.num_histories), self.times, 0)
        attention_CC, layers_NCC = _means(self.rolled_out, times_CC), _means(self.layers, times_CC)
        usual_C = _usual(attention_CC)
        beyond_CC = _off_diagonal(attention_CC - usual_C)
        on_others_C = np.nan_to_num(_means(self.on_others, self.times_token))
        together_CC, before_CC = (shares * on_others_C[:, None] for shares in self._shares_by_events())
        # NaN, of what never met, comes last
        order = np.argsort(-beyond_CC, axis=None, kind="stable")[: np.isfinite(beyond_CC).sum()]
        strongest = [divmod(int(cell), len(beyond_CC)) for cell in order if beyond_CC.flat[cell] > LEAST_BEYOND]
        shown = list(range(len(beyond_CC))) if named is not None else _first_of(strongest, len(beyond_CC), num_shown)
        shown = _in_a_row(shown, beyond_CC, _counts(space)[self.candidates_C])
        names = [space.names[label] for label in self.candidates_C]
        when_there_CC = _means(self.when_there, self.times_there)
        pairs = [
            {
                "label": names[i],
                "looks_at": names[j],
                "attention": _short(attention_CC[i, j]),
                "usual": _short(usual_C[j]),
                "when_there": _short(when_there_CC[i, j]),
                "together": _short(together_CC[i, j]),
                "before": _short(before_CC[i, j]),
            }
            for i, j in strongest[:most_pairs]
        ]
        return LabelAttentionMap(
            labels=[names[place] for place in shown],
            num_labels=self.num_labels,
            num_histories=self.num_histories,
            rolled_out=_map_of(attention_CC, shown),
            layers=[_map_of(layer_CC, shown) for layer_CC in layers_NCC],
            pairs=pairs,
            correlation={
                "together": _correlation(beyond_CC, _off_diagonal(together_CC - _usual(together_CC))),
                "before": _correlation(beyond_CC, _off_diagonal(before_CC - _usual(before_CC))),
            },
        )

    def _shares_by_events(self) -> tuple[np.ndarray, np.ndarray]:
        """Of all labels that stood in one event with i, and in the event before one with i: which share was j; `(C, C)` each."""
        history, event, label = np.concatenate(self.of_events, axis=1)
        events, number = np.unique(np.stack([history, event]), axis=1, return_inverse=True)
        number = number.reshape(-1)
        hits = sparse.csr_matrix((np.ones(len(label)), (number, label)), shape=(events.shape[1], self.num_labels))
        follows = (events[0, 1:] == events[0, :-1]).nonzero()[0]  # with the event after it in the same history
        found = []
        for looking, looked_at in ((hits, hits), (hits[follows + 1], hits[follows])):
            looking = looking[:, self.candidates_C]
            sizes = np.asarray(looked_at.sum(axis=1)).ravel()
            pairs_CC = (looking.T @ looked_at[:, self.candidates_C]).toarray()
            all_C = looking.T @ sizes - pairs_CC.diagonal()
            np.fill_diagonal(pairs_CC, 0)
            found.append(pairs_CC / np.maximum(all_C, 1)[:, None])
        return found[0], found[1]


def _numpy(values: torch.Tensor) -> np.ndarray:
    return values.double().cpu().numpy()


def _means(sums: np.ndarray, times: np.ndarray) -> np.ndarray:
    """NaN where there was nothing to take a mean of."""
    return np.divide(sums, times, out=np.full(sums.shape, np.nan), where=np.broadcast_to(times > 0, sums.shape))


def _off_diagonal(values_CC: np.ndarray) -> np.ndarray:
    """With NaN for what a label has to do with itself."""
    return np.where(np.eye(len(values_CC), dtype=bool), np.nan, values_CC)


def _usual(values_CC: np.ndarray) -> np.ndarray:
    """What the other labels give each label in the mean, `(C,)`."""
    others_CC = _off_diagonal(values_CC)
    return _means(np.nan_to_num(others_CC).sum(axis=0), np.isfinite(others_CC).sum(axis=0))


def _first_of(strongest: list[tuple[int, int]], num_candidates: int, most: int) -> list[int]:
    """The labels of the strongest pairs, filled up with the most frequent ones."""
    labels = dict.fromkeys(label for pair in strongest for label in pair)
    return list(dict.fromkeys([*labels, *range(num_candidates)]))[:most]


def _in_a_row(shown: list[int], beyond_CC: np.ndarray, counts_C: np.ndarray) -> list[int]:
    """The shown labels in an order in which those stand together that give each other more than others do."""
    # squares: many that look a little must not outweigh one that looks hard
    joined_SS = np.nan_to_num(beyond_CC[np.ix_(shown, shown)]).clip(min=0) ** 2
    order = order_of_graph(sparse.csr_matrix(joined_SS + joined_SS.T), counts_C[shown])
    return [shown[place] for place in order]


def _correlation(first_CC: np.ndarray, second_CC: np.ndarray) -> float | None:
    """Pearson's, over pairs that both know."""
    both = np.isfinite(first_CC) & np.isfinite(second_CC)
    first, second = first_CC[both], second_CC[both]
    if len(first) < 2 or np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return _short(np.corrcoef(first, second)[0, 1])


def _short(value: float) -> float | None:
    """With the digits that count; what is beyond depends on the machine."""
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def _map_of(attention_CC: np.ndarray, shown: list[int]) -> dict[str, list[Any]]:
    return {
        "attention": [[_short(value) for value in row] for row in attention_CC[np.ix_(shown, shown)]],
        "usual": [_short(value) for value in _usual(attention_CC)[shown]],
    }
