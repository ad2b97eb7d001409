"""transformers' own common model tests, run on SGM. `run.sh` copies this beside them as `test_modeling_sgm.py`."""

from __future__ import annotations

import unittest

import torch

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from ..test_modeling_common import ModelTesterMixin
from .sgm_tester import SgmModelTester


class SgmCommonTests(ModelTesterMixin):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (SgmForMultiLabelClassification,)
    # transformers' tests of `generate` are for language models and not in the source distribution; ours are in
    # tests/modeling/test_modeling_sgm.py and test_sgm_decoder.py
    all_generative_model_classes = ()
    encoder: str
    settings: dict = {}
    # without it, a file without a copyright year counts as older than the test and is let off
    test_can_init_all_missing_weights_before_2023 = True

    def setUp(self):
        # the label sets that the model decides on are booleans, which these tests subtract from each other
        self.model_tester = SgmModelTester(self, encoder=self.encoder, decision="thresholds", **self.settings)
        self.config_tester = ConfigTester(
            self, config_class=SgmConfig, encoder=self.encoder, hidden_size=32, num_hidden_layers=2
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

    @unittest.skip(
        "asks an encoder-decoder for `encoder_hidden_states`; ours are `hidden_states`, as of all our models"
    )
    def test_hidden_states_output(self):
        pass

    @unittest.skip(
        "asks an encoder-decoder for `encoder_hidden_states`; ours are `hidden_states`, as of all our models"
    )
    def test_retain_grad_hidden_states_attentions(self):
        pass

    @unittest.skip("asks an encoder-decoder for `encoder_attentions`; ours are `attentions`, as of all our models")
    def test_attention_outputs(self):
        pass


class SgmLstmTest(SgmCommonTests, unittest.TestCase):
    encoder = "lstm"
    has_attentions = False


class SgmGruTest(SgmCommonTests, unittest.TestCase):
    encoder = "gru"
    settings = {"label_attention": "both", "encoder_self_attention": True, "auxiliary_weight": 0.1}
    has_attentions = False


class SgmTransformerTest(SgmCommonTests, unittest.TestCase):
    encoder = "transformer"
    _is_composite = True  # `text_config` is a model of its own

    def test_sdpa_can_dispatch_non_composite_models(self):
        # the composite form of this test wants a second modality; the plain form says what is to be said of one
        self._is_composite = False
        super().test_sdpa_can_dispatch_non_composite_models()

    @unittest.skip("sets the attention of the decoder's configuration; ours is told anew at each call, and has none")
    def test_attn_implementation_composite_models(self):
        pass


def _skip_sdpa_of_a_decoder(test_class) -> None:
    """These tests feed text ids and a mask to a decoder with self-attention; ours is recurrent and reads label ids.

    tests/modeling/test_modeling_sgm.py compares both implementations in the encoder.
    """
    for name in dir(test_class):
        if name.startswith("test_eager_matches_sdpa_inference_"):
            setattr(test_class, name, unittest.skip("the decoder has no self-attention")(getattr(test_class, name)))


_skip_sdpa_of_a_decoder(SgmTransformerTest)
