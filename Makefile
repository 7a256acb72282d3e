# The commands of the project. `make` alone lists them.
#
# Recipes read paths from the environment, so that paths may hold spaces and quotes. A list of paths
# is written as for the shell: FILES="'my text.txt' other.txt".
PYTHON ?= python3
CONFIG ?= train/configs/starter.toml
PATHS = VERSION DATA CONFIG OUT CHECKPOINT CHECKPOINTS BUNDLE FILES OLD
$(foreach name,$(PATHS),$(eval override export $(name) := $$(value $(name))))
SERVICE = .venv
TEST = .venv-test
DEV = .venv-dev
CLIENTS = .venv-clients
RAY = .venv-ray
CONSTRAIN = -c constraints.txt
PIP = -m pip --disable-pip-version-check install -q

.PHONY: help venv serve test check format bench compare portability soak overload faults scale scale-bulk \
  bench-bulk ray-test fuzz lm-eval proof cache-gain ngram ablation processes presets train report export container lock version clean

help:
	@echo "make venv                      set up .venv, the Python of the README's commands"
	@echo "make serve                     set up without torch and serve the starter bundle"
	@echo "make test [GROUPS=…]           set up and run all tests, two groups at a time"
	@echo "make check                     format, lint, types and dead code"
	@echo "make train CONFIG=… DATA=…     train a model into OUT=… (runs/NAME)"
	@echo "make report CHECKPOINTS=… OUT=…   compare runs on a page (runs/report.md)"
	@echo "make export CHECKPOINT=… BUNDLE=…   export a checkpoint as a bundle"
	@echo "make container                 build the image, test it as in production, remove it"
	@echo "make bench [DATA=…]            measure the speed, into docs/benchmarks.md"
	@echo "make compare OLD=…             speed of this checkout against another one, in pairs"
	@echo "make portability               the same scores on an emulated AVX2-only processor"
	@echo "make proof CHECKPOINT=… DATA=…   served figures against the trainer's"
	@echo "make cache-gain CHECKPOINT=… DATA=…   the gain of /score's continuous cache on a text"
	@echo "make ngram BUNDLE=… DATA=…     a Kneser–Ney 5-gram on a bundle's tokens"
	@echo "make ablation DATA=…           the effect of each regulariser, on a short text"
	@echo "make processes DATA=…          training with two processes against training with one"
	@echo "make presets DATA=…            train and export every preset for some steps"
	@echo "make soak                      ten minutes of mixed load"
	@echo "make scale                     memory and speed on 1 GB of text against 10 MB"
	@echo "make overload                  twice the capacity of the service, for ten minutes"
	@echo "make faults                    long tests of kills, floods, slow clients, damaged bundles, full disks"
	@echo "make scale-bulk                memory of python -m service.bulk on 2 GB against 20 MB"
	@echo "make bench-bulk FILES=…        speed of python -m service.bulk against the engine alone"
	@echo "make ray-test                  set up Ray and run its tests on a cluster of this machine"
	@echo "make fuzz                      ten thousand requests generated from the OpenAPI document"
	@echo "make lm-eval DATA=…            lm-evaluation-harness against /score on DATA/test.txt"
	@echo "make format                    format the code"
	@echo "make lock                      renew the locked versions"
	@echo "make version VERSION=…         write a new version into every file that states it"
	@echo "make clean                     remove the virtual environments"

# $(call need,NAME,what): stop with a message if the variable is empty.
need = { test -n "$$$(1)" || { echo 'give $(1)=$(2)'; exit 2; }; }
# $(call list,NAME): the paths of a list as "$$@"; a value that exists as a path is one path.
list = if test -e "$$$(1)"; then set -- "$$$(1)"; else eval "set -- $$$(1)"; fi

venv: $(SERVICE)/ready

serve: $(SERVICE)/ready
	exec $(SERVICE)/bin/python -m service $(ARGS)

# GROUPS="http train" runs some of the groups, JOBS=1 one at a time; tests/programs/run_tests.py.
test: $(TEST)/ready $(DEV)/ready $(CLIENTS)/ready
	$(TEST)/bin/python -m tests.programs.run_tests $(GROUPS) --jobs $(or $(JOBS),2)

ray-test: $(RAY)/ready
	$(RAY)/bin/python -m pytest tests/ray $(ARGS)

check: $(DEV)/ready
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/ruff check .
	$(DEV)/bin/mypy
	$(DEV)/bin/vulture

bench: $(DEV)/ready
	$(DEV)/bin/python -m tests.programs.benchmarks $(if $(DATA),--data "$$DATA") --out docs/benchmarks.md $(ARGS)

compare: $(DEV)/ready
	@$(call need,OLD,<another checkout>)
	$(DEV)/bin/python -m tests.programs.benchmarks.two_trees "$$OLD" $(ARGS)

portability: $(DEV)/ready
	$(DEV)/bin/python -m tests.programs.portability

proof: $(DEV)/ready
	@$(call need,CHECKPOINT,<folder of a run>) && $(call need,DATA,<its text>)
	$(DEV)/bin/python -m tests.programs.proofs "$$CHECKPOINT" --data "$$DATA" $(ARGS)

cache-gain: $(DEV)/ready
	@$(call need,CHECKPOINT,<folder of a run>) && $(call need,DATA,<its text>)
	$(DEV)/bin/python -m tests.programs.proofs.cache "$$CHECKPOINT" --data "$$DATA" $(ARGS)

ngram: $(DEV)/ready
	@$(call need,BUNDLE,<folder of a bundle>) && $(call need,DATA,<folder or file of text>)
	$(DEV)/bin/python -m tests.programs.benchmarks.ngram "$$BUNDLE" --data "$$DATA" $(ARGS)

