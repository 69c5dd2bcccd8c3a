package account

import (
	"bytes"
	"context"
	"crypto"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/acme"
)

func sprint(v any) string { return fmt.Sprint(v) }

// testAccount is an account with a key of each kind's internals.
func testAccount(key crypto.Signer) Account {
	return Account{
		Key:       key,
		URL:       "https://ca.example/acme/acct/1",
		Directory: "https://ca.example/directory",
		Path:      "accounts/ca.example/directory/0/private_key.json",
		Contact:   []string{"mailto:admin@example.com"},
		CreatedAt: time.Date(2026, 11, 23, 20, 10, 52, 0, time.UTC),
		CreatedOn: "web01.example.com",
		Mode:      0o400,
	}
}

// TestKeyNeverShows prints accounts, and what may hold accounts, in every way
// that a program is likely to, and looks for the numbers of the key.
func TestKeyNeverShows(t *testing.T) {
	for _, name := range []string{"rsa2048-pkcs1.pem", "p256-parameters-sec1.pem", "p521-pkcs8.pem"} {
		t.Run(name, func(t *testing.T) {
			key := parsed(t, name)
			secrets := keySecrets(key)
			a := testAccount(key)
			for kind, v := range holders(a) {
				for way, printed := range prints(t, v) {
					t.Run(kind+" "+way, func(t *testing.T) { requireHidden(t, printed, secrets) })
				}
			}
		})
	}
}

// TestSecretsAreFound proves that requireHidden's net has no holes: the same
// ways of printing do show a key that stands alone, or in a struct of another
// type.
func TestSecretsAreFound(t *testing.T) {
	type bare struct{ Key any }
	for _, name := range []string{"rsa2048-pkcs1.pem", "p384-sec1.pem"} {
		key := parsed(t, name)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%d", "%x", "%X"} {
			require.True(t, shows(fmt.Sprintf(verb, key), keySecrets(key)), "%s of %s", verb, name)
		}
		data, err := json.Marshal(bare{key})
		require.NoError(t, err)
		require.True(t, shows(string(data), keySecrets(key)), "JSON of %s", name)
		data, err = yaml.Marshal(jwkMembers(t, key))
		require.NoError(t, err)
		require.True(t, shows(string(data), keySecrets(key)), "JWK of %s", name)
	}
}

func shows(printed string, secrets []string) bool {
	for _, secret := range secrets {
		if strings.Contains(strings.ToLower(printed), strings.ToLower(secret)) {
			return true
		}
	}
	return false
}

// holders returns a and what may hold it.
func holders(a Account) map[string]any {
	p := &a
	return map[string]any{
		"value":            a,
		"pointer":          p,
		"pointer twice":    &p,
		"slice":            []Account{a, a},
		"slice of pointer": []*Account{p},
		"pointer to slice": &[]Account{a},
		"array":            [1]Account{a},
		"map":              map[string]Account{"a": a},
		"map of pointers":  map[string]*Account{"a": p},
		"struct":           struct{ A Account }{a},
		"pointer in it":    &struct{ A *Account }{p},
		"embedded":         struct{ Account }{a},
		"embedded pointer": struct{ *Account }{p},
		"unexported":       struct{ a Account }{a},
		"hidden pointer":   &struct{ a *Account }{p},
		"interface":        []any{a, p},
		"error":            fmt.Errorf("account %v: %w", a, &FileError{a.Path, fs.ErrNotExist}),
	}
}

