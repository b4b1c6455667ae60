# What there is to do: `make help`. Nothing has to be installed before, but for Rust.

prefix       = /usr/local
bindir       = $(prefix)/bin
libdir       = $(prefix)/lib
mandir       = $(prefix)/share/man
sharedir     = $(prefix)/share
sysconfdir   = /etc
DESTDIR      =

binary       = target/release/palisade

.PHONY: help setup build test demo bench lint install uninstall deb

help: ## Show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  \1\t\2/' | expand -t 14

setup: ## Install the Debian packages that are missing (asks for sudo)
	@.ci/setup

build: setup ## Build target/release/palisade
	cargo build --release --locked --package palisade-control

test: setup ## Run every test, those that need root included (asks for sudo)
	.ci/test

demo: build ## Show it on real traffic in network namespaces (asks for sudo; LAB=keep leaves them up)
	cargo build --release --locked --package palisade-lab --bin palisade-demo
	@$(as_root) env LAB="$(LAB)" PALISADE_BIN=$(binary) target/release/palisade-demo

bench: build ## Measure packet rates, ban latency and import; writes bench/results/ (asks for sudo)
	cargo build --release --locked --package palisade-bench
	$(as_root) target/release/palisade-bench --save bench/results/$(shell date -u +%Y-%m-%d)-$(shell git rev-parse --short HEAD).md
	.ci/measure

lint: setup ## Formatting, clippy, documentation, licences, the unit's sandbox
	.ci/lint

# Already built: root needs no Rust to install. Stripped: line tables make nine tenths of the binary.
install: ## Install binary, unit, default configuration, man pages, completions (DESTDIR, prefix)
	@test -x $(binary) || { echo 'run "make build" first'; exit 1; }
	install -D -s -m 0755 $(binary) $(DESTDIR)$(bindir)/palisade
	install -d $(DESTDIR)$(libdir)/systemd/system
	sed 's|/usr/bin/palisade|$(bindir)/palisade|' systemd/palisade.service \
		> $(DESTDIR)$(libdir)/systemd/system/palisade.service
	install -D -m 0644 systemd/palisade.sysusers $(DESTDIR)$(libdir)/sysusers.d/palisade.conf
	install -D -m 0644 systemd/palisade.tmpfiles $(DESTDIR)$(libdir)/tmpfiles.d/palisade.conf
	install -d $(DESTDIR)$(sysconfdir)/palisade/policies.d
	test -e $(DESTDIR)$(sysconfdir)/palisade/palisade.toml || \
		install -m 0644 config/examples/palisade.toml $(DESTDIR)$(sysconfdir)/palisade/palisade.toml
	install -d $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(sharedir)/bash-completion/completions
	install -d $(DESTDIR)$(sharedir)/zsh/site-functions $(DESTDIR)$(sharedir)/fish/vendor_completions.d
	$(binary) man --directory $(DESTDIR)$(mandir)/man1
	$(binary) completions bash > $(DESTDIR)$(sharedir)/bash-completion/completions/palisade
	$(binary) completions zsh > $(DESTDIR)$(sharedir)/zsh/site-functions/_palisade
	$(binary) completions fish > $(DESTDIR)$(sharedir)/fish/vendor_completions.d/palisade.fish

uninstall: ## Remove what install put there, but for the configuration
	rm -f $(DESTDIR)$(bindir)/palisade $(DESTDIR)$(libdir)/systemd/system/palisade.service
	rm -f $(DESTDIR)$(libdir)/sysusers.d/palisade.conf $(DESTDIR)$(libdir)/tmpfiles.d/palisade.conf
	rm -f $(DESTDIR)$(mandir)/man1/palisade.1 $(DESTDIR)$(mandir)/man1/palisade-*.1
	rm -f $(DESTDIR)$(sharedir)/bash-completion/completions/palisade
	rm -f $(DESTDIR)$(sharedir)/zsh/site-functions/_palisade
	rm -f $(DESTDIR)$(sharedir)/fish/vendor_completions.d/palisade.fish

version      = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
architecture = $(shell dpkg --print-architecture)
package      = target/deb/palisade_$(version)_$(architecture)

deb: build ## Build a Debian package in target/deb/
	rm -rf $(package)
	$(MAKE) --no-print-directory install DESTDIR=$(package) prefix=/usr
	install -d $(package)/DEBIAN
	sed 's/@version@/$(version)/; s/@architecture@/$(architecture)/' systemd/deb/control.in \
		> $(package)/DEBIAN/control
	install -m 0644 systemd/deb/conffiles $(package)/DEBIAN/conffiles
	install -m 0755 systemd/deb/postinst systemd/deb/prerm $(package)/DEBIAN/
	dpkg-deb --root-owner-group --build $(package)

# Root works as it is; others are asked for their password.
as_root = $(if $(filter 0,$(shell id -u)),,sudo)
