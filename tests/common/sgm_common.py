"""transformers' own common model tests, run on SGM. `run.sh` copies this beside them as `test_modeling_sgm.py`."""

from __future__ import annotations

import unittest

from hf_mlc.modeling.configuration_sgm import SgmConfig
from hf_mlc.modeling.modeling_sgm import SgmForMultiLabelClassification

from ..test_configuration_common import ConfigTester
from .common_mixin import CommonTests, OverTransformer
from .sgm_tester import SgmModelTester


class SgmCommonTests(CommonTests):
    """What holds for every encoder; the classes below choose one each."""

    all_model_classes = (SgmForMultiLabelClassification,)
    # transformers' tests of `generate` are for language models and not in the source distribution; ours are in
    # tests/modeling/test_modeling_sgm.py, test_sgm_generation.py and test_sgm_decoder.py
    all_generative_model_classes = ()
    encoder: str
    settings: dict = {}

    def setUp(self):
        # the label sets that the model decides on are booleans, which these tests subtract from each other
        self.model_tester = SgmModelTester(self, encoder=self.encoder, decision="thresholds", **self.settings)
        self.config_tester = ConfigTester(
            self, config_class=SgmConfig, encoder=self.encoder, hidden_size=32, num_hidden_layers=2
        )

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


class SgmTransformerTest(OverTransformer, SgmCommonTests, unittest.TestCase):
    @unittest.skip("sets the attention of the decoder's configuration; ours is told anew at each call, and has none")
    def test_attn_implementation_composite_models(self):
        pass


def _skip_sdpa_of_a_decoder(test_class) -> None:
    """These tests feed text ids and a mask to a decoder with self-attention; ours is recurrent and reads label ids.

    tests/modeling/test_sgm_encoder.py compares both implementations in the encoder.
    """
    for name in dir(test_class):
        if name.startswith("test_eager_matches_sdpa_inference_"):
            setattr(test_class, name, unittest.skip("the decoder has no self-attention")(getattr(test_class, name)))


_skip_sdpa_of_a_decoder(SgmTransformerTest)
