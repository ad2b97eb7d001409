# make demo · make test · make lint: each sets up .venv by itself on a fresh machine.
# requirements/ci.txt pins torch; to let pip choose:  make demo CONSTRAINTS=
PYTHON ?= python3
CONSTRAINTS ?= requirements/ci.txt
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: demo test test-slow test-common lint clean

demo: $(READY)
	$(PY) scripts/demo.py --output_dir outputs/demo

# one thread a process: two workers with two threads each on two cores wait for one another ten times over
test: export OMP_NUM_THREADS := 1
test: $(READY)
	$(PY) -m pytest -q -n 2 --dist loadfile --durations 40 --durations-min 2 -m "not slow"

test-slow: $(READY)
	$(PY) -m pytest -q -m slow

test-common: $(READY)
	bash tests/common/run.sh $(PY)

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

clean:
	rm -rf $(VENV) outputs build *.egg-info

$(READY): setup.py pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'hf_mlc needs Python 3.11 or newer, found ' + sys.version.split()[0])"
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable ".[dev]"
	$(PY) -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) "hnswlib>=0.8" || echo "no hnswlib (it needs a C++ compiler): its tests are skipped"
	touch $@
