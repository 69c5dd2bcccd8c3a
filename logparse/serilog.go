package logparse

import (
	"bytes"
	"time"
)

// Programs for .NET that log with Serilog write files of lines like
//
//	2026-11-23 21:18:41.123 +01:00 [INF] message
//
// where a message may go on in the lines that follow. What is neither text nor a number is in quotes.

const (
	serilogStamp  = "0000-00-00 00:00:00.000"
	serilogZone   = len(serilogStamp) + 1
	serilogLevel  = serilogZone + len("+01:00") + 1
	serilogPrefix = serilogLevel + len("[INF] ")
)

// isSerilog reports whether a line starts as Serilog's do.
func isSerilog(line []byte) bool {
	if len(line) < serilogPrefix || line[4] != '-' || line[10] != ' ' || line[19] != '.' {
		return false
	}
	zone, level := line[serilogZone:], line[serilogLevel:]
	return (zone[0] == '+' || zone[0] == '-') && zone[3] == ':' && level[0] == '[' && level[4] == ']' && level[5] == ' '
}

// serilogTime reads the time of a line that isSerilog reports true for.
func serilogTime(line []byte) (time.Time, bool) {
	t, ok := stamp(line, serilogStamp)
	zone := line[serilogZone:serilogLevel]
	hours, ok1 := digits(zone[1:3])
	minutes, ok2 := digits(zone[4:6])
	if !ok || !ok1 || !ok2 {
		return time.Time{}, false
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if zone[0] == '+' {
		offset = -offset
	}
	return t.Add(offset), true
}

// unquote returns b without the quotes around it, if it has some.
func unquote(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		return b[1 : len(b)-1]
	}
	return b
}

// httpStatus returns the status that .NET calls name ("Created"), zero if it is none that an ACME server answers with.
func httpStatus(name []byte) int {
	if code, ok := digits(name); ok {
		return code
	}
	return httpStatuses[string(name)]
}

var httpStatuses = map[string]int{
	"OK": 200, "Created": 201, "Accepted": 202, "NoContent": 204, "SeeOther": 303, "NotModified": 304,
	"BadRequest": 400, "Unauthorized": 401, "Forbidden": 403, "NotFound": 404, "MethodNotAllowed": 405, "NotAcceptable": 406,
	"RequestTimeout": 408, "Conflict": 409, "Gone": 410, "UnsupportedMediaType": 415, "UnprocessableEntity": 422, "TooManyRequests": 429,
	"InternalServerError": 500, "NotImplemented": 501, "BadGateway": 502, "ServiceUnavailable": 503, "GatewayTimeout": 504,
}
