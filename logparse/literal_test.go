package logparse

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

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
		"apache doubles, at the end":    {`{"e":{"detail":"not \\"x\\""},"f":["\\"y\\""],"g":"\\\\"}`, `{"e":{"detail":"not \"x\""} "f":["\"y\""] "g":"\\"}`, ``},
		"apache doubles, in a list":     {`{"detail":"\\"a\\", \\"b\\""}`, `{"detail":"\"a\", \"b\""}`, ``},
		"apache doubles, after a comma": {`{"detail":"x \\", \\"c","d":1}`, `{"detail":"x \", \"c" "d":1}`, ``},
		"python bytes":                  {`{\n  "a": "x \\"y\\" \\n",\n  "b": [\n    1\n  ]\n}'`, `{"a":"x \"y\" \n" "b":[1]}`, `'`},
		"backslash before a name":       {`{"a\\":"b\\" , "c":["d\\","e\\"]}`, `{"a\\":"b\\" "c":["d\\" "e\\"]}`, ``},
		"backslash, spelled blanks":     {`{"a":"b\\"\n,\n"c":"d\\"\n}`, `{"a":"b\\" "c":"d\\"}`, ``},
		"backslash and trailing comma":  {`{"a":"b\\",}`, `{"a":"b\\"}`, ``},

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

// escape returns text as it stands in a JSON string.
func escape(text []byte) []byte {
	return []byte(strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(string(text)))
}

func TestLiteralValues(t *testing.T) {
	var l literal
	l.parse([]byte(`{"s":"a\tb","n":429,"q":"-7","f":1.5,"big":9223372036854775808,"t":true,"T":True,"ts":"true","no":false,"o":{"s":1},"l":["x",2],"e":"","b":"x`))
	root := l.root()
	tests := map[string]struct {
		str                     string
		raw                     string
		num                     int64
		isNum                   bool
		truth, object, list, is bool
		cut                     bool
	}{
		"s":    {str: "a\tb", raw: `"a\tb"`, is: true},
		"n":    {raw: `429`, num: 429, isNum: true},
		"q":    {str: "-7", raw: `"-7"`, num: -7, isNum: true, is: true},
		"f":    {raw: `1.5`},
		"big":  {raw: `9223372036854775808`},
		"t":    {raw: `true`, truth: true},
		"T":    {raw: `True`, truth: true},
		"ts":   {str: "true", raw: `"true"`, is: true},
		"no":   {raw: `false`},
		"o":    {raw: `{"s":1}`, object: true},
		"l":    {raw: `["x",2]`, list: true},
		"e":    {raw: `""`, is: true},
		"b":    {raw: `"x`, is: true, cut: true},
		"S":    {},
		"none": {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := l.member(root, name)
			require.Equal(t, tt.str, l.str(r))
			require.Equal(t, tt.str, string(l.bytes(r)))
			require.Equal(t, tt.raw, string(l.raw(r)))
			n, ok := l.num(r)
			require.Equal(t, tt.isNum, ok)
			if ok {
				require.Equal(t, tt.num, n)
			}
			require.Equal(t, tt.truth, l.truth(r))
			require.Equal(t, tt.object, l.isObject(r))
			require.Equal(t, tt.list, l.isArray(r))
			require.Equal(t, tt.is, l.isString(r))
			require.Equal(t, tt.cut, l.cutStr(r))
		})
	}
}

