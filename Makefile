# nsrun and netsetup. `make help` lists the targets.
#
# nsrun is one static binary: what a runtime costs is mostly what its start costs. netsetup needs libmnl, which Debian
# ships as a shared library only; everything else in it is static. STATIC=0 links nsrun dynamically (sanitizers need it).

PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
LIBEXECDIR ?= $(PREFIX)/libexec
CNIDIR     ?= $(LIBEXECDIR)/netsetup
DATADIR    ?= $(PREFIX)/share
MANDIR     ?= $(DATADIR)/man

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
obj          = $(patsubst %.c,$(BUILD)/%.o,$(1))

NSRUN_STATIC   = $(if $(filter 1,$(STATIC)),-static,)
NSRUN_LIBS     = -lseccomp -lcap -lyajl$(if $(filter 1,$(STATIC)),_s,)
NETSETUP_LIBS  = -Wl,-Bstatic -lnftnl -lyajl_s -Wl,-Bdynamic -lmnl

Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-7s %s\n' '$(1)' '$(2)';)

all: $(BUILD)/nsrun $(BUILD)/netsetup ## build both programs into build/

$(BUILD)/nsrun: $(call obj,$(LIB_SRC) $(RUNTIME_SRC))
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) $(NSRUN_STATIC) -o $@ $^ $(ALL_LDFLAGS) $(NSRUN_LIBS)

$(BUILD)/netsetup: $(call obj,$(LIB_SRC) $(NETSETUP_SRC))
	$(call say,LINK,$@)$(CC) $(ALL_CFLAGS) -o $@ $^ $(ALL_LDFLAGS) $(NETSETUP_LIBS)

# The commit stands in one object only, so that a new commit does not build everything again.
$(BUILD)/runtime/cmd_version.o $(BUILD)/netsetup/main.o: ALL_CFLAGS += -DGIT_COMMIT='"$(COMMIT)"'

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

-include $(patsubst %.o,%.d,$(call obj,$(LIB_SRC) $(RUNTIME_SRC) $(NETSETUP_SRC)))

# --- tests ------------------------------------------------------------------------------------------------------
# The unit tests link everything but main; the object list is the library's, the runtime's, or netsetup's by what the
# test's first line asks for: /* unit: runtime */.

UNIT_SRC = $(wildcard tests/unit/*.c)
UNIT     = $(patsubst %.c,$(BUILD)/%,$(UNIT_SRC))
BATS     = $(sort $(wildcard tests/*.bats))
SUITES  ?= $(UNIT) $(BATS)
unit_area = $(or $(filter runtime netsetup,$(shell sed -n '1s/.*unit: *\([a-z]*\).*/\1/p' $(1))),lib)
unit_objects = $(call obj,$(LIB_SRC) $(filter-out %/main.c,$(if $(filter runtime,$(call unit_area,$(1))),$(RUNTIME_SRC)) \
	$(if $(filter netsetup,$(call unit_area,$(1))),$(NETSETUP_SRC))))
unit_libs = $(if $(filter netsetup,$(call unit_area,$(1))),$(NETSETUP_LIBS),-lseccomp -lcap -lyajl)

define unit_rule
$(BUILD)/tests/unit/$(1): tests/unit/$(1).c $(call unit_objects,tests/unit/$(1).c)
	@mkdir -p $$(@D)
	$$(call say,CC,$$<)$(CC) $$(ALL_CFLAGS) -Iruntime -Inetsetup -Itests/unit -o $$@ $$^ $(call unit_libs,tests/unit/$(1).c)
endef
$(foreach t,$(patsubst tests/unit/%.c,%,$(UNIT_SRC)),$(eval $(call unit_rule,$(t))))

SANITIZE = -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
export ASAN_OPTIONS ?= detect_leaks=0

deps-build deps-run deps-check deps-bench deps-fuzz deps-lint:
	@contrib/install-missing $(patsubst deps-%,%,$@)

demo: deps-build deps-run ## install what is missing, build, run the main job, check it, clean up
	@$(MAKE) --no-print-directory all
	@contrib/demo/run.sh

check: deps-build deps-run deps-check ## install what is missing, run all tests, plain and under sanitizers
	@$(MAKE) --no-print-directory all units
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan STATIC=0 HARDEN= CFLAGS='-O1 -g $(SANITIZE)' all units
	@tests/check $(BUILD)

check-plain: all units ## run the tests of this build only, without installing anything
	@tests/run $(SUITES)

units: $(UNIT)

bench: deps-build deps-run deps-bench ## compare with crun, runc, the reference CNI plugins and a bare floor program
	@$(MAKE) --no-print-directory all
	@tests/bench/run.sh

clean: ## remove build/
	rm -rf $(BUILD)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 18

.PHONY: all clean help check check-plain units demo bench deps-build deps-run deps-check deps-bench deps-fuzz deps-lint
.DELETE_ON_ERROR:
