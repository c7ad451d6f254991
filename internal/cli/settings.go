package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear/api"
)

// settingsValues are the flags for what a component or a worker may be set to.
type settingsValues struct {
	memory, storage, shared   byteSize
	logRate, oplogRate        byteSize
	files, queue, attempts    uint64
	cpuTime, initial, longest time.Duration
	factor, jitter            float64
	imageAfter                orOff
	imageSize                 byteSize
	imageAge                  time.Duration
	http                      httpValues
	netAllow, netListen       []string
	maxRequest                byteSize
	oplog, results, logs      keepFlag
	links                     map[string]string
}

// settingsFlags adds the flags for settings to cmd.
func settingsFlags(cmd *cobra.Command) *settingsValues {
	s := &settingsValues{}
	f := cmd.Flags()
	f.Var(&s.memory, "memory", "limit of the memory of a worker, such as 64MiB")
	f.Var(&s.storage, "storage", "limit of the files of a worker together")
	f.Uint64Var(&s.files, "files", 0, "limit of a worker's open files, a `NUMBER`")
	f.DurationVar(&s.cpuTime, "cpu-time", 0, "limit of computing in one attempt, a `DURATION` such as 5s")
	f.Var(&s.logRate, "log-rate", "limit of output, bytes a second")
	f.Var(&s.oplogRate, "oplog-rate", "limit of recorded host calls, bytes a second")
	f.Uint64Var(&s.queue, "queue", 0, "limit of invocations not finished, a `NUMBER`")
	f.Uint64Var(&s.attempts, "retry-attempts", 0, "at most so many attempts, a `NUMBER`; 1: no retry")
	f.DurationVar(&s.initial, "retry-initial", 0, "pause before the second attempt, a `DURATION`")
	f.DurationVar(&s.longest, "retry-max", 0, "longest pause, a `DURATION`")
	f.Float64Var(&s.factor, "retry-factor", 0, "by which `FACTOR` each pause is longer than the last")
	f.Float64Var(&s.jitter, "retry-jitter", 0, "`PART` of each pause left to chance, 0 to 1")
	f.Var(&s.imageAfter, "image-after", "save the state once replay would take longer; off: never")
	f.Var(&s.imageSize, "image-size", "save it as a whole behind so many bytes of changes")
	f.DurationVar(&s.imageAge, "image-age", 0, "save it at the latest after so long, a `DURATION`")
	s.http.add(cmd)
	f.StringSliceVar(&s.netAllow, "net-allow", nil, "where sockets may connect and send to, `HOSTS` such as db.local:5432")
	f.StringSliceVar(&s.netListen, "net-listen", nil, "where sockets may listen, `ADDRESSES` such as 127.0.0.1:8080")
	f.Var(&s.maxRequest, "http-max-request", "limit of the body of a request that it answers")
	f.StringToStringVar(&s.links, "link", nil, "where calls of an interface go, `INTERFACE=COMPONENT[/NAME]`")
	f.Var(&s.oplog, "retention-oplog", "oplog to keep: everything, 30d, or 1000 (invocations)")
	f.Var(&s.results, "retention-results", "results to keep beyond the oplog: everything, 30d, or 1000")
	f.Var(&s.logs, "retention-logs", "output to keep beyond the oplog: everything, 30d, or 1000")
	return s
}

// keepFlag is a flag that says how much to keep; empty is the default.
type keepFlag struct{ api.Keep }

// Type names the kind of value.
func (k *keepFlag) Type() string { return "KEEP" }

// Set takes what a person writes.
func (k *keepFlag) Set(s string) (err error) {
	k.Keep, err = parseKeep(s)
	return err
}

// parseKeep reads how much to keep.
func parseKeep(s string) (api.Keep, error) {
	k, err := api.ParseKeep(s)
	if err == nil && k == (api.Keep{}) || err != nil {
		err = errors.New("want everything, a time such as 30d or 12h, or a number of invocations such as 1000")
	}
	return k, err
}

// orOff is a flag that takes a duration or off; 0 is the default.
type orOff time.Duration

func (d *orOff) String() string {
	if *d == 0 {
		return ""
	}
	return spanOrOffText(time.Duration(*d))
}

// Type names the kind of value.
func (d *orOff) Type() string { return "DURATION" }

// Set takes what a person writes.
func (d *orOff) Set(s string) error {
	v, err := parseSpanOrOff(s)
	*d = orOff(v)
	return err
}

