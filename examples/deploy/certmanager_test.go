//go:build unix

package deploy_test

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/acmeauthz/acmeauthz/account"
	"github.com/stretchr/testify/require"
)

// issuerAndSecret are the resources of cert-manager for the account whose Certbot
// key file is path.
func issuerAndSecret(t *testing.T, path string) (issuer, secret string) {
	t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	key, err := account.ParseKey(data)
	require.NoError(t, err)
	var registration struct{ URI string }
	data, err = os.ReadFile(filepath.Join(filepath.Dir(path), "regr.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, &registration))
	pair, ok := key.(*rsa.PrivateKey)
	require.True(t, ok)
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(pair)})
	host := filepath.Base(filepath.Dir(filepath.Dir(filepath.Dir(path))))
	issuer = fmt.Sprintf("apiVersion: v1\nkind: List\nitems:\n- apiVersion: cert-manager.io/v1\n  kind: ClusterIssuer\n  metadata: {name: letsencrypt}\n"+
		"  spec:\n    acme:\n      server: \"https://%s/dir\"\n      privateKeySecretRef: {name: letsencrypt-account}\n  status:\n    acme: {uri: %q}\n", host, registration.URI)
	secret = fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: letsencrypt-account, namespace: cert-manager}\ntype: Opaque\ndata:\n  tls.key: %s\n",
		base64.StdEncoding.EncodeToString(text))
	return issuer, secret
}
