# skiff -- thin door to meson. `make help` lists the targets. Each build kind has its own folder below build/.
.DEFAULT_GOAL := all
MESON  ?= meson
PREFIX ?= /usr/local
DESTDIR ?=
B      := build/release
SAN    := build/san
PYTEST := /usr/bin/python3 -m pytest -q -p no:cacheprovider
PROGS  := skiff skiff-image skiff-launch skiff-monitor skiff-resolver skiff-init skiff-oci

.PHONY: help all deps test unit system vm-smoke test-vm test-weak lint demo bench fuzz-smoke soak install clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' $(MAKEFILE_LIST) | expand -t 14

all: build/bin/.stamp ## build all programs into build/bin

$(B)/build.ninja:
	@tools/deps build
	$(MESON) setup $(B) -Dbuildtype=release -Dtests=false

build/bin/.stamp: $(B)/build.ninja FORCE
	@ninja -C $(B) $(if $(V),-v,--quiet)
	@mkdir -p build/bin
	@for p in $(PROGS); do cmp -s $(B)/src/cmd/$$p build/bin/$$p || install -m 755 -s $(B)/src/cmd/$$p build/bin/$$p; done
	@touch $@

FORCE:

deps: ## install what building and testing need (Debian packages)
	tools/deps all

test: ## everything: lint, unit tests under sanitizers, system tests, leak check, smoke run under cgroup v2
	tests/run all

unit: ## unit tests under ASan and UBSan
	tests/run unit

system: all ## pytest through the programs, on this host
	tests/run system

vm-smoke: all ## a smoke selection under cgroup v2 in a virtual machine
	tests/run vm-smoke

test-vm: all ## the system tests under cgroup v2 in a virtual machine (slow)
	tests/run vm

test-weak: all ## each security test fails on a build without its protection
	tests/security/weaken

lint: ## include directions, banned functions, DT_NEEDED, warnings of gcc and clang, clang-tidy, cppcheck, shellcheck
	tools/lint all

demo: ## the tour of the README: registry, pull, run, logs, exec, stop, rm
	tools/demo

bench: all ## skiff and the installed peers side by side
	bench/run

fuzz-smoke: ## every fuzz target for some seconds
	tests/fuzz/smoke

soak: all ## many start/kill/remove rounds, then the leak check
	tests/soak

install: all ## into $(DESTDIR)$(PREFIX): skiff and skiff-oci in bin, the rest in libexec/skiff
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/libexec/skiff $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man8
	install -m 755 build/bin/skiff build/bin/skiff-oci $(DESTDIR)$(PREFIX)/bin
	install -m 755 build/bin/skiff-image build/bin/skiff-launch build/bin/skiff-monitor build/bin/skiff-resolver build/bin/skiff-init $(DESTDIR)$(PREFIX)/libexec/skiff
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|@bindir@|$(PREFIX)/bin|' tools/skiff-boot.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/skiff-boot.service
	tools/mkman build/bin build/man
	install -m 644 build/man/skiff.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 build/man/skiff-oci.8 $(DESTDIR)$(PREFIX)/share/man/man8

clean: ## remove build/
	rm -rf build
