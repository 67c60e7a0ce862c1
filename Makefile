# The targets run the go command. Longer scripts are in .ci/.

PREFIX   ?= /usr/local
DESTDIR  ?=
FUZZTIME ?= 60s
SOAK     ?= 2m

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK = golang.org/x/vuln/cmd/govulncheck@v1.9.0

.PHONY: help need-go build test test-unit test-mtas soak lint fuzz bench install clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 10

need-go:
	@.ci/need-go

build: need-go ## make ./xoauthd: static, and the same wherever it is built
	CGO_ENABLED=0 go build -buildvcs=auto -trimpath -ldflags '-s -w' -o xoauthd ./cmd/xoauthd

# These tests are shorter under the race detector, so they also run without. The longest
# package starts first.
SIMULATIONS = TestYear|TestGuessesAreDelayed

test: need-go ## run every test; as root on Debian or Ubuntu, install what they need first
	@.ci/install-packages
	@race=-race; \
	if [ "$$(go env CGO_ENABLED)" = 0 ]; then \
		race=; echo 'there is no C compiler: races are not looked for'; \
	fi; \
	export GORACE=atexit_sleep_ms=0; set -x; \
	go test $$race -timeout 20m ./cmd/xoauthd ./... || exit; \
	[ -z "$$race" ] || go test -run '^($(SIMULATIONS))$$' ./auth ./auth/password

test-unit: need-go ## run the tests that need only Go, in less than a minute
	go test -short ./...

test-mtas: need-go ## have real MTAs send during faults, for minutes; as root on Debian
	@.ci/install-packages
	@.ci/download-mtas
	XOAUTHD_E2E=required go test -tags mtas -timeout 15m -run TestMTAs ./cmd/xoauthd

soak: need-go ## have clients use the daemon during faults for SOAK, such as 30m; best as root
	go test -count=1 -v -timeout 0 -run TestSoak ./internal/testing/soak -soak $(SOAK)

lint: need-go ## read the source with gofmt, vet, staticcheck and govulncheck
	@unformatted=$$(gofmt -l .); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	go vet -tags mtas ./...
	go run $(STATICCHECK) ./...
	@.ci/vulnerabilities $(GOVULNCHECK)

# What is of interest is not made small for a minute, as it would be by default.
fuzz: need-go ## run every fuzz target for FUZZTIME: a duration, or a number as 1000x
	@for package in $$(go list ./...); do \
		names=$$(go test -list '^Fuzz' $$package) || exit; \
		for name in $$(echo "$$names" | grep '^Fuzz'); do \
			(set -x; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$package) || exit; \
		done; \
	done

bench: need-go ## run every benchmark
	go test -run '^$$' -bench . ./...

install: xoauthd ## put program, units and manual under DESTDIR and PREFIX
	install -D -m 755 xoauthd '$(DESTDIR)$(PREFIX)/bin/xoauthd'
	install -D -m 644 systemd/xoauthd.service '$(DESTDIR)$(PREFIX)/lib/systemd/system/xoauthd.service'
	sed -i 's,/usr/bin/,$(PREFIX)/bin/,' '$(DESTDIR)$(PREFIX)/lib/systemd/system/xoauthd.service'
	install -m 644 systemd/*.socket '$(DESTDIR)$(PREFIX)/lib/systemd/system'
	install -D -m 644 systemd/xoauthd.sysusers '$(DESTDIR)$(PREFIX)/lib/sysusers.d/xoauthd.conf'
	install -D -m 644 systemd/xoauthd.tmpfiles '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d/xoauthd.conf'
	install -D -m 644 man/xoauthd.8 '$(DESTDIR)$(PREFIX)/share/man/man8/xoauthd.8'
	install -D -m 644 man/xoauthd.toml.5 '$(DESTDIR)$(PREFIX)/share/man/man5/xoauthd.toml.5'
	install -D -m 644 example.toml '$(DESTDIR)$(PREFIX)/share/doc/xoauthd/example.toml'

# "make install" runs as root, which may have no Go: it installs an existing binary.
xoauthd:
	$(MAKE) build

clean: ## remove what was built
	rm -f xoauthd xoauthd-demo
