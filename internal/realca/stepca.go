package realca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// StepCA runs the program step-ca (0.30 or later) with an ACME provisioner, a database in a file and keys made for it. The
// program is looked for in the directory that the environment's STEP_CA names, or in PATH if it names none.
func StepCA(t testing.TB) *CA {
	t.Helper()
	program := findProgram(t, "step-ca", os.Getenv("STEP_CA"), "REQUIRE_STEPCA",
		"go install github.com/smallstep/certificates/cmd/step-ca@v0.30.2")
	return run(t, program, func(directory string) (*CA, string, []string) {
		port, validationPort := freePort(t), freePort(t)
		root := writeAuthority(t, directory)
		config := filepath.Join(directory, "ca.json")
		writeStepConfig(t, config, directory, port)
		ca := newCA(port, "/acme/acme/directory")
		ca.ValidationPort = validationPort
		// Nothing answers there, so that a look-up is never an accident.
		resolver := loopback(freePort(t))
		return ca, root, []string{config, "--resolver", resolver, "--insecure", "--acme-http-port", strconv.Itoa(validationPort)}
	})
}

// writeStepConfig writes step-ca's configuration. ACME needs a database.
func writeStepConfig(t testing.TB, path, directory string, port int) {
	t.Helper()
	type object map[string]any
	text, err := json.Marshal(object{
		"root":     filepath.Join(directory, "root.crt"),
		"crt":      filepath.Join(directory, "intermediate.crt"),
		"key":      filepath.Join(directory, "intermediate.key"),
		"address":  loopback(port),
		"dnsNames": []string{"localhost"},
		"logger":   object{"format": "text"},
		"db":       object{"type": "badgerv2", "dataSource": filepath.Join(directory, "db")},
		"authority": object{
			"provisioners": []object{{"type": "ACME", "name": "acme"}},
		},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, text, 0o600))
}

// writeAuthority makes a root, whose key is forgotten, and an intermediate. It returns the file of the root.
func writeAuthority(t testing.TB, directory string) (root string) {
	t.Helper()
	rootKey, intermediateKey := newKey(t), newKey(t)
	rootTemplate, intermediateTemplate := authority("acmeauthz test root", 1), authority("acmeauthz test intermediate", 0)
	rootDER, err := x509.CreateCertificate(rand.Reader, rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, intermediateTemplate, rootTemplate, intermediateKey.Public(), rootKey)
	require.NoError(t, err)
	key, err := x509.MarshalECPrivateKey(intermediateKey)
	require.NoError(t, err)
	root = filepath.Join(directory, "root.crt")
	writePEM(t, root, "CERTIFICATE", rootDER)
	writePEM(t, filepath.Join(directory, "intermediate.crt"), "CERTIFICATE", der)
	writePEM(t, filepath.Join(directory, "intermediate.key"), "EC PRIVATE KEY", key)
	return root
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// authority is a CA's certificate that allows that many CAs below the next one.
func authority(name string, pathLength int) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber:          big.NewInt(int64(pathLength) + 1),
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(7 * 24 * time.Hour),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLen:            pathLength,
		MaxPathLenZero:        true,
	}
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}
