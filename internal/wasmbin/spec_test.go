package wasmbin

import (
	"encoding/json"
	"errors"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero/api"
)

// specEnv names a directory that holds the official test suite in the form that
// wast2json gives it: directories of .json and .wasm files, and spectest.wasm,
// at any depth. That of wazero's sources, internal/integration_test/spectest, is one.
const specEnv = "WATERBEAR_SPECTEST"

type specCommand struct {
	Type     string
	Line     int
	Name     string
	Filename string
	As       string
	Text     string
	Action   struct {
		Type, Field, Module string
		Args                []specValue
	}
}

type specValue struct {
	Type     string
	LaneType string `json:"lane_type"`
	Value    any
}

// specWorld is one of two worlds, in which the suite runs side by side: one
// with the modules as they are, one with the modules rewritten.
type specWorld struct {
	*engine
	rewrite bool
	last    api.Module
	named   map[string]api.Module
}

// TestSpecSuiteBehavesTheSameWhenRewritten runs the official test suite.
func TestSpecSuiteBehavesTheSameWhenRewritten(t *testing.T) {
	dir := os.Getenv(specEnv)
	if dir == "" {
		t.Skip(specEnv + " names no directory with the official test suite")
	}
	var scripts []string
	spectest := ""
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		switch {
		case filepath.Base(path) == "spectest.wasm":
			spectest = path
		case filepath.Ext(path) == ".json":
			scripts = append(scripts, path)
		}
		return err
	})
	if err != nil || spectest == "" {
		t.Fatalf("walk %s: %v (spectest.wasm %q)", dir, err, spectest)
	}
	host, err := os.ReadFile(spectest)
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, path := range scripts {
		name, _ := filepath.Rel(dir, path)
		t.Run(name, func(t *testing.T) { runSpecScript(t, path, host, counts) })
	}
	t.Logf("%d scripts: %v", len(scripts), counts)
}

func runSpecScript(t *testing.T, path string, host []byte, counts map[string]int) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var script struct{ Commands []specCommand }
	if err := json.Unmarshal(text, &script); err != nil {
		t.Fatal(err)
	}
	var worlds [2]*specWorld
	for i := range worlds {
		worlds[i] = &specWorld{engine: newEngine(t), rewrite: i == 1, named: map[string]api.Module{}}
		if _, err := worlds[i].load(host, "spectest"); err != nil {
			t.Fatal(err)
		}
	}
	refused := false // the module that commands are about now
	for i, c := range script.Commands {
		if strings.HasSuffix(c.Filename, ".wat") {
			continue
		}
		as := ""
		if i+1 < len(script.Commands) && script.Commands[i+1].Type == "register" {
			as = script.Commands[i+1].As
		}
		asIs, _ := worlds[0].run(c, filepath.Dir(path), as)
		rewritten, err := worlds[1].run(c, filepath.Dir(path), as)
		var unsupported *UnsupportedError
		byName := errors.As(err, &unsupported)
		if c.Type == "module" {
			refused = byName
		}
		counts[c.Type]++
		switch {
		case refused || byName:
			counts["refused by the name of a feature"]++
		case asIs != rewritten:
			t.Errorf("line %d, %s %s: as it is %q, rewritten %q", c.Line, c.Type, c.Action.Field, asIs, rewritten)
		case c.Type == "assert_return" && strings.HasPrefix(asIs, "error"):
			t.Errorf("line %d, %s: %s", c.Line, c.Type, asIs)
		}
	}
}

func (w *specWorld) run(c specCommand, dir, as string) (string, error) {
	switch c.Type {
	case "module":
		m, err := w.instantiate(filepath.Join(dir, c.Filename), as)
		if err != nil {
			return "refused: " + outcome(nil, nil, err), err
		}
		w.last = m
		w.named[c.Name] = m
		return "accepted", nil
	case "assert_invalid", "assert_malformed", "assert_unlinkable", "assert_uninstantiable":
		if _, err := w.instantiate(filepath.Join(dir, c.Filename), ""); err != nil {
			return "refused", err
		}
		return "accepted", nil
	case "action", "assert_return", "assert_trap", "assert_exhaustion", "assert_exception":
		return w.action(c), nil
	}
	return "", nil
}

