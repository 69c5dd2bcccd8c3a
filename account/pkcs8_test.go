package account

import (
	"encoding/asn1"
	"encoding/pem"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// encryptedDER is the content of a file that OpenSSL encrypted with "secret".
func encryptedDER(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/keys/" + name)
	require.NoError(t, err)
	block, _ := pem.Decode(data)
	require.NotNil(t, block)
	return block.Bytes
}

// TestDecryptPKCS8 has keys that OpenSSL 3 encrypted in various ways.
func TestDecryptPKCS8(t *testing.T) {
	want := parsed(t, "p384-sec1.pem").Public()
	for _, name := range []string{"p384-encrypted-pkcs8.pem", "p384-encrypted-aes-128-cbc.pem", "p384-encrypted-aes-192-cbc.pem", "p384-encrypted-des3.pem"} {
		der, err := decryptPKCS8(encryptedDER(t, name), []byte("secret"))
		require.NoError(t, err, name)
		key, err := ParseKey(der)
		require.NoError(t, err, name)
		require.Equal(t, want, key.Public(), name)
		_, err = decryptPKCS8(encryptedDER(t, name), []byte("Secret"))
		require.ErrorIs(t, err, errPassphrase, name)
	}
	for _, name := range []string{"p384-encrypted-scrypt.pem", "p384-encrypted-pbes1.pem", "p384-sec1.pem"} {
		_, err := decryptPKCS8(encryptedDER(t, name), []byte("secret"))
		require.ErrorIs(t, err, errPBES2, name)
	}
}

// TestDecryptPKCS8Hostile changes what the file says of how it was encrypted.
func TestDecryptPKCS8Hostile(t *testing.T) {
	der := encryptedDER(t, "p384-encrypted-aes-128-cbc.pem")
	for n := range len(der) {
		_, err := decryptPKCS8(der[:n], []byte("secret"))
		require.Error(t, err)
	}
	for _, iterations := range []int{0, -1, maxIterations + 1, 1<<31 - 1} {
		_, err := decryptPKCS8(iterated(t, der, iterations), []byte("secret"))
		require.EqualError(t, err, "the key is encrypted with an unlikely number of iterations")
	}
	_, err := decryptPKCS8(iterated(t, der, 1), []byte("secret"))
	require.ErrorIs(t, err, errPassphrase)
}

// iterated returns an encrypted key with another number of iterations.
func iterated(t *testing.T, der []byte, n int) []byte {
	t.Helper()
	var key encryptedKey
	var params pbes2
	var kdf pbkdf2Params
	_, err := asn1.Unmarshal(der, &key)
	require.NoError(t, err)
	_, err = asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &params)
	require.NoError(t, err)
	_, err = asn1.Unmarshal(params.KDF.Parameters.FullBytes, &kdf)
	require.NoError(t, err)
	kdf.Iterations = n
	params.KDF.Parameters.FullBytes, err = asn1.Marshal(kdf)
	require.NoError(t, err)
	key.Algorithm.Parameters.FullBytes, err = asn1.Marshal(params)
	require.NoError(t, err)
	changed, err := asn1.Marshal(key)
	require.NoError(t, err)
	return changed
}

func FuzzDecryptPKCS8(f *testing.F) {
	for _, name := range []string{"p384-encrypted-pkcs8.pem", "p384-encrypted-des3.pem", "p384-encrypted-scrypt.pem"} {
		f.Add(encryptedDER(f, name))
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		var key encryptedKey
		var params pbes2
		var kdf pbkdf2Params
		if _, err := asn1.Unmarshal(der, &key); err == nil {
			if _, err := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &params); err == nil {
				if _, err := asn1.Unmarshal(params.KDF.Parameters.FullBytes, &kdf); err == nil && kdf.Iterations > 100_000 {
					return // works, for long
				}
			}
		}
		_, _ = decryptPKCS8(der, []byte("secret"))
	})
}
