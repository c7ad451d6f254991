package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// config is the configuration of a server: what each setting says, and where
// it says so.
type config struct {
	state          string
	listen         string
	tlsCert        string
	tlsRoots       string // of programs' requests
	tlsKey         string
	auth           string // authOn or authOff once the configuration is resolved
	adminTokenFile string
	logFormat      string
	logLevel       string
	workers        api.Settings // defaults
	maxInstances   int
	maxMemory      uint64
	maxRunning     int
	idleAfter      time.Duration
	suspendAfter   time.Duration
	imageAfter     time.Duration
	tracker        string
	hosts          []string
	publicURL      string
	maxBody        int64
	maxModule      int64
	maxRequests    int
	timeout        time.Duration
	grace          time.Duration
	routesListen   string
	routesCert     string
	routesKey      string
	accessLog      string
	routesOpenAPI  string
	configFrom     []string
	secretsFrom    []string
	secretsKey     string

	settings []*setting
}

// What auth and log.format can be.
const (
	authOn     = "on"
	authOff    = "off"
	formatText = "text"
	formatJSON = "json"
)

// setting is one thing that can be configured. Its flag, its variable and its
// place in the file follow from its key.
type setting struct {
	key     string // dots lead into groups of the file
	arg     string // what the help calls a value
	preset  string // the default, as a person would write it
	meaning string
	value

	from  string  // where the value comes from, as a person looks for it
	typed *string // what the command line says, if it does
}

// byDefault is the origin of a value that nobody gave.
const byDefault = "default"

// newConfig is the configuration that nobody changed.
func newConfig() *config {
	c := &config{}
	c.settings = c.declare()
	for _, s := range c.settings {
		if err := s.take(s.preset, byDefault); err != nil {
			panic(err)
		}
	}
	return c
}

