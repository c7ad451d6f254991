// A module of its own: it imports the package that asks Waterbear as others do.
module github.com/waterbear-run/waterbear/examples/branches

go 1.24

require github.com/waterbear-run/waterbear/guest/go v0.0.0

replace github.com/waterbear-run/waterbear/guest/go => ../../guest/go
