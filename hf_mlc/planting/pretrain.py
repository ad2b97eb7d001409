"""The two-stage form: encoder and labels' queries learn to rank a document's tokens first, then the whole to classify.

The first stage reads text: for a label, the tokens of a document are ranked by `h_t . e_l`, the very scores that become
the label's attention, against the grade of token and label in the stored statistics (the later form of Roy and others,
"PLANT", arXiv:2410.23066). It works with any encoder and leaves nothing behind but better weights.

Shape legend: B documents, T tokens, S labels ranked for a document, M tokens of a list, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from hf_mlc.errors import UserError
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.planting.approx_ndcg import approx_ndcg_loss
from hf_mlc.planting.grades import GradeTable
from hf_mlc.planting.ndcg import ndcg
from hf_mlc.planting.statistics import TokenLabelStore
from hf_mlc.run_facts import Stopwatch
from hf_mlc.training.sampling import LengthGroupedEpochSampler


def pretrain_attention(
    model: PlantForMultiLabelClassification,
    input_id_rows: Sequence[Sequence[int]],
    label_id_rows: Sequence[Sequence[int]],
    store: TokenLabelStore,
    *,
    epochs: int = 3,
    learning_rate: float = 1e-3,
    weight_decay: float = 0.01,
    batch_size: int = 16,
    labels_per_document: int = 32,
    tokens_per_list: int = 128,
    alpha: float = 10.0,
    num_grades: int = 16,
    k: int = 15,
    held_out: float = 0.1,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Trains `model.encoder` and `model.decoder.query` to rank the tokens of training documents for labels.

    Every document is ranked for a sample of labels, its own first and then random ones, never for all L. The loss is
    ApproxNDCG with the grades as gains; padding is in no list. Of a document longer than `tokens_per_list` a list holds the
    tokens with the highest grades, at most half of it, and random others.

    Args:
        model (`PlantForMultiLabelClassification`): with learned attention; trained in place, its mode and device restored.
        input_id_rows (sequence of sequences of `int`): token ids of TRAINING documents, special tokens and all.
        label_id_rows (sequence of sequences of `int`): their label ids.
        store ([`~hf_mlc.planting.statistics.TokenLabelStore`]): from the same documents.
        epochs (`int`, *optional*, defaults to 3): passes over the documents.
        learning_rate (`float`, *optional*, defaults to 1e-3): the highest; falls to 0 in a straight line. A pretrained
            backbone wants 1e-4 or less.
        weight_decay (`float`, *optional*, defaults to 0.01): of AdamW.
        batch_size (`int`, *optional*, defaults to 16): documents; of like length.
        labels_per_document (`int`, *optional*, defaults to 32): S.
        tokens_per_list (`int`, *optional*, defaults to 128): M; memory grows with its square.
        alpha (`float`, *optional*, defaults to 10): steepness of the loss.
        num_grades (`int`, *optional*, defaults to 16): see [`~hf_mlc.planting.grades.graded_targets`].
        k (`int`, *optional*, defaults to 15): cut of the measured nDCG.
        held_out (`float`, *optional*, defaults to 0.1): share of the documents, at most 500, that this stage measures on
            and does not train on. (They were counted: the statistics' own worth is measured elsewhere.)
        seed (`int`, *optional*, defaults to 0): of what is held out, of order, labels and lists, and of dropout.
        device (*optional*): where to train; where the model is if not given.
        progress (`bool`, *optional*, defaults to `True`): whether to show a progress bar.

    Returns:
        `dict`: `documents`, `held_out_documents`, `epochs`, `loss` (of each epoch), `ndcg@K_before` and `ndcg@K_after` on
        the own labels of held-out documents over all their tokens, `seconds`, `cpu_seconds`.

    Raises:
        `UserError`: no document with tokens; no label with stored tokens; a model without learned attention.
    """
    if getattr(model.decoder, "query", None) is None:
        raise UserError("a model without learned attention", field="learned_attention", accepted="True for this stage")
    stopwatch = Stopwatch()
    stage = _RankingStage(model, store, labels_per_document, tokens_per_list, alpha, num_grades, seed)
    rows = [
        (np.asarray(token_ids, np.int64), np.asarray(label_ids, np.int64))
        for token_ids, label_ids in zip(input_id_rows, label_id_rows, strict=True)
        if len(token_ids)
    ]
    if not rows or not len(stage.grades.label_ids):
        raise UserError("nothing to rank", accepted="training documents with tokens, and labels with stored tokens")
    order = np.random.default_rng(seed).permutation(len(rows))
    num_held_out = min(500, int(held_out * len(rows)))
    measured, trained = [rows[i] for i in order[:num_held_out]], [rows[i] for i in order[num_held_out:]]

    home, was_training = model.device, model.training
    model.to(device if device is not None else home)
    parameters = [*model.encoder.parameters(), model.decoder.query]
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=weight_decay)
    sampler = LengthGroupedEpochSampler([len(ids) for ids, _ in trained], batch_size, seed=seed)
    num_steps, step, losses = epochs * -(-len(trained) // batch_size), 0, []
    before = stage.measure(measured, batch_size, k)
    with (
        torch.random.fork_rng(),
        tqdm(total=num_steps, desc="Ranking tokens of documents", disable=not progress) as bar,
    ):
        torch.manual_seed(seed)
        model.train()
        for epoch in range(epochs):
            sampler.set_epoch(epoch)
            places, total = list(sampler), 0.0
            for start in range(0, len(places), batch_size):
                batch = [trained[i] for i in places[start : start + batch_size]]
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate * (1 - step / num_steps)
                loss = stage.loss(batch)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                step, total = step + 1, total + loss.item() * len(batch)
                bar.update()
                bar.set_postfix(loss=f"{loss.item():.3f}")
            losses.append(total / len(trained))
    after = stage.measure(measured, batch_size, k)
    optimizer.zero_grad()
    model.to(home).train(was_training)
    return {
        "documents": len(trained),
        "held_out_documents": len(measured),
        "epochs": epochs,
        "loss": losses,
        f"ndcg@{k}_before": before,
        f"ndcg@{k}_after": after,
        **stopwatch.read(),
    }


class _RankingStage:
    """Lists of a document's tokens for labels, their loss and their nDCG."""

    def __init__(
        self, model, store: TokenLabelStore, num_labels: int, num_tokens: int, alpha: float, num_grades: int, seed
    ):
        self.model, self.alpha, self.num_labels, self.num_tokens = model, alpha, num_labels, num_tokens
        self.grades = GradeTable(store, num_grades)
        self.rng = np.random.default_rng(seed + 1)

    def loss(self, batch: list[tuple[np.ndarray, np.ndarray]]) -> torch.Tensor:
        """ApproxNDCG of the batch's documents, each for a sample of labels."""
        labels_BS = np.stack([self._sample(own) for _, own in batch])
        scores_BST, grades_BST, mask_BT = self._lists([ids for ids, _ in batch], labels_BS)
        scores, grades, mask = (
            tensor.flatten(0, 1) for tensor in (scores_BST, grades_BST, mask_BT[:, None].expand_as(grades_BST))
        )
        if scores.shape[1] > self.num_tokens:
            chosen = self._choose(grades, mask)
            scores, grades, mask = (tensor.gather(1, chosen) for tensor in (scores, grades, mask))
        return approx_ndcg_loss(scores, grades, mask, alpha=self.alpha)

    @torch.no_grad()
    def measure(self, rows: list[tuple[np.ndarray, np.ndarray]], batch_size: int, k: int) -> float | None:
        """Mean nDCG@k over the documents' own labels, over all of their tokens; `None` where there are none."""
        self.model.eval()
        found = []
        rows = sorted(rows, key=lambda row: len(row[0]))
        for start in range(0, len(rows), batch_size):
            for ids, own in rows[start : start + batch_size]:
                own = own[np.isin(own, self.grades.label_ids)]
                if len(own):
                    scores_BST, grades_BST, mask_BT = self._lists([ids], own[None])
                    found.append(ndcg(scores_BST[0], grades_BST[0], mask_BT.expand_as(grades_BST[0]), k))
        means = torch.cat(found) if found else torch.zeros(0)
        return means.nanmean().item() if (~means.isnan()).any() else None

    def _lists(self, ids: list[np.ndarray], labels_BS: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores and grades of all tokens for the labels, `(B, S, T)`, and which positions are tokens, `(B, T)`."""
        device, padding = self.model.device, self.model.config.pad_token_id or 0
        width = max(len(row) for row in ids)
        ids_BT = np.full((len(ids), width), padding, dtype=np.int64)
        for row, row_ids in enumerate(ids):
            ids_BT[row, : len(row_ids)] = row_ids
        lengths_B = np.array([len(row) for row in ids])
        mask_BT = torch.from_numpy(np.arange(width) < lengths_B[:, None]).to(device)
        grades_BST = self.grades.of_keys(self.grades.keys(ids_BT[:, None, :], labels_BS[:, :, None]))
        hidden_BTD = self.model._encode(mask_BT, torch.from_numpy(ids_BT).to(device), None, None).last_hidden_state
        queries_BSD = self.model.decoder.query[torch.from_numpy(labels_BS).to(device)]
        scores_BST = (queries_BSD @ hidden_BTD.transpose(1, 2)).float()
        return scores_BST, torch.from_numpy(grades_BST).to(device), mask_BT

    def _sample(self, own: np.ndarray) -> np.ndarray:
        """The document's labels that have stored tokens, then random ones; with more than S own ones, some of them."""
        own = own[np.isin(own, self.grades.label_ids)]
        if len(own) > self.num_labels:
            return self.rng.choice(own, self.num_labels, replace=False)
        others = self.rng.choice(self.grades.label_ids, self.num_labels - len(own))
        return np.concatenate([own, others])

    def _choose(self, grades: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Positions of each list: the highest grades, ties at random, then random ones of the others."""
        noise = torch.from_numpy(self.rng.random(tuple(grades.shape), dtype=np.float32)).to(grades.device)
        num_best = self.num_tokens // 2
        best = (grades + noise).masked_fill(~mask, -1.0).topk(num_best, dim=1).indices
        noise = noise.masked_fill(~mask, -1.0).scatter(1, best, -2.0)
        return torch.cat([best, noise.topk(self.num_tokens - num_best, dim=1).indices], dim=1)
