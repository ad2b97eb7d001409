"""transformers' own common model tests, run on MSDN. `run.sh` copies this beside them as `test_modeling_msdn.py`."""

from __future__ import annotations

import unittest

import torch

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from ..test_modeling_common import ModelTesterMixin
from .msdn_tester import MsdnModelTester


class MsdnCommonTests(ModelTesterMixin):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (MsdnForMultiLabelClassification,)
    encoder: str
    settings: dict = {}
    has_attentions = False
    # without it, a file without a copyright year counts as older than the test and is let off
    test_can_init_all_missing_weights_before_2023 = True

    def setUp(self):
        # the label sets that the model decides on are booleans, which these tests subtract from each other
        self.model_tester = MsdnModelTester(self, encoder=self.encoder, decision="thresholds", **self.settings)
        self.config_tester = ConfigTester(
            self, config_class=MsdnConfig, encoder=self.encoder, hidden_size=32, num_hidden_layers=2
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

    def test_retain_grad_hidden_states_attentions(self):
        if self.settings.get("variant") != "parallel":
            self.skipTest("the answers of a search have no gradient; `label_logits` gives some that have")
        super().test_retain_grad_hidden_states_attentions()


class MsdnConvolutionTest(MsdnCommonTests, unittest.TestCase):
    encoder = "convolution"


class MsdnGruTest(MsdnCommonTests, unittest.TestCase):
    encoder = "gru"
    settings = {"num_orders": 2, "dilations": [2], "kernel_sizes": [2]}


class MsdnLstmTest(MsdnCommonTests, unittest.TestCase):
    encoder = "lstm"
    settings = {"variant": "parallel"}


class MsdnTransformerTest(MsdnCommonTests, unittest.TestCase):
    encoder = "transformer"
    has_attentions = True
    _is_composite = True  # `text_config` is a model of its own

    def test_sdpa_can_dispatch_non_composite_models(self):
        # the composite form of this test wants a second modality; the plain form says what is to be said of one
        self._is_composite = False
        super().test_sdpa_can_dispatch_non_composite_models()
