package wit_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/wit"
)

func BenchmarkArgs(b *testing.B) {
	f := params(list(anItem))
	args := json.RawMessage(`[[` + strings.Repeat(`{"sku":"abc","qty":2,"gift-note":"hello"},`, 9) + `{"sku":"x","qty":1}]]`)
	values, err := wit.ArgsFromJSON(f, args)
	if err != nil {
		b.Fatal(err)
	}
	inWAVE, err := wit.AppendArgsWAVE(nil, f, values)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("FromJSON", func(b *testing.B) {
		for b.Loop() {
			if _, err := wit.ArgsFromJSON(f, args); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("AppendJSON", func(b *testing.B) {
		var out []byte
		for b.Loop() {
			if out, err = wit.AppendArgsJSON(out[:0], f, values); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("FromWAVE", func(b *testing.B) {
		for b.Loop() {
			if _, err := wit.ArgsFromWAVE(f, string(inWAVE)); err != nil {
				b.Fatal(err)
			}
		}
	})
	bytes := json.RawMessage("[[" + strings.Repeat("255,", 100_000) + "0]]")
	b.Run("100kB", func(b *testing.B) {
		b.SetBytes(100_000)
		for b.Loop() {
			if _, err := wit.ArgsFromJSON(params(list(aU8)), bytes); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		if _, err := (wit.Parser{}).Load(os.DirFS("testdata"), "shop"); err != nil {
			b.Fatal(err)
		}
	}
}
