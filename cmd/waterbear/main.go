// Command waterbear runs programs compiled to WebAssembly so that nothing can
// stop them for good.
package main

import (
	"io"
	"log"
	"os"

	"github.com/waterbear-run/waterbear/internal/cli"
)

func main() {
	// Package http tells the standard logger, which nobody else uses, what servers
	// have said without being asked: it may be anything, secrets too.
	log.SetOutput(io.Discard)
	os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}
