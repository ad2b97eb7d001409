"""Metrics of label SEQUENCES: in which order labels came, how many, whether as a set never seen, where each step looked.

Of one document, P is the predicted sequence, R the reference: its true labels in the order that the model was to learn.
S are the labels in both; p(l) and r(l) are 0-based places of label l in P and R.

The measures of order only mean something against a reference order that means something. Against the alphabet they say
how well the alphabet was memorised; against training counts, how well these were. None says that a label is right:
dropping all but the easiest label of every document gives perfect order, and that is what `coverage` is printed for.

Shape legend: B documents, T decoding steps, M tokens of the longest document, N things that are ranked, L labels.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from hf_mlc.errors import UserError


STEPS = 5  # attention entropy is told for so many label steps, and for the one that ends the sequence


def reference_sequence(label_ids: Iterable[int], ranks_L: Sequence[int]) -> list[int]:
    """The labels of a document by rank, each once; of labels that tie, the lower id first.

    Args:
        label_ids (iterable of `int`): the true labels, in any order, perhaps some twice.
        ranks_L (`Sequence[int]` of length `L`): the place of each label in the order of all labels.
    """
    return sorted(set(label_ids), key=lambda label: (ranks_L[label], label))


def position_deviation(predicted: Sequence[int], reference: Sequence[int]) -> float | None:
    """(1 / |S|) sum over S of |p(l) - r(l)|; `None` where the two have no label in common.

    Args:
        predicted (`Sequence[int]`): labels in the order of prediction, each once.
        reference (`Sequence[int]`): labels in the order of the reference, each once.
    """
    places = {label: place for place, label in enumerate(reference)}
    gaps = [abs(place - places[label]) for place, label in enumerate(predicted) if label in places]
    return sum(gaps) / len(gaps) if gaps else None


def normalised_position_deviation(predicted: Sequence[int], reference: Sequence[int]) -> float | None:
    """[`position_deviation`] by the largest gap there could be, max(|P|, |R|) - 1; 0 where that is 0, and in [0, 1]."""
    deviation = position_deviation(predicted, reference)
    widest = max(len(predicted), len(reference)) - 1
    return deviation if deviation is None or not widest else deviation / widest


def kendall_tau_b(first_N: Sequence[float], second_N: Sequence[float]) -> float | None:
    """(C - D) / sqrt((n - ties in the first) (n - ties in the second)), C and D concordant and discordant pairs of the n
    (Kendall, "The treatment of ties in ranking problems", 1945): 1 for the same order, -1 for the reverse.

    Returns:
        `float`, *optional*: `None` with fewer than two things, or where either list ties them all.
    """
    first_N, second_N = np.asarray(first_N, np.float64), np.asarray(second_N, np.float64)
    upper = np.triu_indices(len(first_N), 1)
    signs_first = np.sign(first_N[:, None] - first_N)[upper]
    signs_second = np.sign(second_N[:, None] - second_N)[upper]
    pairs = np.count_nonzero(signs_first) * np.count_nonzero(signs_second)
    return float((signs_first * signs_second).sum() / np.sqrt(pairs)) if pairs else None


def attention_entropy(weights_BTM: np.ndarray) -> np.ndarray:
    """-sum over tokens of a ln a, in nats, shape (B, T): 0 where a step looks at one token, ln M where at M alike.

    Args:
        weights_BTM (`np.ndarray` of shape `(B, T, M)`): weights that sum to 1, 0 on padding; all 0 gives 0.
    """
    weights_BTM = np.asarray(weights_BTM, np.float64)
    logs_BTM = np.log(weights_BTM, out=np.zeros_like(weights_BTM), where=weights_BTM > 0)
    # 0 - x: a step that looks at one token has the entropy 0, not -0
    return 0.0 - (weights_BTM * logs_BTM).sum(axis=-1)


class SequenceMetrics:
    """Feed it batches with [`~SequenceMetrics.update`], then ask for [`~SequenceMetrics.compute`]. It keeps sums alone.

    Args:
        ranks (`Sequence[int]` of length `L`, *optional*): the reference order, `config.label_ranks`; without it nothing
            is said about order.
        training_sets (collection of `frozenset[int]`, *optional*): the label sets of the training documents; without it
            nothing is said about unseen sets.

    Raises:
        `UserError`: from `update`, for a label that `ranks` doesn't know.

    Example:

    ```python
    >>> metrics = SequenceMetrics(ranks=[0, 1, 2], training_sets={frozenset({0, 1})})
    >>> metrics.update([[1, 0], [2]], [[0, 1], [2, 0]])  # one pair turned round; 2 is said at place 0, due at 1
    >>> found = metrics.compute()
    >>> found["position_deviation"], found["coverage"], found["kendall_tau_b"], found["unseen_sets"]
    (1.0, 0.75, -1.0, 0.5)

    ```
    """

    def __init__(
        self,
        ranks: Sequence[int] | None = None,
        *,
        training_sets: Collection[frozenset[int]] | None = None,
    ):
        self.ranks = ranks
        self.training_sets = None if training_sets is None else frozenset(training_sets)
        self.sums: dict[str, float] = {}  # by name, over the documents that a measure is defined for
        self.numbers: dict[str, int] = {}

    def update(
        self,
        predicted: Sequence[Sequence[int]],
        true: Sequence[Iterable[int]],
        *,
        attention_BTM: np.ndarray | None = None,
        num_tokens_B: Sequence[int] | None = None,
    ) -> None:
        """Takes one batch.

        Args:
            predicted (sequence of `Sequence[int]`): the labels of each document in the order they were generated,
                without the end of the sequence.
            true (sequence of iterables): its true labels, in any order.
            attention_BTM (`np.ndarray` of shape `(B, T, M)`, *optional*): the weights by which each step read the
                tokens; step `len(predicted[b])` of document b is the one that ended its sequence, if T reaches there.
            num_tokens_B (`Sequence[int]`, *optional*): the tokens of each document, padding left out; needed with
                `attention_BTM`.
        """
        for sequence, its_labels in zip(predicted, true, strict=True):
            self._add_document([int(label) for label in sequence], {int(label) for label in its_labels})
        if attention_BTM is None:
            return
        assert num_tokens_B is not None
        entropy_BT = attention_entropy(attention_BTM)
        for sequence, entropy_T, num_tokens in zip(predicted, entropy_BT, num_tokens_B, strict=True):
            if num_tokens == 0:  # an empty text: there is nothing to look at
                continue
            for step, entropy in enumerate(entropy_T[: len(sequence) + 1]):
                name = "end" if step == len(sequence) else str(step + 1)
                if name != "end" and step >= STEPS:
                    continue
                self._add(f"attention_entropy@{name}", entropy)
                # of one token there is no choice, and no entropy to compare with
                if num_tokens > 1:
                    self._add(f"attention_entropy_share@{name}", entropy / np.log(num_tokens))

    def _add_document(self, sequence: list[int], true: set[int]) -> None:
        self._add("repeating_sequences", len(set(sequence)) < len(sequence))
        sequence = list(dict.fromkeys(sequence))
        self._add("sequence_cardinality", len(sequence))
        self._add("true_cardinality", len(true))
        if self.training_sets is not None:
            self._add("unseen_sets", frozenset(sequence) not in self.training_sets)
            self._add("unseen_sets_true", frozenset(true) not in self.training_sets)
        if self.ranks is None:
            return
        strange = [label for label in {*sequence, *true} if not 0 <= label < len(self.ranks)]
        if strange:
            raise UserError(f"found the label {min(strange)}", field="ranks", accepted=f"0 to {len(self.ranks) - 1}")
        reference = reference_sequence(true, self.ranks)
        self._add("exact_sequence", sequence == reference)
        common = [label for label in sequence if label in true]
        self._add("common_labels", len(common))
        if common:
            self._add("position_deviation", position_deviation(sequence, reference))
            self._add("position_deviation_normalised", normalised_position_deviation(sequence, reference))
        if len(common) >= 2:
            its_ranks = [self.ranks[label] for label in common]
            self._add("exact_order", its_ranks == sorted(its_ranks))
            tau = kendall_tau_b(range(len(common)), its_ranks)
            if tau is not None:
                self._add("kendall_tau_b", tau)

    def _add(self, name: str, value: float) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + float(value)
        self.numbers[name] = self.numbers.get(name, 0) + 1

    def compute(self) -> dict[str, float]:
        """The metrics by name; one that is undefined on these documents is left out.

        - `sequence_cardinality`, `true_cardinality`: mean labels of a document, generated and true.
        - `repeating_sequences`: the share of the documents whose sequence says a label twice, which only a decoder
          without the mask against it can; all else goes by the first time that a label is said.
        - `coverage`: sum of |S| over sum of |R|, all documents: the share of the true labels that the measures of order
          are about. Where one model finds more labels than another, its `position_deviation` may be worse for it.
        - `position_deviation`: mean of [`position_deviation`] over the documents with a label in common;
          `position_deviation_normalised` likewise.
        - `kendall_tau_b`: mean of [`kendall_tau_b`] over the documents with two or more labels in common, between the
          places in P and the ranks; `exact_order`: the share of these whose common labels stand in the reference's
          order.
        - `exact_sequence`: the share of all documents with P = R: right in set and in order.
        - `unseen_sets`, `unseen_sets_true`: the share of documents whose generated (true) set no training document has.
        - `attention_entropy@1` to `@5`, `@end`: mean entropy of the attention, in nats, at the step that generated the
          first, second, ... label, and at the one that ended the sequence, over the documents that came so far;
          `attention_entropy_share@...`: the same by its largest value, ln(tokens of the document), in [0, 1].
        """
        means = {name: total / self.numbers[name] for name, total in self.sums.items()}
        if means.pop("common_labels", None) is not None and self.sums["true_cardinality"]:
            means["coverage"] = self.sums["common_labels"] / self.sums["true_cardinality"]
        return {name: means[name] for name in _NAMES if name in means}

    def facts(self) -> dict[str, int]:
        """Over how many documents the means are: `documents`, `with_common_labels`, `with_two_common_labels`."""
        return {
            "documents": self.numbers.get("sequence_cardinality", 0),
            "with_common_labels": self.numbers.get("position_deviation", 0),
            "with_two_common_labels": self.numbers.get("exact_order", 0),
        }


_NAMES = (
    "sequence_cardinality", "true_cardinality", "repeating_sequences", "coverage", "position_deviation", "position_deviation_normalised",
    "kendall_tau_b", "exact_order", "exact_sequence", "unseen_sets", "unseen_sets_true",
    *(
        f"{base}@{step}"
        for base in ("attention_entropy", "attention_entropy_share")
        for step in (*range(1, STEPS + 1), "end")
    ),
)  # fmt: skip
