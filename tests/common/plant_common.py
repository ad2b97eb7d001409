"""transformers' own common model tests, run on PLANT. `run.sh` copies this beside them as `test_modeling_plant.py`."""

from __future__ import annotations

import unittest

import torch

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from ..test_modeling_common import ModelTesterMixin
from .plant_tester import PlantModelTester


class PlantCommonTests(ModelTesterMixin):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (PlantForMultiLabelClassification,)
    encoder: str
    # without it, a file without a copyright year counts as older than the test and is let off
    test_can_init_all_missing_weights_before_2023 = True

    def setUp(self):
        self.model_tester = PlantModelTester(self, encoder=self.encoder)
        self.config_tester = ConfigTester(
            self, config_class=PlantConfig, encoder=self.encoder, hidden_size=32, num_hidden_layers=2
        )

    def _prepare_for_class(self, inputs_dict, model_class, return_labels=False):
        inputs_dict = super()._prepare_for_class(inputs_dict, model_class)
        if return_labels:
            tester = self.model_tester
            inputs_dict["labels"] = torch.zeros(tester.batch_size, tester.num_labels)
            inputs_dict["labels"][:, 1] = 1.0
        return inputs_dict

    def test_config(self):
        self.config_tester.run_common_tests()


def skipped(names: str, reason: str):
    """Skips the inherited tests of these names."""

    def mark(test_class):
        for name in names.split():
            setattr(test_class, name, unittest.skip(reason)(getattr(test_class, name)))
        return test_class

    return mark


@skipped(
    "test_gradient_checkpointing_backward_compatibility test_gradient_checkpointing_enable_disable "
    "test_peft_gradient_checkpointing_enable_disable test_enable_input_require_grads_with_gradient_checkpointing "
    "test_training_gradient_checkpointing test_training_gradient_checkpointing_use_reentrant_false "
    "test_training_gradient_checkpointing_use_reentrant_true",
    "a bag of words has no layers to recompute: the instance says that it doesn't support it, the tests ask the class",
)
class PlantBagOfWordsTest(PlantCommonTests, unittest.TestCase):
    encoder = "bag_of_words"
    has_attentions = False


class PlantConvolutionTest(PlantCommonTests, unittest.TestCase):
    encoder = "convolution"
    has_attentions = False


class PlantGruTest(PlantCommonTests, unittest.TestCase):
    encoder = "gru"
    has_attentions = False


class PlantLstmTest(PlantCommonTests, unittest.TestCase):
    encoder = "lstm"
    has_attentions = False


class PlantAwdLstmTest(PlantCommonTests, unittest.TestCase):
    encoder = "awd_lstm"
    has_attentions = False


class PlantTransformerTest(PlantCommonTests, unittest.TestCase):
    encoder = "transformer"
    _is_composite = True  # `text_config` is a model of its own

    def test_sdpa_can_dispatch_non_composite_models(self):
        # the composite form of this test wants a second modality; the plain form says what is to be said of one
        self._is_composite = False
        super().test_sdpa_can_dispatch_non_composite_models()
