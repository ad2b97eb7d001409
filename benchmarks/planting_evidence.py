"""Do the tokens that stand for a label lie where people marked its evidence, in documents that nothing was counted on?

    python benchmarks/planting_evidence.py --dataset_name FOLDER [--split test] [--smoothing 0 1 4] [--ranker] [--pretrain 5]

FOLDER holds JSON Lines with the column `evidence`: `{label: [[start, end], ...]}`, characters of the text. Without
`--split`, `--held_out` training rows are set aside to measure on, which is where settings are chosen; with it, all training
rows are counted and the rows of that split are measured. For every (document, label) with evidence and a label that
has counted documents, the document's tokens are ranked by their value for the label; a hit is a token that shares a character
with the evidence; of equal values, the mean over all orders. Printed by the number of counted documents of the label.
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hf_mlc.commands.running import write_json
from hf_mlc.data import train_tokenizer
from hf_mlc.explaining.evidence_rows import EvidenceRow, read_evidence
from hf_mlc.explaining.hit_rates import marked_words, span_hits
from hf_mlc.labels import LabelSpace
from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification
from hf_mlc.planting import count_labels, count_tokens, token_label_store
from hf_mlc.planting.pretrain import pretrain_attention
from hf_mlc.planting.ranking import TokenLabelRanker, train_ranker
from hf_mlc.run_facts import Stopwatch, versions


BUCKETS = {"1": (1, 1), "2-5": (2, 5), "6-20": (6, 20), ">20": (21, 10**9), "all": (1, 10**9)}
MEASURES = ("hit@1", "hit@5")
# (token ids of a document's positions, id of a label) -> their values
Scorer = Callable[[np.ndarray, int], np.ndarray]


class Evidence:
    """Documents with marked evidence, in the vocabulary and the label space of the counted ones.

    Args:
        counted (`Sequence[EvidenceRow]`): what vocabulary and statistics come from.
        measured (`Sequence[EvidenceRow]`): what hits are measured on.
    """

    def __init__(self, counted: Sequence[EvidenceRow], measured: Sequence[EvidenceRow]):
        self.tokenizer = train_tokenizer((row.text for row in counted), max_length=10**6)
        self.space = LabelSpace.from_label_lists([row.labels for row in counted])
        token_ids = self.tokenizer([row.text for row in counted])["input_ids"]
        special = self.tokenizer.all_special_ids
        self.presence = count_tokens(token_ids, len(self.tokenizer), excluded_ids=special)
        label_ids = [self.space.encode(row.labels) for row in counted]
        self.counted_rows = (token_ids, label_ids)
        self.labels = count_labels(label_ids, len(self.space))
        self.pairs: list[tuple[int, np.ndarray, np.ndarray]] = []  # label, token ids, which are evidence
        known = set(self.space.names)
        self.num_unread = 0
        for row in measured:
            encoded = self.tokenizer(row.text, return_offsets_mapping=True)
            token_ids_T = np.array(encoded["input_ids"])
            for label, spans in row.evidence.items():
                if label in known:
                    is_marked_T = marked_words(encoded["offset_mapping"], spans)
                    if is_marked_T.any():
                        self.pairs.append((int(self.space.encode([label])[0]), token_ids_T, is_marked_T))
                    else:
                        self.num_unread += 1

    def hits(self, scorer: Scorer) -> dict[str, dict[str, float]]:
        """Mean hits by bucket of the label's training count, and the number of pairs in it."""
        found = [span_hits(scorer(token_ids_T, label), is_marked_T) for label, token_ids_T, is_marked_T in self.pairs]
        counts = np.array([self.space.counts[label] for label, _, _ in self.pairs])
        table = {}
        for bucket, (least, most) in BUCKETS.items():
            inside = np.flatnonzero((counts >= least) & (counts <= most))
            if len(inside):
                means = {name: float(np.mean([found[i][name] for i in inside])) for name in MEASURES}
                table[bucket] = {"pairs": len(inside), **means}
        return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_name", type=Path, required=True)
    parser.add_argument("--split", help="measure on this split; without it, on training rows set aside")
    parser.add_argument("--held_out", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", nargs="+", default=["jaccard"])
    parser.add_argument("--smoothing", type=float, nargs="+", default=[2.0])
    parser.add_argument("--min_document_frequency", type=int, nargs="+", default=[1])
    parser.add_argument("--num_tokens", type=int, nargs="+", default=[256])
    parser.add_argument("--ranker", action="store_true", help="also train a ranker on the statistics and measure that")
    parser.add_argument("--rank", type=int, nargs="+", default=[200])
    parser.add_argument(
        "--pretrain", type=int, default=0, metavar="EPOCHS", help="also the two-stage form's first stage"
    )
    parser.add_argument("--encoder", default="convolution", help="of the two-stage form")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()

    stopwatch = Stopwatch()
    counted = read_evidence(_file_of(args.dataset_name, "train"))
    if args.split is None:
        order = np.random.default_rng(args.seed).permutation(len(counted))
        aside = set(order[: args.held_out].tolist())
        measured = [row for place, row in enumerate(counted) if place in aside]
        counted = [row for place, row in enumerate(counted) if place not in aside]
    else:
        measured = read_evidence(_file_of(args.dataset_name, args.split))
    evidence = Evidence(counted, measured)
    print(
        f"{len(counted)} documents counted, {len(measured)} measured: {len(evidence.pairs)} pairs of document and label, "
        f"{evidence.num_unread} whose evidence was not read; {evidence.presence.shape[1]:,} tokens, {len(evidence.space):,} labels"
    )

    tables = {"random": evidence.hits(lambda token_ids, label: np.zeros(len(token_ids)))}
    show("random", tables["random"], head=True)
    rankers: dict[str, Any] = {}
    settings = itertools.product(args.kind, args.smoothing, args.min_document_frequency, args.num_tokens)
    for kind, smoothing, least, num_tokens in settings:
        store = token_label_store(
            evidence.presence,
            evidence.labels,
            kind=kind,
            smoothing=smoothing,
            min_document_frequency=least,
            num_tokens=num_tokens,
            progress=False,
        )
        name = f"{kind} smoothing {smoothing:g} frequency {least} K {num_tokens}"
        tables[name] = evidence.hits(dense_scorer(store.to_sparse()))
        show(name, tables[name])
        for rank in args.rank if args.ranker else ():
            ranker, facts = train_ranker(store, evidence.presence, evidence.labels, rank=rank, seed=args.seed)
            ranker_name = f"  ranker of it, rank {rank}"
            tables[name + ranker_name] = evidence.hits(ranker_scorer(ranker))
            show(ranker_name, tables[name + ranker_name])
            rankers[name + ranker_name] = facts
            print(
                f"    nDCG@15 on held-out pairs {facts['ndcg@15']:.3f}, untrained {facts['ndcg@15_untrained']:.3f}; "
                f"{facts['epochs']} epochs, {facts['seconds']:.0f} s"
            )
        if args.pretrain:
            model = new_model(args.encoder, evidence, args.seed)
            facts = pretrain_attention(model, *evidence.counted_rows, store, epochs=args.pretrain, seed=args.seed)
            stage_name = f"  attention after {args.pretrain} epochs, {args.encoder}"
            tables[name + stage_name] = evidence.hits(AttentionScorer(model))
            show(stage_name, tables[name + stage_name])
            rankers[name + stage_name] = facts
            before, after = facts["ndcg@15_before"], facts["ndcg@15_after"]
            print(f"    nDCG@15 of unseen documents {before:.3f} before, {after:.3f} after; {facts['seconds']:.0f} s")
    if args.output:
        report = {
            "dataset": args.dataset_name.name,
            "split": args.split,
            "tables": tables,
            "rankers": rankers,
            **stopwatch.read(),
        }
        write_json(
            args.output,
            {**report, "arguments": json.loads(json.dumps(vars(args), default=str)), "versions": versions()},
        )


def dense_scorer(values_LV: Any) -> Scorer:
    """Scores from a sparse table; the row of a label is unpacked when it is asked for."""
    return lambda token_ids_T, label: values_LV[[label]].toarray()[0][token_ids_T]


def ranker_scorer(ranker: TokenLabelRanker) -> Scorer:
    """Scores from a ranker."""
    tokens_VR, labels_LR, bias_V = (
        factors.detach().numpy() for factors in (ranker.token_factors, ranker.label_factors, ranker.token_bias)
    )
    return lambda token_ids_T, label: tokens_VR[token_ids_T] @ labels_LR[label] + bias_V[token_ids_T]


def new_model(encoder: str, evidence: Evidence, seed: int) -> PlantForMultiLabelClassification:
    """A model of the corpus's sizes, with learned attention alone."""
    torch.manual_seed(seed)
    config = PlantConfig(
        vocab_size=len(evidence.tokenizer),
        encoder=encoder,
        num_labels=len(evidence.space),
        pad_token_id=evidence.tokenizer.pad_token_id,
        unk_token_id=evidence.tokenizer.unk_token_id,
    )
    return PlantForMultiLabelClassification(config).eval()


class AttentionScorer:
    """Scores from a model's learned attention; a document is encoded once."""

    def __init__(self, model: PlantForMultiLabelClassification):
        self.model, self.document, self.hidden_TD = model, None, None

    @torch.no_grad()
    def __call__(self, token_ids_T: np.ndarray, label: int) -> np.ndarray:
        if self.document is not token_ids_T:
            input_ids = torch.from_numpy(token_ids_T)[None]
            encoded = self.model._encode(torch.ones_like(input_ids, dtype=torch.bool), input_ids, None, None)
            self.document, self.hidden_TD = token_ids_T, encoded.last_hidden_state[0]
        return (self.hidden_TD @ self.model.decoder.query[label]).numpy()


def show(name: str, table: dict[str, dict[str, float]], *, head: bool = False) -> None:
    """A row of the table."""
    if head:
        print(
            f"{'hit@1 / hit@5':<44}"
            + "".join(f"{bucket + ' (' + str(row['pairs']) + ')':>16}" for bucket, row in table.items())
        )
    print(f"{name:<44}" + "".join(f"{row['hit@1']:>10.3f}/{row['hit@5']:.3f}" for row in table.values()), flush=True)


def _file_of(folder: Path, split: str) -> Path:
    return next(iter(sorted(folder.glob(f"{split}.jsonl*"))))


if __name__ == "__main__":
    main()
