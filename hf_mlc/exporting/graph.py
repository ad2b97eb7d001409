"""From a torch model to an ONNX graph with free numbers of documents and tokens, by `torch.onnx` (its dynamo exporter).

transformers' `OnnxExporter` gives the same graphs for the encoders that were tried (bert, roberta, distilbert, electra,
modernbert, deberta-v2, mpnet, albert, big_bird, roformer, ernie), warns that it is experimental, returns another type
from one version to the next, and with `dynamic=True` fixes the number of tokens of a recurrent network silently.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from hf_mlc.errors import UserError
from hf_mlc.exporting.recurrent import recurrence_as_operators
from hf_mlc.modeling.multi_label import MultiLabelOutput, MultiLabelPreTrainedModel


if TYPE_CHECKING:
    import onnx_ir


INPUTS = ("input_ids", "attention_mask")
OUTPUT = "logits"
OLDEST_OPSET = 18  # of torch.onnx's dynamo exporter
OLDEST_TORCH = "2.8"  # the first with torch.onnx.ops, by which recurrent layers are written
EXTRA = "pip install hf_mlc[onnx]"


def check_installed() -> None:
    """`UserError` unless a model can be exported and the export be tried."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed", accepted=EXTRA) from None
    if torch.__version__ < OLDEST_TORCH:  # it compares as a version
        raise UserError(f"exporting needs torch {OLDEST_TORCH}, found {torch.__version__}", accepted=EXTRA)


def check_opset(opset: int | None) -> None:
    """`UserError` for a version of ONNX's operators that can't be written; `None` is the exporter's own choice."""
    from onnx.defs import onnx_opset_version

    if opset is not None and not OLDEST_OPSET <= opset <= onnx_opset_version():
        raise UserError(f"found {opset}", field="opset", accepted=f"{OLDEST_OPSET} to {onnx_opset_version()}")


def traced(model: MultiLabelPreTrainedModel, *, opset: int | None = None) -> onnx_ir.Model:
    """The graph of a model: `input_ids` and `attention_mask` `(batch, tokens)` int64 in, `logits` `(batch, L)` float32 out.

    Args:
        model (`MultiLabelPreTrainedModel`): a model of texts, in float32, on the CPU, not training.
        opset (`int`, *optional*): the version of ONNX's operators; the exporter's own choice if not given.

    Raises:
        `UserError`: a model that doesn't read texts, that doesn't score every label, or whose `forward` can't be traced.
    """
    model_type = model.config.model_type
    if model.config.input_kind != "text":
        raise UserError(f"a model of the kind '{model_type}' doesn't read texts", accepted="a model of texts")
    # sizes other than 0 and 1, which would be taken for constants, and other than each other
    sample = {INPUTS[0]: torch.ones(2, 7, dtype=torch.long), INPUTS[1]: torch.ones(2, 7, dtype=torch.long)}
    # DYNAMIC, not AUTO: where a size turns out fixed, that is an error and no silent constant
    free = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        with torch.no_grad():
            _check_scores_every_label(model, model(**sample))
        with _quiet(), recurrence_as_operators():
            program = torch.onnx.export(
                model,
                (),
                kwargs=sample,
                dynamo=True,
                dynamic_shapes=dict.fromkeys(sample, free),
                input_names=list(sample),
                output_names=[OUTPUT],
                opset_version=opset,
                verbose=False,
            )
    except UserError:
        raise
    except Exception as error:  # whatever a backbone's code and three libraries may raise
        raise UserError(
            f"its forward can't be exported to ONNX ({_reason(error)})",
            file=model.config.name_or_path or None,
            field="model",
            accepted="a model whose steps don't depend on what the texts hold",
        ) from error
    return program.model


def _check_scores_every_label(model: MultiLabelPreTrainedModel, output: MultiLabelOutput) -> None:
    """`UserError` unless column i of the logits is label i: a graph has no other way to say which label a column is of."""
    file = model.config.name_or_path or None
    if output.candidate_ids is not None:
        raise UserError(
            "it scores a shortlist of each text, and a graph's columns are the same labels for all texts",
            file=file,
            field="model",
            accepted='a model that was saved with scoring="all" (train --scoring all, or "scoring": "all" in its config.json)',
        )
    if output.logits.shape[-1] != model.config.num_labels:
        raise UserError(
            f"its forward gives {output.logits.shape[-1]} logits a text",
            file=file,
            field="model",
            accepted=f"one of each of the {model.config.num_labels} labels in config.json",
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back what the exporter says of itself: packages that aren't installed, what it doesn't fold, deprecations."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first line of what went wrong in the first place; the exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
