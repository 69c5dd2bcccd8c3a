package authz

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

func TestOrigins(t *testing.T) {
	o := directoryOrigins("https://CA.example/directory", acme.Directory{
		NonceURL: "https://nonce.example:443/new",
		OrderURL: "https://[2001:db8::1]:8443/order",
		RegURL:   "http://insecure.example/account",
		Terms:    "https://docs.example/terms",
		Website:  "https://www.example/",
	}, func(host string) bool {
		return host == "proxy.example" || host == "odd.example:81" || host == "127.0.0.1:8080"
	})
	for _, tt := range []struct {
		url  string
		want string // "" if allowed
	}{
		{"https://ca.example/acme/authz/1/2", ""},
		{"https://CA.EXAMPLE:443/acme/authz/1/2", ""},
		{"https://nonce.example/x?y=z", ""},
		{"https://[2001:DB8::1]:8443/x", ""},
		{"https://proxy.example/x", ""},
		{"https://odd.example:81/x", ""},
		{"http://127.0.0.1:8080/x", ""},

		{"https://ca.example:8443/x", "https://ca.example:8443"},
		{"https://ca.example.evil.example/x", "https://ca.example.evil.example"},
		{"https://evil.example/https://ca.example/x", "https://evil.example"},
		{"https://docs.example/x", "https://docs.example"},
		{"https://www.example/x", "https://www.example"},
		{"https://127.0.0.1/x", "https://127.0.0.1"},
		{"https://[2001:db8::1]/x", "https://[2001:db8::1]"},
		{"http://ca.example/x", `authz: "http://ca.example/x" is not https`},
		{"http://proxy.example/x", `authz: "http://proxy.example/x" is not https`},
		{"http://insecure.example/x", `authz: "http://insecure.example/x" is not https`},
		{"ftp://ca.example/x", `authz: "ftp://ca.example/x" is not https`},
		{"https://user:secret@ca.example/x", `authz: "https://user:xxxxx@ca.example/x" has a user or a fragment`},
		{"https://ca.example/x#y", `authz: "https://ca.example/x#y" has a user or a fragment`},
		{"https:ca.example/x", `authz: "https:ca.example/x" is not an absolute URL`},
		{"//ca.example/x", `authz: "//ca.example/x" is not https`},
		{"/acme/authz/1/2", `authz: "/acme/authz/1/2" is not an absolute URL`},
		{"", `authz: "" is not an absolute URL`},
		{"https://ca.example\n/x", "authz: parse \"https://ca.example\\n/x\": net/url: invalid control character in URL"},
	} {
		err := o.check(tt.url)
		if tt.want == "" {
			require.NoError(t, err, tt.url)
			continue
		}
		require.ErrorIs(t, err, ErrForeign, tt.url)
		require.EqualError(t, err, ErrForeign.Error()+": "+tt.want)
	}
}
