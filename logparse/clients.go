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
	{"certbot", startsCertbotConsole, func() parser { return new(certbotConsole) }},
	{"lego", startsLego, func() parser { return new(lego) }},
	{"terraform acme", startsTerraform, func() parser { return new(terraform) }},
	{"lego", startsLegoSlog, func() parser { return new(legoSlog) }},
	{"traefik", startsTraefik, func() parser { return &legoSlog{traefik: true} }},
	{"caddy", startsCaddy, func() parser { return new(caddy) }},
	{"autocert", startsAutocert, func() parser { return new(autocert) }},
	{"acme.sh", startsAcmeSh, func() parser { return new(acmeSh) }},
	{"dehydrated", startsDehydrated, func() parser { return new(dehydrated) }},
	{"uacme", startsUacme, func() parser { return new(uacme) }},
	{"acme-tiny", startsAcmeTiny, func() parser { return new(acmeTiny) }},
	{"acmetool", startsAcmetool, func() parser { return new(acmetool) }},
	{"lacme", startsLacme, func() parser { return new(lacme) }},
	{"mod_md", startsModMD, func() parser { return new(modMD) }},
	{"node acme-client", startsNode, func() parser { return new(nodeACME) }},
	{"certify", startsCertify, func() parser { return new(certify) }},
	{"win-acme", startsWinACME, func() parser { return new(winACME) }},
	{"posh-acme", startsPoshACME, func() parser { return new(poshACME) }},
	{"cert-manager", startsCertManager, func() parser { return new(certManager) }},
	{"python acme", startsPythonOther, func() parser { return new(pythonOther) }},
	{"getssl", startsGetssl, func() parser { return new(getssl) }},
	{"ansible", startsAnsible, func() parser { return new(ansible) }},
	{"", startsDocument, func() parser { return new(document) }},
}
