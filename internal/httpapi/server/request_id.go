package server

import (
	"encoding/hex"
	"net/http"
	"regexp"

	"github.com/google/uuid"
)

// traceparent matches the header of W3C Trace Context and has its version, trace id and parent id.
// A version after 00 may append fields.
var traceparent = regexp.MustCompile(`^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)

// requestID returns the id of a request: the caller's X-Request-Id, else the trace id of its
// traceparent, else a new one. An invalid or repeated header is ignored. Only the parsed id goes on
// to the log and the response, never the caller's text.
func requestID(header http.Header) uuid.UUID {
	if given := header.Values("X-Request-ID"); len(given) == 1 && len(given[0]) == len(uuid.Nil.String()) {
		if id, err := uuid.Parse(given[0]); err == nil && id != uuid.Nil {
			return id
		}
	}
	if given := header.Values("Traceparent"); len(given) == 1 {
		if id := traceID(given[0]); id != uuid.Nil {
			return id
		}
	}
	return uuid.Must(uuid.NewV7())
}

// traceID returns the trace id of a traceparent as a guid, or the zero guid if the traceparent is
// invalid.
func traceID(header string) uuid.UUID {
	fields := traceparent.FindStringSubmatch(header)
	if fields == nil {
		return uuid.Nil
	}
	version, trace, parent, more := fields[1], fields[2], fields[3], fields[4]
	if version == "ff" || version == "00" && more != "" || parent == "0000000000000000" {
		return uuid.Nil
	}
	var id uuid.UUID
	_, _ = hex.Decode(id[:], []byte(trace)) // the expression allows only hexadecimal digits
	return id
}
