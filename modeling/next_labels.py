"""`predict_next`: names of the labels that come next, and, by roll-out, of those after them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .answers import written_answer
from .decision import ranked_labels
from .processing_events import listed_histories


class NextLabels:
    """For a model whose rows are histories: the labels of the events that follow, as names."""

    @torch.no_grad()
    def predict_next(
        self,
        histories: Sequence[Any],
        processor,
        *,
        top_k: int | None = 5,
        steps: int = 1,
        thresholds: float | Sequence[float] | torch.Tensor | None = None,
        batch_size: int = 64,
    ) -> list[list[list[dict[str, Any]]]]:
        """The label sets of the next events of each history.

        Each step after the first takes the one before it for true: its set becomes an event, at the `target_time` that was asked
        for or else one median gap of training (`processor.median_gap`) after the last one. That set is what `thresholds`, or the model's own rule, decide; where they decide on
        nothing, the best labels, as many as the history's events have on average.

        Args:
            histories (`Sequence`): B histories, or one, as the processor takes them ([`EventProcessor`]).
            processor (`EventProcessor`): the one saved with the model.
            top_k (`int`, *optional*, defaults to 5):
                The best labels of each step, whatever their scores; beside thresholds, at most so many of those that reach them. `None`:
                the set that is decided.
            steps (`int`, *optional*, defaults to 1): events ahead.
            thresholds (`float` or `Sequence[float]`, *optional*):
                Scores from which on labels are chosen, one for all or one a label; `config.min_labels` then says nothing.
            batch_size (`int`, *optional*, defaults to 64): histories at once.

        Returns:
            Of each history, of each step, a list of `{"label", "score"}`, best first.

        Raises:
            `ValueError`: `steps`, `top_k` or `batch_size` below 1, a processor of another model, and what the processor refuses, with
                the history's number.

        Example:
            ```python
            model.predict_next([[{"time": "2011-03-01", "labels": ["tea"]}]], processor, top_k=2, steps=3)
            ```
        """
        for name, value in (("steps", steps), ("top_k", top_k), ("batch_size", batch_size)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be 1 or more, found {value}")
        self._check_processor(processor)
        histories = listed_histories(histories)
        if thresholds is not None:
            thresholds = torch.as_tensor(thresholds, device=self.device)
        was_training = self.training
        self.eval()
        try:
            answers = []
            for start in range(0, len(histories), batch_size):
                # a data set's slice would be its columns
                some = [histories[number] for number in range(start, min(start + batch_size, len(histories)))]
                flat = [processor.flat(history, row=row) for row, history in enumerate(some, start=start + 1)]
                answers += self._rolled_out(flat, processor, top_k, steps, thresholds, first_row=start + 1)
        finally:
            self.train(was_training)
        return answers

    def _check_processor(self, processor) -> None:
        """`ValueError` for one whose ids this model has no rows for, or other labels."""
        names = self.config.id2label
        if processor.label_names != [names[number] for number in range(self.config.num_labels)]:
            raise ValueError(
                f"the processor's {len(processor.label_names)} labels are not the model's {self.config.num_labels}, or in another "
                "order; accepted: the processor saved with the model"
            )
        read = {
            "num_gaps": self.config.time_encoding == "gap_embedding",
            "num_amount_bins": self.config.num_amount_bins > 0,
            "num_users": self.config.num_users > 0,
        }
        for name, is_read in read.items():
            found, most = getattr(processor, name), getattr(self.config, name)
            if is_read and found > most:
                raise ValueError(
                    f"the processor's `{name}` is {found}, and the model's {most}; accepted: the processor saved with the model"
                )

    def _rolled_out(
        self, histories, processor, top_k, steps, thresholds, *, first_row: int
    ) -> list[list[list[dict[str, Any]]]]:
        """`predict_next` of one batch of histories in the flat form."""
        answers: list[list[list[dict[str, Any]]]] = [[] for _ in histories]
        names = self.config.id2label
        for step in range(steps):
            encoded = processor.encode(histories, first_row=first_row, is_flat=True)
            batch = {name: torch.from_numpy(array).to(self.device) for name, array in processor.pad(encoded).items()}
            output = self(**batch)
            scores_BL = output.logits.float().sigmoid()
            # labels decided on may be fewer than are shown, or none
            decided_BL = self.decide_output(
                output, thresholds=thresholds, min_labels=None if thresholds is None else 0
            )
            shown_BL = decided_BL if top_k is None or thresholds is not None else torch.ones_like(decided_BL)
            ids_BK, scores_BK = ranked_labels(scores_BL, shown_BL, top_k=top_k)
            for answer, ids_K, scores_K in zip(answers, ids_BK, scores_BK, strict=True):
                answer.append(written_answer(names, ids_K, scores_K))
            if step + 1 < steps:
                ids_BK, _ = ranked_labels(scores_BL, _never_empty(decided_BL, scores_BL, histories))
                histories = [
                    processor.followed(
                        history, [names[number] for number in ids_K.tolist() if number >= 0], is_flat=True
                    )
                    for history, ids_K in zip(histories, ids_BK, strict=True)
                ]
                if step == 0:  # what is unknown was counted; later steps read the same again
                    processor = processor.with_labels(
                        processor.label_names, integers_are_ids=processor.integers_are_ids
                    )
        return answers


def _never_empty(decided_BL: torch.BoolTensor, scores_BL: torch.Tensor, histories: Sequence[Any]) -> torch.BoolTensor:
    """The decided sets, and in place of an empty one the best labels, as many as the history's events have on average."""
    places_BL = scores_BL.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    usual = [max(1, round(len(history["labels"]) / max(1, len(history["sizes"])))) for history in histories]
    best_BL = places_BL < torch.tensor(usual, device=places_BL.device)[:, None]
    return torch.where(decided_BL.any(dim=1, keepdim=True), decided_BL, best_BL)


__all__ = ["NextLabels"]
