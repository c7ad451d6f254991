package wasip2

import "github.com/waterbear-run/waterbear/wit"

var (
	fieldsResource         = &wit.Resource{Name: "fields"}
	incomingRequestHandle  = &wit.Resource{Name: "incoming-request"}
	outgoingRequestHandle  = &wit.Resource{Name: "outgoing-request"}
	requestOptionsHandle   = &wit.Resource{Name: "request-options"}
	responseOutparamHandle = &wit.Resource{Name: "response-outparam"}
	incomingResponseHandle = &wit.Resource{Name: "incoming-response"}
	incomingBodyHandle     = &wit.Resource{Name: "incoming-body"}
	futureTrailersHandle   = &wit.Resource{Name: "future-trailers"}
	outgoingResponseHandle = &wit.Resource{Name: "outgoing-response"}
	outgoingBodyHandle     = &wit.Resource{Name: "outgoing-body"}
	futureResponseHandle   = &wit.Resource{Name: "future-incoming-response"}

	httpMethod = variant("method", part("get", nil), part("head", nil), part("post", nil), part("put", nil),
		part("delete", nil), part("connect", nil), part("options", nil), part("trace", nil), part("patch", nil),
		part("other", tString))
	httpScheme = variant("scheme", part("HTTP", nil), part("HTTPS", nil), part("other", tString))

	headerError = variant("header-error", part("invalid-syntax", nil), part("forbidden", nil), part("immutable", nil))
	tFieldName  = tString
	tFieldValue = tBytes
	tStatus     = tU16
)

// Cases of method and of scheme.
const (
	methodGet   = 0
	methodOther = 9

	schemeHTTP  = 0
	schemeHTTPS = 1
	schemeOther = 2
)

// httpTypes is wasi:http/types.
func httpTypes() interfaceOf {
	i := interfaceOf{
		name: "wasi:http/types",
		resources: []*wit.Resource{
			fieldsResource, incomingRequestHandle, outgoingRequestHandle, requestOptionsHandle, responseOutparamHandle,
			incomingResponseHandle, incomingBodyHandle, futureTrailersHandle, outgoingResponseHandle,
			outgoingBodyHandle, futureResponseHandle,
		},
		functions: []function{
			{name: "http-error-code", typ: fnTo(option(httpErrorCode), param("err", borrow(errorResource))), call: on(errorCodeOfStream)},
		},
	}
	for _, group := range [][]function{
		fieldsFunctions(), requestFunctions(), optionsFunctions(), responseFunctions(), outgoingBodyFunctions(), incomingFunctions(),
	} {
		i.functions = append(i.functions, group...)
	}
	return i
}

func fieldsFunctions() []function {
	fields, name := self(fieldsResource), param("name", tFieldName)
	entries := list(tuple(tFieldName, tFieldValue))
	nothing := result(nil, headerError)
	return []function{
		{name: "[constructor]fields", typ: fnTo(own(fieldsResource)), call: newFields},
		{name: "[static]fields.from-list", typ: fnTo(result(own(fieldsResource), headerError), param("entries", entries)), call: fieldsFromList},
		{name: "[method]fields.get", typ: fnTo(list(tFieldValue), fields, name), call: on(fieldsGet)},
		{name: "[method]fields.has", typ: fnTo(tBool, fields, name), call: on(fieldsHas)},
		{name: "[method]fields.set", typ: fnTo(nothing, fields, name, param("value", list(tFieldValue))), call: on(fieldsSet)},
		{name: "[method]fields.delete", typ: fnTo(nothing, fields, name), call: on(fieldsDelete)},
		{name: "[method]fields.append", typ: fnTo(nothing, fields, name, param("value", tFieldValue)), call: on(fieldsAppend)},
		{name: "[method]fields.entries", typ: fnTo(entries, fields), call: on(fieldsEntries)},
		{name: "[method]fields.clone", typ: fnTo(own(fieldsResource), fields), call: on(fieldsClone)},
	}
}

func requestFunctions() []function {
	request := self(outgoingRequestHandle)
	orNot := result(nil, nil)
	functions := []function{
		{name: "[constructor]outgoing-request", typ: fnTo(own(outgoingRequestHandle), param("headers", own(fieldsResource))), call: newRequest},
		{name: "[method]outgoing-request.body", typ: fnTo(result(own(outgoingBodyHandle), nil), request), call: requestBody},
		{name: "[method]outgoing-request.headers", typ: fnTo(own(fieldsResource), request), call: on(outgoingHeaders)},
	}
	for _, p := range requestParts() {
		functions = append(functions,
			function{name: "[method]outgoing-request." + p.name, typ: fnTo(p.typ, request), call: p.get},
			function{name: "[method]outgoing-request.set-" + p.name, typ: fnTo(orNot, request, param(p.name, p.typ)), call: p.set})
	}
	return functions
}