func TestLiteralMember(t *testing.T) {
	var l literal
	l.parse([]byte(`{"o":{"a":9},"a":1,"a":2,"b\u0041":3,"\\":4,"é":5,"A":6,"\"":7,"\u00e9x":8}`))
	for name, want := range map[string]string{
		"a": "1", "bA": "3", `\`: "4", "é": "5", "A": "6", `"`: "7", "éx": "8",
		`b\u0041`: "", `\\`: "", "": "", "ab": "", "x": "",
	} {
		require.Equal(t, want, string(l.raw(l.member(l.root(), name))), "%q", name)
	}
	require.Zero(t, l.member(l.member(l.root(), "a"), "a"), "a member of a number")
	require.Zero(t, l.member(0, "a"), "a member of nothing")
	require.Zero(t, l.member(1000, "a"), "a member of what is not there")

	l.parse([]byte(`{\"\\\"\":1,\"b\\u0041\":2,\"x\\\\\":3,\"y\":4}`))
	for name, want := range map[string]string{`"`: "1", "bA": "2", `x\`: "3", "y": "4"} {
		require.Equal(t, want, string(l.raw(l.member(l.root(), name))), "%q", name)
	}
}

func TestLiteralZero(t *testing.T) {
	var l literal
	require.Zero(t, l.root())
	require.False(t, l.cut())
	require.Empty(t, l.str(1))
	require.Empty(t, l.raw(1))
	require.Zero(t, l.member(1, "a"))
	for range l.members(1) {
		t.Fatal("a member")
	}
	for range l.elements(1) {
		t.Fatal("an element")
	}
}

// TestLiteralReuse checks that nothing is left of a text when the next one is read.
func TestLiteralReuse(t *testing.T) {
	var l literal
	l.parse([]byte(`{\"a\":{\"b\":[\"c`))
	l.parse([]byte(`{"d":"\\"e\\" f"}`))
	require.Equal(t, `{"d":"\"e\" f"}`, dump(&l, l.root()))
	l.parse([]byte(`{"d":"\\n","e":"f"}`))
	require.Equal(t, `{"d":"\\n" "e":"f"}`, dump(&l, l.root()))
	require.False(t, l.cut())
	l.parse([]byte(`nothing`))
	require.Zero(t, l.root())
	require.False(t, l.cut())
}

// TestLiteralBytes checks that decoded bytes stay as they are while others are decoded, and do not grow into them.
func TestLiteralBytes(t *testing.T) {
	var l literal
	l.parse([]byte(`["\u0061 makes room for what follows"]`))
	l.bytes(2)
	text := `["\u0061b","\u0063d","ef"]`
	l.parse([]byte(text))
	var all [][]byte
	for e := range l.elements(l.root()) {
		all = append(all, l.bytes(e))
	}
	_ = append(all[0], 'X')
	_ = append(all[2], 'X')
	require.Equal(t, []string{"ab", "cd", "ef"}, []string{string(all[0]), string(all[1]), string(all[2])})
	require.Equal(t, text, string(l.raw(l.root())))
}

// TestLiteralAllocations checks that a literal that has been used needs no memory.
func TestLiteralAllocations(t *testing.T) {
	var l literal
	for _, name := range []string{"authorizations", "challenges"} {
		texts, _ := bodies(t, name)
		for _, text := range texts {
			readBody(&l, text)
			require.Zero(t, testing.AllocsPerRun(5, func() { readBody(&l, text) }))
		}
	}
}

// TestLiteralRecorded checks that recorded bodies, whole and escaped up to three times, are what encoding/json reads.
func TestLiteralRecorded(t *testing.T) {
	var l literal
	for _, name := range []string{"authorizations", "challenges"} {
		texts, _ := bodies(t, name)
		for _, text := range texts {
			value := decodeJSON(t, text)
			for level := range 4 {
				require.Equal(t, len(text), l.parse(text))
				requireSame(t, value, &l, l.root(), level)
				text = escape(text)
			}
		}
	}
}

func TestLiteralLimits(t *testing.T) {
	repeat := strings.Repeat
	tests := map[string]struct {
		text  string
		nodes int // without the one that is no value
		n     int
		cut   bool
	}{
		"as deep as allowed":      {repeat("[", maxDepth) + "1" + repeat("]", maxDepth), maxDepth + 1, 2*maxDepth + 1, false},
		"too deep":                {repeat("[", maxDepth+1) + "1" + repeat("]", maxDepth+1), maxDepth + 1, 2*maxDepth + 3, false},
		"much too deep":           {repeat("[", 100_000) + repeat("]", 100_000), maxDepth + 1, 200_000, false},
		"much too deep, cut":      {repeat("[", 100_000), maxDepth + 1, 100_000, true},
		"much too deep, objects":  {repeat(`{"a":`, 100_000) + "1" + repeat("}", 100_000), 2*maxDepth + 1, 600_001, false},
		"much too deep, brackets": {repeat("[", 100_000) + `"]"` + repeat("]", 100_000), maxDepth + 1, 200_003, false},
		"too many":                {"[" + repeat("1,", maxNodes+10) + "]", maxNodes - 1, 2*maxNodes + 22, false},
		"too many members":        {"{" + repeat(`"a":1,`, maxNodes) + "}", maxNodes - 1, 6*maxNodes + 2, false},
		"too many containers":     {"[" + repeat("[[]],", maxNodes) + "]", maxNodes - 1, 5*maxNodes + 2, false},
		"too many objects":        {"[" + repeat(`{"a":[1]},`, maxNodes) + "]", maxNodes - 1, 10*maxNodes + 2, false},
		"a megabyte of quotes":    {"[" + repeat(`"`, 1<<20) + "]", maxNodes - 1, 1<<20 + 2, false},
		"a megabyte of escapes":   {`["` + repeat(`\"`, 1<<20) + `"]`, 2, 2<<20 + 4, false},
		"a megabyte of slashes":   {`["` + repeat(`\\`, 1<<20) + `"]`, 2, 2<<20 + 4, false},
	}
	var l literal
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, tt.n, l.parse([]byte(tt.text)))
			require.Equal(t, tt.cut, l.cut())
			require.Len(t, l.nodes, tt.nodes+1)
			checkNodes(t, &l)
		})
	}
}

