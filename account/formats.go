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
// first.
var formats = []format{
	{client: "certbot", read: Certbot, places: []string{"etc/letsencrypt", "usr/local/etc/letsencrypt", "opt/local/etc/letsencrypt", "~/.config/letsencrypt", "Certbot"}},
	{client: "lego", read: Lego, places: []string{"~/.lego", "var/lib/lego", "etc/lego", "var/lib/acme/.lego/*"}},
}
