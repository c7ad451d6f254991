// What programs in Go import to ask Waterbear. It is a module of its own, so that
// they depend on nothing else of it.
module github.com/waterbear-run/waterbear/guest/go

go 1.24
