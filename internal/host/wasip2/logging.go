package wasip2

import (
	"fmt"
	"strings"

	"github.com/waterbear-run/waterbear/wit"
)

// levels are those of wasi:logging, in their order.
var levels = []string{"trace", "debug", "info", "warn", "error", "critical"}

// logging is wasi:logging/logging, of which there is a draft alone.
func logging() interfaceOf {
	return interfaceOf{
		name: "wasi:logging/logging", version: "0.1.0-draft",
		functions: []function{
			{name: "log", typ: fn(param("level", enum("level", levels...)), param("context", tString), param("message", tString)), call: logMessage},
		},
	}
}

// oneLine keeps a message from looking like several.
var oneLine = strings.NewReplacer("\r\n", "\n    ", "\n", "\n    ", "\r", "\n    ")

// logMessage writes a line to stderr: LEVEL context: message. Further lines of the
// message are indented.
func logMessage(s *System, a []wit.Value) (wit.Value, error) {
	line := strings.ToUpper(levels[a[0].(wit.Case).Index])
	if about := a[1].(string); about != "" {
		line = fmt.Sprintf("%s %s:", line, about)
	}
	line = oneLine.Replace(strings.TrimRight(line+" "+a[2].(string), "\r\n"))
	return nil, s.stdio.Write(stderr, []byte(line+"\n"))
}
