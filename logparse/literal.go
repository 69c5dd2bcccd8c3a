package logparse

import (
	"bytes"
	"iter"
	"math"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Object literals in logs: JSON as a client received it, JSON whose quotes are escaped because it stands in a string of
// another line, what Python prints of a dict, and all of them cut off anywhere. What is not quite right is read as far as
// it makes sense. There is no error: a caller asks for what it needs, and gets nothing if that is not there.
//
// One loop (scan) goes over the text once and writes values into a flat slice:
//
//   - nodes[0] is no value, nodes[1] the root; a container is followed by what is in it, an object by a name, its value,
//     the next name, …; next is the node after all that.
//   - A name always has a value: key is the name that is still waiting for one, and is dropped if none comes.
//   - place says what is expected in the innermost open container. The containers around it need no such memory: each is
//     where a value was expected.
//   - skip counts the open containers that get no nodes: they are too deep or too many, or no value is expected there.
//     While it is not zero nodes, key and place stay as they are.
//
// Escapes are decoded when a string is asked for. A string that is escaped n times more opens with 2ⁿ-1 backslashes and a
// quote, one of its own backslashes is 2ⁿ of them, and so is one that escapes a quote before the 2ⁿ-1 of that quote.
// Apache's error log and Python's bytes also double the backslashes, but leave the quotes; see closes.

const (
	// maxDepth is how deep containers may be nested to be looked into.
	maxDepth = 64

	// maxNodes is how many values, names included, a literal may have.
	maxNodes = 1 << 16

	// maxScratch is how much memory for decoded strings is kept from one literal to the next.
	maxScratch = 1 << 20
)

// A ref is a value in a [literal]. The zero ref is no value.
type ref int32

// A form is what kind of value a node is.
type form uint8

const (
	noForm form = iota
	wordForm
	stringForm
	objectForm
	arrayForm
)

// A node is a value: its text, and for a container the node after its last descendant.
type node struct {
	start, end uint32
	next       ref
	form       form
	cut        bool // the text ended within it, or it is a word that may go on
}

// A place is what is expected next in the innermost container.
type place uint8

const (
	atElement place = iota
	atName
	atColon
	atValue
)

// A literal is an object or array, and what is in it, read from text. It points into that text, which must not change
// before the next call of parse. The zero value is ready; parse reuses its memory. It must not be used by several
// goroutines at once.
type literal struct {
	text    []byte
	nodes   []node
	scratch []byte // decoded strings

	short   bool // the text ended within the value
	doubled bool // backslashes are doubled, quotes are not

	// While parse runs:
	stack  [maxDepth]ref // the open containers
	depth  int
	place  place
	key    ref
	skip   int
	opaque ref  // the outermost of the skipped containers, if it has a node
	quoted bool // a double quote was seen
	level  int  // how many backslashes there were before that
}

// parse reads the object or array at the start of text, after blanks. It returns how much of text that took; 0 if there
// is none. A value also ends, cut, where a string has a line feed in it or where the string around an escaped value ends.
// References into an earlier text are invalid afterwards.
func (l *literal) parse(text []byte) (n int) {
	l.reset(text[:min(len(text), math.MaxInt32)])
	i := l.blanks(0)
	if i == len(l.text) || tokens[l.text[i]] != tokenOpen {
		return 0
	}
	return l.scan(i)
}

// reset forgets everything but the memory.
func (l *literal) reset(text []byte) {
	if cap(l.scratch) > maxScratch {
		l.scratch = nil
	}
	l.text, l.nodes, l.scratch = text, append(l.nodes[:0], node{}), l.scratch[:0]
	l.short, l.doubled = false, false
	l.depth, l.place, l.key, l.skip, l.opaque = 0, atElement, 0, 0, 0
	l.quoted, l.level = false, 0
}

// Classes of bytes between strings.
const (
	tokenWord uint8 = iota
	tokenBlank
	tokenOpen
	tokenClose
	tokenQuote
	tokenColon
	tokenComma
	tokenBackslash
)

var tokens = [256]uint8{
	' ': tokenBlank, '\t': tokenBlank, '\n': tokenBlank, '\r': tokenBlank,
	'{': tokenOpen, '[': tokenOpen,
	'}': tokenClose, ']': tokenClose,
	'"': tokenQuote, '\'': tokenQuote,
	':': tokenColon, ',': tokenComma, '\\': tokenBackslash,
}

// scan reads the value that starts at position i and returns the position after it.
func (l *literal) scan(i int) int {
	t, ok := l.text, true
	for i < len(t) && ok {
		switch tokens[t[i]] {
		case tokenBlank:
			i++
		case tokenQuote:
			i, ok = l.readString(i, 0)
		case tokenColon:
			i++
			if l.place == atColon && l.skip == 0 {
				l.place = atValue
			}
		case tokenComma:
			i++
			l.comma()
		case tokenOpen:
			l.open(i)
			i++
		case tokenClose:
			i++
			if l.close(i) {
				return i
			}
		case tokenBackslash:
			i, ok = l.backslash(i)
		default:
			i = l.readWord(i)
		}
	}
	l.cutAt(i)
	return i
}

// comma ends a member of an object.
func (l *literal) comma() {
	if l.skip == 0 && l.place != atElement {
		l.dropKey()
		l.place = atName
	}
}

// dropKey drops the name that got no value.
func (l *literal) dropKey() {
	if l.key != 0 {
		l.nodes = l.nodes[:l.key]
		l.key = 0
	}
}

// add appends a node. It returns 0 if there are too many.
func (l *literal) add(f form, start, end int, cut bool) ref {
	r := ref(len(l.nodes))
	if r >= maxNodes {
		return 0
	}
	l.nodes = append(l.nodes, node{start: uint32(start), end: uint32(end), next: r + 1, form: f, cut: cut})
	return r
}

// scalar takes a string or word.
func (l *literal) scalar(f form, start, end int, cut bool) {
	if l.skip > 0 {
		return
	}
	switch l.place {
	case atElement:
		l.add(f, start, end, cut)
	case atValue:
		if l.key == 0 || l.add(f, start, end, cut) == 0 {
			l.dropKey()
		}
		l.key, l.place = 0, atName
	default:
		l.dropKey()
		l.key, l.place = l.add(f, start, end, cut), atColon
	}
}

// open enters the container that starts at position i.
func (l *literal) open(i int) {
	if l.skip > 0 {
		l.skip++
		return
	}
	f := arrayForm
	if l.text[i] == '{' {
		f = objectForm
	}
	var r ref
	if l.place == atElement || l.place == atValue && l.key != 0 {
		r = l.add(f, i, i, false)
	}
	if r == 0 {
		l.dropKey()
	}
	l.key = 0
	if r == 0 || l.depth == maxDepth {
		l.skip, l.opaque = 1, r
		l.place = l.after()
		return
	}
	l.stack[l.depth] = r
	l.depth++
	l.place = l.after()
}

// after returns what is expected after a member or element, or before the first one.
func (l *literal) after() place {
	if l.depth > 0 && l.nodes[l.stack[l.depth-1]].form == objectForm {
		return atName
	}
	return atElement
}

// close leaves the container that the bracket before position i closes, and reports whether that was the root. Those in
// it that were not closed end with it; a bracket that closes nothing is ignored.
func (l *literal) close(i int) bool {
	if l.skip > 0 {
		l.closeSkipped(i)
		return false
	}
	f := arrayForm
	if l.text[i-1] == '}' {
		f = objectForm
	}
	d := l.depth - 1
	for d >= 0 && l.nodes[l.stack[d]].form != f {
		d--
	}
	if d < 0 {
		return false
	}
	l.dropKey()
	l.endContainers(d+1, i-1)
	l.nodes[l.stack[d]].end, l.nodes[l.stack[d]].next = uint32(i), ref(len(l.nodes))
	l.depth = d
	l.place = l.after()
	return d == 0
}

// closeSkipped leaves a skipped container that ends at position i.
func (l *literal) closeSkipped(i int) {
	l.skip--
	if l.skip == 0 && l.opaque != 0 {
		l.nodes[l.opaque].end = uint32(i)
	}
}

// endContainers ends the containers from the given depth on at position i, cut.
func (l *literal) endContainers(depth, i int) {
	for _, r := range l.stack[depth:l.depth] {
		n := &l.nodes[r]
		n.end, n.next, n.cut = uint32(i), ref(len(l.nodes)), true
	}
	l.depth = depth
}

// cutAt ends everything at position i, where the text does.
func (l *literal) cutAt(i int) {
	l.short = true
	l.dropKey()
	if l.skip > 0 && l.opaque != 0 {
		l.nodes[l.opaque].end, l.nodes[l.opaque].cut = uint32(i), true
	}
	l.endContainers(0, i)
}

// backslash takes the backslashes at position i: those of a quote, of a blank, or stray ones. It reports false if the text
// ends there.
func (l *literal) backslash(i int) (int, bool) {
	n := l.backslashes(i)
	if j := i + n; j < len(l.text) {
		switch l.text[j] {
		case '"', '\'':
			if n < maxEscape {
				return l.readString(j, n)
			}
		case 'n', 'r', 't':
			return j + 1, true
		}
	}
	return i + n, true
}

// backslashes returns how many backslashes stand at position i.
func (l *literal) backslashes(i int) int {
	n := 0
	for i+n < len(l.text) && l.text[i+n] == '\\' {
		n++
	}
	return n
}

// blanks returns the position after the blanks at position i, line ends that are spelled out included.
func (l *literal) blanks(i int) int {
	for i < len(l.text) {
		switch tokens[l.text[i]] {
		case tokenBlank:
			i++
		case tokenBackslash:
			j := i + l.backslashes(i)
			if j == len(l.text) || l.text[j] != 'n' && l.text[j] != 'r' && l.text[j] != 't' {
				return i
			}
			i = j + 1
		default:
			return i
		}
	}
	return i
}

// readWord takes the number, name or other word at position i, and returns the position after it. Python's marks before
// the quotes of a string (u'…') are no words.
func (l *literal) readWord(i int) int {
	t, j := l.text, i+1
	colons := l.place == atElement || l.place == atValue
	for j < len(t) && (tokens[t[j]] == tokenWord || colons && t[j] == ':') {
		j++
	}
	if j < len(t) && tokens[t[j]] == tokenQuote && isPrefix(t[i:j]) {
		return j
	}
	l.scalar(wordForm, i, j, j == len(t))
	return j
}

// isPrefix reports whether a word is what Python may write before a string's quote.
func isPrefix(word []byte) bool {
	return len(word) <= 2 && len(bytes.Trim(word, "bBuUrR")) == 0
}

// stops are the bytes that may matter in a string.
var stops = [256]bool{'"': true, '\'': true, '\\': true, '\n': true}

// readString takes the string whose quote is at position i, after a number of backslashes, and returns the position after
// it. It reports false if the text ends in it or before it.
func (l *literal) readString(i, level int) (int, bool) {
	t, quote, start := l.text, l.text[i], i-level
	if quote == '"' && !l.quoted {
		l.quoted, l.level = true, level
	}
	if quote == '"' && level < l.level {
		return start, false
	}
	for i++; i < len(t); {
		for i < len(t) && !stops[t[i]] {
			i++
		}
		if i == len(t) {
			break
		}
		c := t[i]
		switch {
		case c == quote && level == 0:
			l.scalar(stringForm, start, i+1, false)
			return i + 1, true
		case c == '\n' || c == quote:
			l.scalar(stringForm, start, i, true)
			return i, false
		case c != '\\':
			i++
			continue
		}
		n := l.backslashes(i)
		i += n
		if i == len(t) || t[i] != quote {
			continue
		}
		if n < level {
			l.scalar(stringForm, start, i-n, true)
			return i - n, false
		}
		i++
		if l.closes(i, n, level) {
			l.scalar(stringForm, start, i, false)
			return i, true
		}
	}
	l.scalar(stringForm, start, i, true)
	return i, false
}

// closes reports whether the quote before position i, which n backslashes stand before, closes a string of the given
// level. It finds out that backslashes are doubled: a quote that seems to come after an escaped backslash, but is not
// followed by what must follow a string.
func (l *literal) closes(i, n, level int) bool {
	own := (n - level) >> bits.Len(uint(level))
	if l.doubled {
		own /= 2
	}
	if own%2 != 0 {
		return false
	}
	if own > 0 && !l.doubled && !l.endsString(i, level) {
		l.doubled = true
		return own/2%2 == 0
	}
	return true
}

// endsString reports whether what is at position i may follow a string of the given level. That the text ends may.
func (l *literal) endsString(i, level int) bool {
	i = l.blanks(i)
	if i == len(l.text) {
		return true
	}
	name := l.skip == 0 && (l.place == atName || l.place == atColon)
	switch l.text[i] {
	case ':':
		return name || l.skip > 0
	case '}', ']':
		return !name
	case ',':
		return !name && (l.place == atElement || l.skip > 0 || l.startsName(i+1, level))
	}
	return false
}

// startsName reports whether there is a string of the given level at position i, or a closing bracket, or nothing.
func (l *literal) startsName(i, level int) bool {
	i = l.blanks(i)
	n := l.backslashes(i)
	if i+n >= len(l.text) {
		return true
	}
	switch tokens[l.text[i+n]] {
	case tokenQuote:
		return n == level
	case tokenClose:
		return n == 0
	}
	return false
}

// cut reports whether the text ended within the value.
func (l *literal) cut() bool { return l.short }

// root returns the value that was read, 0 if there was none.
func (l *literal) root() ref {
	if len(l.nodes) > 1 {
		return 1
	}
	return 0
}

// at returns the node of r, a zero one if there is none.
func (l *literal) at(r ref) node {
	if r <= 0 || int(r) >= len(l.nodes) {
		return node{}
	}
	return l.nodes[r]
}

func (l *literal) isObject(r ref) bool { return l.at(r).form == objectForm }
func (l *literal) isArray(r ref) bool  { return l.at(r).form == arrayForm }
func (l *literal) isString(r ref) bool { return l.at(r).form == stringForm }

// cutStr reports whether the text ended within r, or right after it if it is a word: it may be incomplete.
func (l *literal) cutStr(r ref) bool { return l.at(r).cut }

// member returns the value of the first member of an object that has the name; 0 if there is none, or no object.
func (l *literal) member(r ref, name string) ref {
	n := l.at(r)
	if n.form != objectForm {
		return 0
	}
	for k := r + 1; k < n.next; k = l.nodes[k+1].next {
		if l.named(k, name) {
			return k + 1
		}
	}
	return 0
}

// named reports whether the name k is the given one.
func (l *literal) named(k ref, name string) bool {
	content, passes := l.content(k)
	if len(content) < len(name) {
		return false // decoding makes nothing longer
	}
	if passes == 0 || bytes.IndexByte(content, '\\') < 0 {
		return string(content) == name
	}
	size := len(l.scratch)
	same := string(l.decode(content, passes)) == name
	l.scratch = l.scratch[:size]
	return same
}

// elements yields the elements of an array.
func (l *literal) elements(r ref) iter.Seq[ref] {
	return func(yield func(ref) bool) {
		n := l.at(r)
		if n.form != arrayForm {
			return
		}
		for e := r + 1; e < n.next; e = l.nodes[e].next {
			if !yield(e) {
				return
			}
		}
	}
}

// members yields the names and values of an object, in order, and a name as often as it is there.
func (l *literal) members(r ref) iter.Seq2[string, ref] {
	return func(yield func(string, ref) bool) {
		n := l.at(r)
		if n.form != objectForm {
			return
		}
		for k := r + 1; k < n.next; k = l.nodes[k+1].next {
			if !yield(string(l.decoded(k)), k+1) {
				return
			}
		}
	}
}

// str returns the string that r is. It is empty for anything else, and for a string that the text ended in.
func (l *literal) str(r ref) string { return interned(l.bytes(r)) }

// interned returns b as a string, without an allocation for what is in nearly every answer of a CA.
func interned(b []byte) string {
	switch string(b) {
	case "pending":
		return "pending"
	case "valid":
		return "valid"
	case "invalid":
		return "invalid"
	case "processing":
		return "processing"
	case "ready":
		return "ready"
	case "deactivated":
		return "deactivated"
	case "dns":
		return "dns"
	case "http-01":
		return "http-01"
	case "dns-01":
		return "dns-01"
	case "tls-alpn-01":
		return "tls-alpn-01"
	}
	return string(b)
}

// bytes returns the same as str, without an allocation if nothing is escaped. It is valid until the next call of parse.
func (l *literal) bytes(r ref) []byte {
	if n := l.at(r); n.form != stringForm || n.cut {
		return nil
	}
	return l.decoded(r)
}

// raw returns the text of r, quotes included.
func (l *literal) raw(r ref) []byte {
	n := l.at(r)
	return l.text[n.start:n.end:n.end]
}

// num returns the integer that r is, as a number or as a string.
func (l *literal) num(r ref) (int64, bool) {
	if n := l.at(r); n.cut || n.form != wordForm && n.form != stringForm {
		return 0, false
	}
	n, err := strconv.ParseInt(string(l.decoded(r)), 10, 64)
	return n, err == nil
}

// truth reports whether r is true, in JSON or Python.
func (l *literal) truth(r ref) bool {
	n := l.at(r)
	if n.form != wordForm || n.cut {
		return false
	}
	word := string(l.raw(r))
	return word == "true" || word == "True"
}

// content returns what is between the quotes of a string, or a word, and how often that must be decoded.
func (l *literal) content(r ref) (b []byte, passes int) {
	b = l.raw(r)
	if l.nodes[r].form != stringForm {
		return b, 0
	}
	level := 0
	for b[level] == '\\' {
		level++
	}
	passes = bits.Len(uint(level)) + 1
	if l.doubled {
		passes++
	}
	end := len(b) - level - 1
	return b[level+1 : end : end], passes
}

// decoded returns a complete string or a word as it is meant.
func (l *literal) decoded(r ref) []byte {
	b, passes := l.content(r)
	if passes == 0 || bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	return l.decode(b, passes)
}

// decode appends b to the scratch memory and decodes it there.
func (l *literal) decode(b []byte, passes int) []byte {
	size := len(l.scratch)
	l.scratch = append(l.scratch, b...)
	for range passes {
		l.scratch = l.scratch[:size+len(unescape(l.scratch[size:]))]
	}
	return slices.Clip(l.scratch[size:])
}

// unescape decodes the escapes of JSON, Python and Go in place, once. Others it leaves alone.
func unescape(b []byte) []byte {
	i := bytes.IndexByte(b, '\\')
	if i < 0 {
		return b
	}
	out := b[:i]
	for i < len(b) {
		if b[i] != '\\' {
			out = append(out, b[i])
			i++
			continue
		}
		var n int
		out, n = appendEscape(out, b[i:])
		i += n
	}
	return out
}

// simpleEscapes are the characters that one letter after a backslash stands for.
var simpleEscapes = [256]byte{
	'"': '"', '\'': '\'', '\\': '\\', '/': '/',
	'a': '\a', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t', 'v': '\v',
}

// appendEscape appends what the escape at the start of b stands for, and returns its length. A byte that is written as
// \x.. stays a byte: that is how they stand in Python's bytes and in Apache's log.
func appendEscape(out, b []byte) ([]byte, int) {
	if len(b) < 2 {
		return append(out, b...), len(b)
	}
	if c := simpleEscapes[b[1]]; c != 0 {
		return append(out, c), 2
	}
	switch b[1] {
	case 'x':
		if len(b) >= 4 {
			if c, ok := unhex(b[2], b[3]); ok {
				return append(out, c), 4
			}
		}
	case 'u':
		if r, ok := codePoint(b, 4); ok {
			return appendUnit(out, b, r)
		}
	case 'U':
		if r, ok := codePoint(b, 8); ok {
			return utf8.AppendRune(out, r), 10
		}
	}
	return append(out, '\\'), 1
}

// appendUnit appends the character of the UTF-16 unit that is the escape at the start of b, together with the next if
// they are a pair.
func appendUnit(out, b []byte, unit rune) ([]byte, int) {
	if utf16.IsSurrogate(unit) && len(b) >= 8 && b[6] == '\\' && b[7] == 'u' {
		if low, ok := codePoint(b[6:], 4); ok {
			if r := utf16.DecodeRune(unit, low); r != utf8.RuneError {
				return utf8.AppendRune(out, r), 12
			}
		}
	}
	return utf8.AppendRune(out, unit), 6
}

// codePoint returns the number in the escape at the start of b that has so many digits.
func codePoint(b []byte, digits int) (rune, bool) {
	if len(b) < 2+digits {
		return 0, false
	}
	var r uint32
	for _, c := range b[2 : 2+digits] {
		d := hexDigit(c)
		if d > 15 {
			return 0, false
		}
		r = r<<4 | uint32(d)
	}
	return rune(r), r <= math.MaxInt32
}
