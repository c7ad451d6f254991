package component

import (
	"context"

	"github.com/waterbear-run/waterbear/wit"
)

// HostInterface is an interface that the host implements for components: what a
// component imports as an instance under the interface's name. It is declared
// once; what differs from worker to worker is found through Call.State.
type HostInterface struct {
	// Name has no version: "wasi:io/streams".
	Name string
	// Version is the version that is implemented, "0.2.12". It stands for all
	// versions that are compatible by semver: an import of 0.2.0 and one of
	// 0.2.12 in one component both get this interface. "" is an interface
	// without versions.
	Version string
	// Resources are the resource types that the interface exports.
	Resources []HostResource
	Funcs     []HostFunc
	// Foreign, if it is set, makes functions of interfaces that are neither offered
	// nor of the host's packages, wasi and waterbear:durable: other programs may
	// export them. It is given the whole name, "shop:pricing/api@1.0.0#price", and nothing
	// else of the HostInterface counts.
	Foreign func(name string, t *wit.Func) func(c *Call, args []wit.Value) (wit.Value, error)
}

// HostResource is a resource type of the host. What stands for a resource is a
// number that the host chooses, its representation: guests see handles, numbers
// of their own, and nothing but the host's functions sees the representation.
type HostResource struct {
	// Type is the resource type: types of functions name it, those of other
	// interfaces too.
	Type *wit.Resource
	// Name is that in the interface, if it is not Type.Name.
	Name string
	// Drop is called when the last handle that owns the resource is dropped; nil
	// if nothing has to be done then.
	Drop func(c *Call, rep uint32) error
}

// HostFunc is a function of the host.
type HostFunc struct {
	// Name is that in the interface: "now", "[constructor]fields",
	// "[method]output-stream.write", "[static]fields.from-list".
	Name string
	// Type is what the host takes and gives. A component whose import has
	// another type is refused when it is compiled, so Call need not check the Go
	// types of its arguments: they are those that wit.Value says, and handles are
	// the uint32 that the host chose as the representation.
	Type *wit.Func
	// Aliased lets the []byte of list<u8> in arguments be the guest's memory
	// instead of a copy. They are valid until Call returns or calls the guest,
	// and must not be written to.
	Aliased bool
	// Call performs the function. The result is nil if Type has none. An error
	// ends the guest's call at once, and is what Instance.Call returns: as it is,
	// if it is a *wasm.Trap the guest's fault and else the host's. What the guest
	// is to see as an error is a value, the Case 1 of a result.
	Call func(c *Call, args []wit.Value) (wit.Value, error)
}

// Call is one call of a host function or of a destructor.
type Call struct {
	instance *Instance
}

// State is what the instance was given as Config.State.
func (c *Call) State() any { return c.instance.state }

// Context is that of the Instance.Call or Instantiate that the guest runs in.
func (c *Call) Context() context.Context { return c.instance.store.Context() }
