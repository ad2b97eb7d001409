"""Learning to rank: a ranker of tokens for labels from the stored statistics.

Shape legend: L labels, V tokens of the vocabulary, N documents, R factors.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse

from hf_mlc.errors import UserError
from hf_mlc.planting.lists import ListSampler
from hf_mlc.planting.ranker import TokenLabelRanker
from hf_mlc.planting.ranker_fit import LOSSES, Loss, RankerFit
from hf_mlc.planting.statistics import TokenLabelStore
from hf_mlc.run_facts import Stopwatch


# of scores as the model wants them: a label's best token weighs e^3 = 20 times as much as its eighth
GAP, _GAP_PLACE = 3.0, 8
_SOME_TOKENS = 64  # whose median stands for a token in the middle


def train_ranker(
    store: TokenLabelStore,
    presence: sparse.csr_array,
    labels: sparse.csr_array,
    *,
    rank: int = 200,
    loss: Loss = "lambda_rank",
    epochs: int = 40,
    learning_rate: float = 0.03,
    weight_decay: float = 0.0,
    batch_size: int | None = None,
    num_grades: int = 8,
    held_out: float = 0.05,
    k: int = 15,
    evaluate_every: int = 5,
    patience: int = 3,
    refit: bool = True,
    seed: int = 0,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> tuple[TokenLabelRanker, dict[str, Any]]:
    """Trains a ranker on the stored statistics, and says how well it ranks pairs that it was not trained on.

    An epoch is one list of about a hundred tokens for every label that has stored tokens ([`~hf_mlc.planting.lists`]).
    A share of the pairs is held out; nDCG on them chooses the number of epochs. Then a second ranker is trained for so many
    epochs on all pairs, since each label wants all of its tokens: it is the one that is returned.

    Args:
        store ([`~hf_mlc.planting.statistics.TokenLabelStore`]): the tokens that stand for each label.
        presence (`scipy.sparse.csr_array` of shape `(N, V)`): tokens of the documents that were counted.
        labels (`scipy.sparse.csr_array` of shape `(N, L)`): their labels.
        rank (`int`, *optional*, defaults to 200): R.
        loss (`str`, *optional*, defaults to `"lambda_rank"`): or `"approx_ndcg"`.
        epochs (`int`, *optional*, defaults to 40): at most.
        learning_rate (`float`, *optional*, defaults to 0.03): the highest, of AdamW; falls to 0 in a straight line.
        weight_decay (`float`, *optional*, defaults to 0): of AdamW.
        batch_size (`int`, *optional*): lists, of as many labels; not given, 32, or so many that an epoch has 50 steps.
        num_grades (`int`, *optional*, defaults to 8): see [`~hf_mlc.planting.grades.graded_targets`].
        held_out (`float`, *optional*, defaults to 0.05): share of the pairs of token and label; 0 measures nothing and
            trains for all epochs.
        k (`int`, *optional*, defaults to 15): cut of nDCG, and of LambdaRank's normaliser.
        evaluate_every (`int`, *optional*, defaults to 5): epochs between two looks at the held-out pairs.
        patience (`int`, *optional*, defaults to 3): looks without a better nDCG after which the first training ends.
        refit (`bool`, *optional*, defaults to `True`): `False` returns the first ranker, at its best epoch.
        seed (`int`, *optional*, defaults to 0): of the factors, the lists and what is held out.
        device (*optional*, defaults to `"cpu"`): where to train; the ranker comes back on the CPU.
        progress (`bool`, *optional*, defaults to `True`): whether to show a progress bar.

    Returns:
        the [`TokenLabelRanker`], its scores scaled for a softmax (a label's best stored token about 3 above its eighth), and
        facts about it: `loss`, `rank`, `epochs` (that the returned one was trained for), `ndcg@K` on held-out pairs (`None`
        where none of them could be gained), `ndcg@K_untrained`, `held_out_labels` (up to 1,000 on which that is measured),
        `history`, `refit`, `seconds`, `cpu_seconds`. The gains of nDCG are 2^grade - 1.

    Raises:
        `UserError`: an unknown loss; no label with a stored token; `held_out` outside 0 ... 0.5.
    """
    if loss not in LOSSES:
        raise UserError(f"a ranking loss {loss!r}", field="loss", accepted=", ".join(LOSSES))
    if not 0 <= held_out <= 0.5:
        raise UserError(f"{held_out}", field="held_out", accepted="0 to 0.5")
    stopwatch = Stopwatch()
    lists = {"num_grades": num_grades, "seed": seed}
    sampler = ListSampler(store, presence, labels, held_out=held_out, **lists)
    if not len(sampler.label_ids):
        raise UserError("no label has a stored token", accepted="training documents with words and labels")
    settings = {
        "rank": rank,
        "loss": loss,
        "learning_rate": learning_rate,
        "weight_decay": weight_decay,
        "batch_size": batch_size or max(32, len(sampler.label_ids) // 50),
        "k": k,
        "seed": seed,
        "device": device,
        "progress": progress,
    }
    facts: dict[str, Any] = {"loss": loss, "rank": rank, "epochs": epochs, "refit": refit and held_out > 0}
    fit = RankerFit(store, sampler, **settings)
    if held_out > 0:
        facts[f"ndcg@{k}_untrained"] = _or_none(fit.evaluate())
        facts["held_out_labels"] = fit.num_held_out
        best = fit.run(epochs, evaluate_every=evaluate_every, patience=patience)
        facts |= {"epochs": best["epoch"], f"ndcg@{k}": _or_none(best[f"ndcg@{k}"])}
        facts["history"] = [{key: _or_none(value) for key, value in entry.items()} for entry in fit.history]
        if refit:
            fit = RankerFit(store, ListSampler(store, presence, labels, held_out=0.0, **lists), **settings)
            fit.run(best["epoch"])
    else:
        fit.run(epochs)
    ranker = fit.ranker.cpu()
    _set_scale(ranker, store)
    _set_unseen_tokens(ranker, np.asarray(presence.sum(axis=0)).ravel() > 0, seed)
    return ranker, {**facts, **stopwatch.read()}


def _or_none(value: float) -> float | None:
    return None if value != value else value  # NaN is no JSON


@torch.no_grad()
def _set_scale(ranker: TokenLabelRanker, store: TokenLabelStore) -> None:
    """Divides all scores by one number; ranking leaves their scale open, and the model takes a softmax of them.

    Afterwards, for the label in the middle, its best stored token is GAP above its eighth; where fewer are stored, above a
    token in the middle.
    """
    best_LK = store.token_ids[:, :_GAP_PLACE]
    labels = np.flatnonzero((best_LK >= 0).all(axis=1))
    token_ids = torch.from_numpy(best_LK[labels].astype(np.int64))
    if token_ids.numel():
        label_ids = torch.from_numpy(labels)
        scores = ranker.score_lists(token_ids, label_ids)
        lower = scores.amin(dim=1)
        if best_LK.shape[1] < _GAP_PLACE:
            some = np.random.default_rng(0).choice(len(ranker.token_bias), (len(labels), _SOME_TOKENS))
            lower = ranker.score_lists(torch.from_numpy(some), label_ids).median(dim=1).values
        scale = GAP / float((scores.amax(dim=1) - lower).median().clamp_min(1e-6))
        ranker.token_factors *= scale**0.5
        ranker.label_factors *= scale**0.5
        ranker.token_bias *= scale


@torch.no_grad()
def _set_unseen_tokens(ranker: TokenLabelRanker, is_seen_V: np.ndarray, seed: int) -> None:
    """Gives tokens of no counted document, which stand for nothing, what a random pair rarely goes below."""
    unseen = torch.from_numpy(np.flatnonzero(~is_seen_V))
    if len(unseen) and is_seen_V.any():
        rng = np.random.default_rng(seed)
        token_ids = torch.from_numpy(rng.choice(np.flatnonzero(is_seen_V), 10_000))
        label_ids = torch.from_numpy(rng.integers(0, len(ranker.label_factors), 10_000))
        ranker.token_factors[unseen] = 0.0
        ranker.token_bias[unseen] = ranker.score(token_ids, label_ids).quantile(0.01)


__all__ = ["LOSSES", "TokenLabelRanker", "train_ranker"]