// TestLiteralTooDeep checks what is left of what is too deep.
func TestLiteralTooDeep(t *testing.T) {
	deep := strings.Repeat("[", maxDepth-1)
	var l literal
	text := deep + `{"a":{"x":[1,{}]},"b":2}` + strings.Repeat("]", maxDepth-1)
	require.Equal(t, len(text), l.parse([]byte(text)))
	require.Equal(t, deep+`{"a":{} "b":2}`+strings.Repeat("]", maxDepth-1), dump(&l, l.root()))
	require.Equal(t, `{"x":[1,{}]}`, string(l.raw(l.member(maxDepth, "a"))))

	skipped := `{"x\\":"}","y":["\\",1],"z":"\\"}`
	text = deep + `{"a":` + skipped + `,"b":2}` + strings.Repeat("]", maxDepth-1)
	require.Equal(t, len(text), l.parse([]byte(text)))
	require.Equal(t, skipped, string(l.raw(l.member(maxDepth, "a"))))
	require.Equal(t, "2", string(l.raw(l.member(maxDepth, "b"))))

	l.parse([]byte(deep + `{"a":{"x":[1`))
	require.Equal(t, `{"x":[1`, string(l.raw(l.member(maxDepth, "a"))))
	require.True(t, l.cutStr(l.member(maxDepth, "a")))
}

// decodeJSON returns what encoding/json reads: objects as slices of members, so that none is lost; nil if the text is not
// an object or array.
func decodeJSON(tb testing.TB, text []byte) any {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	token, err := d.Token()
	if err != nil {
		return nil
	}
	if _, ok := token.(json.Delim); !ok {
		return nil
	}
	return decodeToken(tb, d, token)
}

// A jsonMember is a member of a JSON object.
type jsonMember struct {
	name  string
	value any
}

func decodeToken(tb testing.TB, d *json.Decoder, token json.Token) any {
	tb.Helper()
	next := func() json.Token {
		token, err := d.Token()
		require.NoError(tb, err)
		return token
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			list = append(list, decodeToken(tb, d, next()))
		}
		next()
		return list
	case json.Delim('{'):
		object := []jsonMember{}
		for d.More() {
			name := next().(string)
			object = append(object, jsonMember{name, decodeToken(tb, d, next())})
		}
		next()
		return object
	}
	return token
}

