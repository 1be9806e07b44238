# `make demo` and `make test` each do the whole set-up first; a second time it takes no time.
# Variables: VENV (default .venv), PYTHON (the interpreter that the environment is made from).
VENV ?= .venv
RUN := $(VENV)/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup setup-demo demo test check bench gpu fuzz reliability soak docs format clean

help:
	@echo "make demo    set up, scan a synthetic two-storey building and reconstruct it: out/demo/preview.png"
	@echo "make test    set up, then formatter, linter, type checker and tests"
	@echo "make bench   set up, measure speed and memory for a quarter of an hour: docs/BENCHMARKS.md"
	@echo "make gpu     set up, then on a CUDA device test, train and export for MINUTES=10 and report: docs/GPU.md"
	@echo "make fuzz    set up, feed 200,000 damaged files to each reader (hours; resumes): out/fuzz/; COUNT=2000 for minutes"
	@echo "make reliability  set up, kill tools and the training at 20 random moments and more (long)"
	@echo "make soak    set up, 10,000 small scans in one process and 200 runs of the tool (hours); COUNT=500 TOOLS=20 for less"
	@echo "make docs    set up, then the documentation as a site: out/docs/index.html"
	@echo "make setup   set up only, MinkowskiEngine included"
	@echo "make format  write the formatting that make test asks for"
	@echo "make clean   remove results and caches (the environment in $(VENV) stays)"

setup:
	@VENV="$(VENV)" bash tools/setup.sh

setup-demo:
	@VENV="$(VENV)" bash tools/setup.sh --without-minkowski

demo: setup-demo
	@$(RUN) tools/demo.py

test check: setup
	$(RUN) -m ruff format --check .
	$(RUN) -m ruff check .
	$(RUN) -m mypy
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n $(or $(PROCESSES),2) --dist loadfile -m "not alone"
	$(RUN) -m pytest -q -m alone

bench: setup
	$(RUN) -m tests.benchmarks

# MINUTES, CONFIG, OUT, INIT as tools/gpu_run.py takes them; SETUP=0: no set-up, the python on the path (or PYTHON).
gpu: $(if $(filter 0,$(SETUP)),,setup-demo)
	PYTHONPATH="$(CURDIR)$${PYTHONPATH:+:$$PYTHONPATH}" $(if $(filter 0,$(SETUP)),$(or $(PYTHON),python),$(RUN)) \
		tools/gpu_run.py --minutes $(or $(MINUTES),10) $(if $(CONFIG),--config $(CONFIG)) $(if $(OUT),--out $(OUT)) \
		$(if $(INIT),--init $(INIT)) $(if $(DRY_RUN),--dry-run)

# COUNT is for each reader, SEED for other inputs; `python -m tests.fuzz --list` names the readers.
fuzz: setup
	$(RUN) -m tests.fuzz $(if $(COUNT),--count $(COUNT)) $(if $(SEED),--seed $(SEED))

reliability: setup
	$(RUN) -m pytest -q --long -m long tests

# COUNT reconstructions in one process, TOOLS runs of the tool; the report is out/soak/soak.json.
soak: setup
	$(RUN) -m tests.soak $(if $(COUNT),--reconstructions $(COUNT)) $(if $(TOOLS),--tools $(TOOLS))

docs: setup-demo
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict --quiet
	@echo "Open out/docs/index.html in a browser; its search needs a server: python3 -m http.server --directory out/docs"

format: setup-demo
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

clean:
	rm -rf out build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find sparse_convonet tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
