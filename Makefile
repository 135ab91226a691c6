# Two commands matter: `make demo` and `make test`.  Both need Python 3.11 or newer, make and a shell, and set up the rest.

.POSIX:
.SUFFIXES:
.PHONY: help demo test check lint bench fmt clean

HOST = 127.0.0.1
PORT = 8000
STORE =
FILE =
ARGS =

VENV = .venv
PY = $(VENV)/bin/python
PIP = $(PY) -m pip --quiet --disable-pip-version-check
DEMO_READY = $(VENV)/demo.ready
DEV_READY = $(VENV)/dev.ready
CODE = src tests benchmarks

help:
	@echo 'make demo    see it: a page at http://$(HOST):$(PORT) where three kinds of session race'
	@echo '             HOST=, PORT=, STORE=url or FILE=path (a temporary SQLite file otherwise)'
	@echo 'make test    run the tests; ARGS= goes to pytest, as in make test ARGS="-k cookies -x"'
	@echo 'make check   format, lint, types, floors, tests: what must pass before a push'
	@echo 'make lint    the same without the tests'
	@echo 'make bench   measure; ARGS= goes to the benchmarks'
	@echo 'make fmt     format the code and sort its imports'
	@echo 'make clean   remove everything that make made'

demo: $(DEMO_READY)
	@store='$(STORE)'; file='$(FILE)'; \
	if [ -z "$$store" ] && [ -n "$$file" ]; then store="sqlite:///$$file"; fi; \
	exec $(PY) -m atomic_session.demo --host '$(HOST)' --port '$(PORT)' $${store:+--store "$$store"} $(ARGS)

test: $(DEV_READY)
	$(PY) -m pytest $(ARGS)

check: lint test

lint: $(DEV_READY)
	$(PY) -m ruff format --check $(CODE)
	$(PY) -m ruff check $(CODE)
	$(PY) -m mypy
	$(PY) -m pyright
	$(VENV)/bin/lint-imports

bench: $(DEV_READY)
	$(PY) -m benchmarks $(ARGS)

fmt: $(DEV_READY)
	$(PY) -m ruff format $(CODE)
	$(PY) -m ruff check --fix-only $(CODE)

clean:
	rm -rf $(VENV) .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	-@find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

# The demo needs the library and its few extras; the versions are the pinned ones all the same.
$(DEMO_READY): $(PY) pyproject.toml requirements-dev.txt
	@echo 'Installing the library and the demo into $(VENV) ...'
	@$(PIP) install --constraint requirements-dev.txt --editable '.[demo]'
	@touch $@

$(DEV_READY): $(PY) pyproject.toml requirements-dev.txt
	@echo 'Installing the library and its tools into $(VENV) ...'
	@$(PIP) install --requirement requirements-dev.txt
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(PY):
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3 python; do \
	    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	    if "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	        echo "Making $(VENV) with $$python ..."; \
	        rm -rf $(VENV); "$$python" -m venv $(VENV) && exit 0; rm -rf $(VENV); \
	    fi; \
	    lame="$$python"; \
	done; \
	if [ -n "$$lame" ]; then \
	    echo "$$lame cannot make a virtual environment: its venv or ensurepip module is missing." >&2; \
	    echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; \
	else \
	    echo "No Python 3.11 or newer was found.  If it has another name: make PYTHON=/path/to/python" >&2; \
	fi; \
	exit 1