func (w *specWorld) instantiate(path, as string) (api.Module, error) {
	source, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if !w.rewrite {
		c, err := w.CompileModule(w.ctx, source)
		if err != nil {
			return nil, err
		}
		return w.InstantiateModule(w.ctx, c, moduleConfig(as))
	}
	m, _, err := w.loadRewritten(source, as)
	return m, err
}

func (w *specWorld) action(c specCommand) string {
	m := w.last
	if c.Action.Module != "" {
		m = w.named[c.Action.Module]
	}
	if m == nil {
		return "no module"
	}
	if c.Action.Type == "get" {
		return outcome([]uint64{m.ExportedGlobal(c.Action.Field).Get()}, []api.ValueType{api.ValueTypeI64}, nil)
	}
	var args []uint64
	for _, a := range c.Action.Args {
		args = a.appendTo(args)
	}
	return w.call(m, c.Action.Field, args...)
}

// appendTo appends a value as it is passed to a call.
func (v specValue) appendTo(args []uint64) []uint64 {
	if lanes, ok := v.Value.([]any); ok {
		width := map[string]int{"i8": 8, "i16": 16, "i32": 32, "i64": 64, "f32": 32, "f64": 64}[v.LaneType]
		var halves [2]uint64
		for i, lane := range lanes {
			bit := i * width
			halves[bit/64] |= specNumber(lane.(string), width) << (bit % 64)
		}
		return append(args, halves[0], halves[1])
	}
	text, ok := v.Value.(string)
	switch {
	case !ok || text == "null":
		return append(args, 0)
	case strings.HasSuffix(v.Type, "ref"):
		return append(args, specNumber(text, 64)+1)
	case strings.HasSuffix(v.Type, "32"):
		return append(args, specNumber(text, 32))
	}
	return append(args, specNumber(text, 64))
}

func specNumber(text string, width int) uint64 {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return n
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return uint64(n) & (1<<width - 1)
	}
	panic("not a number: " + text)
}

// TestDamagedSpecModulesAreJudgedAlike damages the modules of the official suite
// at random, for as long as specEnv's companion says.
func TestDamagedSpecModulesAreJudgedAlike(t *testing.T) {
	dir, duration := os.Getenv(specEnv), os.Getenv(specEnv+"_DAMAGE")
	if dir == "" || duration == "" {
		t.Skip(specEnv + "_DAMAGE does not say how long to damage the modules of " + specEnv)
	}
	lasts, err := time.ParseDuration(duration)
	if err != nil {
		t.Fatal(err)
	}
	var modules [][]byte
	err = filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Ext(path) != ".wasm" {
			return err
		}
		b, err := os.ReadFile(path)
		modules = append(modules, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	seed := time.Now().UnixNano()
	random := rand.New(rand.NewSource(seed))
	rounds := 0
	for start := time.Now(); time.Since(start) < lasts; rounds++ {
		damaged := slices.Clone(modules[random.Intn(len(modules))])
		other := modules[random.Intn(len(modules))]
		for range 1 + random.Intn(3) {
			damaged = damage(random, damaged, other)
		}
		if err := judge(damaged); err != nil {
			t.Errorf("%v\n%x", err, damaged)
		}
	}
	t.Logf("%d modules, seed %d", rounds, seed)
}

func damage(random *rand.Rand, b, other []byte) []byte {
	if len(b) < 10 {
		return b
	}
	i := 8 + random.Intn(len(b)-8)
	switch random.Intn(5) {
	case 0:
		b[i] = byte(random.Intn(256))
	case 1:
		b[i] += byte(random.Intn(3) - 1)
	case 2:
		b[i] ^= 1 << random.Intn(8)
	case 3:
		return slices.Insert(b, i, byte(random.Intn(256)))
	default:
		if len(other) > 9 {
			j := 8 + random.Intn(len(other)-8)
			copy(b[i:], other[j:min(j+1+random.Intn(8), len(other))])
		}
	}
	return b
}
