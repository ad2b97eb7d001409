"""Progress bars and printed logs, with an evaluation that fits on a screen."""

from __future__ import annotations

from transformers import PrinterCallback, ProgressCallback

from hf_mlc.metrics import BUCKETS
from hf_mlc.tables import HEADLINE


_BY_BUCKET = tuple(f"@{bucket}" for bucket in BUCKETS)


class HeadlineProgressCallback(ProgressCallback):
    """transformers' progress bars; of the fifty metrics of an evaluation only the headline ones are printed.

    All of them are in `trainer_state.json` of every checkpoint and in results.json.
    """

    def on_log(self, args, state, control, logs=None, **kwargs):
        logs = logs or {}
        if not state.is_world_process_zero or self.training_bar is None:
            return
        if any(name.startswith("eval_") for name in logs):
            wanted = ["loss", *HEADLINE, *(name.removeprefix("eval_") for name in logs if "eval_tuned" in name)]
            parts = [f"{name} {logs[f'eval_{name}']:.4f}" for name in wanted if f"eval_{name}" in logs]
            self.training_bar.write(f"epoch {logs.get('epoch', 0):.2f}: " + "  ".join(parts))
        elif "loss" in logs:
            self.training_bar.write(f"epoch {logs.get('epoch', 0):.2f}: training loss {float(logs['loss']):.4f}")


class OverallPrinterCallback(PrinterCallback):
    """transformers' printed logs, without the metrics by training documents of a label, of which there are dozens."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        shown = {name: value for name, value in (logs or {}).items() if not name.endswith(_BY_BUCKET)}
        super().on_log(args, state, control, logs=shown, **kwargs)
