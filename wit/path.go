package wit

import (
	"fmt"
	"strings"
)

// pathError is what is wrong with a part of a value, and which part that is.
type pathError struct {
	steps []string // from the inside out
	err   error
}

func (e *pathError) Error() string {
	var b strings.Builder
	for i := len(e.steps) - 1; i >= 0; i-- {
		b.WriteString(e.steps[i])
		if i > 0 {
			b.WriteString(", ")
		}
	}
	b.WriteString(": ")
	b.WriteString(e.err.Error())
	return b.String()
}

func (e *pathError) Unwrap() error { return e.err }

// within says that err, an error, is about a part of what its caller looks at.
func within(step string, err error) error {
	if inner, ok := err.(*pathError); ok {
		inner.steps = append(inner.steps, step)
		return inner
	}
	return &pathError{steps: []string{step}, err: err}
}

// The steps of a path, counted from 1 as people do.

func inArg(i int, name string, err error) error {
	if err == nil {
		return nil
	}
	return within(fmt.Sprintf("argument %d (%s)", i+1, name), err)
}

func inElement(i int, err error) error {
	if err == nil {
		return nil
	}
	return within(fmt.Sprintf("element %d", i+1), err)
}

func inField(name string, err error) error {
	if err == nil {
		return nil
	}
	return within("field "+name, err)
}

func inCase(name string, err error) error {
	if err == nil {
		return nil
	}
	return within("case "+name, err)
}
