package cli

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/waterbear-run/waterbear"
)

func TestProgressOfLongWorkIsShownAndGoneBeforeOutput(t *testing.T) {
	var screen bytes.Buffer
	p := &progressLine{w: &screen, about: "prog.wasm"}
	p.report(waterbear.Progress{Stage: "compiling", Done: 0.1})
	if screen.Len() > 0 {
		t.Errorf("quick work was shown at once: %q", &screen)
	}
	p.began = p.began.Add(-time.Second)
	p.report(waterbear.Progress{Stage: "compiling", Done: 0.5})
	fmt.Fprint(p.before(&screen), "output")
	const want = "\r\x1b[Kwaterbear: compiling prog.wasm: 50 %" + "\r\x1b[K" + "output"
	if screen.String() != want {
		t.Errorf("got %q, want %q", screen.String(), want)
	}
}

func TestWithoutATerminalThereIsNoProgress(t *testing.T) {
	var out bytes.Buffer
	a := &app{stderr: &out}
	p := a.newProgress("prog.wasm", false)
	p.report(waterbear.Progress{Stage: "compiling", Done: 0.5})
	p.clear()
	if p != nil || p.before(&out) != &out || out.Len() > 0 {
		t.Errorf("there is progress: %v, %q", p, &out)
	}
}
