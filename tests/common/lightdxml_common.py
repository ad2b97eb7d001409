"""transformers' own common model tests, run on LightDXML. `run.sh` copies this beside them as `test_modeling_lightdxml.py`."""

from __future__ import annotations

import unittest

from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from .common_mixin import CommonTests, OverTransformer, skipped, without_layers
from .lightdxml_tester import LightDxmlModelTester


class LightDxmlCommonTests(CommonTests):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (LightDxmlForMultiLabelClassification,)
    encoder: str
    has_attentions = False

    def setUp(self):
        self.model_tester = LightDxmlModelTester(self, encoder=self.encoder)
        self.config_tester = ConfigTester(
            self, config_class=LightDxmlConfig, encoder=self.encoder, embed_dim=32, num_hidden_layers=2
        )


@without_layers
@skipped(
    "test_inputs_embeds",
    "what a token weighs is looked up by its id: vectors alone are no input; tests/modeling gives both",
)
class LightDxmlTfidfTest(LightDxmlCommonTests, unittest.TestCase):
    encoder = "tfidf"


@without_layers
@skipped(
    "test_inputs_embeds",
    "what a token weighs is looked up by its id: vectors alone are no input; tests/modeling gives both",
)
class LightDxmlFeaturesTest(LightDxmlCommonTests, unittest.TestCase):
    encoder = "features"


class LightDxmlTransformerTest(OverTransformer, LightDxmlCommonTests, unittest.TestCase):
    has_attentions = True
