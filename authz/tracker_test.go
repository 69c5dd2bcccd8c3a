package authz_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"

	"github.com/acmeauthz/acmeauthz/authz"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
)

// tracked is a client of the fake CA with a Tracker in it.
func tracked(ca *fakeca.CA, tracker *authz.Tracker) *acme.Client {
	client := ca.Client()
	tracker.Key, tracker.Base = client.Key, client.HTTPClient.Transport
	client.HTTPClient = &http.Client{Transport: tracker}
	return client
}

// statuses are those of authorizations in the CA.
func statuses(ca *fakeca.CA, urls ...string) []string {
	var all []string
	for _, url := range urls {
		all = append(all, ca.Authorization(url).Status)
	}
	return all
}

// open is what a Tracker has open: the identifier or URL, the status and
// whether it was answered.
func open(tracker *authz.Tracker) []string {
	all := []string{}
	for _, a := range tracker.Open() {
		s := strings.TrimSpace(a.Identifier.Value + " " + a.Status)
		if a.Answered {
			s += " answered"
		}
		all = append(all, s)
	}
	slices.Sort(all)
	return all
}

// A client makes an order, answers two challenges, one of which fails, and
// gives up: what is left pending is settled, what is valid stays.
func TestTracker(t *testing.T) {
	for _, behavior := range []fakeca.Behavior{fakeca.Boulder, fakeca.Pebble, fakeca.OpenBao} {
		synctest.Test(t, func(t *testing.T) {
			ca := fakeca.New(fakeca.Config{Behavior: behavior, ValidateOK: func(a fakeca.Authorization, _ string) bool { return a.Identifier == "good.example" }})
			tracker := &authz.Tracker{}
			client := tracked(ca, tracker)
			order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("good.example", "bad.example", "never.example", "unread.example"))
			require.NoError(t, err)
			require.Len(t, tracker.Open(), 4)
			require.Equal(t, authz.TrackedAuthorization{
				URL: tracker.Open()[0].URL, Order: order.URI, Account: string(client.KID), Directory: client.DirectoryURL, Created: bubble,
			}, tracker.Open()[0])

			for _, url := range order.AuthzURLs[:3] {
				a, err := client.GetAuthorization(t.Context(), url)
				require.NoError(t, err)
				if a.Identifier.Value != "never.example" {
					_, err = client.Accept(t.Context(), a.Challenges[0])
					require.NoError(t, err)
				}
			}
			require.Equal(t, []string{"", "bad.example pending answered", "good.example pending answered", "never.example pending"}, open(tracker))
			_, err = client.WaitAuthorization(t.Context(), order.AuthzURLs[0])
			require.NoError(t, err)
			_, err = client.WaitAuthorization(t.Context(), order.AuthzURLs[1])
			require.Error(t, err)
			require.Equal(t, []string{"", "never.example pending"}, open(tracker))

			ctx, cancel := context.WithCancel(t.Context())
			cancel() // the caller's context has ended long ago
			results, err := tracker.Close(ctx)
			require.NoError(t, err)
			require.Len(t, results, 2)
			require.Equal(t, []string{"valid", "invalid", "deactivated", "deactivated"}, statuses(ca, order.AuthzURLs...))
			require.Empty(t, tracker.Open())
			results, err = tracker.Close(ctx)
			require.NoError(t, err)
			require.Empty(t, results)
		})
	}
}

// An order that is ready or was issued has nothing pending, whether the client
// read its authorizations again or not.
func TestTrackerSeesReadyOrders(t *testing.T) {
	ca := fakeca.New(fakeca.Config{ValidateOK: func(fakeca.Authorization, string) bool { return true }})
	tracker := &authz.Tracker{}
	client := tracked(ca, tracker)
	order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "b.example"))
	require.NoError(t, err)
	for _, url := range order.AuthzURLs {
		ca.SetStatus(url, "valid")
	}
	_, err = client.WaitOrder(t.Context(), order.URI)
	require.NoError(t, err)
	require.Empty(t, tracker.Open())
	requests := ca.Total()
	results, err := tracker.Close(t.Context())
	require.NoError(t, err)
	require.Empty(t, results)
	require.Equal(t, requests, ca.Total())
}

// At Let's Encrypt nothing is gained by deactivating: what is left is told of,
// and left.
func TestTrackerLeaves(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	tracker := &authz.Tracker{}
	client := tracked(ca, tracker)
	plain := ca.Client()
	tracker.Manager = func(accountURL, directoryURL string) *authz.Manager {
		require.Equal(t, string(client.KID), accountURL)
		require.Equal(t, client.DirectoryURL, directoryURL)
		return &authz.Manager{Client: &acme.Client{Key: plain.Key, HTTPClient: plain.HTTPClient}, Profiles: profileOf(t, "Let's Encrypt")}
	}
	order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example"))
	require.NoError(t, err)
	results, err := tracker.Close(t.Context())
	require.NoError(t, err)
	require.Equal(t, authz.ActionLeave, results[0].Decision.Action)
	require.Equal(t, []string{"pending"}, statuses(ca, order.AuthzURLs...))
	require.Empty(t, tracker.Open())
}

// What a process that was killed has left, the next one finds in the journal.
func TestTrackerRecovers(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	path := filepath.Join(t.TempDir(), "journal")
	start := func() (*authz.Tracker, *acme.Client, func()) {
		journal, err := authz.OpenJournal(path)
		require.NoError(t, err)
		tracker := &authz.Tracker{Journal: journal}
		return tracker, tracked(ca, tracker), func() { require.NoError(t, journal.Close()) }
	}
	_, client, kill := start()
	order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "b.example"))
	require.NoError(t, err)
	ca.SetStatus(order.AuthzURLs[0], "valid")
	kill()

	tracker, client, kill := start()
	fresh, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("c.example"))
	require.NoError(t, err)
	results, err := tracker.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.Equal(t, []string{"valid", "deactivated", "pending"}, statuses(ca, append(order.AuthzURLs, fresh.AuthzURLs...)...))
	_, err = tracker.Close(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"deactivated"}, statuses(ca, fresh.AuthzURLs...))
	kill()

	tracker, _, kill = start()
	defer kill()
	requests := ca.Total()
	results, err = tracker.Recover(t.Context())
	require.NoError(t, err)
	require.Empty(t, results)
	require.Equal(t, requests, ca.Total(), "all is closed")
}

// Whatever happens to the Tracker, the client gets what the CA said, and the
// CA what the client said.
func TestTrackerChangesNothing(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name   string
		method string
		body   func() io.Reader
		answer string
		code   int
		err    error
	}{
		{name: "an order", method: "POST", body: func() io.Reader { return strings.NewReader(`{"protected":"e30"}`) }, code: 201,
			answer: `{"status":"pending","finalize":"https://ca.test/f","authorizations":["https://ca.test/a"]}`},
		{name: "a stream as body", method: "POST", body: func() io.Reader { return struct{ io.Reader }{strings.NewReader("{}")} }, code: 201,
			answer: `{"status":"pending","finalize":"https://ca.test/f","authorizations":["https://ca.test/a"]}`},
		{name: "no JSON", method: "GET", body: func() io.Reader { return nil }, code: 200, answer: "<html>"},
		{name: "nothing", method: "HEAD", body: func() io.Reader { return nil }, code: 200},
		{name: "a problem", method: "POST", body: func() io.Reader { return strings.NewReader("x") }, code: 429, answer: `{"type":"x"}`},
		{name: "an error", method: "POST", body: func() io.Reader { return strings.NewReader("x") }, err: broken},
		{name: "large", method: "GET", body: func() io.Reader { return nil }, code: 200, answer: strings.Repeat(" ", 3<<20)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var sent []byte
			var passed *http.Request
			base := roundTripper(func(req *http.Request) (*http.Response, error) {
				passed = req
				if req.Body != nil {
					sent, _ = io.ReadAll(req.Body)
				}
				if tt.err != nil {
					return nil, tt.err
				}
				return &http.Response{StatusCode: tt.code, Header: http.Header{"Location": {"/o"}}, Body: io.NopCloser(strings.NewReader(tt.answer)), Request: req}, nil
			})
			journal, err := authz.OpenJournal(filepath.Join(t.TempDir(), "journal"))
			require.NoError(t, err)
			require.NoError(t, journal.Close(), "it cannot be written")
			tracker := &authz.Tracker{Base: base, Journal: journal}
			req, err := http.NewRequest(tt.method, "https://ca.test/new", tt.body())
			require.NoError(t, err)
			before := *req
			resp, err := tracker.RoundTrip(req)
			require.Equal(t, before.Body, req.Body, "the request is the caller's")
			if tt.err != nil {
				require.Equal(t, tt.err, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, "https://ca.test/new", passed.URL.String())
			if body := tt.body(); body != nil {
				want, _ := io.ReadAll(body)
				require.Equal(t, want, sent)
			}
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.True(t, bytes.Equal([]byte(tt.answer), got))
			require.Equal(t, tt.code == 201, len(tracker.Open()) == 1)
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Without a way to sign, Close says what is missing, and the list is there.
func TestTrackerWithoutKey(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	tracker := &authz.Tracker{}
	client := tracked(ca, tracker)
	tracker.Key = nil
	_, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example"))
	require.NoError(t, err)
	_, err = tracker.Close(t.Context())
	require.EqualError(t, err, "authz: Tracker has neither Key nor Manager: what is open cannot be settled")
	require.Len(t, tracker.Open(), 1)
}

// A CA that hangs does not hold Close up for longer than its limit.
func TestTrackerCloseEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := fakeca.New(fakeca.Config{Intercept: intercept(fakeca.Read, func(int) *fakeca.Answer { return &fakeca.Answer{Hang: true} })})
		tracker := &authz.Tracker{CloseLimit: 5 * time.Second}
		client := tracked(ca, tracker)
		_, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example"))
		require.NoError(t, err)
		started := time.Now()
		_, err = tracker.Close(t.Context())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 5*time.Second, time.Since(started))
		require.Len(t, tracker.Open(), 1)
	})
}

