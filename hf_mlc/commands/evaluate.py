"""`evaluate`: the metrics of a trained model on one split, at its tuned thresholds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset, DatasetDict
from tqdm.auto import tqdm

from hf_mlc.commands.answer_settings import HELP, override
from hf_mlc.commands.column_arguments import ColumnArguments, HubDataArguments
from hf_mlc.commands.parsing import check_at_least, check_probability, parse_arguments
from hf_mlc.commands.running import check_output_file, say, write_json
from hf_mlc.data import fingerprint
from hf_mlc.data.finding import SPLITS
from hf_mlc.data.loading import column_names
from hf_mlc.data.training_rows import label_sets, results_of, rows_of_training
from hf_mlc.errors import UserError, rows_of
from hf_mlc.inference import LoadedModel, load_model, scored_batches
from hf_mlc.label_checks import checked_propensity
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics import MultiLabelMetrics
from hf_mlc.run_facts import Stopwatch, peak_memory, versions, weights_fingerprint
from hf_mlc.sequence_report import measure_sequences, writes_sequences


TEXTS_AT_ONCE = 1024  # documents that are sorted by length together
LABELS_LISTED = 500  # at most; the file stays one that a person can open
CURVE_POINTS = 200


@dataclass
class EvaluateArguments:
    """Arguments of `evaluate`."""

    model: str = field(metadata={"help": "A trained model's folder or Hub id."})
    dataset_name: str = field(metadata={"help": "A Hub id, a local file, or a folder of splits."})
    split: str = field(default="test", metadata={"help": "train, validation or test."})
    id_column: str | None = field(default=None, metadata={"help": "Column of the row's id."})
    output: str | None = field(default=None, metadata={"help": "JSON file for the metrics."})
    revision: str | None = field(default=None, metadata={"help": "The model's branch, tag or commit."})
    threshold: float | None = field(default=None, metadata={"help": "In place of the tuned thresholds."})
    override: list[str] | None = field(default=None, metadata={"help": HELP})
    ranking_ks: list[int] = field(default_factory=lambda: [1, 3, 5], metadata={"help": "The k of ranking metrics."})
    propensity: list[float] | None = field(
        default=None, metadata={"help": "A and B of psp@k, in place of the model's own (0.55 1.5)."}
    )
    batch_size: int = field(default=32, metadata={"help": "Documents a forward pass."})
    strict: bool = field(default=False, metadata={"help": "Fail on a label that the model doesn't know."})
    score_budget_mb: int = field(default=512, metadata={"help": "Memory for the scores of exact curves."})
    deletion_documents: int = field(
        default=32,
        metadata={"help": "Of a model that writes label sequences: texts from which words are deleted; 0 for none."},
    )

    def __post_init__(self):
        check_probability(threshold=self.threshold)
        check_at_least(1, batch_size=self.batch_size, ranking_ks=min(self.ranking_ks))
        check_at_least(0, score_budget_mb=self.score_budget_mb, deletion_documents=self.deletion_documents)
        if self.split not in SPLITS:
            raise UserError(f"found '{self.split}'", field="split", accepted=", ".join(SPLITS))
        if self.propensity is not None:
            checked_propensity(self.propensity)
        if self.output is not None:
            check_output_file(self.output)


def main(arguments: list[str]) -> None:
    """Measures by `arguments` and prints the table."""
    (args, column_args, hub_args), _, _ = parse_arguments(
        (EvaluateArguments, ColumnArguments, HubDataArguments), arguments
    )
    stopwatch = Stopwatch()
    loaded = load_model(args.model, revision=args.revision, allow_onnx=True)
    overridden = override(loaded, args.override)
    if args.propensity is not None and (loaded.label_space.counts is None or not loaded.label_space.num_documents):
        raise UserError(
            "its labels have no training counts, which psp@k is made of",
            file=args.model,
            field="propensity",
            accepted="none given",
        )
    if column_args.label_columns is None:
        column_args = _with_label_columns(args, column_args, hub_args, loaded)

    def load(splits: list[str]) -> DatasetDict:
        return _load(args, column_args, hub_args, loaded, splits)

    rows, column = load([args.split])[args.split], loaded.kind.content.column

    space, config = loaded.label_space, loaded.model.config
    metrics = MultiLabelMetrics(
        len(space),
        train_counts=space.counts,
        num_train_documents=space.num_documents,
        ks=args.ranking_ks,
        thresholds=config.thresholds if args.threshold is None else args.threshold,
        min_labels=config.min_labels if args.threshold is None else 0,
        propensity=space.propensity if args.propensity is None else args.propensity,
        score_budget_mb=args.score_budget_mb,
    )
    sets = config.decision if loaded.model.decides_on_sets and args.threshold is None else "thresholds"
    unknown, true_ids = 0, []
    writes = writes_sequences(loaded.model)
    with tqdm(total=len(rows), desc=f"Scoring {args.split}", unit=" documents") as bar:
        for start in range(0, len(rows), TEXTS_AT_ONCE):
            part = rows[start : start + TEXTS_AT_ONCE]
            known = []
            for row_id, names in zip(part["id"], part["labels"], strict=True):
                if args.strict:
                    known.append(space.encode(names, file=args.dataset_name, row=row_id))
                else:
                    ids, missed = space.encode_known(names)
                    known.append(ids)
                    unknown += missed
            true_ids += known if writes else []
            label_ids = torch.nn.utils.rnn.pad_sequence(
                [torch.from_numpy(ids) for ids in known], batch_first=True, padding_value=-100
            )
            with rows_of(f"{args.dataset_name}[{args.split}]", part["id"]):
                for batch in scored_batches(loaded, part[column], batch_size=args.batch_size):
                    metrics.update(
                        batch.scores_BS,
                        label_ids=label_ids[batch.places],
                        candidate_ids=batch.candidate_ids_BS,
                        chosen=batch.chosen_BS if args.threshold is None else None,
                    )
                    bar.update(len(batch.places))
    result = metrics.compute()
    for name, value in result.items():
        say(f"{name:<28}{value:.4f}")
    if unknown:
        say(f"{unknown} labels of {args.split} are unknown to the model and were skipped")
    for remark in loaded.kind.remarks(loaded.processor):
        say(remark)
    sequences = None
    if writes:
        sequences = _measured_sequences(args, loaded, rows, true_ids, load)
    if args.output:
        labels, listed = label_scores(metrics, space)
        write_json(
            args.output,
            {
                # of a path on this machine the name is enough
                "model": Path(args.model).resolve().name if Path(args.model).exists() else args.model,
                "weights": weights_fingerprint(args.model, revision=args.revision),
                "decision": {
                    "thresholds": _thresholds(metrics.thresholds),
                    "min_labels": metrics.min_labels,
                    "tuned": args.threshold is None,
                    **({"sets": sets} if sets != "thresholds" else {}),
                    **({"override": overridden} if overridden else {}),
                },
                "split": args.split,
                "documents": len(rows),
                "unknown_labels_skipped": unknown,
                "fingerprint": fingerprint(rows),
                "metrics": result,
                **({} if sequences is None else {"sequences": sequences}),
                "facts": metrics.facts() | {"labels_listed": listed},
                "curve": metrics.curve(CURVE_POINTS),
                "labels": labels,
                **stopwatch.read(),
                **peak_memory(),
                "versions": versions(),
            },
        )


def _load(
    args: EvaluateArguments,
    column_args: ColumnArguments,
    hub_args: HubDataArguments,
    loaded: LoadedModel,
    splits: list[str],
) -> DatasetDict:
    return loaded.kind.load(
        loaded.processor,
        args.dataset_name,
        **hub_args.version(),
        columns=column_args.columns(loaded.kind, id_column=args.id_column, processor=loaded.processor),
        splits=splits,
    )


def _with_label_columns(
    args: EvaluateArguments, column_args: ColumnArguments, hub_args: HubDataArguments, loaded: LoadedModel
) -> ColumnArguments:
    """The model's own names as columns of labels, where the data have no labels column and all of these."""
    split = loaded.kind.split_read(loaded.kind.row_settings(loaded.processor), args.split)
    names = set(column_names(args.dataset_name, split, **hub_args.version()))
    space = loaded.label_space
    if column_args.labels_column in names or not names.issuperset(space.names):
        return column_args
    return dataclasses.replace(column_args, label_columns=list(space.names))


