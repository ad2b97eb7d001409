"""`export`: a trained model as a folder for onnxruntime, checked against the model it was made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from hf_mlc.commands.parsing import parse_arguments
from hf_mlc.commands.running import check_output_folder, say
from hf_mlc.exporting.folder import export_onnx
from hf_mlc.exporting.graph import check_installed, check_opset
from hf_mlc.files import check_new_folder
from hf_mlc.inference import check_reads_texts, load_model


MEGABYTE = 1e6


@dataclass
class ExportArguments:
    """Arguments of `export`."""

    model: str = field(metadata={"help": "A trained model's folder or Hub id."})
    output: str = field(metadata={"help": "A new folder: model.onnx, config.json, tokenizer."})
    revision: str | None = field(default=None, metadata={"help": "The model's branch, tag or commit."})
    int8: bool = field(default=False, metadata={"help": "Store label tables and word embedding as 8-bit integers."})
    opset: int | None = field(default=None, metadata={"help": "Version of ONNX's operators, from 18 on."})

    def __post_init__(self):
        check_installed()
        check_opset(self.opset)
        check_output_folder(self.output, field="output")
        check_new_folder(self.output)


def main(arguments: list[str]) -> None:
    """Exports by `arguments` and says what it came to."""
    (args,), _, _ = parse_arguments(ExportArguments, arguments)
    loaded = load_model(args.model, revision=args.revision, device="cpu")
    check_reads_texts(loaded, "an export")
    report = export_onnx(loaded, args.output, int8=args.int8, opset=args.opset)
    kind = f"{report.tables} int8 tables" if args.int8 else "float32"
    say(f"torch  {report.torch_bytes / MEGABYTE:10.2f} MB")
    say(f"ONNX   {report.onnx_bytes / MEGABYTE:10.2f} MB, {kind}")
    say(f"logits differ by {report.max_logit_difference:.1e} at most; written to {args.output}")
