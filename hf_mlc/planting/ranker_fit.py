"""The training loop of a ranker, and its measure on held-out pairs.

Shape legend: B lists, T tokens of a list.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import torch
from tqdm.auto import tqdm

from hf_mlc.planting.approx_ndcg import approx_ndcg_loss
from hf_mlc.planting.grades import exponential_gains
from hf_mlc.planting.lambda_rank import lambda_rank_loss
from hf_mlc.planting.lists import ListSampler, TokenLists
from hf_mlc.planting.ndcg import ndcg
from hf_mlc.planting.ranker import TokenLabelRanker
from hf_mlc.planting.statistics import TokenLabelStore


Loss = Literal["lambda_rank", "approx_ndcg"]
LOSSES = ("lambda_rank", "approx_ndcg")
_MEASURED_LABELS = 1000
# gradients shrink by orders of magnitude as lists get sorted: a long memory of the large ones would stop the steps
BETAS = (0.9, 0.99)


class RankerFit:
    """A ranker in training; the arguments are those of [`~hf_mlc.planting.ranking.train_ranker`]."""

    def __init__(
        self,
        store: TokenLabelStore,
        sampler: ListSampler,
        *,
        rank: int,
        loss: Loss,
        learning_rate: float,
        weight_decay: float,
        batch_size: int,
        k: int,
        seed: int,
        device: torch.device | str,
        progress: bool,
    ):
        self.sampler, self.loss_name, self.batch_size, self.k = sampler, loss, batch_size, k
        self.device, self.progress, self.learning_rate = torch.device(device), progress, learning_rate
        self.rng = np.random.default_rng(seed)
        self.ranker = TokenLabelRanker(store.vocab_size, store.num_labels, rank)
        self.ranker.reset_parameters(torch.Generator().manual_seed(seed))
        self.ranker.to(self.device)
        # most of the time goes into the update of two large tables: fused, an epoch takes half as long
        self.optimizer = torch.optim.AdamW(
            self.ranker.parameters(), lr=learning_rate, weight_decay=weight_decay, betas=BETAS, fused=True
        )
        self.history: list[dict[str, float]] = []
        self.held_out: list[TokenLists] = []
        if sampler.held_out > 0:
            rng = np.random.default_rng(seed + 1)
            chosen = rng.permutation(sampler.label_ids)[:_MEASURED_LABELS]
            self.held_out = [
                sampler.held_out_lists(part, rng) for part in np.array_split(chosen, -(-len(chosen) // 100))
            ]

    @property
    def num_held_out(self) -> int:
        """Labels whose held-out pairs hold something to gain."""
        return sum(int((lists.grades.amax(dim=1) > 0).sum()) for lists in self.held_out)

    def run(self, epochs: int, *, evaluate_every: int = 0, patience: int = 1) -> dict[str, Any]:
        """Trains; with `evaluate_every`, ends early and goes back to the best epoch, whose entry of `history` it returns."""
        best, best_state = {}, None
        name = f"ndcg@{self.k}"
        bar = tqdm(range(1, epochs + 1), desc="Ranking tokens for labels", unit=" epochs", disable=not self.progress)
        for epoch in bar:
            for group in self.optimizer.param_groups:
                group["lr"] = self.learning_rate * (1 - (epoch - 1) / epochs)
            entry = {"epoch": epoch, "loss": self._epoch()}
            bar.set_postfix({key: f"{value:.3f}" for key, value in (best | entry).items() if key != "epoch"})
            if not evaluate_every or (epoch % evaluate_every and epoch < epochs):
                continue
            self.history.append(entry | {name: self.evaluate()})
            # NaN, where nothing was held out that could be gained, is never better: the last epoch stands then
            if not best or not self.history[-1][name] <= best[name]:
                best, best_state = self.history[-1], copy.deepcopy(self.ranker.state_dict())
            elif len(self.history) - 1 - self.history.index(best) >= patience:
                bar.close()
                break
        if best_state is not None:
            self.ranker.load_state_dict(best_state)
        return best

    def _epoch(self) -> float:
        order, total = self.rng.permutation(self.sampler.label_ids), 0.0
        for start in range(0, len(order), self.batch_size):
            lists = self.sampler.training_lists(order[start : start + self.batch_size], self.rng).to(self.device)
            loss = self._loss(lists)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(lists.label_ids)
        return total / len(order)

    def _loss(self, lists: TokenLists) -> torch.Tensor:
        scores_BT = self.ranker.score_lists(lists.token_ids, lists.label_ids)
        if self.loss_name == "approx_ndcg":
            return approx_ndcg_loss(scores_BT, lists.grades, lists.mask)
        highest = self.sampler.grades.num_grades
        return lambda_rank_loss(scores_BT, lists.grades, lists.mask, k=self.k, highest_grade=highest)

    @torch.no_grad()
    def evaluate(self) -> float:
        """Mean nDCG@k of the held-out lists; NaN where none of them has anything to gain."""
        found = []
        for lists in self.held_out:
            lists = lists.to(self.device)
            scores_BT = self.ranker.score_lists(lists.token_ids, lists.label_ids)
            found.append(
                ndcg(scores_BT, exponential_gains(lists.grades, self.sampler.grades.num_grades), lists.mask, self.k)
            )
        return torch.cat(found).nanmean().item()
