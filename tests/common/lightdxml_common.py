"""transformers' own common model tests, run on LightDXML. `run.sh` copies this beside them as `test_modeling_lightdxml.py`."""

from __future__ import annotations

import unittest

import torch

from hf_mlc.modeling.configuration_lightdxml import LightDxmlConfig
from hf_mlc.modeling.modeling_lightdxml import LightDxmlForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from ..test_modeling_common import ModelTesterMixin
from .lightdxml_tester import LightDxmlModelTester
from .test_modeling_plant import skipped  # as `run.sh` names it


class LightDxmlCommonTests(ModelTesterMixin):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (LightDxmlForMultiLabelClassification,)
    encoder: str
    has_attentions = False
    # without it, a file without a copyright year counts as older than the test and is let off
    test_can_init_all_missing_weights_before_2023 = True

    def setUp(self):
        self.model_tester = LightDxmlModelTester(self, encoder=self.encoder)
        self.config_tester = ConfigTester(
            self, config_class=LightDxmlConfig, encoder=self.encoder, embed_dim=32, num_hidden_layers=2
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


WITHOUT_LAYERS = (
    "test_gradient_checkpointing_backward_compatibility test_gradient_checkpointing_enable_disable "
    "test_peft_gradient_checkpointing_enable_disable test_enable_input_require_grads_with_gradient_checkpointing "
    "test_training_gradient_checkpointing test_training_gradient_checkpointing_use_reentrant_false "
    "test_training_gradient_checkpointing_use_reentrant_true"
)
REASON = (
    "a bag of tokens has no layers to recompute: the instance says that it doesn't support it, the tests ask the class"
)


@skipped(WITHOUT_LAYERS, REASON)
@skipped(
    "test_inputs_embeds",
    "what a token weighs is looked up by its id: vectors alone are no input; tests/modeling gives both",
)
class LightDxmlTfidfTest(LightDxmlCommonTests, unittest.TestCase):
    encoder = "tfidf"


@skipped(WITHOUT_LAYERS, REASON)
@skipped(
    "test_inputs_embeds",
    "what a token weighs is looked up by its id: vectors alone are no input; tests/modeling gives both",
)
class LightDxmlFeaturesTest(LightDxmlCommonTests, unittest.TestCase):
    encoder = "features"


class LightDxmlTransformerTest(LightDxmlCommonTests, unittest.TestCase):
    encoder = "transformer"
    has_attentions = True
    _is_composite = True  # `text_config` is a model of its own

    def test_sdpa_can_dispatch_non_composite_models(self):
        # the composite form of this test wants a second modality; the plain form says what is to be said of one
        self._is_composite = False
        super().test_sdpa_can_dispatch_non_composite_models()