// apply puts the flags that were given into to, and says whether there are any.
func (s *settingsValues) apply(cmd *cobra.Command, to *api.Settings) (changed bool) {
	l, r := &to.Limits, &to.Retry
	for flag, set := range map[string]func(){
		"memory":         func() { l.Memory = uint64(s.memory) },
		"storage":        func() { l.Storage = uint64(s.storage) },
		"shared":         func() { l.Shared = uint64(s.shared) },
		"files":          func() { l.Files = s.files },
		"cpu-time":       func() { l.CPUTime = api.Duration(s.cpuTime) },
		"log-rate":       func() { l.LogRate = uint64(s.logRate) },
		"oplog-rate":     func() { l.OplogRate = uint64(s.oplogRate) },
		"queue":          func() { l.Queue = s.queue },
		"retry-attempts": func() { r.Attempts = s.attempts },
		"retry-initial":  func() { r.Initial = api.Duration(s.initial) },
		"retry-max":      func() { r.Max = api.Duration(s.longest) },
		"retry-factor":   func() { r.Factor = s.factor },
		"retry-jitter":   func() { r.Jitter = s.jitter },
		"image-after":    func() { to.Images.After = api.Duration(s.imageAfter) },
		"image-size":     func() { to.Images.Size = uint64(s.imageSize) },
		"image-age":      func() { to.Images.Age = api.Duration(s.imageAge) },

		"link": func() { to.Links = s.links },

		"retention-oplog":   func() { to.Retention.Oplog = s.oplog.Keep },
		"retention-results": func() { to.Retention.Results = s.results.Keep },
		"retention-logs":    func() { to.Retention.Logs = s.logs.Keep },

		"http-max-request": func() { to.HTTP.MaxRequest = uint64(s.maxRequest) },
		"net-allow":        func() { to.Net.Allow = s.netAllow },
		"net-listen":       func() { to.Net.Listen = s.netListen },
	} {
		if cmd.Flags().Changed(flag) {
			set()
			changed = true
		}
	}
	return s.http.apply(cmd, &to.HTTP) || changed
}

// namedText is one of the settings as a person reads it; an empty text is the
// default.
type namedText struct{ name, text string }

func limitSettings(l api.Limits) []namedText {
	return []namedText{
		{"memory", sizeSetting(l.Memory)},
		{"storage", sizeSetting(l.Storage)},
		{"shared", sizeSetting(l.Shared)},
		{"open files", numberSetting(l.Files)},
		{"computing", durationSetting(l.CPUTime)},
		{"output a second", sizeSetting(l.LogRate)},
		{"oplog a second", sizeSetting(l.OplogRate)},
		{"queue", numberSetting(l.Queue)},
	}
}

func retrySettings(r api.Retry) []namedText {
	factor, jitter := "", ""
	if r.Factor != 0 {
		factor = strconv.FormatFloat(r.Factor, 'g', -1, 64)
	}
	if r.Jitter != 0 {
		jitter = strconv.FormatFloat(r.Jitter, 'g', -1, 64)
	}
	return []namedText{
		{"attempts", numberSetting(r.Attempts)},
		{"first pause", durationSetting(r.Initial)},
		{"longest pause", durationSetting(r.Max)},
		{"factor", factor},
		{"jitter", jitter},
	}
}

func imageSettings(i api.Images) []namedText {
	after := ""
	if i.After != 0 {
		after = spanOrOffText(time.Duration(i.After))
	}
	return []namedText{{"after", after}, {"size", sizeSetting(i.Size)}, {"age", durationSetting(i.Age)}}
}

func httpSettings(h api.HTTP) []namedText {
	return []namedText{
		{"hosts", strings.Join(h.Allow, ", ")},
		{"keys", h.Keys},
		{"in doubt", h.InDoubt},
		{"in-doubt rules", strings.Join(h.InDoubtRules, ", ")},
		{"longest response", sizeSetting(h.MaxResponse)},
		{"longest request", sizeSetting(h.MaxRequest)},
		{"proxy", h.Proxy},
		{"certificates", rootsText(h)},
		{"attempts", numberSetting(h.Retries.Attempts)},
		{"first pause", durationSetting(h.Retries.Initial)},
		{"longest pause", durationSetting(h.Retries.Max)},
	}
}

func linkSettings(links map[string]string) (all []namedText) {
	for _, name := range slices.Sorted(maps.Keys(links)) {
		all = append(all, namedText{name, links[name]})
	}
	return all
}

func netSettings(n api.Net) []namedText {
	return []namedText{{"hosts", strings.Join(n.Allow, ", ")}, {"listens", strings.Join(n.Listen, ", ")}}
}

func retentionSettings(r api.Retention) []namedText {
	return []namedText{{"oplog", keepText(r.Oplog)}, {"results", keepText(r.Results)}, {"logs", keepText(r.Logs)}}
}

func keepText(k api.Keep) string {
	if n := k.Invocations(); n > 0 {
		return count(n, "invocation", "invocations")
	}
	return k.String()
}

func sizeSetting(n uint64) string {
	if n == 0 {
		return ""
	}
	return bytesText(n)
}

func numberSetting(n uint64) string {
	if n == 0 {
		return ""
	}
	return commas(n)
}

func durationSetting(d api.Duration) string {
	if d == 0 {
		return ""
	}
	return time.Duration(d).String()
}

// settingsLines gives the settings that are not the default, as few lines.
func settingsLines(all []namedText) []string {
	var texts []string
	for _, s := range all {
		if s.text != "" {
			texts = append(texts, s.name+" "+s.text)
		}
	}
	if len(texts) == 0 {
		return []string{"as the server has them by default"}
	}
	return wrapped(texts, ", ")
}

// addSettings adds a row for each setting; fallback is said of those that have
// the default.
func addSettings(t *table, s api.Settings, fallback string) {
	row := func(prefix string, all []namedText) {
		for _, one := range all {
			if one.text == "" {
				one.text = fallback
			}
			t.add(fmt.Sprintf("%s: %s", prefix, one.name), one.text)
		}
	}
	row("Limit", limitSettings(s.Limits))
	row("Retry", retrySettings(s.Retry))
	row("Image", imageSettings(s.Images))
	row("HTTP", httpSettings(s.HTTP))
	row("Sockets", netSettings(s.Net))
	row("Retention", retentionSettings(s.Retention))
	row("Link", linkSettings(s.Links))
}
