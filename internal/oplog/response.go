package oplog

// RequestBody is a piece of the body of an HTTP request that is too long for
// its InvocationAccepted. The pieces lie before that, which names the first.
type RequestBody struct {
	First Index   `json:"first,omitempty"` // the body's first piece; 0: this one
	Bytes Payload `json:"bytes"`
}

func (*RequestBody) kind() *kind { return kindRequestBody }
func (e *RequestBody) fields(c *coder) {
	c.uvarint(&e.First)
	c.bytes((*[]byte)(&e.Bytes))
}

// Response is how the answer begins that an attempt gives to an HTTP request.
type Response struct {
	Status uint64  `json:"status"`
	Fields []Field `json:"fields"`
}

// Field is a field of an HTTP message.
type Field struct {
	Name  string  `json:"name"`
	Value Payload `json:"value"`
}

func (f *Field) fields(c *coder) {
	c.string(&f.Name)
	c.bytes((*[]byte)(&f.Value))
}

func (c *coder) httpFields(p *[]Field) { list(c, p, 2, func(f *Field) { f.fields(c) }) }

func (*Response) kind() *kind { return kindResponse }
func (e *Response) fields(c *coder) {
	c.uvarint(&e.Status)
	c.httpFields(&e.Fields)
}

// ResponseBody is a piece of the body behind it.
type ResponseBody struct {
	Bytes Payload `json:"bytes"`
}

func (*ResponseBody) kind() *kind       { return kindResponseBody }
func (e *ResponseBody) fields(c *coder) { c.bytes((*[]byte)(&e.Bytes)) }

// ResponseEnd is the end of that body.
type ResponseEnd struct {
	Trailers []Field `json:"trailers,omitempty"`
	Failure  string  `json:"failure,omitempty"` // why it is not whole, or ""
}

func (*ResponseEnd) kind() *kind { return kindResponseEnd }
func (e *ResponseEnd) fields(c *coder) {
	c.httpFields(&e.Trailers)
	c.string(&e.Failure)
}

// Equal reports whether two entries say the same.
func Equal(a, b Body) bool {
	if a.kind() != b.kind() {
		return false
	}
	var x, y coder
	a.fields(&x)
	b.fields(&y)
	return string(x.b) == string(y.b)
}