ablation: $(DEV)/ready
	@$(call need,DATA,<folder or file of text>)
	$(DEV)/bin/python -m tests.programs.proofs.ablation --data "$$DATA" $(ARGS)

processes: $(DEV)/ready
	@$(call need,DATA,<folder or file of text>)
	$(DEV)/bin/python -m tests.programs.proofs.processes --data "$$DATA" $(ARGS)

presets: $(DEV)/ready
	@$(call need,DATA,<folder or file of text>)
	$(DEV)/bin/python -m tests.programs.proofs.presets --data "$$DATA" $(ARGS)

soak: $(DEV)/ready
	$(DEV)/bin/python -m tests.programs.soak $(ARGS)

scale: $(DEV)/ready
	$(DEV)/bin/python -m tests.programs.scale $(ARGS)

overload: $(DEV)/ready
	$(DEV)/bin/python -m tests.programs.benchmarks.overload $(ARGS)

faults: $(DEV)/ready
	FAULTS=long $(DEV)/bin/python -m pytest tests/faults $(ARGS)

scale-bulk: $(DEV)/ready
	$(DEV)/bin/python -m tests.programs.scale.bulk $(ARGS)

bench-bulk: $(DEV)/ready
	@$(call need,FILES,"<text> <text>")
	$(call list,FILES); $(DEV)/bin/python -m tests.programs.benchmarks.bulk "$$@" $(ARGS)

fuzz: $(CLIENTS)/ready
	$(CLIENTS)/bin/python -m tests.programs.fuzz $(ARGS)

lm-eval: $(CLIENTS)/ready
	@$(call need,DATA,<folder with a test.txt>)
	$(CLIENTS)/bin/python -m tests.clients.lm_eval_compare "$$DATA" $(ARGS)

version: $(DEV)/ready
	@$(call need,VERSION,0.2.0)
	$(DEV)/bin/python -m tests.programs.set_version "$$VERSION"

format: $(DEV)/ready
	$(DEV)/bin/ruff format .
	$(DEV)/bin/ruff check --fix .

train: $(DEV)/ready
	@$(call need,DATA,<folder or file of text>)
	name=$$(basename "$$CONFIG"); $(DEV)/bin/python -m train "$$CONFIG" --data "$$DATA" \
	  --out "$${OUT:-runs/$${name%.*}}" $(ARGS)

report: $(DEV)/ready
	@$(call need,CHECKPOINTS,"<folder> <folder>")
	$(call list,CHECKPOINTS); \
	  $(DEV)/bin/python -m train report "$$@" --out "$${OUT:-runs/report.md}" $(ARGS)

export: $(DEV)/ready
	@$(call need,CHECKPOINT,<folder of a run>) && $(call need,BUNDLE,<new folder>)
	$(DEV)/bin/python -m model_export "$$CHECKPOINT" "$$BUNDLE" $(ARGS)

# BASE=debian needs no image registry; KEEP=tiedlm keeps the image; ARGS=--train also builds the
# trainer's image.
container:
	docker/build_and_smoke.sh $(ARGS)

COMPILE = $(DEV)/bin/pip-compile -q --strip-extras --no-emit-index-url --no-emit-trusted-host \
  --no-emit-find-links --no-header
lock: $(DEV)/ready
	$(COMPILE) --generate-hashes --extra service -o requirements.lock pyproject.toml
	$(COMPILE) --generate-hashes -c requirements.lock --extra service --extra tracing \
	  -o requirements-tracing.lock pyproject.toml
	$(COMPILE) --generate-hashes --allow-unsafe --only-build-deps --build-deps-for wheel \
	  -o docker/build.lock pyproject.toml
	$(COMPILE) --no-annotate --extra dev --extra clients --extra ray -o constraints.txt pyproject.toml
	# Without the local version, the pin of torch allows its CPU and its CUDA wheels.
	sed -i -e '/^tiedlm /d' -e 's/^\(torch==[^+]*\)+.*/\1/' -e '/^#/d' -e '/^$$/d' constraints.txt
	# pip-compile loses the marker of a requirement of an extra.
	sed -i 's/^\(uvloop==[^ ]*\)\( \\\)\?$$/\1 ; sys_platform != "win32"\2/' \
	  requirements.lock requirements-tracing.lock constraints.txt

clean:
	rm -rf $(SERVICE) $(TEST) $(DEV) $(CLIENTS) $(RAY)

$(SERVICE)/ready: requirements.lock pyproject.toml
	"$(PYTHON)" -m venv $(SERVICE)
	$(SERVICE)/bin/python $(PIP) --require-hashes -r requirements.lock
	$(SERVICE)/bin/python $(PIP) --no-deps -e .
	touch $@

$(TEST)/ready: constraints.txt pyproject.toml
	"$(PYTHON)" -m venv $(TEST)
	$(TEST)/bin/python $(PIP) $(CONSTRAIN) -e ".[test,browser,notebook]"
	touch $@

$(DEV)/ready: constraints.txt pyproject.toml
	"$(PYTHON)" -m venv $(DEV)
	$(DEV)/bin/python $(PIP) $(CONSTRAIN) -e ".[dev]"
	touch $@

$(CLIENTS)/ready: constraints.txt pyproject.toml
	"$(PYTHON)" -m venv $(CLIENTS)
	$(CLIENTS)/bin/python $(PIP) $(CONSTRAIN) -e ".[clients]"
	touch $@

$(RAY)/ready: constraints.txt pyproject.toml
	"$(PYTHON)" -m venv $(RAY)
	$(RAY)/bin/python $(PIP) $(CONSTRAIN) -e ".[test,ray]"
	touch $@
