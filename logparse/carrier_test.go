package logparse

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// An unwrapped is a payload that can be kept and compared.
type unwrapped struct {
	Text, Time, Host, Unit string
	PID                    int
	Partial, Carried       bool
}

var presentDay = time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)

// newUnwrapper returns an unwrapper that does not depend on this machine's clock.
func newUnwrapper() *unwrapper { return &unwrapper{now: presentDay, loc: time.UTC} }

// payloads returns what u yields for the lines of text, and each one's stream.
func payloads(u *unwrapper, text string) (all []unwrapped, streams []string) {
	keep := func(p payload) {
		w := unwrapped{string(p.text), "", p.host, p.unit, p.pid, p.partial, p.carried}
		if !p.time.IsZero() {
			w.Time = p.time.Format(time.RFC3339Nano)
		}
		all = append(all, w)
		streams = append(streams, string(p.stream))
	}
	for line := range strings.SplitSeq(text, "\n") {
		u.unwrap([]byte(line), keep)
	}
	u.end(keep)
	return all, streams
}

// exportBinary returns a field of journalctl -o export with its length.
func exportBinary(name, value string) string {
	n := len(value)
	return name + "\n" + string([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, 0, 0, 0, 0}) + value + "\n"
}

var unwrapTests = map[string]struct {
	in   string
	want []unwrapped
}{
	"plain":           {"2026/11/23 21:08:23 [INFO] a", []unwrapped{{Text: "2026/11/23 21:08:23 [INFO] a"}}},
	"plain empty":     {"", []unwrapped{{}}},
	"plain CRLF":      {"a\r\n\r", []unwrapped{{Text: "a"}, {}}},
	"plain with a CR": {"10%\r20%", []unwrapped{{Text: "10%\r20%"}}},
	"plain JSON body": {`  "status": "pending",`, []unwrapped{{Text: `  "status": "pending",`}}},
	"plain Certbot":   {"2026-11-23 20:41:11,221:DEBUG:acme.client:x", []unwrapped{{Text: "2026-11-23 20:41:11,221:DEBUG:acme.client:x"}}},
	"plain slog":      {"time=2026-11-23T21:09:06.426Z level=INFO msg=x", []unwrapped{{Text: "time=2026-11-23T21:09:06.426Z level=INFO msg=x"}}},
	"plain Traefik":   {"2026-11-23T21:27:22Z INF Starting: x", []unwrapped{{Text: "2026-11-23T21:27:22Z INF Starting: x"}}},
	"plain time only": {"2026-11-23T21:27:22Z", []unwrapped{{Text: "2026-11-23T21:27:22Z"}}},
	"plain time":      {"2026-11-23T21:27:22.123456Z a message", []unwrapped{{Text: "2026-11-23T21:27:22.123456Z a message"}}},
	"plain table":     {"name | value", []unwrapped{{Text: "name | value"}}},
	"plain month":     {"Nov 23 was a day", []unwrapped{{Text: "Nov 23 was a day"}}},
	"plain wrong day": {"Nov 33 21:08:23 web01 lego: x", []unwrapped{{Text: "Nov 33 21:08:23 web01 lego: x"}}},
	"plain not month": {"Now 23 21:08:23 web01 lego: x", []unwrapped{{Text: "Now 23 21:08:23 web01 lego: x"}}},
	"plain pod":       {"[pod/x] text", []unwrapped{{Text: "[pod/x] text"}}},
	"plain acme.sh":   {"[Mon Nov 23 21:07:36 UTC 2026] x", []unwrapped{{Text: "[Mon Nov 23 21:07:36 UTC 2026] x"}}},

	"colours":              {"\x1b[36mINFO\x1b[0m\tx", []unwrapped{{Text: "INFO\tx", Carried: true}}},
	"title":                {"\x1b]0;title\x07a\x1b]8;;https://x/\x1b\\b\x1bPq\x1b\\c", []unwrapped{{Text: "abc", Carried: true}}},
	"character set":        {"\x1b(Ba\x1b=b\x1bMc", []unwrapped{{Text: "abc", Carried: true}}},
	"unended sequences":    {"a\x1b]0;b\x1b[12\x00c\x1b", []unwrapped{{Text: "a0;b12\x00c", Carried: true}}},
	"escape before return": {"a\r\x1b[0m\r", []unwrapped{{Text: "a", Carried: true}}},

	"syslog": {"Nov 23 21:08:23 web01 lego[4242]: a  b", []unwrapped{
		{Text: "a  b", Time: "2026-11-23T21:08:23Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"syslog, day of one digit": {"Nov  3 01:08:23 web01 lego: a", []unwrapped{
		{Text: "a", Time: "2026-11-03T01:08:23Z", Host: "web01", Unit: "lego", Carried: true}}},
	"syslog, tomorrow is this year": {"Nov 25 01:59:59 h x: a", []unwrapped{
		{Text: "a", Time: "2026-11-25T01:59:59Z", Host: "h", Unit: "x", Carried: true}}},
	"syslog, later is last year": {"Nov 25 02:00:01 h x: a", []unwrapped{
		{Text: "a", Time: "2025-11-25T02:00:01Z", Host: "h", Unit: "x", Carried: true}}},
	"syslog, leap day": {"Feb 29 02:00:01 h x: a", []unwrapped{
		{Text: "a", Time: "2024-02-29T02:00:01Z", Host: "h", Unit: "x", Carried: true}}},
	"syslog, one day and another": {"Nov 23 21:08:23 h x: a\nNov 23 21:08:24 h x: b\nNov 23 21:08:24.5 h x: c", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Host: "h", Unit: "x", Carried: true},
		{Text: "b", Time: "2026-11-23T21:08:24Z", Host: "h", Unit: "x", Carried: true},
		{Text: "c", Time: "2026-11-23T21:08:24.5Z", Host: "h", Unit: "x", Carried: true}}},
	"syslog, no such day": {"Feb 30 02:00:01 h x: a", []unwrapped{{Text: "a", Host: "h", Unit: "x", Carried: true}}},
	"syslog with priority": {"<34>Nov 23 21:08:23 web01 lego[4242]: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"syslog, empty": {"Nov 23 21:08:23 web01 lego[4242]: \nNov 23 21:08:23 web01 lego[4242]:", []unwrapped{
		{Time: "2026-11-23T21:08:23Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true},
		{Time: "2026-11-23T21:08:23Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"syslog, indented text": {"Nov 23 21:08:23 web01 lego[4242]:   {", []unwrapped{
		{Text: "  {", Time: "2026-11-23T21:08:23Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"syslog without a tag": {"Nov 23 21:08:23 web01 last message", []unwrapped{
		{Text: "last message", Time: "2026-11-23T21:08:23Z", Host: "web01", Carried: true}}},
	"syslog without a host": {"Nov 23 21:08:23 lego[7]: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Unit: "lego", PID: 7, Carried: true}}},
	"syslog, repeated": {"Nov 23 21:08:23 h lego[7]: message repeated 2 times: [ a]", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Host: "h", Unit: "lego", PID: 7, Carried: true}}},
	"syslog, escapes": {"Nov 23 21:08:23 h x: a#011b#015#012#033[1mc#033[0m #999 #080 #077 #200 #12", []unwrapped{
		{Text: "a\tb", Time: "2026-11-23T21:08:23Z", Host: "h", Unit: "x", Carried: true},
		{Text: "c #999 #080 #077 #200 #12", Time: "2026-11-23T21:08:23Z", Host: "h", Unit: "x", Carried: true}}},
	"syslog, IPv6 host": {"Nov 23 21:08:23 fe80::1 x: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Host: "fe80::1", Unit: "x", Carried: true}}},
	"rsyslog": {"2026-11-23T21:08:23.123456+01:00 web01 lego[4242]: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T20:08:23.123456Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"rsyslog without a process": {"2026-11-23T21:08:23.123456-03:30 web01 lego: a", []unwrapped{
		{Text: "a", Time: "2026-11-24T00:38:23.123456Z", Host: "web01", Unit: "lego", Carried: true}}},
	"RFC 5424": {"<165>1 2026-11-23T21:08:23.003Z web01 lego 4242 ID47 [a@1 b=\"x]\\\"\"][c] \xef\xbb\xbftext", []unwrapped{
		{Text: "text", Time: "2026-11-23T21:08:23.003Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"RFC 5424, nil values": {"<165>1 - - - - - -", []unwrapped{{Carried: true}}},
	"RFC 5424, not":        {"<165>1 - - - - - [a", []unwrapped{{Text: "<165>1 - - - - - [a"}}},

	"short-precise": {"Nov 23 21:08:23.123456 web01 lego[4242]: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23.123456Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"short-iso": {"2026-11-23T21:08:23+0100 web01 lego[4242]: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T20:08:23Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"short-full": {"Mon 2026-11-23 21:08:23 UTC web01 lego[4242]: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Host: "web01", Unit: "lego", PID: 4242, Carried: true}}},
	"with-unit": {"Mon 2026-11-23 21:08:23 UTC web01 user@0.service/lego.service[4242]: a", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Host: "web01", Unit: "user@0.service/lego.service", PID: 4242, Carried: true}}},
	"journalctl, more lines": {"Nov 23 21:08:23 h x[1]: a\n" + strings.Repeat(" ", 24) + "  b\n" + strings.Repeat(" ", 23) + "c\n" +
		strings.Repeat(" ", 24) + "d", []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23Z", Host: "h", Unit: "x", PID: 1, Carried: true},
		{Text: "  b", Time: "2026-11-23T21:08:23Z", Host: "h", Unit: "x", PID: 1, Carried: true},
		{Text: strings.Repeat(" ", 23) + "c"},
		{Text: strings.Repeat(" ", 24) + "d"}}},

	"journal": {`{"__CURSOR":"s=1","_HOSTNAME":"web01","_SYSTEMD_UNIT":"lego.service","_PID":"7","SYSLOG_IDENTIFIER":"lego",` +
		`"__REALTIME_TIMESTAMP":"1795468103123456","MESSAGE":"a\tb\nc"}`, []unwrapped{
		{Text: "a\tb", Time: "2026-11-23T21:08:23.123456Z", Host: "web01", Unit: "lego.service", PID: 7, Carried: true},
		{Text: "c", Time: "2026-11-23T21:08:23.123456Z", Host: "web01", Unit: "lego.service", PID: 7, Carried: true}}},
	"journal, json-seq": {"\x1e" + `{"_HOSTNAME":"h","MESSAGE":""}`, []unwrapped{{Host: "h", Carried: true}}},
	"journal, bytes": {`{"MESSAGE":[27,91,49,109, 97 ,10,255],"_HOSTNAME":"h"}`, []unwrapped{
		{Text: "a", Host: "h", Carried: true}, {Text: "\xff", Host: "h", Carried: true}}},
	"journal, several": {`{"MESSAGE":["a",[98,99]],"_HOSTNAME":"h"}`, []unwrapped{
		{Text: "a", Host: "h", Carried: true}, {Text: "bc", Host: "h", Carried: true}}},
	"journal, too long":  {`{"MESSAGE":null,"_HOSTNAME":"h"}`, nil},
	"journal, no bytes":  {`{"MESSAGE":[256],"_HOSTNAME":"h"}`, []unwrapped{{Text: `{"MESSAGE":[256],"_HOSTNAME":"h"}`}}},
	"journal, not":       {`{"MESSAGE":"a"}`, []unwrapped{{Text: `{"MESSAGE":"a"}`}}},
	"journal, container": {`{"MESSAGE":"a","_HOSTNAME":"h","_SYSTEMD_UNIT":"docker.service","CONTAINER_NAME":"x","CONTAINER_PARTIAL_MESSAGE":"true"}`, []unwrapped{{Text: "a", Host: "h", Unit: "x", Partial: true, Carried: true}}},
	"journal, systemd": {`{"MESSAGE":"a","_HOSTNAME":"h","_SYSTEMD_UNIT":"init.scope","UNIT":"lego.service","_PID":"1"}`, []unwrapped{
		{Text: "a", Host: "h", Unit: "lego.service", PID: 1, Carried: true}}},

	"export": {"__CURSOR=s\n__REALTIME_TIMESTAMP=1795468103123456\n_HOSTNAME=h\n_PID=7\nSYSLOG_IDENTIFIER=x\nMESSAGE=a=b\n\nplain", []unwrapped{
		{Text: "a=b", Time: "2026-11-23T21:08:23.123456Z", Host: "h", Unit: "x", PID: 7, Carried: true}, {Text: "plain"}}},
	"export, binary": {"__CURSOR=s\n" + exportBinary("MESSAGE", "a\n\nb\n") + exportBinary("X", "\x00\n=") + "_HOSTNAME=h\n\n__CURSOR=t\nMESSAGE=c", []unwrapped{
		{Text: "a", Host: "h", Carried: true}, {Host: "h", Carried: true}, {Text: "b", Host: "h", Carried: true}, {Text: "c", Carried: true}}},
	// The length of ten bytes is written as a line end.
	"export, ten bytes":   {"__CURSOR=s\n" + exportBinary("MESSAGE", "0123\n56789") + "\n", []unwrapped{{Text: "0123", Carried: true}, {Text: "56789", Carried: true}, {}}},
	"export, no message":  {"__CURSOR=s\n_HOSTNAME=h\n\nx", []unwrapped{{Text: "x"}}},
	"export, no end":      {"__CURSOR=s\nMESSAGE=a\n__CURSOR=t\nMESSAGE=b\nnot a field", []unwrapped{{Text: "a", Carried: true}, {Text: "b", Carried: true}, {Text: "not a field"}}},
	"export, cut":         {"__CURSOR=s\nMESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00ab", []unwrapped{{Text: "ab", Carried: true}}},
	"export, bad length":  {"__CURSOR=s\nERROR\n12345678 text", []unwrapped{{Text: " text"}}},
	"export, more follow": {"__CURSOR=s\nX\n\x01\x00\x00\x00\x00\x00\x00\x00abc", []unwrapped{{Text: "bc"}}},

	"Docker": {`{"log":"a\n","stream":"stderr","time":"2026-11-23T21:09:31.021231403Z"}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:09:31.021231403Z", Carried: true}}},
	"Docker, escapes": {`{"log":"\"\\\/\b\f\r\t\u00e9\u003c\ud83d\ude00\ud83d\u0041\udc00\r\n","stream":"stderr","time":""}`, []unwrapped{
		{Text: "\"\\/\b\f\r\té<😀\ufffdA\ufffd", Carried: true}}},
	"Docker, in pieces": {`{"log":"a","stream":"stderr","time":""}` + "\n" + `{"log":"{\"log\":\"b\n","stream":"stderr","time":""}`, []unwrapped{
		{Text: "a", Partial: true, Carried: true}, {Text: `{"log":"b`, Carried: true}}},
	"Docker, a piece like a carrier's": {`{"log":"web-1  | a","stream":"stderr","time":""}`, []unwrapped{{Text: "web-1  | a", Partial: true, Carried: true}}},
	"Docker, tag":                      {`{"log":"a\n","stream":"stderr","attrs":{"tag":"web\/1"},"time":""}`, []unwrapped{{Text: "a", Unit: "web/1", Carried: true}}},
	"Docker, spaces and duplicates": {` {"log":"x"}` + "\n" + `{ "log" : "x" , "stream" : "stderr", "log":"a\n", "time" : "" } `, []unwrapped{
		{Text: ` {"log":"x"}`}, {Text: "a", Carried: true}}},
	"Docker, cut":        {`{"log":"a\n","stream":"stderr","time":"2026-11-`, []unwrapped{{Text: `{"log":"a\n","stream":"stderr","time":"2026-11-`}}},
	"Docker, bad escape": {`{"log":"a\x","stream":"stderr","time":""}`, []unwrapped{{Text: `{"log":"a\x","stream":"stderr","time":""}`}}},
	"Docker, more after": {`{"log":"a","stream":"stderr","time":""} b`, []unwrapped{{Text: `{"log":"a","stream":"stderr","time":""} b`}}},
	"Docker, not UTF-8":  {"{\"log\":\"\xff\\n\",\"stream\":\"stderr\",\"time\":\"\"}", []unwrapped{{Text: "\xff", Carried: true}}},
	"CRI":                {"2026-11-23T21:09:31.02Z stderr F  a", []unwrapped{{Text: " a", Time: "2026-11-23T21:09:31.02Z", Carried: true}}},
	"CRI, in pieces": {"2026-11-23T21:09:31.02+01:00 stdout P:x a\n2026-11-23T21:09:31.02Z stdout F", []unwrapped{
		{Text: "a", Time: "2026-11-23T20:09:31.02Z", Partial: true, Carried: true}, {Time: "2026-11-23T21:09:31.02Z", Carried: true}}},
	"CRI, not":   {"2026-11-23T21:09:31.02Z stderr X a", []unwrapped{{Text: "2026-11-23T21:09:31.02Z stderr X a"}}},
	"timestamps": {"2026-11-23T21:09:31.021231403Z web01 lego[1]: a", []unwrapped{{Text: "web01 lego[1]: a", Time: "2026-11-23T21:09:31.021231403Z", Carried: true}}},
	"compose": {"web-1  | a\n\x1b[36mlego    | \x1b[0m| b\nx.1.z@node    |\nlego  |a", []unwrapped{
		{Text: "a", Unit: "web-1", Carried: true}, {Text: "| b", Unit: "lego", Carried: true}, {Unit: "x.1.z@node", Carried: true}, {Text: "lego  |a"}}},
	"kubectl": {"[pod/lego-0/lego] [INFO] a\n[pod/a b/c] d", []unwrapped{
		{Text: "[INFO] a", Unit: "lego-0/lego", Carried: true}, {Text: "[pod/a b/c] d"}}},

	"logcli": {`2026-11-23T21:09:31+01:00 {job="a b", pod="x\"}", host="h"}   text` + "\n" + `2026-11-23T21:09:31Z {} {"level":1}` + "\n" + `2026-11-23T21:09:31Z {"level":1}`, []unwrapped{
		{Text: "text", Time: "2026-11-23T20:09:31Z", Host: "h", Unit: `x\"}`, Carried: true},
		{Text: `{"level":1}`, Time: "2026-11-23T21:09:31Z", Carried: true},
		{Text: `2026-11-23T21:09:31Z {"level":1}`}}},
	"Loki": {`{"labels":{"app":"x","namespace":"n","pod":"p","container":"c","node_name":"h"},"line":"a","timestamp":"2026-11-23T21:09:31.5Z"}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:09:31.5Z", Host: "h", Unit: "n/p/c", Carried: true}}},
	"Loki, nanoseconds": {`{"line":"a","timestamp":"1795468103123456789","labels":{"job":"j","filename":"/f"}}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:08:23.123456789Z", Unit: "j", Carried: true}}},
	"Fluent Bit": {`{"@timestamp":"2026-11-23T21:09:31.5Z","log":"a","stream":"stderr","time":"2026-11-23T21:09:30Z","level":"x","kubernetes":{"pod_name":"p","container_name":"c","host":"h"}}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:09:30Z", Host: "h", Unit: "p/c", Carried: true}}},
	"a client's log member": {`{"date":1795468103.5,"level":"x","log":"a"}`, []unwrapped{{Text: `{"date":1795468103.5,"level":"x","log":"a"}`}}},
	"Fluent Bit, seconds":   {`{"date":1795468103.5,"log":"a"}`, []unwrapped{{Text: "a", Time: "2026-11-23T21:08:23.5Z", Carried: true}}},
	"Fluent Bit, in pieces": {`{"date":1795468103123,"log":"a","stream":"stderr","logtag":"P","time":"-"}`, []unwrapped{{Text: "a", Time: "2026-11-23T21:08:23.123Z", Partial: true, Carried: true}}},
	"Filebeat": {`{"@timestamp":"2026-11-23T21:09:31.5Z","log":{"file":{"path":"\/f"}},"message":"a","host":{"name":"h"}}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:09:31.5Z", Host: "h", Unit: "/f", Carried: true}}},
	"Filebeat, Kubernetes": {`{"@timestamp":"2026-11-23T21:09:31Z","message":"a","kubernetes":{"pod":{"name":"p"},"container":{"name":"c"}}}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:09:31Z", Unit: "p/c", Carried: true}}},
	"Vector": {`{"file":"/f","host":"h","message":"a","source_type":"file","timestamp":"2026-11-23T21:09:31Z"}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:09:31Z", Host: "h", Unit: "/f", Carried: true}}},
	"a client's JSON": {`{"ts":1,"level":"info","msg":"a","@timestamp":"x","message":"y"}` + "\n" + `{"time":"2026-11-23T21:09:31Z","message":"a","level":"x"}`, []unwrapped{
		{Text: `{"ts":1,"level":"info","msg":"a","@timestamp":"x","message":"y"}`}, {Text: `{"time":"2026-11-23T21:09:31Z","message":"a","level":"x"}`}}},
	"an order": {`{"status":"pending","identifiers":[]}` + "\n{}\n{", []unwrapped{{Text: `{"status":"pending","identifiers":[]}`}, {Text: "{}"}, {Text: "{"}}},

	"Loki, Kubernetes, Docker, syslog": {`{"line":"2026-11-23T21:09:30Z stdout F {\"log\":\"Nov 23 21:09:29 web01 lego[4]: a\\n\",\"stream\":\"stdout\",\"time\":\"\"}","labels":{"pod":"p","host":"h"},"timestamp":"2026-11-23T21:09:31Z"}`, []unwrapped{
		{Text: "a", Time: "2026-11-23T21:09:29Z", Host: "web01", Unit: "lego", PID: 4, Carried: true}}},
	"the outer's stays": {`[pod/p/c] 2026-11-23T21:09:31.021231403Z ` + "\x1b[1mx", []unwrapped{
		{Text: "x", Time: "2026-11-23T21:09:31.021231403Z", Unit: "p/c", Carried: true}}},
	"five carriers": {strings.Repeat("web-1  | ", 5) + "\x1b[1mx", []unwrapped{{Text: "web-1  | x", Unit: "web-1", Carried: true}}},
}

func TestUnwrap(t *testing.T) {
	for name, test := range unwrapTests {
		t.Run(name, func(t *testing.T) {
			got, _ := payloads(newUnwrapper(), test.in)
			require.Equal(t, test.want, got)
		})
	}
}

// TestUnwrapStreams compares the streams of several lines with those wanted, which are numbered.
func TestUnwrapStreams(t *testing.T) {
	for name, test := range map[string]struct {
		in   []string
		want []int
	}{
		"plain":     {[]string{"a", "b"}, []int{0, 0}},
		"syslog":    {[]string{"Nov 23 21:08:23 h x[1]: a", "Nov 23 21:08:24 h x[2]: a", "Nov 24 01:08:25 h x[1]: b", "Nov 24 01:08:25 g x[1]: b", "Nov 24 01:08:25 h y[1]: b"}, []int{1, 2, 1, 3, 4}},
		"more":      {[]string{"Nov 23 21:08:23 h x[1]: a", strings.Repeat(" ", 24) + "web-1  | a", strings.Repeat(" ", 24) + "b"}, []int{1, 2, 1}},
		"journal":   {[]string{`{"_HOSTNAME":"h","_PID":"1","MESSAGE":"web-1  | a\nb"}`, `{"_HOSTNAME":"h","_PID":"2","MESSAGE":"a"}`, "Nov 23 21:08:23 h x[1]: a"}, []int{1, 2, 3, 4}},
		"docker":    {[]string{`{"log":"a\n","stream":"stderr","time":""}`, "b"}, []int{0, 0}},
		"compose":   {[]string{"web-1  | a", "web-2  | a", "web-1  | b"}, []int{1, 2, 1}},
		"nested":    {[]string{"web-1  | Nov 23 21:08:23 h x[1]: a", "web-2  | Nov 23 21:08:23 h x[1]: a", "Nov 23 21:08:23 h x[1]: a"}, []int{1, 2, 3}},
		"namespace": {[]string{`{"line":"a","labels":{"namespace":"n","pod":"p"}}`, `{"line":"a","labels":{"namespace":"m","pod":"p"}}`}, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			_, streams := payloads(newUnwrapper(), strings.Join(test.in, "\n"))
			numbers := map[string]int{"": 0}
			var got []int
			for _, s := range streams {
				if _, ok := numbers[s]; !ok {
					numbers[s] = len(numbers)
				}
				got = append(got, numbers[s])
			}
			require.Equal(t, test.want, got)
		})
	}
}

// logLines returns the lines of a file, decompressed.
func logLines(t *testing.T, name string) (lines []string) {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	d := newDecompressor(f)
	defer d.Close()
	s := bufio.NewScanner(d)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	require.NoError(t, s.Err())
	return lines
}

// TestUnwrapRecorded unwraps logs of real clients that were wrapped, which gives the logs.
func TestUnwrapRecorded(t *testing.T) {
	for dir, log := range map[string]string{
		"caddy/default-stderr-json-info": "caddy-stderr.log",
		"caddy/console-info":             "caddy-stderr.log",
		"lego/5.6.0-text-log":            "lego.log",
		"lego/5.6.0-json-log-debug":      "lego.log",
		"lego/4.35.2-one-of-four-fails":  "lego.log",
		"traefik/common-debug":           "traefik.log",
	} {
		for _, wrapped := range []string{"journal.txt", "docker-json.log"} {
			t.Run(dir+"/"+wrapped, func(t *testing.T) {
				logs := path.Join("testdata", dir, "logs")
				plain, _ := payloads(newUnwrapper(), strings.Join(logLines(t, path.Join(logs, log)), "\n"))
				require.Greater(t, len(plain), 10)
				got, _ := payloads(newUnwrapper(), strings.Join(logLines(t, path.Join(logs, wrapped)), "\n"))
				require.Equal(t, texts(plain), texts(got))
				require.Equal(t, strings.HasPrefix(wrapped, "journal"), got[0].Host == "web01" && got[0].PID == 4242)
				require.True(t, strings.HasPrefix(got[0].Time, "2026-11-23T21:"), got[0].Time)
			})
		}
	}
}

// TestUnwrapJournalctl unwraps the same messages out of each format that journalctl wrote them in.
func TestUnwrapJournalctl(t *testing.T) {
	exact := []string{"first line", `  indented {"a": "b"}`, "INFO\tcoloured", "multi", "  line", "", "end", "0123", "56789",
		"bytes \xff\x01"}
	// For a terminal, journalctl expands tabs and hides what is no text.
	shown := slices.Clone(exact)
	shown[2], shown[9] = "INFO        coloured", "[8B blob data]"
	for format, want := range map[string][]string{
		"short": shown, "short-precise": shown, "short-iso": shown, "short-iso-precise": shown, "short-full": shown,
		"with-unit": shown, "no-hostname": shown,
		"json": exact, "json-seq": exact, "export": append(slices.Clone(exact), strings.Repeat("z", 5000)),
	} {
		t.Run(format, func(t *testing.T) {
			data, err := os.ReadFile("testdata/carriers/journalctl/" + format + ".txt")
			require.NoError(t, err)
			got, streams := payloads(newUnwrapper(), strings.TrimSuffix(string(data), "\n"))
			require.Equal(t, want, texts(got))
			require.NotEqual(t, streams[0], streams[3])
			for i, p := range got {
				require.Equal(t, format != "no-hostname", p.Host == "web01", p)
				require.Contains(t, []string{"lego", "big"}, p.Unit)
				process := min(i/3, 1)
				require.Equal(t, 29336+process, p.PID)
				require.Equal(t, p.Unit == "lego", streams[i] == streams[3*process])
				require.Regexp(t, `^2026-11-24T02:48:58(\.\d+)?Z$`, p.Time)
			}
		})
	}
}

// texts returns the text of each payload.
func texts(all []unwrapped) (s []string) {
	for _, p := range all {
		s = append(s, p.Text)
	}
	return s
}

// TestUnwrapClients shows that no line that a client wrote is taken for a carrier's.
func TestUnwrapClients(t *testing.T) {
	files, lines := 0, 0
	err := fs.WalkDir(os.DirFS("testdata"), ".", func(name string, d fs.DirEntry, err error) error {
		base := path.Base(name)
		if err != nil || d.IsDir() || !strings.Contains(name, "/logs/") || base == "journal.txt" || base == "docker-json.log" {
			return err
		}
		files++
		u := newUnwrapper()
		for _, line := range logLines(t, path.Join("testdata", name)) {
			lines++
			u.unwrap([]byte(line), func(p payload) {
				want := strings.TrimRight(string(stripEscapes(nil, []byte(line))), "\r")
				require.Equal(t, want, string(p.text), name)
				require.Empty(t, p.stream, name)
			})
		}
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, files, 50)
	require.Greater(t, lines, 40_000)
}

// TestUnwrapHostile unwraps lines that are made to cost time or memory.
func TestUnwrapHostile(t *testing.T) {
	const size = 1 << 20
	for name, line := range map[string]string{
		"nested objects": `{"log":` + strings.Repeat(`{"a":`, 100_000),
		"nested arrays":  `{"log":"x","a":` + strings.Repeat("[", size),
		"nested, ended":  `{"log":"x\n","stream":"y","time":"","a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}",
		"backslashes":    `{"log":"` + strings.Repeat(`\`, size),
		"quotes":         `{` + strings.Repeat(`"`, size),
		"members":        `{"log":"x"` + strings.Repeat(`,"labels":{"pod":"x"}`, size/20),
		"escapes":        strings.Repeat("\x1b]", size/2),
		"controls":       "Nov 23 21:08:23 h x: " + strings.Repeat("#01", size/3),
		"line ends":      "Nov 23 21:08:23 h x: " + strings.Repeat("#012", size/4),
		"hashes":         "Nov 23 21:08:23 h x: " + strings.Repeat("#", size),
		"labels":         "2026-11-23T21:09:31Z {" + strings.Repeat(`a="b",`, size/6),
		"bytes":          `{"_HOSTNAME":"h","MESSAGE":[` + strings.Repeat("10,", size/3) + "10]}",
		"structure":      "<1>1 - - - - - " + strings.Repeat("[a]", size/3),
		"name":           strings.Repeat("a", size),
		"blanks":         "a" + strings.Repeat(" ", size),
	} {
		t.Run(name, func(t *testing.T) {
			total := 0
			u := newUnwrapper()
			u.unwrap([]byte(line), func(p payload) { total += len(p.text) })
			u.end(func(payload) { t.Error("a payload after the end") })
			require.LessOrEqual(t, total, len(line))
			require.LessOrEqual(t, memoryOf(u), 4*len(line)+4096)
		})
	}
}

// memoryOf returns how much memory an unwrapper keeps.
func memoryOf(u *unwrapper) (n int) {
	for _, b := range u.layers {
		n += cap(b.decoded) + cap(b.bare) + cap(b.names)
	}
	return n + cap(u.key) + cap(u.export.memory) + cap(u.export.message) + cap(u.export.value) + len(u.names)*maxName
}

// TestUnwrapExportBounded feeds a record that does not end.
func TestUnwrapExportBounded(t *testing.T) {
	var u unwrapper
	yield := func(payload) {}
	u.unwrap([]byte("__CURSOR=s"), yield)
	line := append([]byte("MESSAGE="), bytes.Repeat([]byte("a"), 1<<16)...)
	for range 200 {
		u.unwrap(line, yield)
		u.unwrap([]byte("_HOSTNAME="+strings.Repeat("b", 1<<16)), yield)
	}
	field := []byte("_COMM=" + strings.Repeat("b", maxName))
	for range 64 << 10 {
		u.unwrap(field, yield)
	}
	require.Less(t, memoryOf(&u), 8<<20)
}

// TestNameTableBounded gives a table more names than it holds.
func TestNameTableBounded(t *testing.T) {
	var names nameTable
	for i := range 3 * maxNames {
		name := fmt.Sprint("name", i)
		require.Equal(t, name, names.get([]byte(name)))
	}
	require.LessOrEqual(t, len(names), maxNames)
}

func FuzzUnwrap(f *testing.F) {
	for _, test := range unwrapTests {
		f.Add([]byte(test.in))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		u, last := newUnwrapper(), newUnwrapper()
		yield := func(p payload) {
			if bytes.ContainsAny(p.text, "\x1b\n") || bytes.HasSuffix(p.text, []byte("\r")) {
				t.Errorf("text %q", p.text)
			}
			if len(p.host) > maxName || len(p.unit) > maxName || p.pid < 0 || p.partial && !p.carried {
				t.Errorf("payload %+v", p)
			}
		}
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			before := bytes.Clone(line)
			u.unwrap(line, yield)
			require.Equal(t, before, line, "the line was changed")
			if bytes.ContainsAny(line, "{|[]:=<\x1b") {
				continue
			}
			last.unwrap(line, func(p payload) {
				require.Equal(t, string(bytes.TrimRight(line, "\r")), string(p.text))
				require.False(t, p.carried)
			})
		}
		u.end(yield)
	})
}

// FuzzObjectWalker compares the walk of an object with encoding/json.
func FuzzObjectWalker(f *testing.F) {
	for _, test := range unwrapTests {
		f.Add([]byte(test.in))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var want map[string]json.RawMessage
		if !utf8.Valid(text) || json.Unmarshal(text, &want) != nil || want == nil {
			return
		}
		got := map[string]string{}
		w := walk(text)
		for {
			key, value, ok := w.next()
			if !ok {
				break
			}
			name, ok := appendString(nil, append(append([]byte{'"'}, key...), '"'))
			require.True(t, ok)
			got[string(name)] = string(value)
		}
		require.True(t, w.closed)
		require.Len(t, got, len(want))
		for name, value := range want {
			require.Equal(t, string(bytes.TrimSpace(value)), got[name])
			var s string
			if !isString(value) || json.Unmarshal(value, &s) != nil {
				continue
			}
			decoded, ok := appendString(nil, []byte(got[name]))
			require.True(t, ok)
			require.Equal(t, s, string(decoded))
		}
	})
}

// BenchmarkUnwrap shows what it costs to unwrap the lines of a log.
func BenchmarkUnwrap(b *testing.B) {
	for name, file := range map[string]string{
		"plain":        "testdata/traefik/common-debug/logs/traefik.log",
		"plainJSON":    "testdata/lego/5.6.0-json-log-debug/logs/lego.log",
		"syslog":       "testdata/lego/4.35.2-one-of-four-fails/logs/journal.txt",
		"docker":       "testdata/traefik/common-debug/logs/docker-json.log",
		"dockerOfJSON": "testdata/lego/5.6.0-json-log-debug/logs/docker-json.log",
		"colours":      "testdata/caddy/console-info/logs/caddy-stderr.log",
	} {
		b.Run(name, func(b *testing.B) {
			data, err := os.ReadFile(file)
			if err != nil {
				b.Fatal(err)
			}
			lines := bytes.Split(data, []byte("\n"))
			benchmarkUnwrap(b, lines, len(data))
		})
	}
	b.Run("journal", func(b *testing.B) {
		line := []byte(unwrapTests["journal"].in)
		benchmarkUnwrap(b, [][]byte{line}, len(line))
	})
	b.Run("certbot", func(b *testing.B) {
		line := []byte(unwrapTests["plain Certbot"].in)
		benchmarkUnwrap(b, [][]byte{line}, len(line))
	})
}

func benchmarkUnwrap(b *testing.B, lines [][]byte, size int) {
	u := newUnwrapper()
	total := 0
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		for _, line := range lines {
			u.unwrap(line, func(p payload) { total += len(p.text) })
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(lines)), "ns/line")
}
