"""An exported model in onnxruntime, with the answers of the torch model it was made from.

The session stands in for the torch model: labels are chosen, named and thresholded by the very code that serves it
(`hf_mlc.inference`), top-k included. A graph could end in ONNX's TopK, and then would serve no thresholds; picking the
k best of 100,000 scores takes a thousandth of the time that the scores take (benchmarks/export.py).

Shape legend: B documents, T tokens, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hf_mlc.errors import UserError
from hf_mlc.exporting.graph import EXTRA, INPUTS, OUTPUT
from hf_mlc.inference import LoadedModel, config_of, label_space_of, predict_texts
from hf_mlc.inputs import TEXTS
from hf_mlc.modeling.configuration_multi_label import MultiLabelConfig
from hf_mlc.modeling.multi_label import MultiLabelOutput, MultiLabelPreTrainedModel


if TYPE_CHECKING:
    import onnxruntime


ONNX_FILE = "model.onnx"
# B x L x T that a run may hold (128 MiB of float32; onnxruntime keeps some four tensors of that size): documents
# beyond it wait for the next run
MAX_ATTENTION_CELLS = 2**25


class OnnxClassifier:
    """An onnxruntime session that is called like the torch model: batch in, `MultiLabelOutput` with logits out.

    Args:
        session (`onnxruntime.InferenceSession`): of an exported graph.
        config (`MultiLabelConfig`): the model's, with thresholds and label space.
    """

    has_token_weights = False
    decides_on_sets = False  # a graph gives logits
    device = torch.device("cpu")  # where batches are wanted; the session copies them to where it runs
    decide = MultiLabelPreTrainedModel.decide
    decide_output = MultiLabelPreTrainedModel.decide_output
    predict_topk = MultiLabelPreTrainedModel.predict_topk

    def __init__(self, session: onnxruntime.InferenceSession, config: MultiLabelConfig):
        self.session = session
        self.config = config

    def __call__(self, input_ids: torch.LongTensor, attention_mask: torch.Tensor) -> MultiLabelOutput:
        rows = max(1, MAX_ATTENTION_CELLS // (self.config.num_labels * input_ids.shape[1]))
        logits = []
        for ids_BT, mask_BT in zip(input_ids.split(rows), attention_mask.long().split(rows), strict=True):
            feed = dict(zip(INPUTS, (ids_BT.numpy(), mask_BT.numpy()), strict=True))
            logits.append(torch.from_numpy(self.session.run([OUTPUT], feed)[0]))
        return MultiLabelOutput(logits=torch.cat(logits))


@dataclass
class OnnxModel(LoadedModel):
    """What `load_onnx` gives: takes the place of a `LoadedModel` everywhere, explanations apart."""

    def predict(
        self,
        texts: Sequence[str],
        *,
        top_k: int | None = None,
        threshold: float | None = None,
        batch_size: int = 32,
    ) -> list[list[dict[str, Any]]]:
        """For each text its labels, best first; see [`~hf_mlc.inference.predict_texts`]."""
        return list(predict_texts(self, texts, top_k=top_k, threshold=threshold, batch_size=batch_size))


def load_onnx(
    folder: str | Path, *, num_threads: int | None = None, providers: Sequence[str | tuple[str, dict]] | None = None
) -> OnnxModel:
    """Opens a folder that `export_onnx` wrote; no weights of torch are needed or read.

    Args:
        folder (`str` or `Path`): with model.onnx, config.json and the tokenizer.
        num_threads (`int`, *optional*): threads of one operator; onnxruntime's choice (the machine's cores) if not given.
        providers (`Sequence`, *optional*): onnxruntime's execution providers, best first; the CPU if not given.

    Raises:
        `UserError`: no such file, a graph that is cut short or of another model, no tokenizer, a provider that isn't
            there, onnxruntime not installed.
    """
    folder = Path(folder)
    if not (folder / ONNX_FILE).is_file():
        raise UserError(f"there is no {ONNX_FILE}", file=folder, field="model", accepted="a folder that export wrote")
    config = config_of(folder, str(folder))
    label_space = label_space_of(config, folder, str(folder))
    tokenizer = TEXTS.load_processor(folder, field="model")
    session = open_session(folder / ONNX_FILE, num_threads=num_threads, providers=providers)
    _check_fits(session, config, folder)
    return OnnxModel(OnnxClassifier(session, config), tokenizer, label_space)


def open_session(
    file: str | Path, *, num_threads: int | None = None, providers: Sequence[str | tuple[str, dict]] | None = None
) -> onnxruntime.InferenceSession:
    """An onnxruntime session of a graph; arguments as in `load_onnx`."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise UserError("onnxruntime is not installed", accepted=EXTRA) from None
    providers = list(providers or ["CPUExecutionProvider"])
    available = onnxruntime.get_available_providers()
    for name in (provider if isinstance(provider, str) else provider[0] for provider in providers):
        if name not in available:  # onnxruntime would print on standard output and take the CPU
            raise UserError(f"found {name}", field="providers", accepted=", ".join(available))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: it warns of every shape that it had to work out itself
    if num_threads is not None:
        options.intra_op_num_threads = num_threads
    try:
        return onnxruntime.InferenceSession(file, options, providers=providers)
    except Exception as error:  # its errors have no class in common but this one
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"onnxruntime can't open it ({reason})", file=file, field="model", accepted="a whole ONNX file"
        ) from None


def _check_fits(session: onnxruntime.InferenceSession, config: MultiLabelConfig, folder: Path) -> None:
    inputs = {value.name for value in session.get_inputs()}
    logits = [value.shape[-1] for value in session.get_outputs() if value.name == OUTPUT]
    if inputs != set(INPUTS) or logits != [config.num_labels]:
        raise UserError(
            f"a graph from {', '.join(sorted(inputs))} to {logits or 'no'} logits, and {config.num_labels} labels in "
            "config.json",
            file=folder / ONNX_FILE,
            field="model",
            accepted="a graph and a config.json of one model, as export wrote them",
        )
