"""transformers' own common model tests, run on PLANT. `run.sh` copies this beside them as `test_modeling_plant.py`."""

from __future__ import annotations

import unittest

from hf_mlc.modeling.configuration_plant import PlantConfig
from hf_mlc.modeling.modeling_plant import PlantForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from .common_mixin import CommonTests, OverTransformer, without_layers
from .plant_tester import PlantModelTester


class PlantCommonTests(CommonTests):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (PlantForMultiLabelClassification,)
    encoder: str

    def setUp(self):
        self.model_tester = PlantModelTester(self, encoder=self.encoder)
        self.config_tester = ConfigTester(
            self, config_class=PlantConfig, encoder=self.encoder, hidden_size=32, num_hidden_layers=2
        )


@without_layers
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


class PlantTransformerTest(OverTransformer, PlantCommonTests, unittest.TestCase):
    pass
