# SPDX-License-Identifier: GPL-2.0-only
# What is installed, and where: "make install" and the Debian packages take it
# from here.

ZSH_DIR ?= $(PREFIX)/share/zsh/site-functions
BASH_DIR ?= $(PREFIX)/share/bash-completion/completions

version := $(shell sed -n '1s/^kubuf (\(.*\)).*/\1/p' debian/changelog)
prefix := $(DESTDIR)$(PREFIX)
zsh_dir := $(DESTDIR)$(ZSH_DIR)
bash_dir := $(DESTDIR)$(BASH_DIR)
modules := $(DESTDIR)/lib/modules/$(release)
dkms_source := $(DESTDIR)/usr/src/kubuf-$(version)

# Into a place of its own, as linux/kubuf.h is the C library's package's to have
# once the driver is in the kernel.
include_dir := $(prefix)/include/kubuf

# What the running system has to be told of, unless it is for another one.
ifndef DESTDIR
add_group = systemd-sysusers $(PREFIX)/lib/sysusers.d/kubuf.conf
list_modules = $(if $(release),depmod $(release))
apply_rules = [ ! -e /run/udev/control ] || { udevadm control --reload && \
	udevadm trigger --subsystem-match=misc --sysname-match='kubuf-*'; }
endif

tools install-tools: export CPPFLAGS += -DKUBUF_VERSION='"$(version)"'

install: install-module install-tools install-dev

# By root, who is to leave nothing in the build directory of somebody else.
install-module:
	$(if $(release),,$(error No kernel build directory in $(KDIR): install linux-headers-$(shell uname -r) or give KDIR=))
	+@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && cp -r Kbuild driver "$$dir/" && \
	for target in modules modules_install; do \
		$(MAKE) -C $(KDIR) M="$$dir" KUBUF_VERSION=$(version) DEPMOD=true \
			INSTALL_MOD_PATH=$(DESTDIR) INSTALL_MOD_DIR=updates/kubuf $$target || exit; \
	done
	$(list_modules)
	install -D -m 644 install/modules-load.d/kubuf.conf $(prefix)/lib/modules-load.d/kubuf.conf

# What "make tools" has built is up to date there, too.
install-tools:
	+@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	{ [ ! -e build/tools/kubuf ] || cp -p build/tools/kubuf "$$dir/"; } && \
	$(MAKE) --no-print-directory -C tools/kubuf OUTPUT="$$dir" && \
	install -D -m 755 "$$dir/kubuf" $(prefix)/bin/kubuf
	install -D -m 644 Documentation/man/kubuf.1 $(prefix)/share/man/man1/kubuf.1
	install -D -m 644 Documentation/man/kubuf.4 $(prefix)/share/man/man4/kubuf.4
	install -D -m 644 tools/kubuf/kubuf.bash $(bash_dir)/kubuf
	install -D -m 644 tools/kubuf/_kubuf $(zsh_dir)/_kubuf
	install -D -m 644 install/udev/60-kubuf.rules $(prefix)/lib/udev/rules.d/60-kubuf.rules
	install -D -m 644 install/sysusers.d/kubuf.conf $(prefix)/lib/sysusers.d/kubuf.conf
	$(add_group)
	$(apply_rules)

install-dev:
	install -D -m 644 driver/include/uapi/linux/kubuf.h $(include_dir)/linux/kubuf.h
	install -D -m 644 tools/include/kubuf_ring.h $(include_dir)/kubuf_ring.h
	install -d $(prefix)/share/pkgconfig
	sed 's,@PREFIX@,$(PREFIX),; s,@VERSION@,$(version),' install/kubuf.pc.in \
		>$(prefix)/share/pkgconfig/kubuf.pc

# Directories go that are empty and that Debian does not have by itself, the inner
# ones first. The group stays: it may have files.
uninstall:
	rm -f $(prefix)/lib/modules-load.d/kubuf.conf $(prefix)/bin/kubuf \
		$(prefix)/share/man/man1/kubuf.1 $(prefix)/share/man/man4/kubuf.4 \
		$(bash_dir)/kubuf $(zsh_dir)/_kubuf \
		$(prefix)/lib/udev/rules.d/60-kubuf.rules \
		$(prefix)/lib/sysusers.d/kubuf.conf $(prefix)/share/pkgconfig/kubuf.pc
	rm -rf $(include_dir) $(modules)/updates/kubuf
	@for dir in $(modules)/updates $(bash_dir) $(dir $(bash_dir)) $(zsh_dir) $(dir $(zsh_dir)) \
			$(addprefix $(prefix)/,lib/modules-load.d lib/udev/rules.d lib/udev \
			lib/sysusers.d share/pkgconfig share/man/man1 share/man/man4); do \
		[ ! -d "$$dir" ] || rmdir --ignore-fail-on-non-empty "$$dir"; \
	done
	$(list_modules)
	$(apply_rules)

dkms-source:
	find driver -name '*.[ch]' -o -name Makefile -o -name Kconfig | \
		while read -r file; do \
			install -D -m 644 "$$file" "$(dkms_source)/$$file" || exit; \
		done
	install -m 644 Kbuild $(dkms_source)/Kbuild
	sed 's/#MODULE_VERSION#/$(version)/' install/dkms.conf >$(dkms_source)/dkms.conf

dkms:
	[ ! -e $(dkms_source) ] || $(MAKE) dkms-remove
	$(MAKE) dkms-source
	dkms add kubuf/$(version)
	dkms install kubuf/$(version) $(if $(release),-k $(release))

dkms-remove:
	dkms remove kubuf/$(version) --all
	rm -rf $(dkms_source)
