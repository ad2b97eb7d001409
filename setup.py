"""Metadata of hf_mlc, and the map that installs the flat folder `modeling/` as `hf_mlc.modeling`."""

import re
from pathlib import Path

from setuptools import find_packages, setup


ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "hf_mlc/version.py").read_text(encoding="utf-8")).group(1)

INSTALL = [
    "accelerate>=1.7",  # passes the epoch on to the sampler of every process
    "datasets>=4.0",
    "huggingface-hub>=1.31",
    "numpy>=1.26",
    "pyyaml>=6.0",
    "safetensors>=0.8",
    "scipy>=1.11",  # sparse tables of tokens and labels
    "torch>=2.6",
    "transformers>=5.17",
]
EXTRAS = {
    # LightDXML's graph of labels; without it the nearest labels are found by comparing with all of them
    "ann": ["hnswlib>=0.8"],
    # the linear baselines: `make demo` and `make test` need it; a user who only trains our models does not. Other systems
    # that `compare` runs get virtual environments of their own (hf_mlc/comparing/environments.py)
    "compare": ["lightgbm>=4.0", "scikit-learn>=1.5"],
    "cards": ["jinja2>=3.1", "matplotlib>=3.9"],
    "explain": ["captum>=0.8", "matplotlib>=3.9"],
    # models that label pictures; torchvision isn't needed, and isn't used where it is
    "images": ["pillow>=10.3"],
    "lora": ["peft>=0.17"],
    # `--readout_source linear_svm`: liblinear, while training; what is trained doesn't need it
    "planting": ["joblib>=1.3", "scikit-learn>=1.5"],
    "onnx": ["torch>=2.8", "onnx>=1.17", "onnxscript>=0.5", "onnxruntime>=1.20"],
    "space": ["gradio>=6.0"],
}
EXTRAS["dev"] = [
    # hnswlib comes as C++ only: `make` tries it, and goes on without where there is no compiler
    *sorted({requirement for name, extra in EXTRAS.items() if name != "ann" for requirement in extra}),
    "playwright>=1.48",  # drives the Space's page in the Chromium of the system
    "pytest>=8.0",
    "pytest-xdist>=3.5",
    "ruff>=0.12",
]

setup(
    name="hf_mlc",
    version=VERSION,
    description="Multi-label classification for the Hugging Face ecosystem: five published architectures, one package",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    install_requires=INSTALL,
    extras_require=EXTRAS,
    packages=[*find_packages(include=["hf_mlc", "hf_mlc.*"]), "hf_mlc.modeling"],
    # `modeling/` is what travels to the Hub with the weights; it must stay one flat folder (docs/architecture.md)
    package_dir={"hf_mlc": "hf_mlc", "hf_mlc.modeling": "modeling"},
    package_data={"hf_mlc": ["py.typed"], "hf_mlc.cards": ["template.md.jinja"], "hf_mlc.spaces": ["style.css"]},
    entry_points={"console_scripts": ["hf-mlc=hf_mlc.cli:main"]},
    classifiers=[
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
