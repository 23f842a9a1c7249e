# SPDX-License-Identifier: GPL-2.0-only
#
#	make			the module, for the running kernel or for KDIR=
#	make tools		the command, build/tools/kubuf
#	make demo		all set-up, then a demonstration in a virtual machine
#	make explore		a virtual machine with a tour to type along, and a shell
#	make picture		the moving picture of the README once more
#	make demo-stream	a stream from the kernel to a disk, without copies and
#				with, in a virtual machine
#	make test		all set-up, then every selftest in a virtual machine
#	make coverage		what of the driver the selftests reach
#	make testers		other people's testers, in a virtual machine
#	make model		random operations, each byte compared with a model
#	make matrix		every selftest on every kernel; ROWS="newest:debug stock"
#	make accept		who takes a pointer or a file descriptor of what memory
#	make rdma		buffers in two virtual machines, from one to the other
#	make kselftest		the selftests on this machine's kernel (root)
#	make soak		GIB= GiB (100) through one buffer, in a virtual machine
#	make ring-storm		RECORDS= (100 million) and SLEEPS= (10 million), the same
#	make bench		the benchmark in virtual machines; BENCH=short: what has a bar,
#				KERNELS=stock: on one kernel
#	make bench-native	the benchmark on this machine (root)
#	make check		every static check
#	make patches		the driver as patches for a kernel tree, KSRC= or the newest,
#				applied and compiled one by one; in build/patches
#	make install		for KDIR='s kernel, below PREFIX= and DESTDIR= (root)
#	make uninstall		all of that gone again
#	make dkms		for each kernel, by dkms; make dkms-remove undoes it (root)
#	make dist		build/kubuf-VERSION.tar.xz
#	make deb		Debian packages of what is committed, in build/deb/
#	make install-test	them on a fresh Debian in a virtual machine; DEBIAN=12 or 13
#	make fresh-test		what the README and the manual say, as it stands there, the same;
#				TESTS= is what its "make test" runs: map_test, or all if empty
#	make clean
#
# test, model, soak, ring-storm and rdma take KERNEL=stock, newest or 6.12, and CONFIG=; test takes
# TESTS="map_test pin_test", the programs of selftests/ that are to run; model takes
# OPS=, SEED= and, for its other options, MODEL= besides. What kbuild understands
# (W=1, C=1, CC=, LLVM=1, V=1) is passed on.

KDIR ?= /lib/modules/$(shell uname -r)/build
KERNEL ?= stock
CONFIG ?= production
BENCH ?= long
GIB ?= 100
OPS ?= 200000
DEBIAN ?= 12
PREFIX ?= /usr/local

release := $(shell sed -n 's/.*"\(.*\)".*/\1/p' $(KDIR)/include/generated/utsrelease.h 2>/dev/null)
out := $(CURDIR)/build/$(or $(release),$(shell uname -r))
# Modules that stand for others, for the tests.
test_modules := $(addprefix selftests/,importer client ring)
sources := Kbuild $(shell find driver samples $(test_modules) -type f)

# The sources are linked into the directory of that kernel and compiled there,
# so that the modules for several kernels lie side by side.
define build-module
	$(if $(release),,$(error No kernel build directory in $(KDIR): install linux-headers-$(shell uname -r) or give KDIR=))
	@mkdir -p $(out)/selftests
	@cp -rsf $(addprefix $(CURDIR)/,Kbuild driver samples) $(out)/
	@cp -rsf $(addprefix $(CURDIR)/,$(test_modules)) $(out)/selftests/
	$(MAKE) -C $(KDIR) M=$(out) modules
	@find $(addprefix $(out)/,driver samples selftests) -name '*.ko' -exec ln -f {} $(out)/ \;
endef

.PHONY: module demo explore demo-stream test coverage testers model matrix accept
.PHONY: kselftest picture tools
.PHONY: selftests soak ring-storm rdma
.PHONY: bench bench-native check patches clean
.PHONY: install install-module install-tools install-dev uninstall
.PHONY: dkms dkms-source dkms-remove dist deb install-test fresh-test

module:
	+$(build-module)

$(out)/kubuf.ko: $(sources)
	+$(build-module)

tools:
	@mkdir -p build/tools
	+@$(MAKE) --no-print-directory -C tools/kubuf OUTPUT=$(CURDIR)/build/tools

kselftest: $(out)/kubuf.ko selftests
	@scripts/kselftest

selftests:
	+@scripts/selftests $(notdir $(out)) -s

test:
	+@scripts/test $(KERNEL) $(CONFIG)

coverage:
	+@scripts/coverage

testers:
	+@scripts/testers

model:
	+@scripts/model $(KERNEL) $(CONFIG) --ops $(OPS) $(if $(SEED),--seed $(SEED)) $(MODEL)

matrix:
	+@scripts/matrix $(ROWS)

accept:
	+@scripts/accept $(if $(filter-out file,$(origin KERNEL)),$(KERNEL),newest) \
		$(if $(filter-out file,$(origin CONFIG)),$(CONFIG),io)

demo:
	+@scripts/demo

explore:
	+@scripts/explore

picture:
	+@scripts/picture

demo-stream:
	+@scripts/demo-stream

rdma:
	+@scripts/rdma $(KERNEL) $(CONFIG)

soak:
	+@scripts/soak $(GIB) $(if $(filter-out file,$(origin KERNEL)),$(KERNEL),newest) $(CONFIG)

ring-storm:
	+@RECORDS=$(RECORDS) SLEEPS=$(SLEEPS) scripts/ring-storm \
		$(if $(filter-out file,$(origin KERNEL)),$(KERNEL),newest) $(CONFIG)

bench:
	+@scripts/bench $(BENCH)

bench-native:
	+@scripts/bench native $(BENCH)

check:
	@scripts/check

patches:
	+@scripts/patches $(KSRC)

dist:
	@scripts/dist

deb:
	@scripts/deb

install-test:
	@scripts/install-test $(DEBIAN)

fresh-test:
	@scripts/fresh-test $(DEBIAN)

clean:
	rm -rf build

include install/install.mk
