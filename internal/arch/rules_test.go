package arch

// imports says which packages of ours each package imports outside its tests,
// exactly: an import that is not here is refused, and so is a line here that no
// code needs. Packages are named by directory, the root package is ".". The
// same table stands in docs/ARCHITECTURE.md.
var imports = map[string][]string{
	"internal/arch":                {},
	"internal/guests":              {},
	"internal/host/filesystem":     {},
	"internal/host/reach":          {},
	"internal/id":                  {},
	"internal/sched":               {},
	"internal/vfs":                 {},
	"internal/wasmbin":             {},
	"internal/storage":             {"internal/id"},
	"internal/storage/storagetest": {"internal/id", "internal/storage"},
	"internal/storage/memory":      {"internal/id", "internal/storage"},
	"internal/storage/local":       {"internal/id", "internal/storage", "internal/storage/local/table", "internal/vfs"},
	"internal/storage/local/table": {"internal/vfs"},
	"internal/oplog":               {"internal/id", "internal/sched", "internal/storage"},
	"internal/wasm":                {"internal/wasmbin"},
	"internal/component/binary":    {"internal/wasmbin", "wit"},
	"internal/component/canon":     {"wit"},
	"internal/component": {
		"internal/component/binary",
		"internal/component/canon",
		"internal/wasm",
		"internal/wasmbin",
		"wit",
	},
	"internal/durable":        {"internal/id", "internal/oplog"},
	"internal/host/ambient":   {"internal/durable", "internal/oplog", "internal/sched"},
	"internal/host/await":     {"internal/durable", "internal/sched"},
	"internal/host/config":    {"internal/durable", "internal/storage"},
	"internal/host/once":      {"internal/durable", "internal/oplog", "internal/sched", "internal/storage"},
	"internal/host/keyvalue":  {"internal/durable", "internal/host/once", "internal/id", "internal/oplog"},
	"internal/host/blobstore": {"internal/durable", "internal/host/once", "internal/id", "internal/oplog", "internal/storage"},
	"internal/host/exchange": {
		"internal/durable",
		"internal/host/await",
		"internal/host/reach",
		"internal/oplog",
		"internal/sched",
	},
	"internal/host/inbound": {"internal/durable", "internal/oplog"},
	"internal/host/hostdir": {"internal/durable", "internal/oplog", "internal/storage"},
	"internal/host/promise": {"internal/durable", "internal/host/await", "internal/id"},
	"internal/host/live":    {"internal/host/config", "internal/host/exchange", "internal/host/hostdir", "internal/host/reach", "internal/host/socket", "internal/sched"},
	"internal/host/socket":  {"internal/durable", "internal/host/await", "internal/host/reach", "internal/oplog", "internal/sched"},
	"internal/host/wasi":    {"internal/host/ambient", "internal/host/await", "internal/host/blobstore", "internal/host/config", "internal/host/exchange", "internal/host/filesystem", "internal/host/keyvalue", "internal/host/socket"},
	"internal/host/wasip1":  {"internal/host/ambient", "internal/host/filesystem", "internal/host/wasi", "internal/wasm"},
	"internal/host/wasip2": {
		"internal/component",
		"internal/host/ambient",
		"internal/host/await",
		"internal/host/blobstore",
		"internal/host/config",
		"internal/host/exchange",
		"internal/host/filesystem",
		"internal/host/inbound",
		"internal/host/keyvalue",
		"internal/host/socket",
		"internal/host/wasi",
		"internal/wasm",
		"wit",
	},
	"api":             {},
	"client":          {"api"},
	"wit":             {},
	"wit/wittest":     {"wit"},
	"internal/access": {"api", "internal/id", "internal/sched", "internal/storage"},
	"internal/agenda": {"internal/id", "internal/oplog", "internal/sched", "internal/storage"},
	"internal/image":  {"internal/storage", "internal/wasm"},
	"internal/catalog": {
		"api",
		"internal/component",
		"internal/component/binary",
		"internal/host/reach",
		"internal/id",
		"internal/sched",
		"internal/storage",
		"internal/wasm",
		"wit",
	},
	"internal/relay":   {"api"},
	"internal/routes":  {"api", "internal/sched", "internal/storage"},
	"internal/gateway": {"api", "internal/id", "internal/relay", "wit"},
	"internal/server": {
		"api",
		"internal/access",
		"internal/id",
		"internal/relay",
	},
	"internal/ledger": {"api", "internal/durable", "internal/id", "internal/oplog", "internal/storage"},
	"internal/worker": {
		"api",
		"internal/agenda",
		"internal/catalog",
		"internal/component",
		"internal/durable",
		"internal/host/ambient",
		"internal/host/await",
		"internal/host/blobstore",
		"internal/host/config",
		"internal/host/exchange",
		"internal/host/filesystem",
		"internal/host/hostdir",
		"internal/host/inbound",
		"internal/host/keyvalue",
		"internal/host/platform",
		"internal/host/promise",
		"internal/host/reach",
		"internal/host/socket",
		"internal/host/wasi",
		"internal/host/wasip1",
		"internal/host/wasip2",
		"internal/id",
		"internal/image",
		"internal/oplog",
		"internal/sched",
		"internal/storage",
		"internal/wasm",
		"wit",
	},
	".": {
		"api",
		"internal/access",
		"internal/agenda",
		"internal/catalog",
		"internal/durable",
		"internal/gateway",
		"internal/host/ambient",
		"internal/host/await",
		"internal/host/blobstore",
		"internal/host/config",
		"internal/host/exchange",
		"internal/host/hostdir",
		"internal/host/inbound",
		"internal/host/keyvalue",
		"internal/host/live",
		"internal/host/once",
		"internal/host/platform",
		"internal/host/promise",
		"internal/host/reach",
		"internal/host/socket",
		"internal/host/wasip1",
		"internal/host/wasip2",
		"internal/id",
		"internal/ledger",
		"internal/oplog",
		"internal/relay",
		"internal/routes",
		"internal/sched",
		"internal/server",
		"internal/storage",
		"internal/storage/local",
		"internal/vfs",
		"internal/wasm",
		"internal/worker",
	},
	"internal/sim": {
		"api",
		"internal/agenda",
		"internal/catalog",
		"internal/durable",
		"internal/host/hostdir",
		"internal/host/live",
		"internal/host/platform",
		"internal/host/wasip2",
		"internal/id",
		"internal/oplog",
		"internal/sched",
		"internal/storage",
		"internal/storage/local",
		"internal/storage/memory",
		"internal/storage/storagetest",
		"internal/vfs",
		"internal/wasm",
		"internal/worker",
	},
	"internal/cli":  {".", "api", "client"},
	"cmd/waterbear": {"internal/cli"},
	"internal/host/platform": {
		"internal/component",
		"internal/component/canon",
		"internal/durable",
		"internal/host/await",
		"internal/host/promise",
		"internal/host/config",
		"internal/wasm",
		"wit",
		"wit/durable",
	},
	"wit/durable": {},
}

