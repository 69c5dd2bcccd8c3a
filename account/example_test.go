package account_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing/fstest"

	"github.com/acmeauthz/acmeauthz/account"
)

// The directory is one that Certbot 2.1.0 wrote; usually it is /etc/letsencrypt.
func ExampleCertbot() {
	accounts, err := account.Certbot(os.DirFS("testdata/certbot/killed-in-manual-hook/letsencrypt"))
	if err != nil {
		fmt.Println(err) // of accounts that could not be read; the others are there
	}
	for _, a := range accounts {
		fmt.Println(a.URL)
		fmt.Println(a.Directory)
		fmt.Println(a.CreatedAt.Format("2006-01-02"), a.CreatedOn)
	}
	// Output:
	// https://acme-v02.api.letsencrypt.org/acme/acct/2756587904
	// https://acme-v02.api.letsencrypt.org/directory
	// 2026-11-23 web01.example.com
}

// What is wrong can be asked for each file.
func ExampleCertbot_errors() {
	_, err := account.Certbot(os.DirFS("testdata/certbot"))
	if e, ok := errors.AsType[*account.FileError](err); ok && errors.Is(err, fs.ErrNotExist) {
		fmt.Println("missing:", e.Path)
	}
	// Output: missing: accounts
}

// An account made by hand, of a key and the directory URL of its server.
func ExampleParseKey() {
	data, err := os.ReadFile("testdata/keys/p256-parameters-sec1.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := account.ParseKey(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	a := &account.Account{Key: key, Directory: "https://ca.example/directory"}
	fmt.Println(a)
	// Output: account of https://ca.example/directory (EC P-256)
}

func ExampleParseKey_errors() {
	data, err := os.ReadFile("testdata/keys/p384-encrypted-pkcs8.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = account.ParseKey(data)
	switch e, _ := errors.AsType[*account.KeyError](err); {
	case errors.Is(err, account.ErrEncryptedKey):
		fmt.Println("needs its passphrase removed:", e.Found)
	case errors.Is(err, account.ErrNoPrivateKey):
		fmt.Println("the wrong file:", e.Found)
	}
	// Output: needs its passphrase removed: an encrypted private key
}

func ExampleAccount_Client() {
	accounts, err := account.Certbot(os.DirFS("testdata/certbot/killed-in-manual-hook/letsencrypt"))
	if err != nil {
		fmt.Println(err)
		return
	}
	client := accounts[0].Client()
	fmt.Println(client.DirectoryURL)
	fmt.Println(client.KID)
	// Output:
	// https://acme-v02.api.letsencrypt.org/directory
	// https://acme-v02.api.letsencrypt.org/acme/acct/2756587904
}

// A program that minds its keys can warn of one that others may read.
func ExampleAccount_KeyExposed() {
	a := account.Account{Path: "accounts/ca.example/directory/0/private_key.json", Mode: 0o644}
	if a.KeyExposed() {
		fmt.Printf("chmod 400 %s\n", a.Path)
	}
	// Output: chmod 400 accounts/ca.example/directory/0/private_key.json
}

// No way of printing an account shows its key.
func ExampleAccount_String() {
	data, err := os.ReadFile("testdata/keys/rsa2048-pkcs1.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	key, err := account.ParseKey(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	a := account.Account{Key: key, URL: "https://ca.example/acme/acct/1"}
	fmt.Printf("%v\n%+v\n%#v\n", a, &a, []account.Account{a})
	// Output:
	// https://ca.example/acme/acct/1 (RSA 2048)
	// https://ca.example/acme/acct/1 (RSA 2048)
	// []account.Account{"https://ca.example/acme/acct/1 (RSA 2048)"}
}

// Whatever client a directory is of, it is told by what is in it.
func ExampleLoad() {
	accounts, err := account.Load("testdata/lego/5.6.0-text-log/lego")
	if err != nil {
		fmt.Println(err)
	}
	for _, a := range accounts {
		fmt.Println(a.StoredBy, a.KeyType(), a.CA(), a.Environment())
		fmt.Println(a.URL)
	}
	// Output:
	// lego EC P-256 Let's Encrypt production
	// https://acme-v02.api.letsencrypt.org/acme/acct/2603349847
}

// Discover looks where each client keeps its accounts. The machine here is one that has nothing but root's directory of lego.
func ExampleDiscover() {
	machine := fstest.MapFS{} // os.DirFS("/") is this one
	lego := os.DirFS("testdata/lego/4.9.1-success-http01/lego")
	err := fs.WalkDir(lego, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := fs.ReadFile(lego, name)
		machine["root/.lego/"+name] = &fstest.MapFile{Data: data, Mode: 0o600}
		return err
	})
	if err != nil {
		fmt.Println(err)
	}
	accounts, err := account.Discover(machine)
	if err != nil {
		fmt.Println(err) // of accounts that could not be read; the others are there
	}
	for _, a := range accounts {
		fmt.Println(a.StoredBy, a.KeyType(), a.URL)
	}
	// Output:
	// lego EC P-256 https://acme-v02.api.letsencrypt.org/acme/acct/2769609704
}

func ExampleMatch() {
	accounts, err := account.Load("testdata/lego/4.35.2-account-key-types/lego")
	if err != nil {
		fmt.Println(err)
	}
	a, err := account.Match(accounts, "https://acme-v02.api.letsencrypt.org/acme/authz/2834732307/123456")
	fmt.Println(a.Contact, err)

	_, err = account.Match(accounts, "https://acme-v02.api.letsencrypt.org/acme/authz/1/2")
	fmt.Println(errors.Is(err, account.ErrNoAccount))
	// Output:
	// [mailto:ec384@example.com] <nil>
	// true
}
