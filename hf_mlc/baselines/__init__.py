"""What a model has to beat. Needs the extra `compare` (scikit-learn): `pip install hf_mlc[compare]`."""

from hf_mlc.baselines.tfidf import TfidfLinear, TfidfResult, run_tfidf_baseline


__all__ = ["TfidfLinear", "TfidfResult", "run_tfidf_baseline"]