// declare lists all there is to configure. Everything that knows of settings,
// from the command line to the documents, goes by this list.
func (c *config) declare() []*setting {
	limits, retry, retention := &c.workers.Limits, &c.workers.Retry, &c.workers.Retention
	out := &c.workers.HTTP
	d := waterbear.DefaultSettings()
	return []*setting{
		{key: "state", arg: "DIR", preset: stateDefault, value: text(&c.state, "a directory"), meaning: "where everything is kept, made if missing"},
		{key: "listen", arg: "HOST:PORT", preset: "127.0.0.1:4004", value: address(&c.listen), meaning: "where to listen; port 0: any free one"},
		{key: "tls.cert", arg: "FILE", value: optional(&c.tlsCert), meaning: "certificate chain for HTTPS, as PEM; SIGHUP reloads it"},
		{key: "tls.key", arg: "FILE", value: optional(&c.tlsKey), meaning: "its private key, as PEM"},
		{key: "auth", arg: "on|off", value: auth(&c.auth), meaning: "whether requests need a token; by default off on loopback, else on"},
		{key: "admin-token-file", arg: "FILE", value: optional(&c.adminTokenFile), meaning: "has the secret of the first token, which is made up otherwise"},
		{key: "log.format", arg: "text|json", preset: formatText, value: oneOf(&c.logFormat, formatText, formatJSON), meaning: "how standard error is written"},
		{key: "log.level", arg: "LEVEL", preset: "info", value: oneOf(&c.logLevel, "debug", "info", "warn", "error"), meaning: "the least that is logged: debug, info, warn or error"},

		{key: "limits.memory", arg: "SIZE", preset: sizeText(d.Limits.Memory), value: size(&limits.Memory, 64<<10, 4<<30), meaning: "memory of a worker"},
		{key: "limits.storage", arg: "SIZE", preset: sizeText(d.Limits.Storage), value: size(&limits.Storage, 1, 1<<50), meaning: "bytes in a worker's files"},
		{key: "limits.shared", arg: "SIZE", preset: sizeText(d.Limits.Shared), value: size(&limits.Shared, 1, 1<<44), meaning: "bytes in all buckets and containers of a component"},
		{key: "limits.files", arg: "NUMBER", preset: numberText(d.Limits.Files), value: number(&limits.Files, 3, 1<<20), meaning: "files that a worker can have open"},
		{key: "limits.cpu-time", arg: "DURATION", preset: spanText(time.Duration(d.Limits.CPUTime)), value: span(&limits.CPUTime, time.Millisecond), meaning: "computing time of one attempt of an invocation"},
		{key: "limits.log-rate", arg: "SIZE", preset: sizeText(d.Limits.LogRate), value: size(&limits.LogRate, 1, 1<<40), meaning: "output of a worker a second"},
		{key: "limits.oplog-rate", arg: "SIZE", preset: sizeText(d.Limits.OplogRate), value: size(&limits.OplogRate, 1, 1<<40), meaning: "host calls recorded of a worker a second"},
		{key: "limits.queue", arg: "NUMBER", preset: numberText(d.Limits.Queue), value: number(&limits.Queue, 1, 1<<20), meaning: "invocations of a worker, accepted and not finished"},
		{key: "retry.attempts", arg: "NUMBER", preset: numberText(d.Retry.Attempts), value: number(&retry.Attempts, 1, 1<<20), meaning: "times an invocation is tried, the first included"},
		{key: "retry.initial", arg: "DURATION", preset: spanText(time.Duration(d.Retry.Initial)), value: span(&retry.Initial, time.Millisecond), meaning: "pause before the second attempt"},
		{key: "retry.max", arg: "DURATION", preset: spanText(time.Duration(d.Retry.Max)), value: span(&retry.Max, time.Millisecond), meaning: "the longest pause"},
		{key: "retry.factor", arg: "FACTOR", preset: fractionText(d.Retry.Factor), value: fraction(&retry.Factor, 1, 1000), meaning: "by which each pause is longer than the one before"},
		{key: "retry.jitter", arg: "FRACTION", preset: fractionText(d.Retry.Jitter), value: fraction(&retry.Jitter, 0.01, 1), meaning: "part of each pause that is left to chance"},

		{key: "retention.oplog", arg: "KEEP", preset: d.Retention.Oplog.String(), value: keep(&retention.Oplog), meaning: "how much of the oplog: 30d, 1000 (invocations)"},
		{key: "retention.results", arg: "KEEP", preset: d.Retention.Results.String(), value: keep(&retention.Results), meaning: "of the results, beyond the oplog: likewise"},
		{key: "retention.logs", arg: "KEEP", preset: d.Retention.Logs.String(), value: keep(&retention.Logs), meaning: "of the output, beyond the oplog: likewise"},

		{key: "workers.max-instances", arg: "NUMBER", preset: numberText(waterbear.DefaultMaxInstances), value: number(&c.maxInstances, 1, 1<<20), meaning: "workers in memory at a time"},
		{key: "workers.max-memory", arg: "SIZE", preset: "2GiB", value: size(&c.maxMemory, 64<<10, 1<<50), meaning: "memory of all workers together"},
		{key: "workers.max-running", arg: "NUMBER", preset: numberText(waterbear.DefaultMaxRunning), value: number(&c.maxRunning, 1, 1<<20), meaning: "invocations that compute at a time; the others wait"},
		{key: "workers.idle-after", arg: "DURATION", preset: spanText(waterbear.DefaultIdleAfter), value: span(&c.idleAfter, time.Millisecond), meaning: "a worker without work leaves memory after that"},
		{key: "workers.suspend-after", arg: "DURATION", preset: spanText(waterbear.DefaultSuspendAfter), value: span(&c.suspendAfter, time.Millisecond), meaning: "one that waits for longer leaves memory meanwhile"},
		{key: "workers.image-after", arg: "DURATION", preset: spanText(waterbear.DefaultImageAfter), value: spanOrOff(&c.imageAfter, time.Millisecond), meaning: "a worker is saved if replay took longer; off: never"},
		{key: "workers.tracker", arg: "NAME", preset: trackerAuto, value: oneOf(&c.tracker, append([]string{trackerAuto}, waterbear.Trackers()...)...), meaning: "how changes of memory are found; auto: the best"},

		{key: "http.hosts", arg: "NAME,...", value: names(&c.hosts), meaning: "its own names, for use without tokens; localhost is one"},
		{key: "http.public-url", arg: "URL", value: baseURL(&c.publicURL), meaning: "where others reach it, for webhooks; by default where it listens"},
		{key: "http.max-body", arg: "SIZE", preset: "1MiB", value: size(&c.maxBody, 1<<10, 1<<30), meaning: "longest body of a request"},
		{key: "http.max-module", arg: "SIZE", preset: "256MiB", value: size(&c.maxModule, 1<<10, 4<<30), meaning: "largest program that can be deployed"},
		{key: "http.max-requests", arg: "NUMBER", preset: "10000", value: number(&c.maxRequests, 1, 1<<20), meaning: "requests under way at a time; others get 503"},
		{key: "http.timeout", arg: "DURATION", preset: "1m", value: span(&c.timeout, time.Millisecond), meaning: "how long a request may wait for its answer"},
		{key: "http.allow", arg: "HOST,...", preset: strings.Join(d.HTTP.Allow, ","), value: reachable(&out.Allow), meaning: "the hosts that programs may reach"},
		{key: "http.keys", arg: "auto|off", preset: d.HTTP.Keys, value: oneOf(&out.Keys, "auto", "off"), meaning: "whether their POSTs get an Idempotency-Key"},
		{key: "http.in-doubt", arg: "CHOICE", preset: d.HTTP.InDoubt, value: oneOf(&out.InDoubt, api.InDoubts()...), meaning: "of one without a key in doubt: fail, retry or hold"},
		{key: "http.in-doubt-rules", arg: "RULE,...", preset: "", value: doubtRules(&out.InDoubtRules), meaning: "before that, by method and host: POST a.com=hold"},
		{key: "http.max-response", arg: "SIZE", preset: sizeText(d.HTTP.MaxResponse), value: size(&out.MaxResponse, 1, 1<<40), meaning: "longest body of what they get"},
		{key: "http.proxy", arg: "URL", preset: d.HTTP.Proxy, value: proxy(&out.Proxy), meaning: "their proxy; environment: by HTTP_PROXY and so on"},
		{key: "http.tls-roots", arg: "FILE", value: optional(&c.tlsRoots), meaning: "certificates that they trust too, as PEM"},
		{key: "http.tls-trust", arg: "system|roots", preset: d.HTTP.Trust, value: oneOf(&out.Trust, api.TrustSystem, api.TrustRoots), meaning: "whether the machine's count beside those"},
		{key: "http.retries", arg: "NUMBER", preset: numberText(d.HTTP.Retries.Attempts), value: number(&out.Retries.Attempts, 1, 100), meaning: "times one is sent that fails in a way that passes"},
		{key: "http.retry-initial", arg: "DURATION", preset: spanText(time.Duration(d.HTTP.Retries.Initial)), value: span(&out.Retries.Initial, time.Millisecond), meaning: "pause before the second"},
		{key: "http.retry-max", arg: "DURATION", preset: spanText(time.Duration(d.HTTP.Retries.Max)), value: span(&out.Retries.Max, time.Millisecond), meaning: "longest pause, also if a response asks for one"},
		{key: "http.max-request", arg: "SIZE", preset: sizeText(d.HTTP.MaxRequest), value: size(&out.MaxRequest, 1, 1<<40), meaning: "longest body of a request that they answer"},
		{key: "routes.listen", arg: "HOST:PORT", value: optionalAddress(&c.routesListen), meaning: "where to serve routes, to anybody; without it they are not"},
		{key: "routes.tls-cert", arg: "FILE", value: optional(&c.routesCert), meaning: "certificate chain for that; by default tls.cert"},
		{key: "routes.tls-key", arg: "FILE", value: optional(&c.routesKey), meaning: "its private key, as PEM"},
		{key: "routes.access-log", arg: "stderr|FILE", value: optional(&c.accessLog), meaning: "where each request of routes is logged, as JSON in a file"},
		{key: "routes.openapi", arg: "PATH", value: urlPath(&c.routesOpenAPI), meaning: "where routes are described; without it not to anybody"},
		{key: "config.from", arg: "SOURCE,...", value: sourced(&c.configFrom), meaning: "where programs' configuration is: dir:, env:, http(s)://"},
		{key: "secrets.from", arg: "SOURCE,...", value: sourced(&c.secretsFrom), meaning: "and where their secrets are"},
		{key: "secrets.key", arg: "FILE", value: optional(&c.secretsKey), meaning: "key that secrets are kept under; by default in the state"},
		{key: "net.allow", arg: "HOST,...", value: connectable(&c.workers.Net.Allow), meaning: "where their sockets may connect and send to"},
		{key: "net.listen", arg: "ADDRESS,...", value: listenable(&c.workers.Net.Listen), meaning: "where these may listen"},
		{key: "grace", arg: "DURATION", preset: "10s", value: span(&c.grace, 0), meaning: "how long running requests have when the server stops"},
	}
}