def _measured_sequences(
    args: EvaluateArguments,
    loaded: LoadedModel,
    rows: Dataset,
    true_ids: list[np.ndarray],
    load: Callable[[list[str]], DatasetDict],
) -> dict[str, Any]:
    """The metrics of the label sequences, printed."""
    results = results_of(args.model, revision=args.revision)
    training = rows_of_training(results, load, loaded.label_space)
    found = measure_sequences(
        loaded,
        rows[loaded.kind.content.column][:],
        [ids.tolist() for ids in true_ids],
        training_sets=None if training is None else label_sets(results, training, loaded.label_space),
        batch_size=args.batch_size,
        deletion_documents=args.deletion_documents,
    )
    say(f"label sequences (reference order: {found['facts']['reference_order']})")
    for name, value in found["metrics"].items():
        say(f"{name:<32}{value:.4f}")
    if training is None:
        say("unseen sets are not counted: the data set doesn't hold the rows that the model was trained on")
    return found


def label_scores(
    metrics: MultiLabelMetrics, space: LabelSpace, *, most: int = LABELS_LISTED
) -> tuple[dict[str, list[Any]], str]:
    """How each label fared, ready for JSON: lists of equal length by column, and which labels they are about.

    Args:
        metrics (`MultiLabelMetrics`): what was measured.
        space (`LabelSpace`): the labels' names and training counts.
        most (`int`, *optional*): how many labels to list; those with most training documents, or, where these are
            unknown, with most documents here.
    """
    table = metrics.per_label()
    order = "train_count" if space.counts is not None else "support"
    ids = np.argsort(-table[order], kind="stable")[:most]
    labels: dict[str, list[Any]] = {"name": space.decode(ids.tolist())}
    for column in ("train_count", "support", "predicted", "tp"):
        if column in table:
            labels[column] = table[column][ids].tolist()
    for column in ("precision", "recall", "f1"):
        labels[column] = [round(value, 6) for value in table[column][ids].tolist()]
    by = "training documents" if order == "train_count" else "documents in this split"
    return labels, "all" if len(ids) == len(space) else f"the {len(ids)} with most {by}"


def _thresholds(thresholds: np.ndarray) -> float | dict[str, float]:
    """One number, or, of one a label, how far they reach."""
    if thresholds.ndim == 0:
        return float(thresholds)
    reach = {"lowest": thresholds.min(), "median": np.median(thresholds), "highest": thresholds.max()}
    return {name: float(value) for name, value in reach.items()}
