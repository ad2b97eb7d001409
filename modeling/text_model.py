"""What models over a text encoder share: word vectors, and what transformers asks of such a model."""

from torch import nn
from transformers import initialization as init

from .multi_label import MultiLabelPreTrainedModel


class TextPreTrainedModel(MultiLabelPreTrainedModel):
    """Base class of models with an `encoder` of text, or of another input, in `self.encoder`."""

    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("text",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def _init_weights(self, module):
        if isinstance(module, nn.Embedding):
            # word and label vectors: a backbone initialises its own. (The module around the word vectors has no parameters,
            # and transformers passes over such modules of code that isn't its own.)
            init.normal_(module.weight, std=self.config.embedding_std)
            if module.padding_idx is not None and not getattr(module.weight, "_is_hf_initialized", False):
                init.zeros_(module.weight[module.padding_idx])
            return
        super()._init_weights(module)

    @staticmethod
    def _init_reader(module: nn.Module, recurrent: tuple[type[nn.Module], ...] = (nn.GRU,)) -> None:
        """Weights of what reads token vectors: convolutions, and recurrent layers of these types; others are left alone."""
        if isinstance(module, nn.Conv1d):
            init.kaiming_uniform_(module.weight, nonlinearity="relu")
        elif isinstance(module, recurrent):
            for name, parameter in module.named_parameters():
                if "weight" in name:
                    init.xavier_uniform_(parameter)
                else:
                    init.zeros_(parameter)

    def get_input_embeddings(self):
        if hasattr(self.encoder, "backbone"):
            return self.encoder.backbone.get_input_embeddings()
        if not hasattr(self.encoder, "embeddings"):
            raise NotImplementedError(f"a model that reads `{self.main_input_name}` has no word vectors")
        return self.encoder.embeddings.word_embeddings

    def set_input_embeddings(self, value):
        if hasattr(self.encoder, "backbone"):
            self.encoder.backbone.set_input_embeddings(value)
        else:
            self.encoder.embeddings.word_embeddings = value


__all__ = ["TextPreTrainedModel"]
