"""What is known of a model, read from the files that its runs wrote, and checked to belong together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from transformers.utils import logging

from hf_mlc.cards.metric_names import metric_name
from hf_mlc.cards.words import CARD_FILE, CardWords, read_words
from hf_mlc.errors import UserError
from hf_mlc.folder_files import ATTENTION, EXAMPLES, METRICS_FILE, RELATIONS, RESULTS_FILE, STEPS
from hf_mlc.inference import config_of, label_space_of
from hf_mlc.labels import LabelSpace
from hf_mlc.metrics.ranking import PROPENSITY
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.run_facts import weights_fingerprint


logger = logging.get_logger(__name__)

BASELINE = "baseline.json"
RECIPE = "recipe.yaml"
# of two labels, in `ATTENTION`
_PAIR = {"label", "looks_at", "attention", "usual", "when_there", "together", "before"}


@dataclass
class CardFacts:
    """Everything that a card says, before it is put into words.

    Args:
        model_folder (`Path`): where config.json and, perhaps, the weights are.
        card_folder (`Path`, *optional*): `model_cards/NAME`.
        name (`str`): the model's short name.
        model_id (`str`): what a reader types to load it.
        config (`MultiLabelConfig`): the configuration.
        label_space (`LabelSpace`): names, training counts.
        words (`CardWords`): the hand-written part.
        results (`dict`): what `train` wrote; empty if nothing did.
        evaluation (`dict`): what `evaluate` wrote, or what training measured itself; empty if nothing did.
        baseline (`dict`): what `benchmarks/tfidf.py` wrote; empty if nothing did.
        examples (`dict[str, str]`): an extract a label, where they may be shown.
        steps (`dict`): where the steps of one document's label sequence looked, where texts may be shown; empty if unknown.
        relations (`dict`): which labels move which others' logits (`hf_mlc.explaining.label_relations`); empty if unknown.
        attention (`dict`): which labels look at which others (`hf_mlc.explaining.label_attention_map`); empty if unknown.
    """

    model_folder: Path
    card_folder: Path | None
    name: str
    model_id: str
    config: MultiLabelConfig
    label_space: LabelSpace
    words: CardWords
    results: dict[str, Any]
    evaluation: dict[str, Any]
    baseline: dict[str, Any]
    examples: dict[str, str]
    steps: dict[str, Any] = field(default_factory=dict)
    relations: dict[str, Any] = field(default_factory=dict)
    attention: dict[str, Any] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """The measured metrics by name."""
        return self.evaluation.get("metrics", {})

    @property
    def baseline_metrics(self) -> dict[str, float]:
        """The baseline's on the same rows; of other rows than test rows it has none.

        After a refit the model's training counts are of validation rows too. Measures that depend on such counts (by
        bucket, `psp@k`) are then about other labels, or other weights of them, than the baseline's, and left out. So is
        `psp@k` with other constants of the propensity than the baseline's.
        """
        metrics = self.baseline.get("test", {}) if self.evaluation.get("split") == "test" else {}
        if self.results.get("refit"):
            metrics = {name: value for name, value in metrics.items() if not metric_name(name).depends_on_counts}
        if self.propensity != PROPENSITY:  # the baseline's
            metrics = {name: value for name, value in metrics.items() if not metric_name(name).depends_on_propensity}
        return metrics

    @property
    def propensity(self) -> tuple[float, float]:
        """A and B of `psp@k`: those that it was measured with, or else the label space's."""
        measured = _part(_part(self.evaluation, "facts"), "propensity")
        return (measured["A"], measured["B"]) if {"A", "B"} <= set(measured) else self.label_space.propensity


