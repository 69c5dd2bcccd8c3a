package account

import "io/fs"

// A format is how a client keeps its accounts.
type format struct {
	client string

	// read reads the client's directory. What is none of its, is an error that
	// wraps fs.ErrNotExist.
	read func(fsys fs.FS) ([]*Account, error)

	// parse reads one file, where the client keeps accounts in files of a shape
	// that tells itself; nil for clients that keep a directory. It adds the
	// accounts to s, notes faults there, and reports whether the file has the
	// shape.
	parse func(s *store, name string, data []byte, mode fs.FileMode) bool

	// places are where read finds the client's directory by default, as patterns
	// of path.Match without the leading slash; "~" is a home directory. On
	// Windows, places are below the system's drive.
	places []string
}

// formats are all that this package reads. Those whose shape is surest come
// first; the last one is no more than a name for a key's file.
var formats = []format{
	{"certbot", Certbot, nil, []string{"etc/letsencrypt", "usr/local/etc/letsencrypt", "opt/local/etc/letsencrypt", "~/.config/letsencrypt", "Certbot"}},
	{"lego", Lego, nil, []string{"~/.lego", "var/lib/lego", "etc/lego", "lego/.lego"}},
	{"acme.sh", AcmeSh, nil, []string{"~/.acme.sh", "etc/acme.sh", "usr/local/etc/acme.sh", "acme.sh"}},
	{"dehydrated", Dehydrated, nil, []string{"var/lib/dehydrated", "etc/dehydrated", "usr/local/etc/dehydrated", "opt/dehydrated"}},
	{"caddy", Caddy, nil, []string{
		"var/lib/caddy/.local/share/caddy", "~/.local/share/caddy", "~/.local/share/certmagic", "data/caddy", "var/db/caddy/data/caddy",
		"~/Library/Application Support/Caddy", "~/AppData/Roaming/Caddy",
	}},
	{"traefik", Traefik, traefikFile, []string{"etc/traefik", "etc/traefik/acme", "var/lib/traefik", "letsencrypt", "data"}},
	{"mod_md", ModMD, nil, []string{
		"etc/apache2/md", "etc/httpd/state/md", "etc/httpd/md", "var/lib/httpd/md", "usr/local/apache2/md", "usr/local/etc/apache24/md",
	}},
	{"autocert", Autocert, nil, []string{"~/.cache/golang-autocert", "~/Library/Caches/golang-autocert"}},
	{"acmetool", Acmetool, nil, []string{"var/lib/acme"}},
	{"uacme", Uacme, nil, []string{"etc/ssl/uacme", "usr/local/etc/ssl/uacme"}},
	{"lacme", Lacme, nil, []string{"etc/lacme", "~/.config/lacme"}},
	{"simp_le", SimpLe, nil, nil},
	{"posh-acme", PoshACME, nil, []string{"~/.config/Posh-ACME", "~/AppData/Local/Posh-ACME", "~/Library/Preferences/Posh-ACME"}},
	{"win-acme", WinAcme, nil, []string{"ProgramData/win-acme/*"}},
	{"cert-manager", CertManager, parseCertManager, nil},
	{"terraform", Terraform, terraformFile, nil},
	{"instant-acme", InstantAcme, instantFile, nil},
	{"acme-tiny", AcmeTiny, nil, nil}, // a name that others give to a key, too
}
