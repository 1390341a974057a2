# Everything a person does with this tree. As root, or through sudo where one is
# not: the laboratory makes network namespaces.

GO      ?= go
BUILD   := build
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E env "PATH=$$PATH")
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X fairlead/internal/app/service.version=$(VERSION)
ARCHES  := linux-amd64 linux-arm64 linux-mipsle

export CGO_ENABLED = 0
# The version is in LDFLAGS. go would ask git too, and fail where git does not
# trust the tree, such as root in a clone of somebody else's.
export GOFLAGS += -buildvcs=false
# go keeps its caches below HOME, which a service or a container may not have.
ifeq ($(HOME),)
export HOME := $(shell getent passwd "$$(id -u)" | cut -d: -f6)
endif

.PHONY: all build demo demo-ipsec test outside check race mutants conformance man profile bench bench-against bench-ipsec benchmarks fuzz clean packages-demo packages-demo-ipsec packages-test packages-race packages-bench packages-bench-ipsec

all: build

build: $(addprefix $(BUILD)/fairlead-,$(ARCHES)) ## static binaries

$(BUILD)/fairlead: FORCE
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/fairlead

$(BUILD)/fairlead-demo: FORCE
	$(GO) build -trimpath -ldflags '-s -w' -o $@ ./cmd/fairlead-demo

$(BUILD)/fairlead-linux-%: FORCE
	GOOS=linux GOARCH=$* $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/fairlead

FORCE:

packages-demo packages-demo-ipsec packages-test packages-race packages-bench packages-bench-ipsec: packages-%:
	scripts/packages $*

demo: packages-demo $(BUILD)/fairlead $(BUILD)/fairlead-demo ## the main job, live, in namespaces; KEEP=1 leaves it running; SERVER=kea has Kea in the place of our DHCPv6 server
	$(SUDO) $(BUILD)/fairlead-demo $(if $(SERVER),--server $(SERVER)) $(if $(KEEP),--keep)

demo-ipsec: packages-demo-ipsec $(BUILD)/fairlead $(BUILD)/fairlead-demo ## relays and a server under IPsec; in a virtual machine, where KEEP=1 is of no use, if the kernel has no ESP
	$(SUDO) env FAIRLEAD_BIN=$(BUILD)/fairlead scripts/esp $(BUILD)/fairlead-demo --ipsec $(if $(KEEP),--keep)

test: outside $(BUILD)/fairlead ## every layer; prints each layer's time; SHORT=1 only the first ones, within five minutes on two idle processors
	$(SUDO) scripts/test

outside: ## what the tests need from outside: packages, Go modules, the virtual machines' kernel
	scripts/outside $(SUDO)

check: ## format, vet, lint, floors, generated files
	scripts/check

race: packages-race ## with Go's race detector: half an hour, before a release
	$(SUDO) scripts/race

mutants: ## every RFC 8987 row's mutation makes its test fail
	$(SUDO) $(GO) run ./tools/mutants

conformance: ## docs/conformance.md from the tests and their last run
	$(GO) run ./tools/conformance

man: ## man pages of all commands, for packages: build/man8
	$(GO) run ./tools/man $(BUILD)/man8

$(BUILD)/bench: FORCE
	$(GO) build -trimpath -ldflags '-s -w' -o $@ ./tools/bench

bench: packages-bench $(BUILD)/fairlead $(BUILD)/bench ## relays and server against those of others, half an hour; writes docs/performance.md; BENCH=flags
	$(SUDO) $(BUILD)/bench $(BENCH)

bench-against: packages-bench $(BUILD)/fairlead $(BUILD)/bench ## the relay against that of the revision REV, in turns; benchstat says what is more than noise; BENCH=flags
	$(SUDO) $(BUILD)/bench -rounds 10 -against $(or $(REV),$(error REV is missing: make bench-against REV=main)) $(BENCH)

# A profile names the program's path: one that is the same everywhere.
PROFILED := /tmp/fairlead-profile
profile: packages-bench $(BUILD)/bench ## what the compiler is told of the relay's hot paths, from the bench's load: cmd/fairlead/default.pgo
	$(GO) build -trimpath -pgo=off -tags profile -o $(PROFILED) ./cmd/fairlead
	$(SUDO) env FAIRLEAD_PROFILE=$(PROFILED).pgo $(BUILD)/bench -fairlead $(PROFILED) -rounds 3 -only fairlead,dnsmasq -bars mix-vs-best-peer
	cp $(PROFILED).pgo cmd/fairlead/default.pgo
	$(SUDO) rm $(PROFILED) $(PROFILED).pgo

bench-ipsec: packages-bench-ipsec $(BUILD)/fairlead $(BUILD)/bench ## what IPsec costs, and how fast it comes and comes back; writes docs/ipsec-figures.md; BENCH=flags
	$(SUDO) $(BUILD)/bench ipsec $(BENCH)

benchmarks: ## the cores' and codecs' Go benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./internal/wire/... ./internal/core/... ./internal/host/store/...

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME
	scripts/fuzz $(FUZZTIME)

clean:
	rm -rf $(BUILD)