def read_facts(model_folder: Path, *, card_folder: Path | None = None, repo_id: str | None = None) -> CardFacts:
    """Reads whatever is there; each file is looked for in `card_folder`, then in `model_folder`.

    Args:
        model_folder (`Path`): a saved model; config.json is all it must hold.
        card_folder (`Path`, *optional*): `model_cards/NAME`, with card.yaml, metrics.json, baseline.json, ...
        repo_id (`str`, *optional*): the model's id on the Hub.

    Raises:
        `UserError`: no config.json of ours; a file that is no JSON object; files that are about different models or rows.
    """
    if card_folder is not None:
        check_card_folder(card_folder)
    config = config_of(model_folder, str(model_folder))
    label_space = label_space_of(config, model_folder, str(model_folder))
    words = read_words(_found(CARD_FILE, card_folder, model_folder))
    name = repo_id.partition("/")[2] or repo_id if repo_id else (card_folder or model_folder).resolve().name
    results = _results(_found(RESULTS_FILE, model_folder, card_folder))
    examples = _json(_found(EXAMPLES, card_folder, model_folder)) if words.show_examples else {}
    steps = read_of_weights(STEPS, model_folder, card_folder) if words.show_examples else {}
    facts = CardFacts(
        model_folder=model_folder,
        card_folder=card_folder,
        name=name,
        model_id=repo_id or name,
        config=config,
        label_space=label_space,
        words=words,
        results=results,
        evaluation=read_evaluation(model_folder, card_folder, config) or _of_training(results, config),
        baseline=_baseline(_found(BASELINE, card_folder, model_folder)),
        examples=examples.get("examples", {}),
        steps=steps,
        relations=read_of_weights(RELATIONS, model_folder, card_folder),
        attention=read_of_weights(ATTENTION, model_folder, card_folder),
    )
    _check_that_all_are_of_one_model(facts)
    return facts


def check_card_folder(folder: Path) -> None:
    """`UserError` where there is no such folder."""
    if not folder.is_dir():
        raise UserError("no such folder", file=folder, field="card_folder", accepted="a folder with card.yaml")


def _found(name: str, *folders: Path | None) -> Path | None:
    files = (folder / name for folder in folders if folder is not None)
    return next((file for file in files if file.is_file()), None)


def _json(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"no JSON ({error})", file=file, accepted="the file as the command wrote it") from None
    if not isinstance(content, dict):
        raise UserError(f"found {type(content).__name__}", file=file, accepted="the file as the command wrote it")
    return content


def _results(file: Path | None) -> dict[str, Any]:
    results = _json(file)
    for key in (
        "recipe",
        "data",
        "training",
        "hardware",
        "versions",
        "thresholds",
        "refit",
        "planting",
        "beta",
        "validation",
        "test",
    ):
        if results.get(key) is None:
            results.pop(key, None)
        elif not isinstance(results[key], dict):
            raise UserError(f"found {type(results[key]).__name__}", file=file, field=key, accepted="what train writes")
    if not isinstance(results.get("cycles", []), list):
        raise UserError(
            f"found {type(results['cycles']).__name__}", file=file, field="cycles", accepted="what train writes"
        )
    return results


def _part(content: dict[str, Any], key: str) -> dict[str, Any]:
    """An object inside an object; empty where there is none, or something else."""
    part = content.get(key)
    return part if isinstance(part, dict) else {}


def read_evaluation(model_folder: Path, card_folder: Path | None, config: MultiLabelConfig) -> dict[str, Any]:
    """metrics.json of `card_folder` or else of `model_folder`, if it is about this model as it decides now; empty otherwise.

    In a card folder one that isn't is a mistake. In the model's own folder it is what an earlier training left there, and
    is passed over, so that a push at the end of a training doesn't fail.
    """
    file = _found(METRICS_FILE, card_folder, model_folder)
    evaluation = _json(file)
    if not evaluation:
        return {}
    measured, own = evaluation.get("weights"), None
    if measured is not None:
        own = weights_fingerprint(str(model_folder))
    found = _part(evaluation, "facts").get("num_labels")
    if not _part(evaluation, "metrics") or not isinstance(evaluation.get("split"), str):
        problem = "is not what evaluate writes"
    elif found not in (None, config.num_labels):
        problem = f"is about {found} labels, the model has {config.num_labels}"
    elif own is not None and measured != own:
        problem = "was measured with other weights than the model's"
    elif not _decided_alike(_part(evaluation, "decision"), config):
        problem = "was measured with another decision rule than config.json's"
    else:
        return evaluation
    if file.parent != model_folder:
        raise UserError(problem, file=file, accepted="what evaluate writes for this model")
    logger.warning(f"{file} {problem}: it is left out")
    return {}