// otherPrograms are the directories of programs that are no part of Waterbear: those
// that are compiled to WebAssembly, and what measures it beside other systems. They
// import the standard library alone; no other rule is theirs.
var otherPrograms = []string{"examples", "internal/cli/demoguest", "test/bench/guests", "test/peers"}

// foreign are the directories of what others wrote.
var foreign = []string{"examples/python/lib"}

// restricted lists the imports that only some packages may have. Every import
// from another module must be here; one of the standard library that is not
// here is free. A name that ends in /... stands for all below it as well.
// Tests are exempt but for those in restrictedInTests.
var restricted = map[string][]string{
	// What reaches beyond the process, and chance: all that a program observes
	// comes through internal/durable, so only the far ends may have it.
	"os":                    {"cmd/waterbear", "internal/cli", "internal/guests", "internal/host/live", "internal/vfs", "internal/wasm"},
	"os/exec":               {"internal/cli", "internal/guests"},
	"os/signal":             {"internal/cli"},
	"os/user":               {},
	"net/...":               {".", "api", "client", "internal/cli", "internal/gateway", "internal/host/live", "internal/relay", "internal/server"},
	"net/netip":             {"internal/cli", "internal/host/live", "internal/host/reach", "internal/host/socket", "internal/host/wasip2", "internal/server"}, // addresses alone, no network
	"net/url":               {".", "client", "internal/cli", "internal/gateway", "internal/host/live", "internal/host/reach", "internal/server"},              // text alone, no network
	"syscall":               {"client", "internal/cli", "internal/host/live"},
	"golang.org/x/sys/unix": {"internal/vfs", "internal/wasm"},
	"math/rand":             {},
	"math/rand/v2":          {"client", "internal/cli", "internal/sched", "internal/sim"},
	"crypto/rand":           {".", "client", "internal/vfs"},
	// What gives up the guarantees of the language, or the static binary.
	"unsafe":    {"internal/wasm"},
	"plugin":    {},
	"C":         {},
	"io/ioutil": {},
	// Other modules: each is hidden behind the packages named.
	"github.com/danielgtaylor/huma/v2/...":     {"internal/server"},
	"github.com/dustin/go-humanize":            {"internal/cli"},
	"github.com/prometheus/...":                {"internal/server"},
	"go.yaml.in/yaml/v3":                       {"internal/cli"},
	"github.com/anishathalye/porcupine":        {},
	"github.com/spf13/cobra":                   {"internal/cli"},
	"github.com/tetratelabs/wazero/...":        {"internal/wasm"},
	"golang.org/x/crypto/chacha20":             {"internal/host/ambient"},
	"golang.org/x/term":                        {"internal/cli"},
	"github.com/rogpeppe/go-internal/...":      {},
	"pgregory.net/rapid":                       {"internal/storage/storagetest", "wit/wittest"},
	"github.com/santhosh-tekuri/jsonschema/v6": {},
}

