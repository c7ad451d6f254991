package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// samples are, for each setting, two values other than the default as they are
// printed, and one that is none.
var samples = map[string]struct{ one, other, bad string }{
	"state":                 {"here", "/var/lib/there", ""},
	"listen":                {":80", "[::1]:0", "example.com:80"},
	"tls.cert":              {"a.pem", "b.pem", "a\nb"},
	"tls.key":               {"a.key", "b.key", "\x00"},
	"auth":                  {authOn, authOff, "yes"},
	"admin-token-file":      {"token", "/run/secrets/token", "to\x1bken"},
	"log.format":            {formatJSON, formatText, "xml"},
	"log.level":             {"debug", "error", "trace"},
	"limits.memory":         {"64MiB", "4GiB", "5GiB"},
	"limits.storage":        {"1000", "3TiB", "0"},
	"limits.shared":         {"1000", "3TiB", "0"},
	"limits.files":          {"16", "1048576", "2"},
	"limits.cpu-time":       {"1ms", "1h30m", "10"},
	"limits.log-rate":       {"64KiB", "1GiB", "fast"},
	"limits.oplog-rate":     {"64KiB", "1GiB", "-1KiB"},
	"limits.queue":          {"1", "7", "1e3"},
	"retry.attempts":        {"1", "7", "0"},
	"retry.initial":         {"1s", "2m", "0s"},
	"retry.max":             {"1s", "2h", "3 s"},
	"retry.factor":          {"1", "1.5", "0.9"},
	"retry.jitter":          {"0.01", "1", "0"},
	"retention.oplog":       {"1000", "30d", "all"},
	"retention.results":     {"1", "12h0m0s", "30s"},
	"retention.logs":        {"7d", "1h30m0s", "0"},
	"workers.max-instances": {"1", "20", "0"},
	"workers.max-memory":    {"8GiB", "16GiB", "1KiB"},
	"workers.max-running":   {"1", "20", "many"},
	"workers.idle-after":    {"1s", "24h", "-1s"},
	"workers.suspend-after": {"1s", "24h", "1"},
	"workers.tracker":       {"pagemap", "comparison", "guessing"},
	"workers.image-after":   {"off", "1m", "1us"},
	"http.hosts":            {"a.example", "a.example,b.example", "a.example:80"},
	"http.public-url":       {"https://waterbear.example.com", "http://10.0.0.1:4004/below", "https://a.example/"},
	"http.max-body":         {"1MiB", "1GiB", "2GiB"},
	"http.max-module":       {"1MiB", "1GiB", "1"},
	"http.max-requests":     {"1", "20", "1.5"},
	"http.allow":            {"localhost:8080", "public,*.a.example:443,10.0.0.0/8", "http://a.example"},
	"http.keys":             {"auto", "off", "on"},
	"http.in-doubt":         {"fail", "hold", "wait"},
	"http.in-doubt-rules":   {"POST a.example=hold", "PUT *.a.example:443=fail,*=retry", "POST a.example"},
	"http.max-response":     {"1KiB", "1GiB", "0"},
	"http.max-request":      {"1KiB", "1GiB", "0"},
	"http.proxy":            {"http://proxy.example:3128", "environment", "ftp://a"},
	"http.tls-roots":        {"a.pem", "b.pem", "\x00"},
	"http.tls-trust":        {"system", "roots", "nobody"},
	"http.retries":          {"1", "20", "0"},
	"http.retry-initial":    {"1s", "30s", "0"},
	"http.retry-max":        {"1m", "24h", "0"},
	"http.timeout":          {"1s", "24h", "0"},
	"routes.listen":         {":8080", "[::1]:80", "example.com:80"},
	"routes.tls-cert":       {"a.pem", "b.pem", "\x00"},
	"routes.tls-key":        {"a.key", "b.key", "\x00"},
	"routes.access-log":     {"stderr", "/var/log/access.log", "\x00"},
	"routes.openapi":        {"/openapi.json", "/", "openapi"},
	"config.from":           {"dir:here", "env:APP_,https://a.example/v1", "file:here"},
	"secrets.from":          {"env:X_", "dir:/run/secrets:", "dir:a,"},
	"secrets.key":           {"key", "/run/secrets.key", "a\nb"},
	"net.allow":             {"localhost:5432", "public,*.a.example:443,10.0.0.0/8", "tcp://a.example"},
	"net.listen":            {"127.0.0.1:80", "0.0.0.0,[::1]:80", "localhost:80"},
	"grace":                 {"0s", "24h", "forever"},
}

