package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/acmeauthz/acmeauthz/authz"
)

// The ways to deal with an account's authorizations.
const (
	Leave      = "leave"      // nothing is asked or changed
	Clear      = "clear"      // what costs least at the CA, see authz.Manager.Clear
	Finish     = "finish"     // validate
	Deactivate = "deactivate" // deactivate what is pending
	Relinquish = "relinquish" // deactivate what is valid for some names
)

// A Policy says what is done about the authorizations of some accounts.
type Policy struct {
	// Accounts is a pattern of path.Match for account URLs; empty is all.
	Accounts string `json:"accounts,omitempty"`

	// Policy is one of the constants above.
	Policy string `json:"policy"`

	// Names are what to relinquish, as authz.ParseNames reads them.
	Names []string `json:"names,omitempty"`

	// Apply says whether it is done or only planned. If it is nil, Config.Apply does.
	Apply *bool `json:"apply,omitempty"`

	// Webroot, and Hook with Cleanup, are how to finish: a directory for http-01, or
	// commands for dns-01, as those of authz/solver.
	Webroot string   `json:"webroot,omitempty"`
	Hook    []string `json:"hook,omitempty"`
	Cleanup []string `json:"cleanup,omitempty"`
}

// maxPolicies bounds a file of policies, in bytes.
const maxPolicies = 1 << 20

// ReadPolicies reads a JSON array of policies. Its error says which one is wrong.
func ReadPolicies(r io.Reader) ([]Policy, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPolicies+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxPolicies {
		return nil, fmt.Errorf("policies of more than %d bytes", maxPolicies)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var all []Policy
	if err := decoder.Decode(&all); err != nil {
		return nil, fmt.Errorf("no array of policies: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the array of policies")
	}
	for i, p := range all {
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("policy %d: %w", i+1, err)
		}
	}
	return all, nil
}

func (p *Policy) check() error {
	if _, err := path.Match(p.Accounts, ""); err != nil {
		return fmt.Errorf("accounts %q: %w", p.Accounts, err)
	}
	if !slices.Contains([]string{Leave, Clear, Finish, Deactivate, Relinquish}, p.Policy) {
		return fmt.Errorf("policy %q is none of leave, clear, finish, deactivate, relinquish", p.Policy)
	}
	if p.Policy == Finish && p.Webroot == "" && len(p.Hook) == 0 {
		return errors.New("finish needs a webroot or a hook")
	}
	if p.Policy != Relinquish {
		return nil
	}
	if len(p.Names) == 0 {
		return errors.New("relinquish needs names")
	}
	_, err := authz.ParseNames(p.Names...)
	return err
}

// policy is the one for an account.
func (c *Config) policy(account string) Policy {
	for _, p := range c.Policies {
		if ok, _ := path.Match(p.Accounts, account); ok || p.Accounts == "" {
			return p.with(c.Apply)
		}
	}
	return Policy{Policy: Clear}.with(c.Apply)
}

func (p Policy) with(apply bool) Policy {
	if p.Apply == nil {
		p.Apply = &apply
	}
	return p
}