func TestGuard(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	path := filepath.Join(t.TempDir(), "journal")
	client := ca.Client()
	journal, err := authz.OpenJournal(path)
	require.NoError(t, err)
	m := &authz.Manager{Client: client, Journal: journal}
	order, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "b.example"))
	require.NoError(t, err)
	guard := m.Guard(order)
	ca.SetStatus(order.AuthzURLs[0], "valid")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	results, err := guard.Close(ctx)
	require.NoError(t, err)
	require.Len(t, results, 2)
	require.Equal(t, []string{"valid", "deactivated"}, statuses(ca, order.AuthzURLs...))
	results, err = guard.Close(ctx)
	require.NoError(t, err)
	require.Empty(t, results)

	// Guarded, and killed.
	left, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("c.example"))
	require.NoError(t, err)
	m.Guard(left)
	require.NoError(t, journal.Close())
	m.Journal, err = authz.OpenJournal(path)
	require.NoError(t, err)
	results, err = m.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, results, 1)
	require.Equal(t, []string{"deactivated"}, statuses(ca, left.AuthzURLs...))

	// An order that is ready is left to whoever finalizes it.
	ready, err := client.AuthorizeOrder(t.Context(), acme.DomainIDs("d.example"))
	require.NoError(t, err)
	ca.SetStatus(ready.AuthzURLs[0], "valid")
	_, err = m.Guard(ready).Close(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"valid"}, statuses(ca, ready.AuthzURLs...))
}

// TestKilledChild is the process that is killed by the next test.
func TestKilledChild(t *testing.T) {
	run, client := childRun(t, "KILLED_RUN")
	journal, err := authz.OpenJournal(run.Journal)
	require.NoError(t, err)
	tracker := &authz.Tracker{Key: client.Key, Journal: journal}
	client.HTTPClient = &http.Client{Transport: tracker}
	_, err = client.AuthorizeOrder(t.Context(), acme.DomainIDs("a.example", "b.example"))
	require.NoError(t, err)
	fmt.Println("ordered")
	select {}
}

// What a process has ordered that is killed with SIGKILL, the next one settles.
func TestTrackerAfterKill(t *testing.T) {
	ca := fakeca.New(fakeca.Config{})
	ca.Start(t)
	client := ca.Client()
	dir := t.TempDir()
	run := chaosRun{Directory: client.DirectoryURL, KID: string(client.KID), Key: sec1(t, client.Key), Journal: filepath.Join(dir, "journal"), Profile: profileOf(t, "Boulder")[0]}
	data, err := json.Marshal(run)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run.json"), data, 0o600))
	child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.timeout=1m")
	child.Env = append(os.Environ(), "KILLED_RUN="+filepath.Join(dir, "run.json"))
	output, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ordered\n", line)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait()

	journal, err := authz.OpenJournal(run.Journal)
	require.NoError(t, err, "the lock of a process that was killed is free")
	defer func() { require.NoError(t, journal.Close()) }()
	tracker := &authz.Tracker{Key: client.Key, Journal: journal}
	results, err := tracker.Recover(t.Context())
	require.NoError(t, err)
	require.Len(t, results, 2)
	for _, r := range results {
		require.True(t, r.Changed)
		require.Equal(t, "deactivated", ca.Authorization(r.URL).Status)
	}
}