// requireSame checks that r is what encoding/json read, but for what is deeper than depth allows.
func requireSame(tb testing.TB, want any, l *literal, r ref, level int) {
	tb.Helper()
	require.False(tb, l.cutStr(r))
	switch want := want.(type) {
	case []any:
		require.True(tb, l.isArray(r))
		i := 0
		for e := range l.elements(r) {
			requireSame(tb, want[i], l, e, level)
			i++
		}
		require.Equal(tb, len(want), i)
	case []jsonMember:
		require.True(tb, l.isObject(r))
		first := map[string]bool{}
		i := 0
		for name, value := range l.members(r) {
			require.Equal(tb, want[i].name, name)
			if found := l.member(r, name); !first[name] {
				require.Equal(tb, value, found, "member %q", name)
			}
			first[name] = true
			requireSame(tb, want[i].value, l, value, level)
			i++
		}
		require.Equal(tb, len(want), i)
	case string:
		require.True(tb, l.isString(r))
		require.Equal(tb, want, l.str(r), "level %d", level)
		require.Equal(tb, want, string(l.bytes(r)))
	default:
		require.False(tb, l.isString(r) || l.isArray(r) || l.isObject(r))
		require.Equal(tb, wordOf(want), string(l.raw(r)))
		require.Equal(tb, want == true, l.truth(r))
		if number, ok := want.(json.Number); ok {
			n, err := strconv.ParseInt(number.String(), 10, 64)
			got, ok := l.num(r)
			require.Equal(tb, err == nil, ok)
			if ok {
				require.Equal(tb, n, got)
			}
		}
	}
}

// wordOf returns how JSON writes null, a truth value or a number.
func wordOf(v any) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}

// checkNodes checks what the nodes of every literal have in common.
func checkNodes(tb testing.TB, l *literal) {
	tb.Helper()
	require.Zero(tb, l.nodes[0])
	if len(l.nodes) == 1 {
		return
	}
	require.EqualValues(tb, len(l.nodes), l.nodes[1].next)
	require.Equal(tb, l.short, l.nodes[1].cut)
	checkNode(tb, l, 1)
}

// checkNode checks r and what is in it.
func checkNode(tb testing.TB, l *literal, r ref) {
	n := l.nodes[r]
	if n.start >= n.end || int(n.end) > len(l.text) || n.next <= r || int(n.next) > len(l.nodes) {
		tb.Fatalf("node %d: %+v", r, n)
	}
	last, names := n.start, 0
	for e := r + 1; e < n.next; e = l.nodes[e].next {
		if c := l.nodes[e]; c.start < last || c.end > n.end || c.next > n.next {
			tb.Fatalf("node %d in %d: %+v in %+v", e, r, c, n)
		} else {
			last = c.end
		}
		names++
		if n.form == objectForm && names%2 == 1 {
			if f := l.nodes[e].form; f != stringForm && f != wordForm || l.nodes[e].cut {
				tb.Fatalf("the name %d: %+v", e, l.nodes[e])
			}
		}
		checkNode(tb, l, e)
	}
	if n.form == objectForm && names%2 != 0 || n.form < objectForm && names != 0 {
		tb.Fatalf("node %d: %+v with %d nodes in it", r, n, names)
	}
}

// depthOf returns how deep JSON is nested, and how many values and names there are.
func depthOf(v any) (depth, nodes int) {
	in := func(v any) {
		d, n := depthOf(v)
		depth, nodes = max(depth, d), nodes+n
	}
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			in(e)
		}
	case []jsonMember:
		for _, m := range v {
			in(m.value)
		}
		nodes += len(v)
	default:
		return 0, 1
	}
	return depth + 1, nodes + 1
}

