package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/waterbear-run/waterbear"
	"github.com/waterbear-run/waterbear/api"
)

// serverOptions are the flags of server that are no settings.
type serverOptions struct {
	file  string
	print bool
	check bool
	// verbose logs all there is.
	verbose bool
}

func (a *app) serverCommand() *cobra.Command {
	var o serverOptions
	c := newConfig()
	cmd := &cobra.Command{
		Use:     "server [flags]",
		GroupID: groupServer,
		Short:   "Serve workers over HTTP until it is stopped",
		Long: `Run the platform: one process that keeps everything in one directory, listens
on an address of this machine, and needs no configuration. One line on standard
output says where it listens, where its state is and whether requests need a
token; the log goes to standard error.

Each setting below has a flag, an environment variable and a key of the file
that --config names, which is YAML; the dots of a key lead into groups:

  listen: 0.0.0.0:4004
  tls:
    cert: /etc/waterbear/cert.pem
    key: /etc/waterbear/key.pem

A flag precedes a variable, a variable the file, the file the default. Anything
in the file that is no setting is an error. The limits and the retry policy are
what workers have whose component does not say otherwise.

The first SIGINT or SIGTERM stops the server: it takes no new requests, gives
those that run a while, and leaves workers where they are; they go on at the
next start. A second one stops it at once, which loses nothing either. SIGHUP
reloads the certificate.

Exit codes: 0 if it was stopped by a signal, 1 if something failed, 2 if the
command line or the configuration makes no sense.`,
		Example: `  waterbear server
  waterbear server --state /var/lib/waterbear --listen 127.0.0.1:0
  waterbear server --config waterbear.yaml --check
  waterbear server --limits-memory 256MiB --print-config > waterbear.yaml`,
		Args: exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.server(cmd, c, &o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.file, "config", "", "`FILE` with settings, as YAML (default $"+configVariable+", else none)")
	f.BoolVar(&o.print, "print-config", false, "print the configuration and where each value comes from, and end")
	f.BoolVar(&o.check, "check", false, "look whether the configuration makes sense, and end")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "log everything, such as how changes of memory are found")
	_ = cmd.MarkFlagFilename("config", "yaml", "yml")
	// The usage shows these alone; the settings have a table of their own.
	cmd.SetUsageTemplate(strings.Replace(cmd.UsageTemplate(),
		"{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}",
		strings.TrimRight(f.FlagUsages(), "\n")+"\n  -h, --help           help for server\n\nSettings:\n"+settingsTable(c.settings), 1))
	for _, s := range c.settings {
		f.Var(s, s.flag(), s.meaning)
		if words, ok := s.value.(choice); ok {
			_ = cmd.RegisterFlagCompletionFunc(s.flag(), cobra.FixedCompletions(words.words, cobra.ShellCompDirectiveNoFileComp))
		}
	}
	_ = cmd.MarkFlagDirname("state")
	return cmd
}

// server does what server was asked for: to tell of its configuration, or to
// serve.
func (a *app) server(cmd *cobra.Command, c *config, o *serverOptions) error {
	file := o.file
	if file == "" && !cmd.Flags().Changed("config") {
		file = a.env.get(configVariable)
	}
	if err := a.complainAll(c.load(file, a.env)); err != nil {
		return err
	}
	c.resolve()
	if o.verbose {
		c.logLevel = "debug"
	}
	if o.print {
		if err := c.print(a.stdout); err != nil {
			return err
		}
	}
	if err := a.complainAll(c.check()); err != nil {
		return err
	}
	switch {
	case o.print:
		return nil
	case o.check:
		_, err := fmt.Fprintln(a.stdout, "the configuration makes sense")
		return err
	}
	return a.serve(cmd.Context(), c)
}

// complainAll prints each of the errors on a line, and makes them one.
func (a *app) complainAll(errs []error) error {
	for _, err := range errs {
		a.complain(err)
	}
	if len(errs) > 0 {
		return exitError{code: exitUsage}
	}
	return nil
}

