package binary_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/component/binary"
)

// suiteEnv names a directory with the official test suite of the component model
// in the form that wasm-tools json-from-wast gives it, at any depth; without it,
// that is looked for beside the repository.
const suiteEnv = "WATERBEAR_COMPONENT_SUITE"

// suiteFiles are the files of the suite with a name of a pattern.
func suiteFiles(pattern string) (all []string) {
	dir := os.Getenv(suiteEnv)
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "conformance", "component-model")
	}
	// The directory may not be there.
	_ = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, _ error) error {
		if ok, _ := filepath.Match(pattern, filepath.Base(path)); ok {
			all = append(all, path)
		}
		return nil
	})
	return all
}

// TestSuite decodes all of the official test suite: what is valid is taken, unless
// it needs a later feature, and what is not is refused.
func TestSuite(t *testing.T) {
	scripts := suiteFiles("*.json")
	if len(scripts) == 0 {
		t.Skip("there is no official test suite: " + suiteEnv + " names no directory, and ../shared/conformance is not there")
	}
	taken, refused, phrases, features := 0, 0, 0, map[string]int{}
	for _, script := range scripts {
		text, err := os.ReadFile(filepath.Clean(script))
		if err != nil {
			t.Fatal(err)
		}
		var suite struct {
			Commands []struct {
				Type, Filename, Text string
				Line                 int
			}
		}
		if err := json.Unmarshal(text, &suite); err != nil {
			t.Fatalf("%s: %v", script, err)
		}
		for _, c := range suite.Commands {
			if !strings.HasSuffix(c.Filename, ".wasm") {
				continue
			}
			source, err := os.ReadFile(filepath.Join(filepath.Dir(script), c.Filename))
			if err != nil {
				t.Fatal(err)
			}
			_, err = binary.Decode(source)
			var e *binary.Error
			isFeature := errors.As(err, &e) && e.Feature != nil
			switch wrong := strings.HasPrefix(c.Type, "assert_invalid") || strings.HasPrefix(c.Type, "assert_malformed"); {
			case isFeature && !wrong:
				features[e.Feature.Name]++
			case !binary.IsComponent(source) && !wrong:
			case wrong && err == nil:
				t.Errorf("%s:%d: it is taken, want %q", script, c.Line, c.Text)
			case wrong:
				refused++
				if isFeature || strings.Contains(err.Error(), c.Text) {
					phrases++
				}
			case err != nil:
				t.Errorf("%s:%d: %v", script, c.Line, err)
			default:
				taken++
			}
		}
	}
	t.Logf("%d are taken, %d refused, %d of them in the words of the suite; features: %v", taken, refused, phrases, features)
}
