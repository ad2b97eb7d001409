"""transformers' own common model tests, run on MSDN. `run.sh` copies this beside them as `test_modeling_msdn.py`."""

from __future__ import annotations

import unittest

from hf_mlc.modeling.configuration_msdn import MsdnConfig
from hf_mlc.modeling.modeling_msdn import MsdnForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from .common_mixin import CommonTests, OverTransformer
from .msdn_tester import MsdnModelTester


class MsdnCommonTests(CommonTests):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (MsdnForMultiLabelClassification,)
    encoder: str
    settings: dict = {}
    has_attentions = False

    def setUp(self):
        # the label sets that the model decides on are booleans, which these tests subtract from each other
        self.model_tester = MsdnModelTester(self, encoder=self.encoder, decision="thresholds", **self.settings)
        self.config_tester = ConfigTester(
            self, config_class=MsdnConfig, encoder=self.encoder, hidden_size=32, num_hidden_layers=2
        )

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


class MsdnTransformerTest(OverTransformer, MsdnCommonTests, unittest.TestCase):
    has_attentions = True