def _decided_alike(used: dict[str, Any], config: MultiLabelConfig) -> bool:
    """Whether an evaluation's labels were chosen as `config` chooses them; true too of a threshold that was given by hand for
    the evaluation, as the card then says, and where nothing is known.

    Of thresholds by label metrics.json holds how far they reach, and no more than that is compared.
    """
    if any(getattr(config, name, value) != value for name, value in (used.get("override") or {}).items()):
        return False
    if not used.get("tuned"):
        return True
    sets = used.get("sets", "thresholds")
    if (sets, used.get("min_labels", config.min_labels)) != (_decision_of(config), config.min_labels):
        return False
    if sets != "thresholds":  # of a model that decides on sets they decide nothing
        return True
    own, measured = np.asarray(config.thresholds, np.float32), used.get("thresholds")
    if own.ndim:
        reach = {"lowest": own.min(), "median": np.median(own), "highest": own.max()}
        return isinstance(measured, dict) and all(_alike(measured.get(name), value) for name, value in reach.items())
    return not isinstance(measured, dict) and _alike(measured, own)


def _decision_of(config: MultiLabelConfig | type[MultiLabelConfig]) -> str:
    """How label sets are found: `"thresholds"`, of an architecture that knows nothing else too."""
    return getattr(config, "decision", "thresholds")


def _alike(left: Any, right: Any) -> bool:
    """Whether thresholds, one or one a label, are the same where scores are compared with them: in float32."""
    if left is None or right is None:
        return False
    return np.array_equal(np.asarray(left, np.float32), np.asarray(right, np.float32))


def is_tuned(results: dict[str, Any], config: MultiLabelConfig) -> bool:
    """Whether the thresholds and the smallest set are those that training chose on validation rows.

    Args:
        results (`dict`): what `train` wrote.
        config (`MultiLabelConfig`): the model's.
    """
    chosen = results.get("thresholds") or {}
    same = chosen.get("min_labels", config.min_labels) == config.min_labels
    return same and _alike(chosen.get("thresholds"), config.thresholds)


def _baseline(file: Path | None) -> dict[str, Any]:
    baseline = _json(file)
    if baseline and not (_part(baseline, "test") and {"system", "threshold_metric"} <= set(baseline)):
        raise UserError("is not what benchmarks/tfidf.py writes", file=file, accepted="that")
    return baseline


def read_of_weights(name: str, model_folder: Path, card_folder: Path | None = None) -> dict[str, Any]:
    """attention_steps.json, label_relations.json or label_attention.json, if it is about this model's weights; empty otherwise.

    Of a file that isn't, what [`read_evaluation`] says is true as well.
    """
    file = _found(name, card_folder, model_folder)
    content = _json(file)
    if not content:
        return {}
    is_whole, command = _WRITTEN_BY[name]
    own = weights_fingerprint(str(model_folder))
    if not is_whole(content):
        problem = f"is not what {command.partition(' ')[0]} writes"
    elif own is not None and content.get("weights") not in (None, own):
        problem = "was made with other weights than the model's"
    else:
        return content
    if file.parent != model_folder:
        raise UserError(problem, file=file, accepted=f"what {command} writes for this model")
    logger.warning(f"{file} {problem}: it is left out")
    return {}


def _is_steps(content: dict[str, Any]) -> bool:
    steps, words = content.get("steps"), content.get("words")
    whole = isinstance(steps, list) and isinstance(words, list) and steps and words
    return bool(whole) and all(isinstance(step, dict) and len(step.get("weights", ())) == len(words) for step in steps)


def _is_relations(content: dict[str, Any]) -> bool:
    lists = [content.get(name) for name in ("offsets", "change", "scales", "pairs")]
    whole = all(isinstance(part, list) for part in lists) and _part(content, "parameters")
    return bool(whole) and len(lists[0]) == len(lists[1])


def _is_attention_map(content: dict[str, Any]) -> bool:
    """Whether it is what `LabelAttentionMap.to_dict` gives, as far as the card reads it."""
    lists = [content.get(name) for name in ("labels", "layers", "pairs")]
    if not all(isinstance(part, list) for part in lists):
        return False
    labels, layers, pairs = lists
    maps = [content.get("rolled_out"), *layers]
    return (
        all(isinstance(content.get(name), int) for name in ("num_labels", "num_histories"))
        and {"together", "before"} <= set(_part(content, "correlation"))
        and all(_has_lists(shares, ("attention", "usual"), len(labels)) for shares in maps)
        and all(isinstance(pair, dict) and set(pair) >= _PAIR for pair in pairs)
    )


