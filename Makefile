# `make` builds, `make lint test` is what to run before a commit, `make ci` is
# everything. The rest runs longer or harder what CI runs in small:
#
#	make crash KILLS=1000     kill -9 of the real binary at random moments
#	make sim SEED=0x2a        one simulation again; SEEDS=n: n random ones
#	make year SEED=0x2a       one simulated year again; YEARS=n: n random ones
#	make soak                 these, for about an hour
#	make fuzz FUZZTIME=10m    every fuzz target, one after the other
#	make bench BENCH=regexp   the benchmarks, in benchstat's format
#	make sleepers SLEEPERS=n  start so many workers that sleep, and kill the server
#	make peers ROUNDS=3       Waterbear beside other systems: see test/peers/README.md
#	make picture              record the terminal of the README again
#	make kit                  build the components that are too large to commit,
#	                          with what `examples/setup.sh kit` installs

# No cgo: the binary is static, and builds for any system from any other.
export CGO_ENABLED := 0

KILLS    ?= 40
SEED     ?=
SEEDS    ?= 100
YEARS    ?= 10
FUZZTIME ?= 1m
BENCH    ?= .
COUNT    ?= 6
SLEEPERS ?= 1000000
ROUNDS   ?= 3

# Where tasks share memory.
concurrent := ./internal/sched/... ./internal/storage/... ./internal/oplog/... ./internal/durable/... \
	./internal/vfs/... ./internal/wasm/... ./internal/worker/... ./internal/host/live ./internal/host/exchange ./internal/host/await ./internal/host/socket \
	./internal/access/... ./internal/agenda/... ./internal/catalog/... ./internal/server/... ./client/...

.PHONY: build install test lint fmt race ci crash sim year soak fuzz bench sleepers peers picture kit

build:
	go build -o build/waterbear ./cmd/waterbear

install:
	go install ./cmd/waterbear

test:
	go test ./...

lint:
	.ci/lint

# fmt makes the source what lint wants where a tool can.
fmt:
	go fix ./...
	go tool -modfile=tools/go.mod goimports -local github.com/waterbear-run/waterbear -w $$(git ls-files '*.go' ':!:*/testdata/*')
	go tool -modfile=tools/go.mod gofumpt -w $$(git ls-files '*.go' ':!:*/testdata/*')

# The race detector needs cgo; nothing else does.
race:
	CGO_ENABLED=1 go test -race -short -timeout=0 $(concurrent)

ci:
	.ci/run

# Each example program and a server under load are killed half of KILLS times, and
# a server that deploys, creates and deletes the other half. SEED=n kills at the
# same moments again, as far as the machine allows.
crash:
	go test ./test/crash -count=1 -timeout=0 -kills=$(KILLS) -seed=$(or $(SEED),0)

# The seeds that are always run, and SEEDS random ones; or SEED alone.
sim:
	go test ./internal/sim -count=1 -timeout=0 -sim.seeds=$(SEEDS) $(if $(SEED),-v -sim.seed=$(SEED))

# A year of few workers with timers. It takes some seconds.
year:
	go test ./internal/sim -run=TestAYear -count=1 -timeout=0 -v $(if $(SEED),-sim.seed=$(SEED),-sim.years=$(YEARS))

soak:
	$(MAKE) crash KILLS=1000
	go test ./internal/sim -run=Wherever -count=1 -timeout=0 -sim.stride=1
	$(MAKE) sim SEEDS=20000
	$(MAKE) year YEARS=100

fuzz:
	.ci/fuzz $(FUZZTIME)

bench:
	mkdir -p build
	go test -run='^$$' -bench='$(BENCH)' -count=$(COUNT) ./... | tee build/bench.txt
	go tool -modfile=tools/go.mod benchstat build/bench.txt

# What cannot be built here is left out, and said so.
peers:
	test/peers/build.sh || true
	build/peers/bin/peers -rounds $(ROUNDS)
	build/peers/bin/peers -report

sleepers:
	go test ./test/bench -run='^$$' -bench=Sleepers -benchtime=1x -timeout=0 -sleepers=$(SLEEPERS)

picture:
	go run -C tools ./picture

kit:
	examples/kit/go/build.sh
	examples/kit/python/build.sh
	examples/kit/javascript/starlingmonkey.sh
	internal/guests/testdata/components/http-javascript/build.sh
