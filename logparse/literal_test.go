package logparse

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// dump writes a value: strings quoted as Go does, words bare, "~" after what was cut.
func dump(l *literal, r ref) string {
	var b strings.Builder
	dumpTo(&b, l, r)
	return b.String()
}

func dumpTo(b *strings.Builder, l *literal, r ref) {
	sep := ""
	switch {
	case r == 0:
		b.WriteString("none")
	case l.isObject(r):
		b.WriteByte('{')
		for name, value := range l.members(r) {
			fmt.Fprintf(b, "%s%q:", sep, name)
			dumpTo(b, l, value)
			sep = " "
		}
		b.WriteByte('}')
	case l.isArray(r):
		b.WriteByte('[')
		for e := range l.elements(r) {
			b.WriteString(sep)
			dumpTo(b, l, e)
			sep = " "
		}
		b.WriteByte(']')
	case l.isString(r):
		fmt.Fprintf(b, "%q", l.str(r))
	default:
		b.Write(l.raw(r))
	}
	if l.cutStr(r) {
		b.WriteByte('~')
	}
}

func TestLiteral(t *testing.T) {
	tests := map[string]struct {
		text string
		want string
		rest string // of the text, after the value
	}{
		"no value":          {`HTTP 201`, `none`, `HTTP 201`},
		"nothing":           {``, `none`, ``},
		"blanks only":       {` \n `, `none`, ` \n `},
		"string alone":      {`"a"`, `none`, `"a"`},
		"closing bracket":   {`]`, `none`, `]`},
		"empty object":      {`{}`, `{}`, ``},
		"empty array":       {`[ ]`, `[]`, ``},
		"compact":           {`{"status":"valid","n":[1,-2.5e3,true,null],"o":{}} rest`, `{"status":"valid" "n":[1 -2.5e3 true null] "o":{}}`, ` rest`},
		"pretty":            {"\r\n {\r\n\t\"a\" : \"b\" ,\n  \"c\": [\n \"d\"\n ]\n}\n", `{"a":"b" "c":["d"]}`, "\n"},
		"nested":            {`{"a":{"b":[{"c":"d"},[["e"]]]},"f":1}`, `{"a":{"b":[{"c":"d"} [["e"]]]} "f":1}`, ``},
		"doubled name":      {`{"time":1,"time":2}`, `{"time":1 "time":2}`, ``},
		"empty name":        {`{"":""}`, `{"":""}`, ``},
		"brackets in names": {`{"a}":"]{[,:'"}`, `{"a}":"]{[,:'"}`, ``},

		"escapes":               {`{"a":"\"\\\/\b\f\n\r\t\u0041\x42\'\a\v"}`, `{"a":"\"\\/\b\f\n\r\tAB'\a\v"}`, ``},
		"unknown escapes":       {`{"a":"\q\u12\xg1\u12g4\8"}`, `{"a":"\\q\\u12\\xg1\\u12g4\\8"}`, ``},
		"surrogates":            {`["\ud83d\ude00","\ud83d","\ude00\ud83d","\ud83dx","\ud83d\u0041","\ud83d\n"]`, `["😀" "�" "��" "�x" "�A" "�\n"]`, ``},
		"wide code point":       {`['\U0001f600', '\Uffffffff', '\U00110000']`, `["😀" "\\Uffffffff" "�"]`, ``},
		"escaped name":          {`{"sta\u0074us":"ok"}`, `{"status":"ok"}`, ``},
		"backslash at the end":  {`{"a":"\\","b":"\\\\"}`, `{"a":"\\" "b":"\\\\"}`, ``},
		"escaped backslash + n": {`{"a":"\\n"}`, `{"a":"\\n"}`, ``},

		"level 1":                 {`{\"type\":\"http-01\",\"n\":1}", "x"`, `{"type":"http-01" "n":1}`, `", "x"`},
		"level 1, inner quotes":   {`{\"d\":\"no \\\"x\\\"\",\"e\":\"\\\"\",\"f\":\"\"}`, `{"d":"no \"x\"" "e":"\"" "f":""}`, ``},
		"level 1, backslash":      {`{\"d\":\"a\\\\\",\"e\":\"\\n\\\\n\\u0041\\/\"}`, `{"d":"a\\" "e":"\n\\nA/"}`, ``},
		"level 1, spelled blanks": {`{\r\n\t\"a\":\n[\n\"b\"\n]\n}\n`, `{"a":["b"]}`, `\n`},
		"level 1, blank first":    {`\n  {\n  \"a\": 1\n}`, `{"a":1}`, ``},
		"level 1, outer ends":     {`{\"a\":\"b\",\"c\":\"d","stream":"stderr"}`, `{"a":"b" "c":""~}~`, `","stream":"stderr"}`},
		"level 1, outer ends 2":   {`{\"a\":\"b\",","stream":"stderr"}`, `{"a":"b"}~`, `","stream":"stderr"}`},
		"level 1, outer ends 3":   {`{\"a\":{\"b\":1","stream"`, `{"a":{"b":1}~}~`, `","stream"`},
		"level 2":                 {`{\\\"a\\\":\\\"b \\\\\\\"c\\\\\\\" \\\\\\\\ \\\\n\\\",\\n\\\"d\\\":1}\"`, `{"a":"b \"c\" \\ \n" "d":1}`, `\"`},
		"level 2, outer ends":     {`{\\\"a\\\":\\\"b\"}`, `{"a":""~}~`, `\"}`},
		"level 3":                 {`{\\\\\\\"a\\\\\\\":\\\\\\\"b\\\\\\\\\\\\\\\"c\\\\\\\"}`, `{"a":"b\"c"}`, ``},
		"apache doubles level 1":  {`{\\"a\\":\\"b\\\\\\"c\\\\\\"\\"}`, `{"a":"b\"c\""}`, ``},

		"apache doubles": {
			`{"detail":"Get \\"http://x:80/\\": refused, \\\\, \\"a\\", \\"b\\"","hosts":[]}`,
			`{"detail":"Get \"http://x:80/\": refused, \\, \"a\", \"b\"" "hosts":[]}`, ``,
		},
		"apache doubles, at the end":   {`{"e":{"detail":"not \\"x\\""},"f":["\\"y\\""],"g":"\\\\"}`, `{"e":{"detail":"not \"x\""} "f":["\"y\""] "g":"\\"}`, ``},
		"apache doubles, in a list":    {`{"detail":"\\"a\\", \\"b\\""}`, `{"detail":"\"a\", \"b\""}`, ``},
		"python bytes":                 {`{\n  "a": "x \\"y\\" \\n",\n  "b": [\n    1\n  ]\n}'`, `{"a":"x \"y\" \n" "b":[1]}`, `'`},
		"backslash before a name":      {`{"a\\":"b\\" , "c":["d\\","e\\"]}`, `{"a\\":"b\\" "c":["d\\" "e\\"]}`, ``},
		"backslash, spelled blanks":    {`{"a":"b\\"\n,\n"c":"d\\"\n}`, `{"a":"b\\" "c":"d\\"}`, ``},
		"backslash and trailing comma": {`{"a":"b\\",}`, `{"a":"b\\"}`, ``},

		"python":               {`{'status': 'invalid', 'x': None, 'ok': True, "it": "it's", 'q': 'a "b" \'c\' \xc3\xa9'}`, `{"status":"invalid" "x":None "ok":True "it":"it's" "q":"a \"b\" 'c' é"}`, ``},
		"python 2":             {`{u'a': u'b', 'c': b'd', "e": [rb"f", Ub]}`, `{"a":"b" "c":"d" "e":["f" Ub]}`, ``},
		"python set":           {`{'a', 'b'}`, `{}`, ``},
		"unquoted":             {`{status: pending, url: https://ca.example/acme/authz/1, a: [NaN, -Infinity, b:c]}`, `{"status":pending "url":https://ca.example/acme/authz/1 "a":[NaN -Infinity b:c]}`, ``},
		"trailing commas":      {`{"a":[1,2,],"b":{"c":1,},}`, `{"a":[1 2] "b":{"c":1}}`, ``},
		"missing commas":       {`{"a":1 "b":[1 2"x""y"] "c":"d""e":{}"f":2}`, `{"a":1 "b":[1 2 "x" "y"] "c":"d" "e":{} "f":2}`, ``},
		"missing values":       {`{"a":,"b":1,"c","d":2,:,"e"}`, `{"b":1 "d":2}`, ``},
		"missing colon":        {`{"a" "b":1,"c" {"x":1},"d" [1],"e":2}`, `{"b":1 "e":2}`, ``},
		"object as a name":     {`{{"x":1}:2,"a":1,[2]}`, `{"a":1}`, ``},
		"commas alone":         {`[,,1,,]`, `[1]`, ``},
		"colons alone":         {`{:"a"::"b":1}`, `{"a":"b"}`, ``},
		"stray closing":        {`{"a":1],"b":2}`, `{"a":1 "b":2}`, ``},
		"missing closing":      {`{"a":[{"b":[1,2},{"c":3}],"d":4}`, `{"a":[{"b":[1 2]~} {"c":3}] "d":4}`, ``},
		"missing closing, key": {`[{"a":1,"b":]`, `[{"a":1}~]`, ``},
		"stray backslashes":    {`{\"a\":\\ \q 1}`, `{"a":q}`, ``},

		"cut after bracket":     {`{`, `{}~`, ``},
		"cut in name":           {`{"a":1,"sta`, `{"a":1}~`, ``},
		"cut after name":        {`{"a":1,"b"`, `{"a":1}~`, ``},
		"cut after colon":       {`{"a":1,"b":`, `{"a":1}~`, ``},
		"cut in value":          {`{"a":"pend`, `{"a":""~}~`, ``},
		"cut after value":       {`{"a":"pending"`, `{"a":"pending"}~`, ``},
		"cut after backslash":   {`{"a":"pend\`, `{"a":""~}~`, ``},
		"cut in a number":       {`{"a":12`, `{"a":12~}~`, ``},
		"number and blank":      {`{"a":12 `, `{"a":12}~`, ``},
		"cut in true":           {`[true,tru`, `[true tru~]~`, ``},
		"cut in an array":       {`{"a":["https://x/1","https://x/2`, `{"a":["https://x/1" ""~]~}~`, ``},
		"cut after comma":       {`[1,`, `[1]~`, ``},
		"cut at a doubled":      {`{"a":"b\\"`, `{"a":"b\\"}~`, ``},
		"cut in a blank":        {`{\"a\":1,\`, `{"a":1}~`, ``},
		"cut by a line":         {"{\"a\":\"b\",\"c\":\"d\n2026-11-23 21:03:21,675:DEBUG", `{"a":"b" "c":""~}~`, "\n2026-11-23 21:03:21,675:DEBUG"},
		"cut python":            {`{'a': u'b', 'c': u'`, `{"a":"b" "c":""~}~`, ``},
		"cut after a container": {`{"a":[1]`, `{"a":[1]}~`, ``},

		"not UTF-8": {"{\"a\xff\":\"\xc3\x00\"}", `{"a\xff":"\xc3\x00"}`, ``},
	}
	var l literal
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := l.parse([]byte(tt.text))
			require.Equal(t, tt.want, dump(&l, l.root()))
			require.Equal(t, tt.rest, tt.text[n:])
			require.Equal(t, strings.HasSuffix(tt.want, "~"), l.cut())
		})
	}
}
