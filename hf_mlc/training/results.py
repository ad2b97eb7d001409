"""results.json: what came of a run, as far as the trainer knows it."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

from hf_mlc.run_facts import num_parameters, peak_memory, versions


if TYPE_CHECKING:
    from hf_mlc.training.trainer import MultiLabelTrainer


def run_results(trainer: MultiLabelTrainer) -> dict[str, Any]:
    """The facts of a training run and its newest metrics of each split, ready for JSON.

    Args:
        trainer (`MultiLabelTrainer`): after training; thresholds and metrics are there if they were tuned and measured.
            What a command knows beyond it (the recipe, the data) the command adds.
    """
    args, state = trainer.args, trainer.state
    end = next((row for row in reversed(state.log_history) if "train_runtime" in row), {})
    choice, search, smallest = trainer.threshold_choice, trainer.search_choice, trainer.smallest_set
    return {
        "model_type": trainer.model.config.model_type,
        "seed": args.seed,
        "parameters": num_parameters(trainer.model),
        # of psp@k
        "propensity": dict(zip("AB", trainer.label_space.propensity, strict=True)),
        "training": {
            "seconds": end.get("train_runtime"),
            "epochs": state.epoch,
            "steps": state.global_step,
            "loss": end.get("train_loss"),
            # the step that the weights are of; `None` where they are those of the end
            "best_step": state.best_global_step if args.load_best_model_at_end else None,
            f"best_{args.metric_for_best_model}": state.best_metric,
            **peak_memory(),
            "processes": args.world_size,
        },
        "hardware": {"machine": platform.machine(), "cores": os.cpu_count(), "device": str(args.device)},
        "versions": versions(),
        "search": search.to_dict() if search else None,
        "smallest_set": smallest.to_dict() if smallest else None,
        "thresholds": choice.to_dict() if choice else None,
        **trainer.own_facts(),
        "validation": _newest(state.log_history, "eval_"),
        "test": _newest(state.log_history, "test_"),
        "history": [row for row in state.log_history if any(name.startswith("eval_") for name in row)],
    }


def _newest(log_history: list[dict[str, Any]], prefix: str) -> dict[str, float] | None:
    for row in reversed(log_history):
        found = {name.removeprefix(prefix): value for name, value in row.items() if name.startswith(prefix)}
        if found:
            return found
    return None