// serve is the life of a server.
func (a *app) serve(ctx context.Context, c *config) error {
	log := c.serverLog(a.stderr)
	defer log.waiting.flush()
	var pair *keyPair
	if c.tlsCert != "" {
		var err error
		if pair, err = loadKeyPair(c.tlsCert, c.tlsKey); err != nil {
			return err
		}
		pair.warn(log.Logger)
	}
	notify := notifier{a.env.get(notifyVariable)}
	routes, err := c.openPublic(ctx, pair, log.Logger)
	if err != nil {
		return err
	}
	defer routes.close()
	ctx, watch := a.watchSignals(ctx, log.Logger, notify, func() {
		pair.reload(log.Logger)
		routes.reload(pair, log.Logger)
	})
	defer watch.stop()

	// Before the state is opened, so that a port in use is said soon and
	// nobody is refused while the server comes up.
	l, err := listen(ctx, c.listen)
	if err != nil {
		return c.explainListen("listen", c.listen, err)
	}
	defer l.Close()
	if addr, ok := l.Addr().(*net.TCPAddr); c.auth == authOff && (!ok || !addr.IP.IsLoopback()) {
		return c.setting("listen").wrong("%s means %s here, which others can reach; set auth to on", c.listen, l.Addr())
	}
	node, err := c.openNode(ctx, log.Logger, c.reachedAt(l.Addr()))
	if err == nil {
		err = a.serveNode(ctx, c, log, node.Platform(), l, pair, routes, notify)
		if closed := node.Close(); err == nil {
			err = closed
		}
	}
	if err != nil && (ctx.Err() == nil || !errors.Is(err, context.Canceled) && !errors.Is(err, waterbear.ErrInterrupted)) {
		return err
	}
	log.Info("stopped")
	return nil
}

// serveNode serves what is open until ctx is done.
func (a *app) serveNode(ctx context.Context, c *config, log serverLog, p *waterbear.Platform, l net.Listener, pair *keyPair, routes *public, notify notifier) error {
	secret, err := c.firstToken(ctx, p)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(a.stdout, c.startLine(l.Addr())); err != nil {
		return err
	}
	if routes != nil {
		if _, err := fmt.Fprintln(a.stdout, routes.startLine()); err != nil {
			return err
		}
	}
	if secret != "" {
		if _, err := fmt.Fprintf(a.stdout, "waterbear: the token %q may do anything and is shown only now: %s\n", adminToken, secret); err != nil {
			return err
		}
	}
	if c.auth == authOn && pair == nil && !loopback(c.listen) {
		log.Warn("tokens and all else travel unencrypted; set tls.cert and tls.key, or put a proxy with TLS in front")
	}
	if err := notify.send("READY=1"); err != nil {
		log.Warn("tell the service manager that the server is ready", "error", err)
	}
	serving := c.serving(log)
	serving.Public = routes.serving(c, log, p)
	defer a.paceGarbage()()
	return p.Serve(ctx, l, pair.tlsConfig(), serving)
}

// reachedAt is the URL by which others reach what listens at an address.
func (c *config) reachedAt(at net.Addr) string {
	if c.publicURL != "" {
		return c.publicURL
	}
	scheme, host := "http", at.String()
	if c.tlsCert != "" {
		scheme = "https"
	}
	if tcp, ok := at.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		host = net.JoinHostPort("localhost", strconv.Itoa(tcp.Port))
	}
	return scheme + "://" + host
}

// startLine tells a person all they need to begin.
func (c *config) startLine(at net.Addr) string {
	scheme, tokens := "http", "no token needed, for only this machine can connect"
	if c.tlsCert != "" {
		scheme = "https"
	}
	if c.auth == authOn {
		tokens = "requests need a token"
	}
	return fmt.Sprintf("waterbear: listening on %s://%s, state in %s, %s", scheme, at, shellQuote(c.state), tokens)
}

// adminToken is the name of the token that a server makes at its first start.
const adminToken = "admin"

// firstToken makes a token if one is needed and there is none, and gives its
// secret unless the person knows it.
func (c *config) firstToken(ctx context.Context, node tokenStore) (secret string, err error) {
	if c.auth == authOff {
		return "", nil
	}
	tokens, err := node.Tokens(ctx)
	if err != nil || len(tokens) > 0 {
		return "", err
	}
	made := api.NewToken{Name: adminToken, Scopes: []api.Scope{"admin"}}
	if c.adminTokenFile != "" {
		if made.Secret, err = c.adminSecret(); err != nil {
			return "", err
		}
	}
	created, err := node.CreateToken(ctx, made)
	if err != nil {
		return "", fmt.Errorf("make the first token: %w", err)
	}
	if created.Secret == made.Secret {
		return "", nil // the person has it
	}
	return created.Secret, nil
}

// tlsConfig is what the server presents itself with, or nil without TLS.
func (p *keyPair) tlsConfig() *tls.Config {
	if p == nil {
		return nil
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: p.certificate}
}
