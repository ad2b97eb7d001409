"""What speaks for a label in a LightDXML: its logit alone, and the share of each token in it.

Shape legend: B documents, S chosen labels, T tokens, D width.
"""

import torch

from .label_tables import read_rows


class LabelEvidence:
    """The part of a model that is asked for explanations; to be mixed into a `MultiLabelPreTrainedModel` with `encode` and `score`."""

    def label_logits(self, chosen_ids_S: torch.LongTensor, **inputs) -> torch.FloatTensor:
        """As [`MultiLabelPreTrainedModel.label_logits`]: the classifier's, whether the labels are in a shortlist or not."""
        return self.score(self.encode(**inputs), chosen_ids_S)

    @property
    def has_token_weights(self) -> bool:
        """Whether a place of the input is a word of a text."""
        return self.config.encoder != "features"

    def token_weights(self, chosen_ids_S: torch.LongTensor, **inputs: torch.Tensor) -> torch.FloatTensor:
        """How much each token weighs for each of the chosen labels, `(B, S, T)`: rows sum to 1, or are 0 where no token speaks for it.

        Of the bag of tokens, what a token adds to the classifier's logit as long as the same units of the encoder are active; tokens
        that speak against a label weigh 0. Of a transformer, the token's share in the document's vector.

        Raises:
            `NotImplementedError`: of rows of features.
        """
        if not self.has_token_weights:
            return super().token_weights(chosen_ids_S, **inputs)
        if self.config.encoder == "transformer":
            with torch.no_grad():
                return self.encoder.token_weights(**inputs)[:, None].expand(-1, len(chosen_ids_S), -1)
        # callers answer in inference mode, whose tensors nothing can be derived from: of them copies
        with torch.inference_mode(False), torch.enable_grad():
            chosen_ids_S = chosen_ids_S.clone()
            inputs = {name: values.clone() for name, values in inputs.items()}
            vectors_BTD = read_rows(self.get_input_embeddings(), inputs["input_ids"]).detach().requires_grad_(True)
            logits_BS = self.label_logits(chosen_ids_S, **{**inputs, "inputs_embeds": vectors_BTD})
            added = [torch.autograd.grad(column.sum(), vectors_BTD, retain_graph=True)[0] for column in logits_BS.T]
        weights_BST = torch.stack([(gradient * vectors_BTD.detach()).sum(dim=2) for gradient in added], dim=1)
        weights_BST = weights_BST.clamp(min=0)
        return weights_BST / weights_BST.sum(dim=2, keepdim=True).clamp(min=1e-12)


__all__ = ["LabelEvidence"]
