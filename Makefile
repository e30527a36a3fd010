# Tandem's commands. `make demo` to try it, `make check test` before a commit.
#
#   PORT=8001 make demo              another port than 8000
#   TANDEM_HOME=~/tandem make demo   another place for the data than .tandem
#   PYTHON=/path/to/python make demo another Python than the first one that is found

.DEFAULT_GOAL := help
.PHONY: help demo run worker shell migrate test check faults races scan fmt lock bench doctor clean
.DELETE_ON_ERROR:
unexport PYTHONDONTWRITEBYTECODE # compiled files are what makes the second start quick

PY := .venv/bin/python
MANAGE := $(PY) manage.py
BESIDE_DATABASE := $(PY) -m config.embedded run --
BESIDE_EMPTY_DATABASE := $(PY) -m config.embedded run --throw-away --
# What is measured takes commits as they are: they wait for the disk, as a seller's do.
BESIDE_DURABLE_DATABASE := $(PY) -m config.embedded run --throw-away --durable --
PACKAGES := billing checkout config portal sales
JOBS ?= 2

help:
	@echo "make demo      everything, with sample data, on http://127.0.0.1:$${PORT:-8000}/"
	@echo "make test      every test"
	@echo "make check     format, lint, types, imports, migrations"
	@echo "make races     run every race 200 times (ROUNDS=1000 for more)"
	@echo "make faults    kill workers until something breaks: ARGS='kills --seed 7', ARGS=--planted"
	@echo "make scan      wapiti and sqlmap against a server that may be spoiled: URL=https://staging.example KEY=tk_test_…"
	@echo "make fmt       put the format right"
	@echo "make run       the web server for development    make worker   the job worker"
	@echo "make shell     a Python shell beside the data    make migrate  bring the database up to date"
	@echo "make doctor    what is missing on this machine   make bench    the measurements, small"
	@echo "make lock      remake the requirement files      make clean    remove what was built, never data"

# -- Use ---------------------------------------------------------------------------------------------------

demo: .venv/demo.stamp
	@$(MANAGE) demo

run: .venv/demo.stamp
	@DEBUG=true $(BESIDE_DATABASE) $(MANAGE) runserver $${PORT:-8000}

worker: .venv/demo.stamp
	@$(BESIDE_DATABASE) $(MANAGE) qcluster

shell: .venv/demo.stamp
	@$(BESIDE_DATABASE) $(MANAGE) shell

migrate: .venv/demo.stamp
	@$(BESIDE_DATABASE) $(MANAGE) migrate

doctor: .venv/demo.stamp
	@$(BESIDE_DATABASE) $(MANAGE) doctor

# -- Work on it --------------------------------------------------------------------------------------------

# ARGS narrows it: make test ARGS=tests/billing
test: .venv/dev.stamp
	$(PY) -m pytest -n $(JOBS) --dist worksteal $(ARGS)

check: .venv/dev.stamp
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy $(PACKAGES)
	$(PY) -m pytest tests/config/test_imports.py tests/config/test_tracked_files.py
	$(BESIDE_EMPTY_DATABASE) sh -c '$(MANAGE) check --fail-level WARNING \
	    && $(MANAGE) makemigrations --check --dry-run'

faults: .venv/dev.stamp
	$(BESIDE_EMPTY_DATABASE) $(PY) -m tests.faults $(ARGS)

# Each race in every run a few times, here many.
RACES := tests/checkout/test_paying_at_once.py tests/sales/test_at_once.py tests/billing/test_collecting_at_once.py \
         tests/billing/test_webhook_stream.py tests/billing/api/test_at_once.py \
         tests/billing/test_joining.py tests/billing/test_paying_out.py
ROUNDS := 200
races: .venv/dev.stamp
	ROUNDS=$(ROUNDS) $(PY) -m pytest $(RACES) $(ARGS)

# Before a release, against a server whose data nobody needs: forms are filled in and rows made. Each scanner has ten minutes.
SCANNERS := .venv/scanners
WAPITI = timeout 600 $(SCANNERS)/bin/wapiti -u $(URL)/ --no-bugreport --flush-session --store-session $(SCANNERS)/state \
         --max-scan-time 540 --max-attack-time 90 -x $(URL)/accounts/logout/ \
         -m exec,file,sql,xss,permanentxss,redirect,crlf,csrf,http_headers,cookieflags,csp,methods,upload,htaccess
