// Package account reads the ACME accounts that ACME clients keep on disk, so
// that a program can go on where the client left off: same key, same account
// URL, same server.
//
// [Discover] finds the accounts of all clients on a machine, [Load] those in a file
// or directory of any client, and a function for each client, such as [Certbot] or
// [Lego], those in its own directory. [Match] tells which of them a URL belongs to,
// and an account has its [acme.Client]:
//
//	accounts, err := account.Load("/etc/letsencrypt")
//	// err tells of accounts that could not be read; the others are there.
//	a, err := account.Match(accounts, "https://ca.example/acme/authz/123/456")
//	client := a.Client()
//
// The clients are Certbot, lego, acme.sh, dehydrated, Caddy (and other programs with
// CertMagic), Traefik, Apache's mod_md, programs with autocert, acmetool, uacme,
// lacme, acme-tiny, simp_le, Posh-ACME, win-acme, cert-manager, Terraform, and programs
// with instant-acme. Not all store the account's URL or the server's: see the comment
// of each function, and [Account.Problems].
//
// A key that stands alone in a file, without an account's other data, is read
// by [ParseKey]. With the key and the directory URL an [Account] can be made by
// hand; a server finds the account URL by the key (RFC 8555 §7.3.1).
//
// # Keys
//
// An account key gives full control of the account. This package reads key
// files and never writes any. No error of it holds a part of a key, and an
// Account that is printed, logged or marshalled shows what kind of key it has
// and never the key: see [Account] for the ways that are covered.
//
// # Untrusted input
//
// The files are read with suspicion: only regular files are opened, no more
// than 1 MiB of each is read, symbolic links may form loops, directories and the
// work of decrypting are bounded, and a key whose parts contradict each other, or
// the key that the server registered, is an error.
package account

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/acme"
)

// UserAgent is the UserAgent of the clients that [Account.Client] makes.
// [acme.Client] sends it in front of its own, as RFC 8555 §6.1 demands a name
// and version. Change the field to add the name of your program.
const UserAgent = "acmeauthz/0.1 (+https://github.com/acmeauthz/acmeauthz)"

// An Account is an ACME account as a client stored it. The zero value has no
// key; an Account made by hand needs Key and Directory.
//
// Every way of printing an Account or a pointer to one shows its kind of key
// and never the key: the verbs of package fmt, [log/slog], and encodings that
// look for [json.Marshaler] or [encoding.TextMarshaler], also of slices, maps
// and structs that hold accounts. Code that walks the fields by reflection and
// asks no method, such as a deep-printing debugger, does reach Key.
//
// An Account is safe for concurrent use as long as nobody changes it.
type Account struct {
	// Key is the account's private key: an [*ecdsa.PrivateKey] (P-256, P-384 or
	// P-521) or an [*rsa.PrivateKey] (2048 to 8192 bits) if this package read it.
	Key crypto.Signer

	// URL is the account URL, the "kid" of requests (RFC 8555 §6.2). It is
	// empty if the client did not store it, or stored that of another server
	// than Directory's; the server can then be asked for it (§7.3.1).
	URL string

	// Directory is the URL of the server's directory object (RFC 8555 §7.1.1).
	Directory string

	// Path is the name of the key's file, within the file system given. It is
	// empty in an Account that was not read from one.
	Path string

	// StoredBy is the client that keeps the account, such as "certbot", "lego" or
	// "acme.sh"; package logparse uses the same names. It is empty in an Account
	// that was not read from a client's files, and "key file" if all there was is
	// a key.
	StoredBy string

	// Contact holds the contact URLs (RFC 8555 §7.1.2), such as
	// "mailto:admin@example.com". Most clients store none; the server has them.
	// The text is as stored: strip control characters before showing it.
	Contact []string

	// CreatedAt is when the client made the account. It is zero if the client
	// did not store that.
	CreatedAt time.Time

	// CreatedOn is the name of the host on which the account was made, as
	// stored: strip control characters before showing it. It may be empty.
	CreatedOn string

	// Mode holds the permission bits of the key's file. It is zero in an
	// Account that was not read from a file.
	Mode fs.FileMode

	shielded bool // a directory above the key's file lets nobody else in
}

// Client returns a new client for the account. Its Key, KID, DirectoryURL and
// UserAgent are set; its other fields have their zero values, of which
// RetryBackoff means to retry for ever.
//
// If a.Directory is empty so is DirectoryURL, which [acme.Client] takes for
// Let's Encrypt's production server.
func (a *Account) Client() *acme.Client {
	return &acme.Client{
		Key:          a.Key,
		KID:          acme.KeyID(a.URL),
		DirectoryURL: a.Directory,
		UserAgent:    UserAgent,
	}
}

