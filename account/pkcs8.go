package account

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"hash"
)

// maxIterations is how many iterations of PBKDF2 are made at most; OpenSSL makes
// 2048 by default, and a hostile file could ask for hours of them.
const maxIterations = 10_000_000

var (
	errPBES2      = errors.New("the key is encrypted in a way that is not known (known is PBES2 with PBKDF2, and AES or triple DES)")
	errPassphrase = errors.New("the key cannot be decrypted: the passphrase is another, or the file is damaged")
)

var (
	oidPBES2  = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidPBKDF2 = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
)

// hashes are the pseudorandom functions of PBKDF2, by the last part of their
// identifier 1.2.840.113549.2.x (RFC 8018, appendix B.1).
var hashes = map[int]func() hash.Hash{7: sha1.New, 8: sha256.New224, 9: sha256.New, 10: sha512.New384, 11: sha512.New}

// An encryption is a cipher in CBC mode (RFC 8018, appendix B.2).
type encryption struct {
	oid  asn1.ObjectIdentifier
	size int // of the key, in bytes
	make func(key []byte) (cipher.Block, error)
}

var encryptions = []encryption{
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}, 24, aes.NewCipher},
	{asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher},
	{asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher},
}

// encryptedKey is EncryptedPrivateKeyInfo (RFC 5958 §3).
type encryptedKey struct {
	Algorithm pkix.AlgorithmIdentifier
	Data      []byte
}

// pbes2 is PBES2-params (RFC 8018, appendix A.4).
type pbes2 struct {
	KDF, Scheme pkix.AlgorithmIdentifier
}

// pbkdf2Params is PBKDF2-params (RFC 8018, appendix A.2), with a salt given as such.
type pbkdf2Params struct {
	Salt       []byte
	Iterations int
	KeyLength  int                      `asn1:"optional"`
	PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
}

// decryptPKCS8 returns the private key in DER of an encrypted one (RFC 5958 §3,
// RFC 8018 §6.2).
func decryptPKCS8(der, passphrase []byte) ([]byte, error) {
	var key encryptedKey
	if _, err := asn1.Unmarshal(der, &key); err != nil || !key.Algorithm.Algorithm.Equal(oidPBES2) {
		return nil, errPBES2
	}
	var params pbes2
	if _, err := asn1.Unmarshal(key.Algorithm.Parameters.FullBytes, &params); err != nil {
		return nil, errPBES2
	}
	for _, e := range encryptions {
		if params.Scheme.Algorithm.Equal(e.oid) {
			return e.decrypt(&params, key.Data, passphrase)
		}
	}
	return nil, errPBES2
}

func (e *encryption) decrypt(params *pbes2, data, passphrase []byte) ([]byte, error) {
	var iv []byte
	if _, err := asn1.Unmarshal(params.Scheme.Parameters.FullBytes, &iv); err != nil {
		return nil, errPBES2
	}
	secret, err := deriveKey(&params.KDF, passphrase, e.size)
	if err != nil {
		return nil, err
	}
	block, err := e.make(secret)
	if err != nil || len(iv) != block.BlockSize() || len(data) == 0 || len(data)%block.BlockSize() != 0 {
		return nil, errPBES2
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, data)
	return unpad(plain, block.BlockSize())
}

// deriveKey makes a key of a passphrase.
func deriveKey(kdf *pkix.AlgorithmIdentifier, passphrase []byte, size int) ([]byte, error) {
	var params pbkdf2Params
	if _, err := asn1.Unmarshal(kdf.Parameters.FullBytes, &params); err != nil || !kdf.Algorithm.Equal(oidPBKDF2) {
		return nil, errPBES2
	}
	function := sha1.New // by default
	if prf := params.PRF.Algorithm; len(prf) > 0 {
		function = hashes[prf[len(prf)-1]]
		if function == nil || !prf[:len(prf)-1].Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 2}) {
			return nil, errPBES2
		}
	}
	if params.Iterations < 1 || params.Iterations > maxIterations {
		return nil, errors.New("the key is encrypted with an unlikely number of iterations")
	}
	return pbkdf2.Key(function, string(passphrase), params.Salt, params.Iterations, size)
}

// unpad takes off the padding (RFC 8018 §6.1.1, step 4).
func unpad(plain []byte, size int) ([]byte, error) {
	n := int(plain[len(plain)-1])
	if n < 1 || n > size {
		return nil, errPassphrase
	}
	for _, b := range plain[len(plain)-n:] {
		if int(b) != n {
			return nil, errPassphrase
		}
	}
	return plain[:len(plain)-n], nil
}