def _has_lists(part: Any, names: tuple[str, ...], length: int) -> bool:
    """Whether it is an object with lists of this length under these names."""
    lists = [part.get(name) for name in names] if isinstance(part, dict) else [None]
    return all(isinstance(values, list) and len(values) == length for values in lists)


# each with the command that writes it
_WRITTEN_BY = {
    STEPS: (_is_steps, "card --dataset_name"),
    RELATIONS: (_is_relations, "card --card_folder"),
    ATTENTION: (_is_attention_map, "explain --method label_attention"),
}


def _of_training(results: dict[str, Any], config: MultiLabelConfig) -> dict[str, Any]:
    """What the training itself measured, in the form of metrics.json: test rows with `--do_predict`, else validation; nothing
    where the model decides otherwise than it did then."""
    data = results.get("data", {})
    # after a refit, the validation metrics are those of the model before it
    for split in ("test",) if results.get("refit") else ("test", "validation"):
        metrics = {
            name: value
            for name, value in (results.get(split) or {}).items()
            if name not in _NO_METRICS and not name.startswith("tuned_")
        }
        if metrics and not _decided_alike_in_training(results, config):
            logger.warning(
                f"{RESULTS_FILE}: its metrics were measured with another decision rule than config.json's, the card leaves "
                "them out"
            )
            return {}
        if metrics:
            return {
                "split": split,
                "metrics": metrics,
                "documents": data.get("rows", {}).get(split),
                "fingerprint": data.get("fingerprints", {}).get(split),
            }
    return {}


def _decided_alike_in_training(results: dict[str, Any], config: MultiLabelConfig) -> bool:
    """As `_decided_alike`, of the metrics in results.json."""
    recipe, sets = results.get("recipe"), results.get("decision")  # an ensemble's says so itself
    if sets is None and recipe is not None:
        # a recipe says what is not the default; of a training that went on from a model that is the model's, unknown here
        default = None if recipe.get("model_name_or_path") else _decision_of(type(config))
        sets = recipe.get("decision") or default
    if sets not in (None, _decision_of(config)):
        return False
    chosen = results.get("thresholds") or {}
    if "thresholds" not in chosen:
        return True
    if _decision_of(config) != "thresholds":
        return chosen.get("min_labels") in (None, config.min_labels)
    return is_tuned(results, config)


# what transformers' Trainer reports beside the metrics
_NO_METRICS = {"loss", "runtime", "samples_per_second", "steps_per_second", "epoch", "model_preparation_time"}


def _check_that_all_are_of_one_model(facts: CardFacts) -> None:
    num_labels = len(facts.label_space)
    folder = facts.card_folder or facts.model_folder
    trained_on = facts.results.get("data", {})
    if trained_on.get("labels") not in (None, num_labels):
        raise UserError(
            f"about {trained_on['labels']} labels", file=folder / RESULTS_FILE, accepted=f"the model's {num_labels}"
        )
    if facts.results.get("model_type") not in (None, facts.config.model_type):
        raise UserError(
            f"about a model of type {facts.results['model_type']}",
            file=folder / RESULTS_FILE,
            accepted=facts.config.model_type,
        )
    kept = _results(_found(RESULTS_FILE, facts.card_folder))
    if kept and _run_of(kept) != _run_of(facts.results):
        raise UserError(
            "is of another run than the model",
            file=facts.card_folder / RESULTS_FILE,
            accepted="the model folder's copy",
        )
    if facts.baseline_metrics:
        rows = {**trained_on.get("fingerprints", {}), "test": facts.evaluation.get("fingerprint")}
        for split, fingerprint in facts.baseline.get("fingerprints", {}).items():
            if rows.get(split) not in (None, fingerprint):
                raise UserError(
                    f"of other {split} rows than the model's",
                    file=folder / BASELINE,
                    accepted="the same data and split",
                )


def _run_of(results: dict[str, Any]) -> tuple[Any, ...]:
    """What two copies of one results.json have in common, even where one was stripped of paths."""
    return results.get("training"), results.get("data", {}).get("fingerprints")
