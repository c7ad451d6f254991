package wasm

import "testing"

func TestNamesOfRustAreAsTheSourceHasThem(t *testing.T) {
	for name, want := range map[string]string{
		"_ZN5fetch5start17h2cbe7765a8d13ee3E":                                                           "fetch::start",
		"_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE":                                              "core::fmt::Write::write_fmt",
		"_ZN58_$LT$alloc..string..String$u20$as$u20$core..fmt..Write$GT$9write_str17h0123456789abcdefE": "<alloc::string::String as core::fmt::Write>::write_str",
		"post":                           "post",
		"$16":                            "$16",
		"_ZN3foo3barEv":                  "_ZN3foo3barEv", // of C++
		"_ZN3foo3barE":                   "_ZN3foo3barE",
		"_ZN":                            "_ZN",
		"_ZNE":                           "_ZNE",
		"_ZN99999999999999999999fooE":    "_ZN99999999999999999999fooE",
		"_ZN9foo17h0123456789abcdefE":    "_ZN9foo17h0123456789abcdefE",
		"_ZN17h0123456789abcdefE":        "_ZN17h0123456789abcdefE",
		"_ZN3foo0":                       "_ZN3foo0",
		"_ZN3foo17h0123456789abcdefEtra": "_ZN3foo17h0123456789abcdefEtra",
	} {
		if got := rustName(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}