func optionsFunctions() []function {
	options := self(requestOptionsHandle)
	functions := []function{
		{name: "[constructor]request-options", typ: fnTo(own(requestOptionsHandle)), call: newOptions},
	}
	for i, name := range []string{"connect-timeout", "first-byte-timeout", "between-bytes-timeout"} {
		functions = append(functions,
			function{name: "[method]request-options." + name, typ: fnTo(option(tDuration), options), call: getTimeout(i)},
			function{name: "[method]request-options.set-" + name, typ: fnTo(result(nil, nil), options, param("duration", option(tDuration))), call: setTimeout(i)})
	}
	return functions
}

func responseFunctions() []function {
	response, outparam := self(outgoingResponseHandle), self(responseOutparamHandle)
	outcome := result(own(outgoingResponseHandle), httpErrorCode)
	return []function{
		{name: "[constructor]outgoing-response", typ: fnTo(own(outgoingResponseHandle), param("headers", own(fieldsResource))), call: newResponse},
		{name: "[method]outgoing-response.status-code", typ: fnTo(tStatus, response), call: on(responseStatus)},
		{name: "[method]outgoing-response.set-status-code", typ: fnTo(result(nil, nil), response, param("status-code", tStatus)), call: on(setResponseStatus)},
		{name: "[method]outgoing-response.headers", typ: fnTo(own(fieldsResource), response), call: on(outgoingHeaders)},
		{name: "[method]outgoing-response.body", typ: fnTo(result(own(outgoingBodyHandle), nil), response), call: responseBody},
		{name: "[method]response-outparam.send-informational", typ: fnTo(result(nil, httpErrorCode), outparam, param("status", tStatus), param("headers", own(fieldsResource))), call: sendInformational},
		{name: "[static]response-outparam.set", typ: fn(param("param", own(responseOutparamHandle)), param("response", outcome)), call: setOutparam},
	}
}

func outgoingBodyFunctions() []function {
	return []function{
		{name: "[method]outgoing-body.write", typ: fnTo(result(own(outputStream), nil), self(outgoingBodyHandle)), call: on(writeBody)},
		{
			name: "[static]outgoing-body.finish",
			typ:  fnTo(result(nil, httpErrorCode), param("this", own(outgoingBodyHandle)), param("trailers", option(own(fieldsResource)))),
			call: finishOutgoing,
		},
	}
}

func incomingFunctions() []function {
	request, response, body := self(incomingRequestHandle), self(incomingResponseHandle), self(incomingBodyHandle)
	trailers, future := self(futureTrailersHandle), self(futureResponseHandle)
	consumed := result(own(incomingBodyHandle), nil)
	orError := func(t *wit.Type) *wit.Type { return option(result(result(t, httpErrorCode), nil)) }
	return []function{
		{name: "[method]incoming-request.method", typ: fnTo(httpMethod, request), call: incomingPart(0)},
		{name: "[method]incoming-request.path-with-query", typ: fnTo(option(tString), request), call: incomingPart(1)},
		{name: "[method]incoming-request.scheme", typ: fnTo(option(httpScheme), request), call: incomingPart(2)},
		{name: "[method]incoming-request.authority", typ: fnTo(option(tString), request), call: incomingPart(3)},
		{name: "[method]incoming-request.headers", typ: fnTo(own(fieldsResource), request), call: on(incomingHeaders)},
		{name: "[method]incoming-request.consume", typ: fnTo(consumed, request), call: on(consume)},
		{name: "[method]incoming-response.status", typ: fnTo(tStatus, response), call: on(incomingStatus)},
		{name: "[method]incoming-response.headers", typ: fnTo(own(fieldsResource), response), call: on(incomingHeaders)},
		{name: "[method]incoming-response.consume", typ: fnTo(consumed, response), call: on(consume)},
		{name: "[method]incoming-body.stream", typ: fnTo(result(own(inputStream), nil), body), call: on(readBody)},
		{name: "[static]incoming-body.finish", typ: fnTo(own(futureTrailersHandle), param("this", own(incomingBodyHandle))), call: finishIncoming},
		{name: "[method]future-trailers.subscribe", typ: fnTo(own(pollableResource), trailers), call: subscribe},
		{name: "[method]future-trailers.get", typ: fnTo(orError(option(own(fieldsResource))), trailers), call: on(getTrailers)},
		{name: "[method]future-incoming-response.subscribe", typ: fnTo(own(pollableResource), future), call: subscribe},
		{name: "[method]future-incoming-response.get", typ: fnTo(orError(own(incomingResponseHandle)), future), call: on(getResponse)},
	}
}

// httpOutgoing is wasi:http/outgoing-handler.
func httpOutgoing() interfaceOf {
	return interfaceOf{
		name: "wasi:http/outgoing-handler",
		functions: []function{{
			name: "handle",
			typ: fnTo(result(own(futureResponseHandle), httpErrorCode),
				param("request", own(outgoingRequestHandle)), param("options", option(own(requestOptionsHandle)))),
			call: handleOutgoing,
		}},
	}
}
