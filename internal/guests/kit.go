package guests

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Kit is a component of examples/kit: the same worlds in many languages, which
// are described there in WIT.
type Kit struct {
	Name string
	// Hosted says that the component's world is kit-hosted, which imports
	// waterbear:kit/host and -levels; otherwise it is kit, which imports nothing
	// but WASI.
	Hosted bool
	// Engine is what a step's Except may name.
	Engine string
}

// Kits are those whose components are committed.
var Kits = []Kit{
	{Name: "c", Engine: "c"},
	{Name: "c-utf16", Engine: "c"},
	{Name: "c-hosted", Engine: "c", Hosted: true},
	{Name: "rust", Engine: "rust"},
	{Name: "rust-hosted", Engine: "rust", Hosted: true},
	{Name: "quickjs", Engine: "quickjs"},
	{Name: "quickjs-hosted", Engine: "quickjs", Hosted: true},
	{Name: "typescript", Engine: "quickjs"},
}

// LargeKits are those whose components are large, and built on demand by `make
// kit`.
var LargeKits = []Kit{
	{Name: "go", Engine: "go"},
	{Name: "go-hosted", Engine: "go", Hosted: true},
	{Name: "python", Engine: "python"},
	{Name: "python-hosted", Engine: "python", Hosted: true},
	{Name: "starlingmonkey", Engine: "starlingmonkey"},
	{Name: "starlingmonkey-hosted", Engine: "starlingmonkey", Hosted: true},
}

// Component reads the component. It skips the test if it is one that is built
// on demand and was not.
func (k Kit) Component(t testing.TB) []byte {
	t.Helper()
	if slices.Contains(Kits, k) {
		return Wasm(t, "kit/"+k.Name)
	}
	return Built(t, k.Name)
}

// Built reads a component that `make kit` builds: those of LargeKits, and
// "http-javascript", a handler of HTTP requests on StarlingMonkey. It skips the
// test if the component is not there.
func Built(t testing.TB, name string) []byte {
	t.Helper()
	component, err := os.ReadFile(filepath.Join(Root(t), "examples", "kit", "build", name+".wasm"))
	if os.IsNotExist(err) {
		t.Skipf("the component %s is built on demand, by `make kit`", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return component
}

// KitStep is one step of the transcript that every kit follows, from the first
// to the last of one instance. It is a call, or it drops a handle, or it lets
// the host make one.
type KitStep struct {
	// Call is the function, behind the name of its interface and a # if it is
	// in one.
	Call string `json:"call"`
	// Args and Result are JSON as package wit reads and writes it, and where
	// there is a handle, there is a name that an earlier step gave it by As. A
	// function without result has no Result.
	Args   json.RawMessage `json:"args"`
	Result json.RawMessage `json:"result"`
	// As names the handle that the result is, or holds.
	As string `json:"as"`
	// Traps says that the call ends in a trap, and the instance with it.
	Traps bool `json:"traps"`
	// Prints is what the call writes to standard output.
	Prints string `json:"prints"`
	// Logs are the level and message of each call of the host's function log.
	Logs [][2]string `json:"logs"`
	// Except are the engines that are not up to this step.
	Except []string `json:"except"`

	// Drop names the handle that is dropped. The step is no call then.
	Drop string `json:"drop"`
	// Bucket is the name of the host's bucket that a new handle is of, which As
	// names. The step is no call then.
	Bucket string `json:"bucket"`
}

// KitTranscript gives the steps for a kit. Those that only a hosted one can
// follow begin with another instance, and with a host that has no buckets.
func KitTranscript(t testing.TB, k Kit) (steps, hosted []KitStep) {
	t.Helper()
	var all struct{ Kit, Hosted []KitStep }
	text := exampleFile(t, "kit/transcript.json")
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&all); err != nil {
		t.Fatalf("read the kit's transcript: %v", err)
	}
	cannot := func(s KitStep) bool { return slices.Contains(s.Except, k.Engine) }
	if !k.Hosted {
		all.Hosted = nil
	}
	return slices.DeleteFunc(all.Kit, cannot), slices.DeleteFunc(all.Hosted, cannot)
}