SQLMAP = timeout 300 $(SCANNERS)/bin/sqlmap --batch --flush-session --output-dir $(SCANNERS)/state --dbms PostgreSQL \
         --level 2 --risk 2 --technique BEUSQ -H "Authorization: Bearer $(KEY)"
scan: $(SCANNERS)/stamp
	@[ -n "$(URL)" ] && [ -n "$(KEY)" ] || { echo "Which server, and with which key? URL=https://… KEY=tk_test_…" >&2; exit 1; }
	-$(WAPITI) -f json -o $(SCANNERS)/pages.json
	curl -fsSk $(URL)/api/v1/schema/ -o $(SCANNERS)/openapi.json
	-$(WAPITI) -f json -o $(SCANNERS)/api.json --swagger $(SCANNERS)/openapi.json -H "Authorization: Bearer $(KEY)"
	-$(SQLMAP) -u "$(URL)/api/v1/customers?q=a&email=b&external_id=c&limit=5"
	-$(SQLMAP) -u "$(URL)/pricing/?currency=USD&interval=month"
	@echo "What was found stands in $(SCANNERS)/pages.json and api.json; sqlmap has said it above."

$(SCANNERS)/stamp: .venv/dev.stamp
	$(PY) -m venv $(SCANNERS)
	$(SCANNERS)/bin/pip install --quiet --disable-pip-version-check wapiti3==3.2.3 sqlmap==1.10.10
	@touch $@

fmt: .venv/dev.stamp
	$(PY) -m ruff check --fix-only .
	$(PY) -m ruff format .

# Every measurement is made, whichever missed its budget before; which did is said at the end.
bench: .venv/dev.stamp
	@missed=""; for script in benchmarks/bench_*.py; do \
	    $(BESIDE_DURABLE_DATABASE) $(PY) "$$script" $(ARGS) || missed="$$missed $$script"; \
	done; [ -z "$$missed" ] || { echo "Missed its budget, or did not run:$$missed"; exit 1; }

LOCK := pip compile pyproject.toml --quiet --universal --python-version 3.12 \
        --generate-hashes --no-emit-index-url --no-header $(ARGS)
# ARGS=--upgrade takes the newest of everything.
lock:
	uv $(LOCK) --group demo -o requirements.txt
	uv $(LOCK) --group demo --group dev -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find $(PACKAGES) tests -name __pycache__ -type d -prune -exec rm -rf {} +

# -- The virtual environment -------------------------------------------------------------------------------

# The first Python of 3.12 or newer that really runs (a pyenv shim may be there and refuse) and can make one.
FIND_PYTHON = for python in "$(PYTHON)" python3.12 python3.13 python3.14 \
    "$$HOME"/.pyenv/versions/3.1[2-9]*/bin/python3 python3 /usr/local/bin/python3 /opt/homebrew/bin/python3; do \
    "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null || continue; \
    echo "$$python"; break; done

define install
	@if ! $(PY) -c '' 2>/dev/null; then \
	    python="$$($(FIND_PYTHON))"; \
	    if [ -z "$$python" ]; then \
	        echo "Tandem needs Python 3.12 or newer (with its venv module), and none was found." >&2; \
	        echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3" >&2; \
	        exit 1; \
	    fi; \
	    echo "Making .venv with $$("$$python" --version) ($$python)"; \
	    "$$python" -m venv --clear .venv; \
	fi
	@echo "Installing $(1)"
	@{ uv --version >/dev/null 2>&1 \
	    && uv pip install --quiet --python $(PY) --require-hashes --compile-bytecode -r $(1); } \
	|| $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r $(1)
	@touch $@
endef

# An environment whose Python is gone, or that was moved, is made anew.
ifneq ($(shell $(PY) -c 'print(1)' 2>/dev/null),1)
.PHONY: .venv/demo.stamp .venv/dev.stamp
endif

.venv/demo.stamp: requirements.txt
	$(call install,requirements.txt)

.venv/dev.stamp: requirements.txt requirements-dev.txt
	$(call install,requirements-dev.txt)
	@touch .venv/demo.stamp
