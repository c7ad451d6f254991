package ambient

import (
	"testing"

	"pgregory.net/rapid"
)

func TestWaitsAndTheirEndsAreDecodedAsEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := waiting{rapid.Uint64().Draw(t, "deadline"), rapid.Bool().Draw(t, "stdin")}
		if got, err := waitingCodec.Decode(waitingCodec.Append(nil, w)); err != nil || got != w {
			t.Fatalf("got %+v, %v, want %+v", got, err, w)
		}
		r := Readiness{rapid.Uint64().Draw(t, "now"), rapid.Bool().Draw(t, "ready"), rapid.Uint64().Draw(t, "bytes"), rapid.Bool().Draw(t, "eof")}
		if got, err := readinessCodec.Decode(readinessCodec.Append(nil, r)); err != nil || got != r {
			t.Fatalf("got %+v, %v, want %+v", got, err, r)
		}
	})
}

func TestDamagedRecordsAreShownAndNeverPanic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "bytes")
		for _, f := range Funcs() {
			_ = f.ShowRequest(b)
			_ = f.ShowResponse(b)
		}
	})
	for _, b := range [][]byte{nil, {0}, {1}} {
		if _, err := waitingCodec.Decode(b); err == nil {
			t.Errorf("%x is taken for a wait", b)
		}
		if _, err := readinessCodec.Decode(b); err == nil {
			t.Errorf("%x is taken for the end of a wait", b)
		}
	}
}

func TestCodesAndNamesTellFunctionsApart(t *testing.T) {
	codes := map[uint64]string{}
	for _, f := range Funcs() {
		code, name, _ := f.Declaration()
		if other, taken := codes[code]; taken {
			t.Errorf("%s and %s have the code %d", name, other, code)
		}
		codes[code] = name
	}
}

func TestRecordsReadAsPeopleWouldSayThem(t *testing.T) {
	wait := func(w waiting) string { return waitingCodec.Show(w) }
	end := func(r Readiness) string { return readinessCodec.Show(r) }
	for got, want := range map[string]string{
		wait(waiting{Deadline: 1500 * 1e6}):                     "until 1.5s",
		wait(waiting{Deadline: 1500 * 1e6, Stdin: true}):        "until 1.5s or input",
		wait(waiting{Deadline: Forever, Stdin: true}):           "for ever or input",
		end(Readiness{Now: 2e9}):                                "at 2s",
		end(Readiness{Now: 2e9, Stdin: true, Bytes: 7}):         "at 2s, 7 bytes of input, end of input: false",
		timeCodec.Show(0):                                       "1970-01-01T00:00:00Z",
		durationCodec.Show(90 * 1e9):                            "1m30s",
		stdin.Response.Show([]byte("line\n")):                   `"line\n"`,
		stdin.ShowRequest(stdin.Request.Append(nil, uint64(5))): "5",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
