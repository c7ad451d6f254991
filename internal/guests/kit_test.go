package guests_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/guests"
)

// componentHeader begins every component (Binary.md, "Component Definitions").
var componentHeader = []byte("\x00asm\x0d\x00\x01\x00")

func TestEveryKitIsAComponent(t *testing.T) {
	for _, k := range slices.Concat(guests.Kits, guests.LargeKits) {
		t.Run(k.Name, func(t *testing.T) {
			if got := k.Component(t); !bytes.HasPrefix(got, componentHeader) {
				t.Errorf("it begins with %x and not with a component's %x", got[:len(componentHeader)], componentHeader)
			}
		})
	}
}

// TestTheTranscriptCallsEveryFunctionOfTheKit reads the names of functions from
// the WIT text, where each is on a line of its own.
func TestTheTranscriptCallsEveryFunctionOfTheKit(t *testing.T) {
	steps, hosted := guests.KitTranscript(t, guests.Kit{Hosted: true})
	called := map[string]bool{}
	for _, s := range append(steps, hosted...) {
		_, name, inInterface := strings.Cut(s.Call, "#")
		if !inInterface {
			name = s.Call
		}
		name = strings.NewReplacer("[constructor]", "", "[static]", "", "[method]", "").Replace(name)
		_, method, isMethod := strings.Cut(name, ".")
		if isMethod {
			name = method
		}
		called[name] = true
	}
	for _, name := range kitFunctions(t) {
		if !called[name] {
			t.Errorf("nothing calls %s", name)
		}
	}
}

// kitFunctions are the names of all functions in the kit's WIT that its
// components export: those of the host's interface are not.
func kitFunctions(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(guests.Root(t), "examples", "kit", "wit", "kit.wit"))
	if err != nil {
		t.Fatal(err)
	}
	before, after, found := strings.Cut(string(text), "\ninterface host {")
	_, after, end := strings.Cut(after, "\n}\n")
	if !found || !end {
		t.Fatal("the WIT has no interface host")
	}
	var names []string
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:export )?([a-z-]+): (?:static )?func\(`).FindAllStringSubmatch(before+after, -1) {
		names = append(names, m[1])
	}
	if len(names) < 30 {
		t.Fatalf("only %d functions are found in the WIT: %q", len(names), names)
	}
	return names
}

func TestEveryHandleOfTheTranscriptIsThereWhenItIsUsed(t *testing.T) {
	for _, k := range slices.Concat(guests.Kits, guests.LargeKits) {
		steps, hosted := guests.KitTranscript(t, k)
		checkHandles(t, k, steps)
		checkHandles(t, k, hosted)
	}
}

// checkHandles takes arguments of functions that have handles, which the
// interface counters and the functions weigh and hold have, for their names.
func checkHandles(t *testing.T, k guests.Kit, steps []guests.KitStep) {
	t.Helper()
	there := map[string]bool{}
	use := func(i int, name string) {
		if !there[name] {
			t.Errorf("%s, step %d: there is no handle %q", k.Name, i+1, name)
		}
	}
	for i, s := range steps {
		switch {
		case s.Drop != "":
			use(i, s.Drop)
			delete(there, s.Drop)
		case s.Call == "weigh", s.Call == "hold", strings.HasPrefix(s.Call, "waterbear:kit/counters#"):
			for _, name := range handlesIn(t, s.Args) {
				use(i, name)
				if s.Call == "hold" || strings.Contains(s.Call, "[static]") {
					delete(there, name)
				}
			}
		case s.Call == "" && s.Bucket == "":
			t.Errorf("%s, step %d is neither a call nor anything else", k.Name, i+1)
		}
		if s.As != "" {
			there[s.As] = true
		}
	}
}

// handlesIn gives all strings in args.
func handlesIn(t *testing.T, args json.RawMessage) []string {
	t.Helper()
	var values []any
	if err := json.Unmarshal(args, &values); err != nil {
		t.Fatal(err)
	}
	var names []string
	for len(values) > 0 {
		switch v := values[0].(type) {
		case string:
			names = append(names, v)
		case []any:
			values = append(values, v...)
		}
		values = values[1:]
	}
	return names
}

func TestAResultOfTheTranscriptThatIsNoneIsNotAResultThatIsMissing(t *testing.T) {
	steps, _ := guests.KitTranscript(t, guests.Kits[0])
	var none, missing int
	for _, s := range steps {
		switch {
		case s.Call == "say" || s.Call == "fail":
			missing++
			if s.Result != nil {
				t.Errorf("%s has no result, and the transcript has %s", s.Call, s.Result)
			}
		case string(s.Result) == "null":
			none++
		}
	}
	if none == 0 || missing != 2 {
		t.Errorf("the transcript has %d results that are none, and %d calls without result", none, missing)
	}
}
