package wasip2

import (
	"bytes"
	"strings"
	"testing"

	"github.com/waterbear-run/waterbear/internal/host/wasi"
	"github.com/waterbear-run/waterbear/wit"
)

func TestResourcesHoldABoundedNumberOfBytes(t *testing.T) {
	big := bytes.Repeat([]byte("x"), maxHeld/2)
	for name, grow := range map[string]func(r *rig) error{
		"fields": func(r *rig) error {
			_, err := r.try(appendName, r.call(newFieldsName), "a", big)
			return err
		},
		"fields without content": func(r *rig) error {
			f := r.call(newFieldsName)
			for range maxHeld / entryCost / 2 {
				if _, err := r.try(appendName, f, "a", []byte{}); err != nil {
					return err
				}
			}
			return nil
		},
		"fields that are set": func(r *rig) error {
			_, err := r.try(setName, r.call(newFieldsName), "a", []wit.Value{big})
			return err
		},
		"fields of a list": func(r *rig) error {
			_, err := r.try(fromList, []wit.Value{[]wit.Value{"a", big}})
			return err
		},
		"parts of requests": func(r *rig) error {
			_, err := r.try("[method]outgoing-request.set-path-with-query", r.call(newRequestName, r.headers()), some("/"+string(big)))
			return err
		},
		"copies": func(r *rig) error {
			f := r.call(newFieldsName)
			_, err := r.try(appendName, f, "a", big[:maxHeld/100])
			for err == nil {
				_, err = r.try(cloneName, f)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, wasi.Config{})
			must(t, onlyTrap(grow(r)))
			r.isTrap("hold more than", name, grow(r))
			if r.sys.held > maxHeld {
				t.Errorf("%d bytes are held", r.sys.held)
			}
		})
	}
	// What is written to a body fails as that of any body that is too large.
	r := newRig(t, wasi.Config{})
	out := r.ok(bodyWrite, r.ok(requestBodyName, r.call(newRequestName, r.headers())))
	written := 0
	for {
		r.ok(checkWriteName, out)
		c := r.call(writeName, out, big[:maxTransfer]).(wit.Case)
		if c.Index == 1 {
			break
		}
		written += maxTransfer
	}
	r.equal(written, maxHeld)
	r.fails("closed", writeName, out, []byte{})
}

// onlyTrap lets a first step of growing trap, where it already goes too far.
func onlyTrap(err error) error {
	if err != nil && strings.Contains(err.Error(), "hold more than") {
		return nil
	}
	return err
}

func TestThereIsABoundOnResources(t *testing.T) {
	r := newRig(t, wasi.Config{})
	for range maxResources {
		r.call(subInstant, uint64(1))
	}
	for _, name := range []string{newFieldsName, getStdinName, getStdoutName, "wasi:sockets/instance-network#instance-network", "[constructor]request-options"} {
		r.traps("more than 65536 resources", name)
	}
	r.traps("more than 65536 resources", "wasi:filesystem/preopens#get-directories")
	r.drop(uint32(77))
	r.equal(r.call(getStdinName), uint32(77)) // the lowest that is free
}

func TestSocketsAreRefused(t *testing.T) {
	r := newRig(t, wasi.Config{})
	for _, family := range []uint32{0, 1} {
		r.fails("access-denied", "wasi:sockets/tcp-create-socket#create-tcp-socket", label(family))
		r.fails("access-denied", "wasi:sockets/udp-create-socket#create-udp-socket", label(family))
	}
	network := r.call("wasi:sockets/instance-network#instance-network")
	r.fails("permanent-resolver-failure", "wasi:sockets/ip-name-lookup#resolve-addresses", network, "localhost")
	r.drop(network)
	r.empty()
	if _, err := noSocket(r.sys, nil); err == nil {
		t.Error("a socket that is not there does something")
	}
}
