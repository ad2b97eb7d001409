"""The exported folder: graph, configuration with labels and thresholds, tokenizer; checked before it appears."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from hf_mlc.errors import UserError
from hf_mlc.exporting.graph import check_installed, check_opset, traced
from hf_mlc.exporting.int8 import quantize_tables
from hf_mlc.exporting.running import ONNX_FILE, OnnxClassifier, open_session
from hf_mlc.files import check_new_folder, folder_written_whole
from hf_mlc.inference import LoadedModel
from hf_mlc.modeling.multi_label import MultiLabelPreTrainedModel


if TYPE_CHECKING:
    import onnx_ir


TOLERANCE = 1e-4  # the largest difference of a logit that is still rounding
# protobuf ends at 2 GiB; weights beyond this go to a file of their own, and the graph's own size has room
MAX_BYTES_INSIDE = 3 * 2**29
CHECKED_LENGTHS = (0, 1, 9, 30)  # tokens of the documents that are compared


@dataclass
class ExportReport:
    """What an export came to.

    Args:
        torch_bytes (`int`): the weights of the torch model, in the precision it has.
        onnx_bytes (`int`): the graph with its weights.
        max_logit_difference (`float`): the largest over the compared documents; int8 as it was written.
        tables (`int`): tables stored as int8.
    """

    torch_bytes: int
    onnx_bytes: int
    max_logit_difference: float
    tables: int


def export_onnx(
    loaded: LoadedModel, output_dir: str | Path, *, int8: bool = False, opset: int | None = None
) -> ExportReport:
    """Writes a model as a folder for onnxruntime: model.onnx, config.json, the tokenizer.

    The float32 graph is run on documents of several lengths, with padding on either side, before anything appears under
    `output_dir`; `load_onnx` opens the folder. A model in half precision is exported as float32.

    Args:
        loaded (`LoadedModel`): from `load_model`.
        output_dir (`str` or `Path`): a new or an empty folder.
        int8 (`bool`, *optional*, defaults to `False`): store label tables and word embedding as int8 with a scale a row.
        opset (`int`, *optional*): the version of ONNX's operators; the exporter's own choice if not given.

    Raises:
        `UserError`: a folder that holds something, a model that can't be exported, logits that differ by more than
            1e-4, the extra `onnx` not installed. Nothing is left behind.
    """
    check_installed()
    check_opset(opset)
    check_new_folder(output_dir)
    model = loaded.model
    if isinstance(model, OnnxClassifier):
        raise UserError("is an export already", field="model", accepted="the folder or Hub id that it was made from")
    if model.dtype != torch.float32 or model.device.type != "cpu":
        model = copy.deepcopy(model).to("cpu", torch.float32)
    program = traced(model.eval(), opset=opset)
    with folder_written_whole(output_dir) as staged:
        difference, tables = _written(program, model, staged), 0
        if difference > TOLERANCE:
            raise UserError(
                f"the exported graph's logits differ from the model's by {difference:.2g}",
                file=model.config.name_or_path or None,
                field="model",
                accepted=f"a difference of at most {TOLERANCE:g}",
            )
        if int8:
            tables = quantize_tables(program, {model.config.num_labels, model.config.vocab_size})
            difference = _written(program, model, staged)
        onnx_bytes = sum(file.stat().st_size for file in staged.iterdir())
        _save_config(model, staged)
        loaded.tokenizer.save_pretrained(staged)
    torch_bytes = sum(tensor.nbytes for tensor in loaded.model.state_dict().values())
    return ExportReport(torch_bytes, onnx_bytes, difference, tables)


def _written(program: onnx_ir.Model, model: MultiLabelPreTrainedModel, folder: Path) -> float:
    """Saves the graph and returns how far its logits are from the model's."""
    import onnx_ir as ir

    for earlier in folder.iterdir():
        earlier.unlink()
    weights = sum(value.const_value.nbytes for value in program.graph.initializers.values())
    ir.save(program, folder / ONNX_FILE, external_data=f"{ONNX_FILE}.data" if weights > MAX_BYTES_INSIDE else None)
    session = OnnxClassifier(open_session(folder / ONNX_FILE), model.config)
    worst = 0.0
    for batch in _checked_batches(model):
        with torch.inference_mode():
            expected = model(**batch).logits
        difference = (session(**batch).logits - expected).abs().max().item()
        worst = max(worst, difference if difference == difference else float("inf"))  # NaN is no agreement
    return worst


def _checked_batches(model: MultiLabelPreTrainedModel) -> Iterator[dict[str, torch.Tensor]]:
    """Documents of random tokens: all lengths together with padding behind, then before, then each alone."""
    generator = torch.Generator().manual_seed(0)
    width = max(CHECKED_LENGTHS)
    ids_BT = torch.randint(model.config.vocab_size, (len(CHECKED_LENGTHS), width), generator=generator)
    mask_BT = (torch.arange(width) < torch.tensor(CHECKED_LENGTHS)[:, None]).long()
    yield {"input_ids": ids_BT, "attention_mask": mask_BT}
    yield {"input_ids": ids_BT, "attention_mask": mask_BT.flip(1)}
    for row, length in enumerate(CHECKED_LENGTHS):
        cut = max(1, length)  # without a token there is one column of padding
        yield {"input_ids": ids_BT[row : row + 1, :cut], "attention_mask": mask_BT[row : row + 1, :cut]}


def _save_config(model: MultiLabelPreTrainedModel, folder: Path) -> None:
    """Labels, thresholds and sizes; without the code that travels with weights of torch, and its places."""
    config = copy.deepcopy(model.config)
    config._auto_class = None
    if model.decides_on_sets:
        # of what decides on sets, only the parallel MSDN that takes each logit above 0 can be traced; searches can't
        config.decision, config.thresholds = "thresholds", 0.5
    for name in ("auto_map", "custom_pipelines"):
        if hasattr(config, name):
            delattr(config, name)
    config.save_pretrained(folder)
