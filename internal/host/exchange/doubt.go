package exchange

import "github.com/waterbear-run/waterbear/internal/durable"

// policies are what Policy.Choices can say.
var policies = map[string]durable.Policy{
	durable.Retry.String(): durable.Retry, durable.Fail.String(): durable.Fail, durable.Hold.String(): durable.Hold,
}

// inDoubt says what becomes of r if it is in doubt.
func (p Policy) inDoubt(r *Request) durable.Policy {
	if chosen, ok := policies[p.Choices.Of(r.Method, r.Scheme, r.Authority)]; ok {
		return chosen
	}
	if r.repeatable() {
		return durable.Retry
	}
	return p.InDoubt
}