// prints returns v as printed in many ways.
func prints(t *testing.T, v any) map[string]string {
	out := map[string]string{
		"Sprint": fmt.Sprint(v), "Sprintln": fmt.Sprintln(v),
		"Errorf": fmt.Errorf("%v %w", v, errors.ErrUnsupported).Error(),
	}
	for _, verb := range []string{
		"%v", "%+v", "%#v", "% v", "%s", "%+s", "%#s", "%q", "%+q", "%#q", "%x", "%X", "% x", "%#x", "%d", "%+d", "%#d",
		"%o", "%b", "%e", "%f", "%g", "%t", "%c", "%U", "%p", "%T", "%w", "%z", "%200v", "%-9.3v", "%!",
	} {
		out[verb] = unhex(verb, fmt.Sprintf(verb, v))
	}
	for _, verb := range []string{"%[1]*v", "%.*v", "%v"} {
		out["wrong "+verb] = fmt.Sprintf(verb, v, v)
	}
	encodings(v, out)
	logs(t, v, out)
	return out
}

// unhex makes a string that was printed as hexadecimal one that can be searched.
func unhex(verb, s string) string {
	if !strings.ContainsAny(verb, "xX") {
		return s
	}
	var raw []byte
	for i := 0; i+1 < len(s); i++ {
		var b byte
		if _, err := fmt.Sscanf(s[i:i+2], "%02x", &b); err == nil {
			raw = append(raw, b)
			i++
		}
	}
	return s + string(raw)
}

func encodings(v any, out map[string]string) {
	for name, encode := range map[string]func(any) ([]byte, error){
		"json": json.Marshal, "yaml": func(v any) ([]byte, error) { return yaml.Marshal(v) }, "xml": xml.Marshal, "gob": gobMarshal, "template": templated,
		"jsonindent": func(v any) ([]byte, error) { return json.MarshalIndent(v, "", " ") },
	} {
		data, err := recovered(encode, v)
		out[name] = string(data) + sprint(err)
	}
}

// recovered makes an error of a panic: yaml and encoding/xml have them for some
// types without a name.
func recovered(encode func(any) ([]byte, error), v any) (data []byte, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return encode(v)
}

func gobMarshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	err := gob.NewEncoder(&buf).Encode(v)
	return buf.Bytes(), err
}

func templated(v any) ([]byte, error) {
	var buf bytes.Buffer
	err := template.Must(template.New("").Parse("{{.}} {{printf `%#v` .}} {{js .}} {{html .}} {{urlquery .}}")).Execute(&buf, v)
	return buf.Bytes(), err
}

func logs(t *testing.T, v any, out map[string]string) {
	var buf bytes.Buffer
	for _, handler := range []slog.Handler{slog.NewTextHandler(&buf, nil), slog.NewJSONHandler(&buf, nil)} {
		buf.Reset()
		l := slog.New(handler)
		l.Info("any", "v", v)
		l.Info("bad", v, v)
		l.With("w", v).WithGroup("g").Error(sprint(v), slog.Any("v", v), slog.Group("h", "v", v))
		l.LogAttrs(context.Background(), slog.LevelWarn, "attrs", slog.Any("v", v))
		out[fmt.Sprintf("%T", handler)] = buf.String()
	}
	buf.Reset()
	l := log.New(&buf, "", 0)
	l.Print(v)
	l.Printf("%v %+v %#v", v, v, v)
	l.Println(v, v)
	out["log"] = buf.String()
}

