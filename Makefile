# nsrun and netsetup. `make help` lists the targets.
#
# Both programs are static: what they cost is mostly what their start costs. STATIC=0 links them dynamically (sanitizers
# need it). Debian has libmnl as a shared library only, so netsetup/mnl.c has what is needed of it.

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
CNIDIR     ?= $(LIBEXECDIR)/netsetup
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man
UNITDIR    ?= $(PREFIX)/lib/systemd/system

BUILD  ?= build
STATIC ?= 1
CC     ?= gcc
V      ?=
COMMIT := $(shell git describe --always --dirty 2>/dev/null || echo unknown)

WARNINGS = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2 -Wundef -Wpointer-arith
CFLAGS   ?= -O2 -g
HARDEN   ?= -fstack-protector-strong -D_FORTIFY_SOURCE=2
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE $(WARNINGS) $(HARDEN) $(CFLAGS) -Ilib -fno-plt -ffunction-sections -fdata-sections
ALL_LDFLAGS = -Wl,--gc-sections -Wl,-z,relro,-z,now $(LDFLAGS)

LIB_SRC      = $(wildcard lib/*.c)
RUNTIME_SRC  = $(wildcard runtime/*.c)
NETSETUP_SRC = $(wildcard netsetup/*.c)
obj          = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

# nsrun's entry point comes before the C library's: runtime/seal_start.c says why.
SEAL_START     = -Wl,-e,seal_start
NSRUN_STATIC   = $(if $(filter 1,$(STATIC)),-static $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),$(SEAL_START)),)
NSRUN_LIBS     = -lseccomp -lcap -lyajl$(if $(filter 1,$(STATIC)),_s,) -lm
NETSETUP_MIXED = -Wl,-Bstatic -lnftnl -lyajl_s -Wl,-Bdynamic
NETSETUP_LIBS  = $(if $(filter 1,$(STATIC)),-static -lnftnl -lyajl_s,$(NETSETUP_MIXED))

Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

all: $(BUILD)/nsrun $(BUILD)/netsetup ## build both programs into build/

$(BUILD)/nsrun: $(call obj,$(LIB_SRC) $(RUNTIME_SRC))
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(NSRUN_STATIC) -o $@ $^ $(ALL_LDFLAGS) $(NSRUN_LIBS)

$(BUILD)/netsetup: $(call obj,$(LIB_SRC) $(NETSETUP_SRC))
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LDFLAGS) $(NETSETUP_LIBS)

# The commit stands in one object only, so that a new commit does not build everything again.
$(BUILD)/obj/runtime/cmd_version.o $(BUILD)/obj/netsetup/program.o: ALL_CFLAGS += -DGIT_COMMIT='"$(COMMIT)"'

$(BUILD)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call obj,$(LIB_SRC) $(RUNTIME_SRC) $(NETSETUP_SRC)))

# --- tests ------------------------------------------------------------------------------------------------------
# A unit test or fuzz target says in its first line which objects it needs beside the library's: "unit: runtime",
# "fuzz: netsetup SEEDS...". main.c is left out.

UNIT_SRC = $(wildcard tests/unit/test_*.c)
FUZZ_SRC = $(wildcard tests/fuzz/fuzz_*.c)
UNIT     = $(UNIT_SRC:%.c=$(BUILD)/%)
FUZZ     = $(FUZZ_SRC:%.c=$(BUILD)/%)
BATS     = $(sort $(wildcard tests/*.bats))
SUITES  ?= $(UNIT) $(FUZZ) $(BATS)

first_line = $(shell sed -n '1s/.*\(unit\|fuzz\): *\(.*[^ ]\) *\*\/.*/\2/p' $(1))
area       = $(or $(filter runtime netsetup,$(call first_line,$(1))),lib)
area_src   = $(LIB_SRC) $(filter-out %/main.c,$(if $(filter runtime,$(1)),$(RUNTIME_SRC)) $(if $(filter netsetup,$(1)),$(NETSETUP_SRC)))
area_libs  = $(if $(filter netsetup,$(1)),$(NETSETUP_MIXED),-lseccomp -lcap -lyajl -lm)

define test_rule # program source area more-sources
$(BUILD)/$(1): $(2) $(4) $(call obj,$(call area_src,$(3)))
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$(CC) $$(ALL_CFLAGS) -Iruntime -Inetsetup -Itests/unit -o $$@ $$^ $$(ALL_LDFLAGS) $(call area_libs,$(3))
endef
$(foreach t,$(UNIT_SRC),$(eval $(call test_rule,$(t:.c=),$(t),$(call area,$(t)))))
$(foreach t,$(FUZZ_SRC),$(eval $(call test_rule,$(t:.c=),$(t),$(call area,$(t)),tests/fuzz/standalone.c)))

units: $(UNIT) $(FUZZ)

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
export ASAN_OPTIONS ?= detect_leaks=0

deps-build deps-run deps-check deps-vm deps-bench deps-fuzz deps-lint:
	@contrib/install-missing $(patsubst deps-%,%,$@)

demo: deps-build deps-run ## install what is missing, build, run the main job, check it, clean up
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@contrib/demo/run.sh

check: deps-build deps-run deps-check deps-vm ## install what is missing, run all tests, on both kernels
	@$(MAKE) --no-print-directory -j$$(nproc) all units
	@$(MAKE) --no-print-directory -j$$(nproc) BUILD=$(BUILD)/asan STATIC=0 HARDEN= CFLAGS='-O1 -g $(SANITIZE)' all units
	@tests/check $(BUILD)

check-plain: all units ## run the tests of this build only, without installing anything
	@tests/run $(SUITES)

check-vm: deps-build deps-run deps-check deps-vm ## the tests of the second kernel only (tests/README.md)
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tests/vm/check $(BUILD)/results.tsv

test-table: ## specs/tests.md from the last `make check`: which test ran where
	cp $(BUILD)/tests.md specs/tests.md

fuzz: deps-build deps-fuzz ## build the fuzz targets for libFuzzer into build/fuzz/
	@mkdir -p $(BUILD)/fuzz
	@$(foreach t,$(FUZZ_SRC),echo "  CLANG   $(t)"; clang -std=gnu11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer,address,undefined -w \
		-Ilib -iquote runtime -iquote netsetup -o $(BUILD)/fuzz/$(notdir $(t:.c=)) $(t) $(call area_src,$(call area,$(t))) \
		$(if $(filter netsetup,$(call area,$(t))),-lnftnl -lyajl,-lseccomp -lcap -lyajl) -lm &&) true

bench: deps-build deps-run deps-bench ## compare with crun, runc, the reference CNI plugins and a bare floor program
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@tests/bench/run.sh

# cppcheck does not know the cleanup attribute, so its word on leaks is left to the sanitizers.
lint: deps-lint ## static analysis
	cppcheck -q --std=c11 --enable=warning,portability --inline-suppr --error-exitcode=1 --suppress=memleak \
		--suppress=resourceLeak --suppress=unknownMacro --suppress=AssignmentIntegerToAddress -D_GNU_SOURCE -Ilib \
		lib runtime netsetup
	shellcheck -s bash -S error contrib/install-missing contrib/demo/*.sh tests/run tests/check tests/in-namespaces tests/bench/run.sh

# The names by which CNI clients call netsetup stand in a directory of their own, so they never clash with a
# distribution's plugins: CNI_PATH, or cni_plugin_dirs, is set to it.
PLUGINS = bridge ptp loopback switch tuning portmap firewall wireguard host-local static
UNITS   = nsrun@.service

install: all ## install programs, CNI names, man pages, units and bundles under PREFIX
	install -D -m 755 $(BUILD)/nsrun $(DESTDIR)$(BINDIR)/nsrun
	install -D -m 755 $(BUILD)/netsetup $(DESTDIR)$(BINDIR)/netsetup
	install -d $(DESTDIR)$(CNIDIR)
	for name in $(PLUGINS); do ln -sf $(BINDIR)/netsetup $(DESTDIR)$(CNIDIR)/$$name; done
	install -D -m 644 runtime/nsrun.8 $(DESTDIR)$(MANDIR)/man8/nsrun.8
	install -D -m 644 netsetup/netsetup.8 $(DESTDIR)$(MANDIR)/man8/netsetup.8
	install -d $(DESTDIR)$(DATADIR)/nsrun
	cp -a contrib/gateway-bundle $(DESTDIR)$(DATADIR)/nsrun/
	install -d $(DESTDIR)$(UNITDIR)
	for unit in $(UNITS); do \
		sed 's|@BINDIR@|$(BINDIR)|' contrib/systemd/$$unit >$(DESTDIR)$(UNITDIR)/$$unit && \
		chmod 644 $(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done

uninstall: ## remove what install put there
	rm -f $(DESTDIR)$(BINDIR)/nsrun $(DESTDIR)$(BINDIR)/netsetup
	rm -rf $(DESTDIR)$(CNIDIR) $(DESTDIR)$(DATADIR)/nsrun
	rm -f $(DESTDIR)$(MANDIR)/man8/nsrun.8 $(DESTDIR)$(MANDIR)/man8/netsetup.8
	rm -f $(UNITS:%=$(DESTDIR)$(UNITDIR)/%)

clean: ## remove build/
	rm -rf $(BUILD)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

.PHONY: all clean help check check-plain check-vm test-table units fuzz demo lint install uninstall bench deps-build deps-run deps-check deps-vm deps-bench deps-fuzz deps-lint
.DELETE_ON_ERROR:
