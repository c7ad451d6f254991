package platform

import (
	"errors"

	"github.com/waterbear-run/waterbear/internal/host/config"
	"github.com/waterbear-run/waterbear/wit"
)

// configInterface has no codes: what is recorded is in package config.
func configInterface() interfaceOf {
	return interfaceOf{name: "config", functions: []function{
		{name: "get", call: getValue},
		{name: "get-all", call: getValues},
	}}
}

func getValue(s *System, a []wit.Value) (wit.Value, error) {
	text, found, err := s.Config.Get(a[0].(string))
	value := wit.Case{}
	if found {
		value = wit.Case{Index: 1, Payload: text}
	}
	return available(value, err)
}

func getValues(s *System, _ []wit.Value) (wit.Value, error) {
	all, err := s.Config.All()
	list := make([]wit.Value, len(all))
	for i, pair := range all {
		list[i] = []wit.Value{pair[0], pair[1]}
	}
	return available(list, err)
}

// available makes a result of what the program can be told of.
func available(v wit.Value, err error) (wit.Value, error) {
	if unavailable := (*config.UnavailableError)(nil); errors.As(err, &unavailable) {
		return wit.Case{Index: 1, Payload: unavailable.Reason}, nil
	}
	return wit.Case{Payload: v}, err
}
