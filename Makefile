# The front door. `make` alone lists what there is.
PYTHON ?= python3
SERVICE = .venv
TEST = .venv-test
DEV = .venv-dev
CLIENTS = .venv-clients
CONSTRAIN = -c constraints.txt
PIP = -m pip --disable-pip-version-check install -q

.PHONY: help serve test check format bench portability soak scale fuzz lm-eval proof train report export lock clean

help:
	@echo "make serve                     set up without torch and serve the starter bundle"
	@echo "make test                      set up and run all tests"
	@echo "make check                     format, lint and types"
	@echo "make train CONFIG=… DATA=…     train a model; OUT=… is where to (runs/NAME)"
	@echo "make report CHECKPOINTS=… OUT=…   compare runs on a page (runs/report.md)"
	@echo "make export CHECKPOINT=… BUNDLE=…   make a bundle of a checkpoint"
	@echo "make bench [DATA=…]            measure the speed, into docs/benchmarks.md"
	@echo "make portability               the same scores on an emulated AVX2-only processor"
	@echo "make proof CHECKPOINT=… DATA=…   served figures against the trainer's"
	@echo "make soak                      ten minutes of mixed load"
	@echo "make scale                     memory and speed on 1 GB of text against 10 MB"
	@echo "make fuzz                      ten thousand requests made from the OpenAPI document"
	@echo "make lm-eval DATA=…            lm-evaluation-harness against /score on DATA/test.txt"
	@echo "make format                    put the code into shape"
	@echo "make lock                      renew the locked versions"
	@echo "make clean                     remove the virtual environments"

serve: $(SERVICE)/ready
	exec $(SERVICE)/bin/python -m service $(ARGS)

test: $(TEST)/ready $(DEV)/ready $(CLIENTS)/ready
	$(TEST)/bin/python -m pytest tests/service tests/plot tests/test_rooms.py
	$(TEST)/bin/python -m pytest -rs tests/playground
	$(DEV)/bin/python -m pytest tests --ignore tests/service --ignore tests/clients \
	  --ignore tests/playground --ignore tests/plot
	$(CLIENTS)/bin/python -m pytest tests/clients

check: $(DEV)/ready
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy

bench: $(DEV)/ready
	$(DEV)/bin/python -m tests.benchmarks $(if $(DATA),--data $(DATA)) --out docs/benchmarks.md $(ARGS)

portability: $(DEV)/ready
	$(DEV)/bin/python -m tests.portability

proof: $(DEV)/ready
	$(DEV)/bin/python -m tests.proofs $(CHECKPOINT) --data $(DATA)

soak: $(DEV)/ready
	$(DEV)/bin/python -m tests.soak $(ARGS)

scale: $(DEV)/ready
	$(DEV)/bin/python -m tests.scale $(ARGS)

fuzz: $(CLIENTS)/ready
	$(CLIENTS)/bin/python -m tests.fuzz $(ARGS)

lm-eval: $(CLIENTS)/ready
	@test -n "$(DATA)" || { echo "give DATA=<folder with a test.txt>"; exit 2; }
	$(CLIENTS)/bin/python -m tests.clients.lm_eval_compare $(DATA) $(ARGS)

format: $(DEV)/ready
	$(DEV)/bin/ruff format .
	$(DEV)/bin/ruff check --fix .

CONFIG ?= train/configs/starter.toml
OUT ?= runs/$(basename $(notdir $(CONFIG)))
train: $(DEV)/ready
	@test -n "$(DATA)" || { echo "give DATA=<folder of text>"; exit 2; }
	$(DEV)/bin/python -m train $(CONFIG) --data $(DATA) --out $(OUT) $(ARGS)

report: OUT = runs/report.md
report: $(DEV)/ready
	@test -n "$(CHECKPOINTS)" || { echo "give CHECKPOINTS=\"<folder> <folder>\""; exit 2; }
	$(DEV)/bin/python -m train report $(CHECKPOINTS) --out $(OUT) $(ARGS)

export: $(DEV)/ready
	$(DEV)/bin/python -m model_export $(CHECKPOINT) $(BUNDLE) $(ARGS)

lock: $(DEV)/ready
	$(DEV)/bin/pip-compile -q --strip-extras --generate-hashes --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links --no-header -o requirements.lock pyproject.toml
	$(DEV)/bin/pip-compile -q --strip-extras --extra dev --extra clients --no-emit-index-url \
	  --no-emit-trusted-host --no-emit-find-links --no-header --no-annotate \
	  -o constraints.txt pyproject.toml
	sed -i -e '/^tiedlm /d' -e '/^torch==/d' -e '/^#/d' -e '/^$$/d' constraints.txt

clean:
	rm -rf $(SERVICE) $(TEST) $(DEV) $(CLIENTS)

$(SERVICE)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(SERVICE)
	$(SERVICE)/bin/python $(PIP) --require-hashes -r requirements.lock
	$(SERVICE)/bin/python $(PIP) --no-deps -e .
	touch $@

$(TEST)/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/python $(PIP) $(CONSTRAIN) -e ".[test,browser,notebook]"
	touch $@

$(DEV)/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(DEV)
	$(DEV)/bin/python $(PIP) $(CONSTRAIN) -e ".[dev]"
	touch $@

$(CLIENTS)/ready: constraints.txt pyproject.toml
	$(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python $(PIP) $(CONSTRAIN) -e ".[clients]"
	touch $@
