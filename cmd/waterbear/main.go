// Command waterbear runs programs compiled to WebAssembly so that nothing can
// stop them for good.
package main

import (
	"os"

	"github.com/waterbear-run/waterbear/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr, os.Environ())) }
