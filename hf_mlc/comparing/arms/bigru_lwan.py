"""LibMultiLabel's bidirectional GRU with label-wise attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_mlc.commands.running import write_json
from hf_mlc.comparing.arms import Fitted, Job
from hf_mlc.comparing.arms.outside import Program, fit_outside


# of the library's own example of this network; the word vectors of its examples are downloaded ones, ours are random
SETTINGS = {
    "rnn_dim": 512,
    "rnn_layers": 1,
    "embed_dropout": 0.4,
    "post_encoder_dropout": 0.4,
    "embed_size": 300,
    "embed_std": 0.1,
    "min_vocab_freq": 2,
    "max_seq_length": 1024,
    "batch_size": 8,
    "learning_rate": 0.001,
    "epochs": 30,
    "patience": 5,
    "val_metric": "P@1",
}


def fit(job: Job, folder: Path) -> Fitted:
    """Settings: any of `SETTINGS`."""
    program = Program(job, "run_bigru_lwan.py", folder)
    space = job.rows.label_space()

    def inputs_of(texts, name: str) -> dict[str, Any]:
        file = folder / f"{name}.texts.json"
        write_json(file, {"texts": list(texts)})
        return {"rows": str(file)}

    def labelled(split: str) -> str:
        rows, file = job.rows.read(split), folder / f"{split}.rows.json"
        ids = [space.encode_known(labels)[0].tolist() for labels in rows["labels"]]
        write_json(file, {"texts": rows["text"][:], "labels": ids})
        return str(file)

    files = {"train": labelled("train"), "validation": labelled("validation")}
    return fit_outside(job, program, inputs_of, settings={**SETTINGS, **job.settings}, fit_inputs=files)
