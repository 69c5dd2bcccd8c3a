package logparse

import (
	"bytes"
	"time"
)

// What ships logs writes one JSON object per line, with the text in one of its members:
//
//	{"labels":{"pod":"x"},"line":"text","timestamp":"2026-11-23T21:09:31Z"}                    logcli -o jsonl, Grafana
//	{"@timestamp":"…","log":"text","stream":"stderr","kubernetes":{"pod_name":"x"}}            Fluent Bit
//	{"@timestamp":"…","message":"text","host":{"name":"web01"},"container":{"name":"x"}}       Filebeat, Logstash
//	{"file":"/var/log/x","host":"web01","message":"text","source_type":"file","timestamp":…}   Vector
//
// Clients log such objects, too. Theirs have a level, and most a "msg"; a shipper's have neither, or a member that no
// client has.

// An envelope has those members of a carrier's object that matter, as they stand.
type envelope struct {
	log, message, line, journalMessage []byte
	time, timestamp, at, date          []byte
	stream, logtag, labels             []byte
	level, shipper                     bool
	names                              processNames
	journal                            journalRecord
}

// object yields what is in a line that is a JSON object, if a carrier wrote it.
func (u *unwrapper) object(p *payload, depth int, yield func(payload)) bool {
	text := p.text
	if text[0] == recordSeparator {
		text = text[1:]
	}
	if bytes.HasPrefix(text, []byte(`{"level":`)) {
		return false
	}
	var e envelope
	u.layers[depth].names = u.layers[depth].names[:0]
	if !u.open(&e, text, depth) {
		return false
	}
	switch {
	case e.journalMessage != nil:
		return e.journal.marked && u.journalObject(p, &e, depth, yield)
	case e.isDocker():
		return u.shipped(p, &e, e.log, depth, yield)
	case isString(e.line) && (e.timestamp != nil || e.labels != nil):
		return u.shipped(p, &e, e.line, depth, yield)
	case e.level && !e.shipper:
		return false
	case e.shipper || isString(e.log) && e.date != nil:
		return u.shipped(p, &e, firstString(e.log, e.message), depth, yield)
	}
	return false
}

// isDocker reports whether e has what Docker and the readers of its files write.
func (e *envelope) isDocker() bool {
	return isString(e.log) && isString(e.stream) && isString(e.time)
}

// firstString returns the first of two values that is a string.
func firstString(a, b []byte) []byte {
	if isString(a) {
		return a
	}
	return b
}

// open reads the members of a line. It reports false if it is no object, or a client's.
func (u *unwrapper) open(e *envelope, text []byte, depth int) bool {
	w := walk(text)
	for {
		key, value, ok := w.next()
		if !ok {
			return w.closed
		}
		switch {
		case string(key) == "msg":
			return false
		case len(key) > 0 && (key[0] == '_' || key[0] >= 'A' && key[0] <= 'Z'):
			u.journalMember(e, key, value, depth)
		default:
			u.member(e, key, value, depth)
		}
	}
}

// member takes a member of an object into e.
func (u *unwrapper) member(e *envelope, key, value []byte, depth int) {
	switch string(key) {
	case "log":
		e.log = value
		if path := memberOf(memberOf(value, "file"), "path"); path != nil {
			e.names.set([]byte("filename"), u.name(depth, path))
		}
	case "message":
		e.message = value
	case "line":
		e.line = value
	case "time":
		e.time = value
	case "timestamp", "ts":
		e.timestamp = value
	case "@timestamp":
		e.at, e.shipper = value, true
	case "date":
		e.date = value
	case "stream":
		e.stream = value
	case "logtag":
		e.logtag = value
	case "level":
		e.level = true
	case "labels":
		e.labels = value
		u.nameMembers(&e.names, value, depth)
	case "kubernetes":
		e.shipper = e.shipper || len(value) > 0 && value[0] == '{'
		u.nameMembers(&e.names, value, depth)
	case "source_type":
		e.shipper = true
	case "attrs", "systemd":
		u.nameMembers(&e.names, value, depth)
	default:
		u.nameMember(&e.names, key, value, depth)
	}
}