// requireSubset checks that part, read from the start of whole's text, has nothing that whole does not have, but what is
// cut.
func requireSubset(tb testing.TB, part *literal, p ref, whole *literal, w ref) {
	tb.Helper()
	require.Equal(tb, whole.at(w).form, part.at(p).form)
	require.Equal(tb, whole.at(w).start, part.at(p).start)
	switch {
	case part.isObject(p):
		pn, wn := part.at(p).next, whole.at(w).next
		w++
		for p++; p < pn; p, w = part.at(p).next, whole.at(w).next {
			require.Less(tb, w, wn)
			requireSubset(tb, part, p, whole, w)
		}
	case part.isArray(p):
		pn, wn := part.at(p).next, whole.at(w).next
		w++
		for p++; p < pn; p, w = part.at(p).next, whole.at(w).next {
			require.Less(tb, w, wn)
			requireSubset(tb, part, p, whole, w)
		}
	case part.cutStr(p):
		require.Empty(tb, part.str(p))
		require.False(tb, part.truth(p))
		_, ok := part.num(p)
		require.False(tb, ok)
		require.True(tb, bytes.HasPrefix(whole.raw(w), part.raw(p)))
	default:
		require.Equal(tb, string(whole.raw(w)), string(part.raw(p)))
		require.Equal(tb, whole.str(w), part.str(p))
	}
}

// TestLiteralPrefixes checks every prefix of recorded bodies, plain and escaped.
func TestLiteralPrefixes(t *testing.T) {
	texts, _ := bodies(t, "challenges")
	orders, _ := bodies(t, "authorizations")
	var whole, part literal
	for _, text := range [][]byte{texts[0], orders[0], escape(texts[0]), escape(escape(orders[0]))} {
		whole.parse(text)
		for end := range len(text) {
			checkPrefix(t, &part, &whole, end)
		}
	}
}

// checkPrefix checks what is read if the text of whole ends at a position.
func checkPrefix(tb testing.TB, part, whole *literal, end int) {
	tb.Helper()
	start := int(whole.at(1).start)
	n := part.parse(whole.text[:end:end])
	if end <= start {
		require.Zero(tb, n)
		return
	}
	require.Equal(tb, end, n)
	require.True(tb, part.cut())
	checkNodes(tb, part)
	requireSubset(tb, part, 1, whole, 1)
}

func FuzzLiteral(f *testing.F) {
	for _, seed := range []string{
		`{"status":"valid","n":[1,-2.5e3,true,null],"o":{}}`, `{\"a\":\"b \\\"c\\\" \\n\",\n\"d\":1}`,
		`{"detail":"Get \\"http://x:80/\\": refused, \\"a\\", \\"b\\"","hosts":[]}`,
		`{'status': 'invalid', 'x': None, u'ok': True, "it": "it's"}`, `{"a":"b\\","c":["\\"],"\\":{}}`,
		`["\ud83d\ude00\ud83d\u0041\u00e9\x41"]`, `{"a":[{"b":[1,2},{"c":3}],"d":4}`, `{"a" "b":1,"c" {"x":1},,:`,
		strings.Repeat("[", 70) + "1" + strings.Repeat("]", 70),
	} {
		f.Add([]byte(seed), 7)
	}
	texts, _ := bodies(f, "challenges")
	f.Add(texts[0], 100)
	f.Add(escape(escape(texts[0])), 100)
	f.Fuzz(func(t *testing.T, text []byte, end int) {
		var l, part literal
		n := l.parse(text)
		require.LessOrEqual(t, n, len(text))
		checkNodes(t, &l)
		_ = dump(&l, l.root())
		if !json.Valid(text) || !utf8.Valid(text) {
			return
		}
		value := decodeJSON(t, text)
		if value == nil {
			require.Zero(t, n)
			return
		}
		require.False(t, l.cut())
		require.Equal(t, len(bytes.TrimRight(text, " \t\r\n")), n)
		if end > 0 {
			checkPrefix(t, &part, &l, end%n)
		}
		if depth, nodes := depthOf(value); depth > maxDepth || nodes >= maxNodes {
			return
		}
		requireSame(t, value, &l, l.root(), 0)
		for level := range 3 {
			text = escape(text)
			n := part.parse(text)
			require.False(t, part.cut())
			require.LessOrEqual(t, n, len(text))
			requireSame(t, value, &part, part.root(), level+1)
		}
	})
}