// KeyExposed reports whether the permission bits of the key's file, and those of
// the directories above it in the file system given, let others than its owner
// read it. Directories further up, which may still prevent that, are not looked
// at. It is false on Windows, where the bits mean nothing, and for an Account
// that was not read from a file.
func (a *Account) KeyExposed() bool {
	return runtime.GOOS != "windows" && a.Mode.Perm()&0o044 != 0 && !a.shielded
}

// String describes the account in one line, without the key, such as
//
//	https://ca.example/acme/acct/1 (EC P-256, accounts/ca.example/…/private_key.json)
//
// What cannot be printed safely is quoted. If the URL is unknown the directory
// URL stands in its place.
func (a Account) String() string {
	name := "account of no server"
	switch {
	case a.URL != "":
		name = printable(a.URL)
	case a.Directory != "":
		name = "account of " + printable(a.Directory)
	}
	if a.Path == "" {
		return name + " (" + a.KeyType() + ")"
	}
	return name + " (" + a.KeyType() + ", " + printable(a.Path) + ")"
}

// Format implements [fmt.Formatter] so that no verb reaches the key: all of
// them apply to the result of String.
func (a Account) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), a.String())
}

// LogValue implements [slog.LogValuer]: a group of url, directory, path and
// the kind of key.
func (a Account) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("url", a.URL),
		slog.String("directory", a.Directory),
		slog.String("path", a.Path),
		slog.String("key", a.KeyType()),
	)
}

// MarshalText implements [encoding.TextMarshaler]; the text is that of String.
// There is no way back: an Account cannot be unmarshalled.
func (a Account) MarshalText() ([]byte, error) {
	return []byte(a.String()), nil
}

// MarshalJSON implements [json.Marshaler]. The object has the members url,
// directory, path, storedBy, contact, createdAt, createdOn, mode ("0400") and key, which
// is the kind of key; members without a value are left out.
func (a Account) MarshalJSON() ([]byte, error) {
	wire := wireAccount{
		URL: a.URL, Directory: a.Directory, Path: a.Path, StoredBy: a.StoredBy, Key: a.KeyType(),
		Contact: a.Contact, CreatedAt: a.CreatedAt, CreatedOn: a.CreatedOn,
	}
	if a.Mode != 0 {
		wire.Mode = fmt.Sprintf("%04o", a.Mode.Perm())
	}
	return json.Marshal(wire)
}

// wireAccount is an Account in JSON.
type wireAccount struct {
	URL       string    `json:"url,omitempty"`
	Directory string    `json:"directory,omitempty"`
	Path      string    `json:"path,omitempty"`
	StoredBy  string    `json:"storedBy,omitempty"`
	Contact   []string  `json:"contact,omitempty"`
	CreatedAt time.Time `json:"createdAt,omitzero"`
	CreatedOn string    `json:"createdOn,omitempty"`
	Mode      string    `json:"mode,omitempty"`
	Key       string    `json:"key"`
}

// KeyType names the kind and size of the account's key: "EC P-256", "EC P-384",
// "EC P-521", "RSA 2048" and so on, or "no key".
func (a Account) KeyType() string {
	if a.Key == nil {
		return "no key"
	}
	switch pub := a.Key.Public().(type) {
	case *rsa.PublicKey:
		return "RSA " + strconv.Itoa(pub.N.BitLen())
	case *ecdsa.PublicKey:
		return "EC " + pub.Params().Name
	default:
		return "another kind of key"
	}
}

// KeyKind returns the kind of the account's key, "EC" or "RSA", and its size in
// bits; "" and 0 without a key.
func (a Account) KeyKind() (kind string, bits int) {
	if a.Key == nil {
		return "", 0
	}
	switch pub := a.Key.Public().(type) {
	case *rsa.PublicKey:
		return "RSA", pub.N.BitLen()
	case *ecdsa.PublicKey:
		return "EC", pub.Params().BitSize
	}
	return "", 0
}

// Thumbprint is the JWK thumbprint of the account's key (RFC 7638, with SHA-256),
// 43 letters of base64url. It is public: it names the key without giving it away,
// and key authorizations have it (RFC 8555 §8.1). It is empty without a key.
func (a Account) Thumbprint() string {
	if a.Key == nil {
		return ""
	}
	thumbprint, err := acme.JWKThumbprint(a.Key.Public())
	if err != nil {
		return ""
	}
	return thumbprint
}

// printable returns s, quoted if it holds anything that a terminal or a log
// might take for something else.
func printable(s string) string {
	if quoted := strconv.QuoteToASCII(s); quoted[1:len(quoted)-1] != s || strings.Contains(s, " ") {
		return quoted
	}
	return s
}
