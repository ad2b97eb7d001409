"""What our runs of transformers' own common model tests share. `run.sh` copies this beside them."""

from __future__ import annotations

import unittest

import torch

from ..test_modeling_common import ModelTesterMixin


class CommonTests(ModelTesterMixin):
    """For one architecture, which names `all_model_classes` and whose `setUp` makes `model_tester` and `config_tester`."""

    # without it, a file without a copyright year counts as older than the test and is let off
    test_can_init_all_missing_weights_before_2023 = True

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs_dict = super()._prepare_for_class(inputs_dict, model_class)
        if return_labels:
            tester = self.model_tester
            inputs_dict["labels"] = torch.zeros(tester.batch_size, tester.num_labels)
            inputs_dict["labels"][:, 1] = 1.0
        return inputs_dict

    def test_config(self):
        self.config_tester.run_common_tests()


class OverTransformer:
    """Stands before the class of the architecture, where its encoder is a transformer."""

    encoder = "transformer"
    _is_composite = True  # `text_config` is a model of its own

    def test_sdpa_can_dispatch_non_composite_models(self):
        # the composite form of this test wants a second modality; the plain form says what is to be said of one
        self._is_composite = False
        super().test_sdpa_can_dispatch_non_composite_models()


def skipped(names: str, reason: str):
    """Skips the inherited tests of these names."""

    def mark(test_class):
        for name in names.split():
            setattr(test_class, name, unittest.skip(reason)(getattr(test_class, name)))
        return test_class

    return mark


without_layers = skipped(
    "test_gradient_checkpointing_backward_compatibility test_gradient_checkpointing_enable_disable "
    "test_peft_gradient_checkpointing_enable_disable test_enable_input_require_grads_with_gradient_checkpointing "
    "test_training_gradient_checkpointing test_training_gradient_checkpointing_use_reentrant_false "
    "test_training_gradient_checkpointing_use_reentrant_true",
    "a bag of words has no layers to recompute: the instance says that it doesn't support it, the tests ask the class",
)
