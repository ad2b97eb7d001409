"""`pipeline("multi-label-classification")`: texts in; for each its labels with their scores, best first.

It is registered when the package is imported, and it travels with every saved model that reads text, so that it works
without the package as well (`trust_remote_code=True`).

Shape legend: B texts, T tokens, K labels of an answer.
"""

from __future__ import annotations

import math
import operator
import types
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from transformers import Pipeline

from .answers import choose_labels, written_answer
from .evidence import weights_of_labels
from .text_batch import encode_texts


TASK = "multi-label-classification"
_DEFAULT_WORDS = 5


class MultiLabelClassificationPipeline(Pipeline):
    """
    Multi-label classification of texts by a model of this package.

    Without arguments an answer holds the labels that the model's own decision rule chooses: the thresholds and the
    smallest label set that were tuned on validation rows and are kept in its configuration. An answer may be empty.

    Args:
        top_k (`int`, *optional*): the k best labels, whatever their scores; beside a threshold, at most k of those that
            reach it.
        threshold (`float`, `list[float]` or `dict[str, float]`, *optional*): every label from this score on, in place
            of the tuned rule: one number, or one a label in the order of `config.id2label`, or by label (labels that
            are not named keep their tuned threshold). An answer may then be empty.
        return_all_scores (`bool`, *optional*, defaults to `False`): every label that the model scored.
        explain (`bool` or `int`, *optional*, defaults to `False`): give each label its `evidence`, the words that it
            was read from: five, or so many.
        batch_size (`int`, *optional*, defaults to 1): texts a forward pass.

    All of them can be given to `pipeline(...)` and to a call, which wins.

    Raises:
        `ValueError`: an argument that is none of these, or a value that it can't have; `explain` where the model
            doesn't tell from which tokens it reads (`MultiLabelPreTrainedModel.token_weights`).
    """

    _load_processor = False
    _load_image_processor = False
    _load_video_processor = False
    _load_feature_extractor = False
    _load_tokenizer = True
    _needed = ("tokenizer", "tokenizer")  # what turns inputs into tensors: the argument, and its name in an error
    _reads = "input_ids"  # what comes out of it
    _arguments = ("top_k", "threshold", "return_all_scores", "explain")

    def __init__(self, model, **kwargs):
        if not hasattr(model, "predict_topk"):
            raise ValueError(
                f'the pipeline "{TASK}" is for the models of hf_mlc, found {type(model).__name__}; '
                'of other models, pipeline("text-classification", model=..., top_k=None) gives all scores'
            )
        argument, name = self._needed
        found = getattr(model, "main_input_name", self._reads)
        if found != self._reads:
            raise ValueError(f"this pipeline is of models that read `{self._reads}`, found one of `{found}`")
        if kwargs.get(argument) is None:
            raise ValueError(f"the pipeline needs the model's {name}, found none")
        check_count("batch_size", kwargs.get("batch_size"))
        super().__init__(model=model, **kwargs)
        self.model.eval()  # a model that comes from training would answer with dropout

    def __call__(self, inputs, *, batch_size: int | None = None, num_workers: int | None = None, **arguments):
        """Labels of one text or of many.

        Args:
            inputs (`str`, `dict`, `list`, or any iterable):
                a text, or a row whose `"text"` it is, or several of them; a `DataFrame` is several rows.
            batch_size (`int`, *optional*): texts a forward pass.
            num_workers (`int`, *optional*): processes that tokenise.
            arguments: `top_k`, `threshold`, `return_all_scores`, `explain`: see the class.

        Returns:
            `list[dict]` for one text: `{"label", "score"}`, best first, and with `explain` `"evidence"`: a list of
            `{"start", "end", "text", "weight"}`, best first. For a list, tuple, array or `DataFrame` a list of these; for a
            generator or a data set an iterator over them, which reads its source as it goes.
        """
        check_count("batch_size", batch_size)
        if hasattr(inputs, "iterrows"):  # a DataFrame; iterating over it would give the names of its columns
            inputs = inputs.to_dict("records")
        elif hasattr(inputs, "tolist"):  # a column of one, or an array
            inputs = inputs.tolist()
        if isinstance(inputs, tuple):
            inputs = list(inputs)
        one_or_known = (str, bytes, Mapping, list, types.GeneratorType, torch.utils.data.Dataset)
        if isinstance(inputs, Iterable) and not isinstance(inputs, one_or_known):
            inputs = (row for row in inputs)  # a data set of `datasets`, one of its columns, ...
        if isinstance(inputs, list) and not inputs:  # transformers looks at the first one
            self._sanitize_parameters(**arguments)
            return []
        return super().__call__(inputs, batch_size=batch_size, num_workers=num_workers, **arguments)

    def _sanitize_parameters(self, **given):
        given.pop("local_files_only", None)  # `pipeline` hands its own argument on
        for name in given:
            if name not in self._arguments:
                raise ValueError(
                    f"unknown argument `{name}`; this pipeline takes {', '.join(self._arguments)}, batch_size, num_workers"
                )
        preprocess, forward, postprocess = {}, {}, {}
        if "top_k" in given:
            forward["top_k"] = check_count("top_k", given["top_k"])
        if "threshold" in given:
            forward["thresholds"] = self._thresholds(given["threshold"])
        others = [name for name in ("top_k", "threshold") if given.get(name) is not None]
        if "return_all_scores" in given:
            wanted = forward["return_all_scores"] = given["return_all_scores"]
            if not isinstance(wanted, bool):
                raise ValueError(f"`return_all_scores` must be True or False, found {wanted!r}")
            if wanted and others:
                raise ValueError(f"`return_all_scores` and `{others[0]}` ask for different answers; give one of them")
        elif others:  # in a call of a pipeline that was made with `return_all_scores`
            forward["return_all_scores"] = False
        if "explain" in given:
            num_words = self._num_words(given["explain"])
            preprocess["with_offsets"] = forward["explain"] = num_words > 0
            postprocess["num_words"] = num_words
        return preprocess, forward, postprocess

    def _thresholds(self, threshold: Any) -> float | torch.Tensor | None:
        """What `decide` takes: a number, or a tensor of one a label; `None` for the tuned rule."""
        if threshold is None:
            return None
        config = self.model.config
        if isinstance(threshold, Mapping):
            tuned = (
                config.thresholds if isinstance(config.thresholds, list) else [config.thresholds] * config.num_labels
            )
            thresholds = list(tuned)
            for label, value in threshold.items():
                if label not in config.label2id:
                    raise ValueError(f"`threshold` names the label {label!r}, which the model doesn't have")
                thresholds[config.label2id[label]] = _check_score("threshold", value)
            return torch.tensor(thresholds, dtype=torch.float32)
        if hasattr(threshold, "tolist"):  # of numpy or torch
            threshold = threshold.tolist()
        if isinstance(threshold, list | tuple):
            if len(threshold) != config.num_labels:
                raise ValueError(f"`threshold` has {len(threshold)} entries for {config.num_labels} labels")
            return torch.tensor([_check_score("threshold", value) for value in threshold], dtype=torch.float32)
        return _check_score("threshold", threshold)

    def _num_words(self, explain: Any) -> int:
        """How many words of evidence a label gets; 0 for none."""
        if explain is None or explain is False:
            return 0
        if not self.model.has_token_weights:
            raise ValueError(
                f"`explain`: {type(self.model).__name__} doesn't tell from which tokens it reads a label "
                "(it has no `token_weights`)"
            )
        if not self.tokenizer.is_fast:
            raise ValueError("`explain` needs a fast tokenizer, which says where in the text each token stands")
        return _DEFAULT_WORDS if explain is True else check_count("explain", explain)

    def preprocess(self, inputs, with_offsets: bool = False) -> dict[str, Any]:
        text = inputs
        if isinstance(inputs, Mapping):
            if "text" not in inputs:
                raise ValueError(
                    f'a row needs its text under "text", found {", ".join(map(repr, inputs)) or "nothing"}'
                )
            if inputs.get("text_pair") is not None:
                raise ValueError('"text_pair" is not supported: join the two texts')
            text = inputs["text"]
        if not isinstance(text, str):
            raise ValueError(f"a text must be a string, found {type(text).__name__}: {str(text)[:50]!r}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as failure:  # which tokenizers call a wrong type
            place = failure.start
            raise ValueError(
                f"a text must be valid Unicode, found half a surrogate pair at character {place}"
            ) from None
        batch = encode_texts(self.tokenizer, [text], with_offsets=with_offsets)
        return {**batch, "text": text} if with_offsets else batch

    def _forward(
        self,
        inputs: dict[str, Any],
        top_k: int | None = None,
        thresholds: float | torch.Tensor | None = None,
        return_all_scores: bool = False,
        explain: bool = False,
    ) -> dict[str, Any]:
        if return_all_scores:
            top_k, thresholds = None, 0.0
        passed_on = {name: inputs.pop(name) for name in ("text", "offset_mapping") if name in inputs}
        ids_BK, scores_BK = choose_labels(self.model, inputs, top_k=top_k, thresholds=thresholds)
        outputs = {"ids": ids_BK, "scores": scores_BK, **passed_on}
        if explain:
            outputs["weights"] = weights_of_labels(self.model, inputs, ids_BK)
        return outputs

    def postprocess(self, outputs: dict[str, Any], num_words: int = 0) -> list[dict[str, Any]]:
        how = {}
        if num_words:
            how = {
                "text": outputs["text"],
                "offsets_T": outputs["offset_mapping"][0],
                "weights_KT": outputs["weights"][0],
                "num_words": num_words,
            }
        return written_answer(self.model.config.id2label, outputs["ids"][0], outputs["scores"][0], **how)


def check_count(name: str, value: Any) -> int | None:
    """A whole number from 1 on, or `None`."""
    if value is None:
        return None
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)  # whole numbers of numpy and torch as well
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"`{name}` must be a whole number from 1 on, found {value!r}")
    return number


def _check_score(name: str, value: Any) -> float:
    """A number from 0 to 1."""
    try:
        number = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"`{name}` must be a number from 0 to 1, found {value!r}")
    return number


# what `pipeline` reads in a saved model's config.json (transformers/pipelines/base.py, `Pipeline.save_pretrained`)
CUSTOM_PIPELINES = {
    TASK: {
        "impl": f"{__name__.split('.')[-1]}.{MultiLabelClassificationPipeline.__name__}",
        "pt": ["AutoModel"],
        "type": "text",
    }
}

__all__ = ["CUSTOM_PIPELINES", "TASK", "MultiLabelClassificationPipeline", "check_count"]