// nameMembers takes the names in an object.
func (u *unwrapper) nameMembers(names *processNames, object []byte, depth int) {
	if len(object) == 0 || object[0] != '{' {
		return
	}
	for w := walk(object); ; {
		key, value, ok := w.next()
		if !ok {
			return
		}
		u.nameMember(names, key, value, depth)
	}
}

// nameMember takes a name, which may be in an object with more about what it names.
func (u *unwrapper) nameMember(names *processNames, key, value []byte, depth int) {
	if len(value) > 0 && value[0] == '{' {
		value = memberOf(value, "name")
	}
	if isString(value) {
		names.set(key, u.name(depth, value))
	}
}

// name returns the text of a string, nil if it is none.
func (u *unwrapper) name(depth int, value []byte) []byte {
	if isString(value) && bytes.IndexByte(value, '\\') < 0 {
		return value[1 : len(value)-1]
	}
	b := &u.layers[depth]
	start := len(b.names)
	decoded, ok := appendString(b.names, value)
	if !ok {
		return nil
	}
	b.names = decoded
	return decoded[start:]
}

// shipped yields the lines of a value, which is a carrier's text.
func (u *unwrapper) shipped(p *payload, e *envelope, value []byte, depth int, yield func(payload)) bool {
	b := &u.layers[depth]
	decoded, ok := appendString(b.decoded[:0], value)
	b.decoded = decoded
	if !ok {
		return false
	}
	if t := u.timeOf(e, depth); !t.IsZero() {
		p.time = t
	}
	u.from(p, &e.names, depth)
	return u.lines(p, decoded, u.unended(e, depth), depth, yield)
}

// unended reports whether a text without a line end goes on in the next record. Only Docker keeps the line end.
func (u *unwrapper) unended(e *envelope, depth int) bool {
	if e.logtag != nil {
		return string(u.name(depth, e.logtag)) == "P"
	}
	return e.isDocker() && !e.shipper && e.date == nil
}

// A processNames has what labels and the like say about where a process runs.
type processNames struct {
	host, namespace, pod, container []byte
	unit                            []byte
	rank                            int // how well unit names the process; the lower, the better, from 1
}

// unitNames are the names of what may stand for a unit, the best first.
var unitNames = []string{
	"unit", "systemd_unit", "syslog_identifier", "tag", "service", "service_name", "compose_service", "app", "job",
	"filename", "file",
}

// set takes a label.
func (n *processNames) set(name, value []byte) {
	switch string(name) {
	case "host", "hostname", "node", "nodename", "node_name":
		n.host = value
	case "namespace", "namespace_name":
		n.namespace = value
	case "pod", "pod_name":
		n.pod = value
	case "container", "container_name":
		n.container = value
	default:
		n.setUnit(name, value)
	}
}

// setUnit takes a label that may name the unit.
func (n *processNames) setUnit(name, value []byte) {
	for i, unit := range unitNames {
		if unit == string(name) && (n.rank == 0 || i < n.rank-1) {
			n.unit, n.rank = value, i+1
		}
	}
}

// from says that p is from the process that the carrier at hand names: a container in a pod, or else a unit.
func (u *unwrapper) from(p *payload, n *processNames, depth int) {
	unit := n.container
	if len(n.pod) > 0 {
		b := &u.layers[depth]
		start := len(b.names)
		for _, name := range [][]byte{n.namespace, n.pod, n.container} {
			if len(name) > 0 {
				b.names = append(append(b.names, name...), '/')
			}
		}
		unit = b.names[start : len(b.names)-1]
	}
	if len(unit) == 0 {
		unit = n.unit
	}
	u.identify(p, n.host, unit, 0)
}

// timeOf returns the time of an object: the one that is likely the closest to the program's, if there are several.
func (u *unwrapper) timeOf(e *envelope, depth int) time.Time {
	for _, value := range [][]byte{e.time, e.timestamp, e.at, e.date} {
		if isString(value) {
			value = u.name(depth, value)
		}
		if t := anyTime(value); !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}
