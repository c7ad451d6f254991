package guests

// Ending is how a hostile guest ends when nothing stops it.
type Ending string

// The endings there are.
const (
	Exits   Ending = "exits"
	Traps   Ending = "traps"
	Endless Ending = "endless"
)

// Misdeed is one thing the module "hostile" does: a first argument of its
// command line, and what comes of it on a host that survives it.
type Misdeed struct {
	Args   []string // behind the program's name
	Ending Ending
	Code   uint32 // with Exits
	Stdout string // the output has this, on every host
}

// Misdeeds are all that the module "hostile" can do, each with arguments that
// end it within a second where its default would be long.
var Misdeeds = []Misdeed{
	{Args: []string{"spin"}, Ending: Endless},
	{Args: []string{"spin-calls"}, Ending: Endless},
	{Args: []string{"spin-host"}, Ending: Endless},
	{Args: []string{"spin-print"}, Ending: Endless},
	{Args: []string{"sleep-forever"}, Ending: Endless},
	{Args: []string{"recurse"}, Ending: Traps},
	{Args: []string{"recurse-wide"}, Ending: Traps},
	{Args: []string{"out-of-bounds"}, Ending: Traps},
	{Args: []string{"out-of-bounds-write"}, Ending: Traps},
	{Args: []string{"divide"}, Ending: Traps},
	{Args: []string{"call-null"}, Ending: Traps},
	{Args: []string{"call-wrong"}, Ending: Traps},
	{Args: []string{"trap-after-output"}, Ending: Traps, Stdout: "the last line before the trap\nand half a line"},
	{Args: []string{"memory"}, Ending: Exits, Stdout: "pages grown: "},
	{Args: []string{"memory-at-once"}, Ending: Exits, Stdout: "grow by 4294967295 pages: 4294967295\n"},
	{Args: []string{"open-many", "1000000"}, Ending: Exits, Stdout: "open again: 0\n"},
	{Args: []string{"make-many", "20000"}, Ending: Exits, Stdout: "made: "},
	{Args: []string{"fill", "64"}, Ending: Exits, Stdout: "wrote: "},
	{Args: []string{"giant-write", "stdout"}, Ending: Exits, Stdout: "too many buffers, errno: "},
	{Args: []string{"giant-write", "file"}, Ending: Exits, Stdout: "too many buffers, errno: "},
	{Args: []string{"giant-sizes"}, Ending: Exits, Stdout: "write at 2^63-1: "},
	{Args: []string{"deep", "5000"}, Ending: Exits, Stdout: "through a loop: 32\n"},
	{Args: []string{"escape"}, Ending: Exits, Stdout: "escaped: 0\n"},
	{Args: []string{"poll-many", "100000"}, Ending: Exits, Stdout: "poll of none, errno: 28\n"},
	{Args: []string{"random-much"}, Ending: Exits, Stdout: "4 GiB, errno: "},
	{Args: []string{"echo"}, Ending: Exits},
	{Args: []string{"exit", "0"}, Ending: Exits},
	{Args: []string{"exit", "42"}, Ending: Exits, Code: 42},
	{Args: []string{"exit", "4294967295"}, Ending: Exits, Code: 1<<32 - 1},
	{Args: []string{"pointers", "100000"}, Ending: Exits, Stdout: "done 100000\n"},
	{Args: []string{"no-such-mode"}, Ending: Exits, Code: 2, Stdout: "no such mode\n"},
}

// Odd is a module that a host must refuse, or must not be hurt by.
type Odd struct {
	Name string // for Wasm, without "odd/"
	// Refused says that no host can run it as a command of WASI 0.1, and that
	// it is to be told so before it runs.
	Refused bool
	Ending  Ending // of those that are not refused
	Code    uint32
}

// Odds are the modules of testdata/odd. Each says in its source what is odd.
var Odds = []Odd{
	{Name: "grow-table", Ending: Exits},
	{Name: "huge-memory", Refused: true},
	{Name: "huge-table", Refused: true},
	{Name: "imported-memory", Refused: true},
	{Name: "memory-hidden", Ending: Exits},
	{Name: "no-memory", Ending: Exits, Code: 1},
	{Name: "no-start", Refused: true},
	{Name: "recurse-exit", Ending: Exits, Code: 5},
	{Name: "start-is-memory", Refused: true},
	{Name: "start-spin", Ending: Endless},
	{Name: "start-takes-argument", Refused: true},
	{Name: "start-trap", Ending: Traps},
	{Name: "throw-many", Ending: Exits},
	{Name: "unknown-import", Refused: true},
	{Name: "unknown-wasi", Refused: true},
	{Name: "wrong-import", Refused: true},
}
