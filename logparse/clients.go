package logparse

// A client is an ACME client whose output is known.
type client struct {
	name   string
	starts func(line []byte) bool // reports whether only this client writes such a line
	parser func() parser
}

// clients are all that are known. The first that knows a line has it: those that write more telling lines come first.
var clients = []client{
	{"certbot", startsCertbot, func() parser { return new(certbot) }},
	{"lego", startsLego, func() parser { return new(lego) }},
}