// trackerAuto leaves the choice of a tracker to the server.
const trackerAuto = "auto"

const (
	// variablePrefix begins the variables of all settings.
	variablePrefix = "WATERBEAR_"
	configVariable = variablePrefix + "CONFIG"
)

// flag is the setting's flag without the dashes before it.
func (s *setting) flag() string { return strings.ReplaceAll(s.key, ".", "-") }

// variable is the setting's environment variable.
func (s *setting) variable() string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(s.flag(), "-", "_"))
}

// take sets the value to what was written at from.
func (s *setting) take(written, from string) error {
	s.from = from
	if err := s.set(written); err != nil {
		return s.wrong("%q: %w", written, err)
	}
	return nil
}

// wrong is an error about the setting's value that says where to find it.
func (s *setting) wrong(format string, args ...any) error {
	at := s.from
	switch {
	case s.from == byDefault:
		at = s.key
	case s.from != "--"+s.flag() && s.from != s.variable():
		at += ": " + s.key
	}
	return fmt.Errorf("%s: %w", at, fmt.Errorf(format, args...))
}

// Set, String and Type are what the command line wants of a flag. What it says
// is taken last, for it precedes all else.
func (s *setting) Set(written string) error {
	s.typed = &written
	return nil
}

func (s *setting) String() string {
	if s == nil || s.typed == nil {
		return ""
	}
	return *s.typed
}

// Type names the kind of value.
func (s *setting) Type() string { return s.arg }

// setting finds the one with a key, which there must be.
func (c *config) setting(key string) *setting {
	for _, s := range c.settings {
		if s.key == key {
			return s
		}
	}
	panic("there is no setting " + key)
}

// load takes what the file, the environment and the command line say, in this
// order, so that the later of them counts. It tells all that is wrong.
func (c *config) load(file string, env environment) []error {
	var wrong []error
	if file != "" {
		wrong = c.loadFile(file)
	}
	for _, s := range c.settings {
		// As everywhere, an empty variable is one that is not set.
		if written := env.get(s.variable()); written != "" {
			if err := s.take(written, s.variable()); err != nil {
				wrong = append(wrong, err)
			}
		}
		if s.typed != nil {
			if err := s.take(*s.typed, "--"+s.flag()); err != nil {
				wrong = append(wrong, err)
			}
		}
	}
	return wrong
}
