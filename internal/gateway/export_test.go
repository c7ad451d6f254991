package gateway

import "github.com/waterbear-run/waterbear/wit"

// SchemaOf is the schema of a type without a document around it.
func SchemaOf(t *wit.Type) map[string]any { return newSchemas().typed(t) }
