package wasip2

import (
	"errors"

	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/wit"
)

// configStore is wasi:config/store, of which there are drafts alone.
func configStore(version string) interfaceOf {
	return configOf("wasi:config/store", version, "error")
}

// configRuntime is wasi:config/runtime, as an older draft calls it.
func configRuntime() interfaceOf {
	return configOf("wasi:config/runtime", "0.2.0-draft", "config-error")
}

func configOf(name, version, errorName string) interfaceOf {
	// The first is for what a source answers, the second for how it is reached,
	// which a program cannot tell apart here: all is upstream.
	failure := variant(errorName, part("upstream", tString), part("io", tString))
	return interfaceOf{
		name: name, version: version,
		functions: []function{
			{name: "get", typ: fnTo(result(option(tString), failure), param("key", tString)), call: configGet},
			{name: "get-all", typ: fnTo(result(list(tuple(tString, tString)), failure)), call: configAll},
		},
	}
}

func configGet(s *System, a []wit.Value) (wit.Value, error) {
	if s.config == nil {
		return ok(none), nil
	}
	text, found, err := s.config.Get(a[0].(string))
	value := none
	if found {
		value = some(text)
	}
	return configAvailable(value, err)
}

func configAll(s *System, _ []wit.Value) (wit.Value, error) {
	if s.config == nil {
		return ok([]wit.Value{}), nil
	}
	all, err := s.config.All()
	values := make([]wit.Value, len(all))
	for i, pair := range all {
		values[i] = []wit.Value{pair[0], pair[1]}
	}
	return configAvailable(values, err)
}

func configAvailable(v wit.Value, err error) (wit.Value, error) {
	if unavailable := (*config.UnavailableError)(nil); errors.As(err, &unavailable) {
		return failed(wit.Case{Payload: unavailable.Reason}), nil
	}
	return ok(v), err
}
