package account

// Terraform's state, terraform.tfstate, format 4 (from the sources of Terraform 1
// and of vancluever/terraform-provider-acme 2, not run):
//
//	{"version": 4, "resources": [{"type": "acme_registration", "name": "…", "instances": [{"attributes": {
//	   "account_key_pem": "<PEM>", "registration_url": "<account URL>", "email_address": "…"}}]}]}
//
// A certificate (type acme_certificate) has account_key_pem, too. The directory URL
// is part of the provider's configuration, and not in the state.

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"slices"
	"strings"
)

// Terraform reads the accounts in the state that Terraform keeps of the provider
// acme: the files *.tfstate in the directory given, also such as "terraform state
// pull" prints. They are sorted by Path.
//
// URL and Contact are those of the resource acme_registration. Directory is that of
// the public CA on the account's host, or empty.
//
// Accounts that cannot be read do not hide the others: the error joins a
// [*FileError] for each file with a fault. If there is no account at all it is a
// [*FileError] that wraps [fs.ErrNotExist].
func Terraform(fsys fs.FS) ([]*Account, error) {
	s := newStore(fsys, "terraform")
	s.parseAll(terraformFile, ".tfstate")
	return s.result("a directory with Terraform's state of the provider acme")
}

// terraformState is what matters of a state.
type terraformState struct {
	Resources []struct {
		Type      string `json:"type"`
		Instances []struct {
			Attributes json.RawMessage `json:"attributes"` // of other providers' resources, anything
		} `json:"instances"`
	} `json:"resources"`
}

type terraformAttributes struct {
	Key   string `json:"account_key_pem"`
	URL   string `json:"registration_url"`
	Email string `json:"email_address"`
}

func terraformFile(s *store, name string, data []byte, mode fs.FileMode) bool {
	var state terraformState
	if json.Unmarshal(bytes.TrimPrefix(data, []byte("\ufeff")), &state) != nil {
		return false
	}
	var certificates []terraformAttributes
	known := false
	for _, r := range state.Resources {
		for _, i := range r.Instances {
			var attributes terraformAttributes
			if !strings.HasPrefix(r.Type, "acme_") || json.Unmarshal(i.Attributes, &attributes) != nil || attributes.Key == "" {
				continue
			}
			switch r.Type {
			case "acme_registration":
				known = true
				s.terraform(name, mode, attributes)
			case "acme_certificate":
				certificates = append(certificates, attributes)
			}
		}
	}
	if (known || len(certificates) > 0) && !s.isUnambiguous(name, data) {
		s.accounts = slices.DeleteFunc(s.accounts, func(a *Account) bool { return a.Path == name })
		return true
	}
	for _, c := range certificates { // whose registration may be in another state
		if a := s.newAccount(name, mode, []byte(c.Key)); a != nil && !s.hasKey(a) {
			s.add(a)
		}
	}
	return known || len(certificates) > 0
}

func (s *store) terraform(name string, mode fs.FileMode, r terraformAttributes) {
	a := s.newAccount(name, mode, []byte(r.Key))
	if a == nil {
		return
	}
	s.setAccountURL(a, name, "registration_url", r.URL)
	a.Directory = usualDirectory(a.URL)
	if r.Email != "" {
		a.Contact = []string{"mailto:" + r.Email}
	}
	s.add(a)
}

// hasKey reports whether an account with the same key was found.
func (s *store) hasKey(a *Account) bool {
	return slices.ContainsFunc(s.accounts, func(b *Account) bool { return a.Thumbprint() == b.Thumbprint() })
}
