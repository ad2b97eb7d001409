"""transformers' own common model tests, run on LANET. `run.sh` copies this beside them as `test_modeling_lanet.py`."""

from __future__ import annotations

import unittest

from hf_mlc.modeling.configuration_lanet import LanetConfig
from hf_mlc.modeling.modeling_lanet import LanetForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from .common_mixin import CommonTests
from .lanet_tester import LanetModelTester


class LanetCommonTests(CommonTests):
    """What holds for both forms; the classes below choose one each."""

    all_model_classes = (LanetForMultiLabelClassification,)
    settings: dict = {}
    # its attention is between labels, whose number no length of an input says; tests/modeling looks at it
    has_attentions = False
    test_resize_embeddings = False

    def setUp(self):
        self.model_tester = LanetModelTester(self, **self.settings)
        self.config_tester = ConfigTester(self, config_class=LanetConfig, has_text_modality=False, embed_dim=8)

    def test_model_get_set_embeddings(self):
        self.skipTest("histories have no word vectors")

    def test_config(self):
        self.config_tester.create_and_test_config_to_json_string()
        self.config_tester.create_and_test_config_to_json_file()
        self.config_tester.create_and_test_config_from_and_save_pretrained()
        self.config_tester.create_and_test_config_with_num_labels()
        self.config_tester.check_config_can_be_init_without_params()


class LanetWindowedTest(LanetCommonTests, unittest.TestCase):
    settings = {"num_amount_bins": 3, "num_users": 3}


class LanetCausalTest(LanetCommonTests, unittest.TestCase):
    settings = {"causal": True, "time_encoding": "log_bucket", "label_bias": False}