// restrictedInTests lists the imports that even tests may not have, and the
// packages whose tests may, besides those of restricted.
var restrictedInTests = map[string][]string{
	"github.com/tetratelabs/wazero/...": {"internal/guests", "internal/sched", "internal/wasmbin", "test/bench"},
	"io/ioutil":                         {},
	"plugin":                            {},
	"C":                                 {},
}

// useRule keeps some names of a package to a few packages of ours.
type useRule struct {
	reason string
	names  []string // package path, dot, name
	users  []string
}

// uses are the rules for names; tests are exempt.
var uses = []useRule{
	{
		reason: "take the time from sched.Scheduler, so that simulation controls it",
		names: []string{
			"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.Tick",
			"time.NewTimer", "time.NewTicker", "context.WithTimeout", "context.WithTimeoutCause",
			"context.WithDeadline", "context.WithDeadlineCause",
		},
		users: []string{"client", "internal/cli", "internal/gateway", "internal/relay", "internal/sched", "internal/server", "internal/wasm"},
	},
	{
		reason: "start tasks and wait through sched.Scheduler, so that simulation controls the order",
		names:  []string{"sync.WaitGroup", "sync.Cond", "sync.NewCond", "context.AfterFunc"},
		// Calls of the local store do not park, so waiting for them is short.
		users: []string{"internal/cli", "internal/server", "internal/storage/local"},
	},
}

// goStatements lists the packages that may start goroutines.
var goStatements = []string{"internal/cli", "internal/sched", "internal/server"}

// forbiddenWords may not be part of the name of a package or of an exported
// type: they name nothing, or they are another system's words.
var forbiddenWords = []string{
	"manager", "helper", "helpers", "util", "utils", "common", "types", "misc", "base", "info",
	"journal", "checkpoint", "passivate", "actor",
}

// maxLines bounds the length of a file that is not a test.
const maxLines = 500
