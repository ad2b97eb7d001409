"""Part of `MultiLabelModelTesterMixin`: what holds under the Trainer."""

from __future__ import annotations

import pytest
import torch
from transformers import set_seed

from hf_mlc.training.arguments import MultiLabelTrainingArguments
from hf_mlc.training.trainer import MultiLabelTrainer


class TrainingTesterMixin:
    """Gradient accumulation changes nothing, in either form of targets."""

    @pytest.mark.parametrize("targets", ["labels", "label_ids"])
    def test_gradient_accumulation_changes_nothing(self, tester, targets, tmp_path):
        # 19 documents: one step of 16, then one of 3, which is a batch of 2 and a batch of 1
        documents = tester.documents(19)
        rows = [
            {"document": document, "labels": [row % tester.num_labels] if row % 3 else []}
            for row, document in enumerate(documents)
        ]
        whole = self._trained(tester, rows, targets, tmp_path / "1", batch_size=16, steps=1)
        accumulated = self._trained(tester, rows, targets, tmp_path / "8", batch_size=2, steps=8)
        start = self._trained(tester, rows, targets, tmp_path / "0", batch_size=16, steps=1, learning_rate=0.0)
        for name, weight in whole.items():
            torch.testing.assert_close(
                weight, accumulated[name], atol=1e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
            )
        assert any(not torch.equal(weight, start[name]) for name, weight in whole.items())

    def _trained(self, tester, rows, targets, folder, *, batch_size, steps, learning_rate=1.0):
        def collate(features):
            batch = tester.collate([feature["document"] for feature in features])
            batch["labels"] = torch.zeros(len(features), tester.num_labels)
            batch["label_ids"] = torch.full((len(features), 2), -100)
            for row, feature in enumerate(features):
                for label in feature["labels"]:
                    batch["labels"][row, label] = 1.0
                    batch["label_ids"][row, 0] = label
            del batch["labels" if targets == "label_ids" else "label_ids"]
            return batch

        set_seed(0)
        model = tester.model_class(tester.get_config())
        arguments = MultiLabelTrainingArguments(
            output_dir=str(folder),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=steps,
            num_train_epochs=1,
            learning_rate=learning_rate,
            optim="sgd",
            lr_scheduler_type="constant",
            max_grad_norm=0.0,
            train_sampling_strategy="sequential",
            remove_unused_columns=False,
            label_names=[targets],
            eval_strategy="no",
            save_strategy="no",
            load_best_model_at_end=False,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
            seed=0,
        )
        MultiLabelTrainer(model, arguments, train_dataset=rows, data_collator=collate).train()
        return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