func TestAccountPrinted(t *testing.T) {
	a := testAccount(parsed(t, "p384-sec1.pem"))
	const want = "https://ca.example/acme/acct/1 (EC P-384, accounts/ca.example/directory/0/private_key.json)"
	require.Equal(t, want, a.String())
	require.Equal(t, want, fmt.Sprintf("%v", a))
	require.Equal(t, want, fmt.Sprintf("%+v", &a))
	require.Equal(t, want, fmt.Sprintf("%s", a))
	require.Equal(t, `"`+want+`"`, fmt.Sprintf("%#v", a))
	require.Equal(t, `"`+want+`"`, fmt.Sprintf("%q", &a))
	require.Equal(t, fmt.Sprintf("%x", want), fmt.Sprintf("%x", a))
	require.Equal(t, "["+want+" "+want+"]", fmt.Sprint([]*Account{&a, &a}))
	require.Equal(t, "<nil>", fmt.Sprint((*Account)(nil)))

	data, err := json.Marshal([]Account{a})
	require.NoError(t, err)
	require.Equal(t, `[{"url":"https://ca.example/acme/acct/1","directory":"https://ca.example/directory",`+
		`"path":"accounts/ca.example/directory/0/private_key.json","contact":["mailto:admin@example.com"],`+
		`"createdAt":"2026-11-23T20:10:52Z","createdOn":"web01.example.com","mode":"0400","key":"EC P-384"}]`, string(data))
	data, err = json.Marshal(Account{})
	require.NoError(t, err)
	require.Equal(t, `{"key":"no key"}`, string(data))
	data, err = json.Marshal((*Account)(nil))
	require.NoError(t, err)
	require.Equal(t, `null`, string(data))
	data, err = a.MarshalText()
	require.NoError(t, err)
	require.Equal(t, want, string(data))

	var buf bytes.Buffer
	slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: dropTime})).Info("found", "account", a)
	require.Equal(t, `level=INFO msg=found account.url=https://ca.example/acme/acct/1 account.directory=https://ca.example/directory `+
		`account.path=accounts/ca.example/directory/0/private_key.json account.key="EC P-384"`+"\n", buf.String())
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

func TestAccountString(t *testing.T) {
	key := parsed(t, "rsa2048-pkcs1.pem")
	for _, test := range []struct {
		account Account
		want    string
	}{
		{Account{}, "account of no server (no key)"},
		{Account{Key: key}, "account of no server (RSA 2048)"},
		{Account{Key: key, Directory: "https://ca.example/dir"}, "account of https://ca.example/dir (RSA 2048)"},
		{Account{Key: key, URL: "https://ca.example/1"}, "https://ca.example/1 (RSA 2048)"},
		{Account{Key: key, Path: "a b/\x1b[31m"}, `account of no server (RSA 2048, "a b/\x1b[31m")`},
		{Account{URL: "https://ca.example/\u202e\n"}, `"https://ca.example/\u202e\n" (no key)`},
		{Account{Key: otherSigner{}}, "account of no server (another kind of key)"},
	} {
		require.Equal(t, test.want, test.account.String())
	}
}

// otherSigner is a key of a kind that the package does not know, as the key in
// a hardware module might be.
type otherSigner struct{ crypto.Signer }

func (otherSigner) Public() crypto.PublicKey { return "public" }

func TestClient(t *testing.T) {
	a := testAccount(parsed(t, "p256-parameters-sec1.pem"))
	require.Equal(t, &acme.Client{
		Key: a.Key, KID: "https://ca.example/acme/acct/1", DirectoryURL: "https://ca.example/directory", UserAgent: UserAgent,
	}, a.Client())
	require.NotSame(t, a.Client(), a.Client())
	require.Equal(t, &acme.Client{UserAgent: UserAgent}, new(Account).Client())
}

// TestClientUserAgent shows what a server sees (RFC 8555 §6.1).
func TestClientUserAgent(t *testing.T) {
	var agent string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		agent = r.Header.Get("User-Agent")
		fmt.Fprint(w, `{"newNonce":"https://ca.example/nonce","newAccount":"https://ca.example/account","newOrder":"https://ca.example/order"}`)
	}))
	defer server.Close()
	client := (&Account{Directory: server.URL}).Client()
	_, err := client.Discover(t.Context())
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(agent, "acmeauthz/"), agent)
}

func TestKeyExposed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("permission bits mean nothing on Windows")
	}
	for mode, want := range map[fs.FileMode]bool{
		0: false, 0o400: false, 0o600: false, 0o700: false, 0o622: false, 0o711: false,
		0o440: true, 0o640: true, 0o604: true, 0o444: true, 0o644: true, 0o777: true, fs.ModeSetuid | 0o644: true,
	} {
		require.Equal(t, want, (&Account{Mode: mode}).KeyExposed(), "%o", mode)
	}
}