func TestEverySettingHasAllThatSettingsHave(t *testing.T) {
	c := newConfig()
	seen := map[string]bool{}
	for _, s := range c.settings {
		for what, has := range map[string]bool{
			"a key of its own":      !seen[s.key],
			"a flag":                s.flag() != "" && !strings.Contains(s.flag(), "."),
			"a variable":            strings.HasPrefix(s.variable(), variablePrefix),
			"a word for its values": s.arg != "",
			"a meaning":             s.meaning != "",
			"its default":           s.text() == s.preset && s.from == byDefault,
			"samples":               samples[s.key].one != "" && samples[s.key].one != samples[s.key].other,
		} {
			if !has {
				t.Errorf("%s does not have %s", s.key, what)
			}
		}
		seen[s.key] = true
	}
	for key := range samples {
		if !seen[key] {
			t.Errorf("there are samples of %s, which is no setting", key)
		}
	}
}

// sources give a value to one setting of a configuration in each way there is,
// the one that counts least first.
var sources = []struct {
	name string
	give func(t *testing.T, s *setting, written string, file *string, env *environment)
	from func(s *setting, file string) string
}{
	{"file", func(t *testing.T, s *setting, written string, file *string, _ *environment) {
		*file = filepath.Join(t.TempDir(), "waterbear.yaml")
		content := fmt.Sprintf("# ours\n%s: %q\n", s.key, written)
		if group, name, ok := strings.Cut(s.key, "."); ok {
			content = fmt.Sprintf("%s:\n  %s: %q\n", group, name, written)
		}
		if err := os.WriteFile(*file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}, func(_ *setting, file string) string { return file + ":2" }},
	{"environment", func(_ *testing.T, s *setting, written string, _ *string, env *environment) {
		*env = append(*env, s.variable()+"="+written)
	}, func(s *setting, _ string) string { return s.variable() }},
	{"flag", func(t *testing.T, s *setting, written string, _ *string, _ *environment) {
		if err := s.Set(written); err != nil {
			t.Fatal(err)
		}
	}, func(s *setting, _ string) string { return "--" + s.flag() }},
}

func TestEachSourcePrecedesThoseBeforeIt(t *testing.T) {
	for _, declared := range newConfig().settings {
		for last := range sources {
			for first := range last + 1 {
				c := newConfig()
				s := c.setting(declared.key)
				var file string
				var env environment
				sources[first].give(t, s, samples[s.key].other, &file, &env)
				sources[last].give(t, s, samples[s.key].one, &file, &env)
				wrong := c.load(file, env)
				want, from := samples[s.key].one, sources[last].from(s, file)
				if len(wrong) > 0 || s.text() != want || s.from != from {
					t.Errorf("%s by %s and %s: got %q from %s (%v), want %q from %s", s.key,
						sources[first].name, sources[last].name, s.text(), s.from, wrong, want, from)
				}
				for _, other := range c.settings {
					if other != s && (other.text() != other.preset || other.from != byDefault) {
						t.Errorf("setting %s changed %s to %q", s.key, other.key, other.text())
					}
				}
			}
		}
	}
}

func TestAWrongValueIsRefusedWhereverItIs(t *testing.T) {
	for _, declared := range newConfig().settings {
		for i, source := range sources {
			c := newConfig()
			s := c.setting(declared.key)
			bad := samples[s.key].bad
			if bad == "" && i == 1 {
				continue // an empty variable is one that is not set
			}
			var file string
			var env environment
			source.give(t, s, bad, &file, &env)
			wrong := c.load(file, env)
			if len(wrong) != 1 || !strings.HasPrefix(wrong[0].Error(), source.from(s, file)) {
				t.Errorf("%s as %q by %s: got %v, want one error", s.key, bad, source.name, wrong)
			}
			if s.text() != s.preset {
				t.Errorf("%s: %q was taken", s.key, bad)
			}
		}
	}
}

func TestAnEmptyVariableIsNotSet(t *testing.T) {
	var env environment
	for _, s := range newConfig().settings {
		env = append(env, s.variable()+"=")
	}
	c := newConfig()
	wrong := c.load("", env)
	for _, s := range c.settings {
		if s.from != byDefault || len(wrong) > 0 {
			t.Fatalf("%s comes from %s, %v", s.key, s.from, wrong)
		}
	}
}

func TestAPrintedConfigurationReadsBackTheSame(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		c := newConfig()
		for _, s := range c.settings {
			sample := rapid.SampledFrom([]string{samples[s.key].one, samples[s.key].other, s.preset}).Draw(t, s.key)
			if _, free := s.value.(written); free && s.key != "listen" {
				sample = rapid.OneOf(rapid.Just("null"), rapid.Just("~"), rapid.Just("0x1"), rapid.StringN(1, 20, -1)).Draw(t, s.key)
			}
			_ = s.take(sample, rapid.String().Draw(t, "from"))
		}
		var printed bytes.Buffer
		if err := c.print(&printed); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, "printed.yaml")
		if err := os.WriteFile(file, printed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		read := newConfig()
		if wrong := read.load(file, nil); len(wrong) > 0 {
			t.Fatalf("%v\n%s", wrong, &printed)
		}
		for i, s := range read.settings {
			if want := c.settings[i].text(); s.text() != want {
				t.Errorf("%s: got %q, want %q", s.key, s.text(), want)
			}
		}
	})
}

