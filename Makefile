# make run    set up, train every model on the sample, print the table and a list, leave the lessons as HTML in build/
# make test   set up, run the unit tests and then every notebook, outputs compared
# make test-slow   the long tests: every exercise solution, more seeds of the sample, 20 splits of the real tables
# make test-spark   set up PySpark (460 MB; Java 17 or later must be there), and test what uses it
# make fuzz SECONDS=1800   look for faults: made-up tables, models and files, for as long as you like
# make mutants   plant SAMPLE small faults, drawn with SEED, one at a time, and count those that the tests notice
# make claims   run the lessons with three other seeds each, and say which of their sentences stand
# make site   set up, write the lessons as they are stored into build/site: pages that need no network
# make list LIST=animelist.xml   set up, print a list for the list that you keep
# make lab    set up and open JupyterLab at the first page of a copy of the lessons, my_lessons/: yours to change
PYTHON ?= python3
VIEWER ?= viewer1362
N ?= 10
JOBS ?= 2
SECONDS ?= 60
LIST ?= data/animelist.xml
SAMPLE ?= 150

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
# Small matrices: one BLAS thread a process is faster, and leaves the cores to the processes.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
# Packages are installed uncompiled, which is quicker: the first import must be allowed to keep what it compiles.
unexport PYTHONDONTWRITEBYTECODE

REPEAT = $(if $(SEED),--seed $(SEED))

.PHONY: run test test-slow test-spark fuzz mutants claims types site list lab weights lint clean

run: $(READY)
	$(BIN)/python -m content_table --viewer $(VIEWER) --n $(N) --jobs $(JOBS)
	@mkdir -p build
	@echo "Running the lessons into build/:"
	@printf '%s\n' notebooks/*.ipynb | xargs -P $(JOBS) -I{} sh -c 'echo "  {}"; \
		$(BIN)/jupyter nbconvert --execute --to html --output-dir build --log-level ERROR \
		--ExecutePreprocessor.extra_arguments=--log-level=ERROR --ExecutePreprocessor.store_widget_state=False \
		{} || exit 255'
	@$(BIN)/python -c 'import pathlib as p; print("Done. Open", p.Path("build/00_start_here.html").resolve().as_uri())'

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest -n $(JOBS) --dist loadscope
	$(BIN)/pytest -n $(JOBS) --dist loadscope --nbval --nbval-current-env --nbval-cell-timeout=120 \
		--nbval-sanitize-with tests/nbval.cfg -p no:cacheprovider notebooks

test-slow: $(READY)
	$(BIN)/pytest -n $(JOBS) -m slow

test-spark: $(READY)
	@$(BIN)/python -c "import pyspark" 2> /dev/null \
		|| $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements-spark.txt
	$(BIN)/pytest tests/test_spark.py

fuzz: $(READY)
	@$(BIN)/python -c "import atheris" 2> /dev/null \
		|| $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e ".[fuzz]" \
		|| echo "atheris cannot be installed here (see above); what does not need it is run."
	$(BIN)/python tests/fuzz.py --seconds $(SECONDS) $(REPEAT)

mutants: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'coverage>=7.6'
	$(BIN)/python benchmarks/mutants.py --sample $(SAMPLE) --jobs $(JOBS) --seed $(or $(SEED),1)

claims: $(READY)
	$(BIN)/python benchmarks/claims.py

types: $(READY)
	$(BIN)/mypy

site: $(READY)
	@rm -rf build/site
	@$(BIN)/python docs/site/build_site.py build/site

list: $(READY)
	$(BIN)/python -m content_table --list $(LIST) --n $(N)

lab: $(VENV)/lab | my_lessons
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/my_lessons/00_start_here.ipynb

my_lessons:  # made once; whoever removes or renames it gets a fresh one
	@mkdir -p build && rm -rf build/my_lessons && cp -R notebooks build/my_lessons
	@mv build/my_lessons $@

weights: $(READY)
	$(BIN)/python -m content_table --save-weights

lint: $(READY)
	$(BIN)/ruff check --fix . && $(BIN)/ruff format .

clean:
	rm -rf build $(VENV)

$(VENV)/lab: $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r requirements.txt
	@touch $@

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or later is needed; found: $$($(PYTHON) --version). Try make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip  # resolves in half the time
	sed '/^jupyterlab/d' requirements.txt > $(VENV)/requirements.txt  # tests and pages start faster without it
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -r $(VENV)/requirements.txt
	@touch $@
