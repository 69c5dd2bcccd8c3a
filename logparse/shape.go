package logparse

import "bytes"

// A shape is how certain it is that a URL names an authorization, the whole of it.
type shape uint8

const (
	noShape shape = iota // it names something else
	open                 // its identifier may be of any length: it could have been longer
	whole                // its identifier is complete
)

// shape tells by its path whether the URL is that of an authorization, or of a challenge whose path contains the one of
// its authorization; it then becomes the latter. Identifiers are in <>, n is a number:
//
//	/acme/authz/<43>            /acme/challenge/<43>/n         Boulder, ACME v1
//	/acme/authz-v3/n            /acme/chall-v3/n/<x>           Boulder, until 2024
//	/acme/authz/n/n             /acme/chall/n/n/<x>            Boulder
//	/acme/<p>/authz/<32>        /acme/<p>/challenge/<32>/<32>  step-ca, Caddy
//	/acme/authorization/<uuid>  /acme/challenge/<uuid>/<type>  Vault, OpenBao
//	/authZ/<43>                                                Pebble
//	/authz/<id>                                                Google, ZeroSSL, Sectigo, EJBCA, Dogtag, acme2certifier
//
// Anything may stand before these, but nothing after them.
func (m *matcher) shape() shape {
	p := lastSegments(m.url[m.path:])
	switch {
	case isAuthorization(p[1]):
		return authorizationShape(p)
	case string(p[2]) == "authz" && string(p[3]) == "acme" && isNumber(p[1]) && isNumber(p[0]):
		return open
	case !all(inID, p[0]) && len(p[0]) > 0:
		return noShape
	}
	return m.challengeShape(p)
}

// A path's last five segments, the last one first.
type segments [5][]byte

func lastSegments(path []byte) (p segments) {
	for i := range p {
		slash := bytes.LastIndexByte(path, '/')
		if slash < 0 {
			break
		}
		p[i], path = path[slash+1:], path[:slash]
	}
	return p
}

func isAuthorization(b []byte) bool {
	switch string(b) {
	case "authz", "authZ", "authz-v3", "authorization":
		return true
	}
	return false
}

// authorizationShape is the shape of a path in which only the identifier follows the word.
func authorizationShape(p segments) shape {
	id := p[0]
	acme := string(p[2]) == "acme"        // /acme/authz/<id>
	provisioner := string(p[3]) == "acme" // /acme/<p>/authz/<id>
	switch word := p[1]; {
	case string(word) == "authz-v3" && acme && isNumber(id):
		return open
	case string(word) == "authz-v3",
		string(word) == "authorization" && !acme,
		!isRandom(id, acme || provisioner):
		return noShape
	case string(word) == "authZ" && len(id) == 43,
		string(word) == "authz" && acme && len(id) == 43,
		string(word) == "authz" && provisioner && len(id) == 32,
		string(word) == "authorization" && isUUID(id):
		return whole
	}
	return open
}

// challengeShape replaces the URL of a challenge by that of its authorization, whose identifier is complete because a
// slash follows it.
func (m *matcher) challengeShape(p segments) shape {
	id, acme := p[1], string(p[3]) == "acme"
	switch {
	case string(p[3]) == "chall" && string(p[4]) == "acme" && isNumber(p[2]) && isNumber(id):
		return m.replace(p, 2, "authz")
	case string(p[2]) == "chall-v3" && acme && isNumber(id):
		return m.replace(p, 1, "authz-v3")
	case string(p[2]) != "challenge":
		return noShape
	case acme && isUUID(id):
		return m.replace(p, 1, "authorization")
	case acme && len(id) == 43 && isRandom(id, true) && (len(p[0]) == 0 || isNumber(p[0])),
		string(p[4]) == "acme" && len(id) == 32 && isRandom(id, true):
		return m.replace(p, 1, "authz")
	}
	return noShape
}

// replace cuts off the last segment of the URL and puts word in place of the one before the n identifiers.
func (m *matcher) replace(p segments, n int, word string) shape {
	end := len(m.url) - len(p[0]) - 1
	wordEnd := end
	for _, id := range p[1 : n+1] {
		wordEnd -= len(id) + 1
	}
	start := wordEnd - len(p[n+1])
	ids := end - wordEnd
	copy(m.array[start+len(word):], m.url[wordEnd:end])
	copy(m.array[start:], word)
	m.url = m.array[:start+len(word)+ids]
	if len(m.url) > maxURL {
		return noShape
	}
	return whole
}

// isNumber reports whether b is a number as Boulder counts with.
func isNumber(b []byte) bool { return len(b) <= 20 && all(inDigit, b) }

// isUUID reports whether b is a UUID.
func isUUID(b []byte) bool {
	if len(b) != 36 {
		return false
	}
	for i, c := range b {
		if hyphen := i == 8 || i == 13 || i == 18 || i == 23; hyphen != (c == '-') || !hyphen && hexDigit(c) > 15 {
			return false
		}
	}
	return true
}

// isRandom reports whether b looks like an identifier that a CA drew, and not like a word, a title or a file: it changes
// between lower case, upper case and digits as often as words do not. Where the path speaks of ACME less is asked for.
func isRandom(b []byte, acme bool) bool {
	least, changes := 16, 4
	if acme {
		least, changes = 10, 3
	}
	return least <= len(b) && len(b) <= 256 && all(inID, b) && countChanges(b) >= changes
}

// countChanges counts the changes from lower case to upper case to digits and back, those after an initial capital left
// out, up to 4.
func countChanges(b []byte) (n int) {
	before, kind := byte(0), byte(0) // the kinds of the last two characters
	for _, c := range b {
		next := kindOf(c)
		initial := kind == 'A' && before == 0
		if next != 0 && kind != 0 && next != kind && !(initial && next == 'a') {
			n++
		}
		if n == 4 {
			break
		}
		before, kind = kind, next
	}
	return n
}

// kindOf returns 'a', 'A' or '0' for what c is one of, or 0.
func kindOf(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return 'a'
	case 'A' <= c && c <= 'Z':
		return 'A'
	case '0' <= c && c <= '9':
		return '0'
	}
	return 0
}