func TestHelpTellsAllOfEverySettingInOrdinaryLines(t *testing.T) {
	c := newConfig()
	table := settingsTable(c.settings)
	for _, s := range c.settings {
		for _, want := range []string{"--" + s.flag() + " ", s.variable() + " ", " " + s.key + "\n", s.meaning + s.standard()} {
			if !strings.Contains(table+"\n", want) {
				t.Errorf("the help does not have %q", want)
			}
		}
	}
	for line := range strings.Lines(table) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
}

// TestErrorsOfFilesAreAsCommitted gives each file of testdata/config to the
// server; what it says is in the .txt file beside it.
func TestErrorsOfFilesAreAsCommitted(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "config", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		var out, errs bytes.Buffer
		code := Main([]string{"waterbear", "server", "--check", "--config", file}, nil, &out, &errs, nil)
		got := fmt.Sprintf("%s%sexit code %d\n", &out, &errs, code)
		golden := strings.TrimSuffix(file, ".yaml") + ".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v, got\n%swant\n%s", file, err, got, want)
		}
	}
}

func TestAConfigurationThatIsTooLongIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "waterbear.yaml")
	for extra, want := range map[int]bool{0: true, 1: false} {
		if err := os.WriteFile(file, bytes.Repeat([]byte("\n"), maxConfigFile+extra), 0o600); err != nil {
			t.Fatal(err)
		}
		if wrong := newConfig().load(file, nil); (len(wrong) == 0) != want {
			t.Errorf("%d bytes more than the most: %v", extra, wrong)
		}
	}
}

func FuzzConfigFile(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "config", "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c := newConfig()
		wrong := c.takeFile("f.yaml", content)
		c.resolve()
		for _, s := range c.settings {
			if err := s.take(s.text(), s.from); err != nil {
				t.Errorf("%s was taken, but %v (%v)", s.key, err, wrong)
			}
		}
	})
}
