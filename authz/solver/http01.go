package solver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/acme"
)

// wellKnown is where http-01 is looked for (RFC 8555 §8.3).
const wellKnown = "/.well-known/acme-challenge/"

// HTTP01 answers http-01 challenges over HTTP. It serves the challenges that
// are being solved and 404 for everything else.
//
// It is an [http.Handler], to be mounted at /.well-known/acme-challenge/ of a
// server on port 80; or it listens itself, see Addr. It is safe for concurrent
// use; its fields must not be changed after the first Solve.
type HTTP01 struct {
	// Key is the account's key. It is required.
	Key crypto.Signer

	// Addr is where to listen while something is being solved, such as ":80".
	// If it is empty, the HTTP01 does not listen: mount it.
	Addr string

	mu      sync.Mutex
	answers map[string]string // by token
	server  sharedServer
}

// Solve provisions the answer to the authorization's http-01 challenge. It
// fits authz.Manager.Solve. Its error is [ErrUnsupported] if there is no such
// challenge, or that of listening.
func (h *HTTP01) Solve(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
	c, err := challengeOf(a, typeHTTP01)
	if err != nil {
		return nil, nil, err
	}
	answer, err := keyAuthorization(h.Key, c.Token)
	if err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	if h.answers == nil {
		h.answers = make(map[string]string)
	}
	h.answers[c.Token] = answer
	h.mu.Unlock()
	if h.Addr != "" {
		if err := h.server.open(h.Addr, func(l net.Listener) (net.Listener, http.Handler) { return l, h }); err != nil {
			h.forget(c.Token)
			return nil, nil, err
		}
	}
	return c, sync.OnceFunc(func() {
		h.forget(c.Token)
		if h.Addr != "" {
			h.server.close()
		}
	}), nil
}

func (h *HTTP01) forget(token string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.answers, token)
}

// ServeHTTP answers requests for challenges that are being solved.
func (h *HTTP01) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, ok := strings.CutPrefix(r.URL.Path, wellKnown)
	h.mu.Lock()
	answer, known := h.answers[token]
	h.mu.Unlock()
	if !ok || !known || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.WriteString(w, answer)
}

// A sharedServer listens as long as somebody needs it. Its goroutine lives
// from the first open to the last close.
type sharedServer struct {
	mu     sync.Mutex
	users  int
	server *http.Server
	served chan struct{}
}

// open listens at addr if nobody does yet.
func (s *sharedServer) open(addr string, serve func(net.Listener) (net.Listener, http.Handler)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return listenError(addr, err)
		}
		wrapped, handler := serve(l)
		s.server = &http.Server{Handler: handler, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
		s.served = make(chan struct{})
		go func(server *http.Server, served chan struct{}) {
			defer close(served)
			_ = server.Serve(wrapped) // until close
		}(s.server, s.served)
	}
	s.users++
	return nil
}

// close ends the server when nobody needs it any more, and waits for it.
func (s *sharedServer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		_ = s.server.Close()
		<-s.served
	}
}

// listenError says what to do about an address that cannot be had.
func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("solver: no permission to listen on %s (ports below 1024 need root, or CAP_NET_BIND_SERVICE): %w", addr, err)
	case strings.Contains(err.Error(), "in use"):
		return fmt.Errorf("solver: %s is in use: let the web server that has it answer, by Webroot or by mounting the solver: %w", addr, err)
	}
	return fmt.Errorf("solver: %w", err)
}

// Webroot answers http-01 challenges with files for a web server that serves a
// directory. It is safe for concurrent use.
type Webroot struct {
	// Key is the account's key. It is required.
	Key crypto.Signer

	// Dir is what the server serves as "/". Files are written below it, in
	// .well-known/acme-challenge, readable by everybody, and removed again;
	// directories that had to be made are removed, too.
	Dir string

	mu    sync.Mutex
	files int      // that are there
	made  []string // directories, the innermost last
}

// Solve writes the file for the authorization's http-01 challenge. It fits
// authz.Manager.Solve. Its error is [ErrUnsupported] if there is no such
// challenge, or that of the file system.
func (w *Webroot) Solve(_ context.Context, a *acme.Authorization) (*acme.Challenge, func(), error) {
	c, err := challengeOf(a, typeHTTP01)
	if err != nil {
		return nil, nil, err
	}
	answer, err := keyAuthorization(w.Key, c.Token)
	if err != nil {
		return nil, nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(c.Token, answer); err != nil {
		return nil, nil, fmt.Errorf("solver: webroot: %w", err)
	}
	return c, sync.OnceFunc(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.remove(c.Token)
	}), nil
}

const challengeDir = ".well-known/acme-challenge"

// write writes a file. Links that lead out of Dir are not followed.
func (w *Webroot) write(token, answer string) error {
	root, err := os.OpenRoot(w.Dir)
	if err != nil {
		return err
	}
	defer root.Close()
	w.files++
	err = w.writeFile(root, token, answer)
	if err != nil {
		w.tidy(root)
	}
	return err
}

func (w *Webroot) writeFile(root *os.Root, token, answer string) error {
	for _, dir := range []string{path.Dir(challengeDir), challengeDir} {
		err := root.Mkdir(dir, 0o755)
		switch {
		case err == nil:
			w.made = append(w.made, dir)
		case !errors.Is(err, fs.ErrExist):
			return err
		}
	}
	name := path.Join(challengeDir, token)
	file, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err // it is somebody else's, if it is there
	}
	_, err = io.WriteString(file, answer)
	if err = errors.Join(err, file.Close()); err != nil {
		_ = root.Remove(name)
	}
	return err
}

// remove takes back a file that was written.
func (w *Webroot) remove(token string) {
	root, err := os.OpenRoot(w.Dir)
	if err != nil {
		return
	}
	defer root.Close()
	_ = root.Remove(path.Join(challengeDir, token))
	w.tidy(root)
}

// tidy removes the directories that were made once nothing of ours is in them.
// One that others use by now is not empty, and stays.
func (w *Webroot) tidy(root *os.Root) {
	if w.files--; w.files > 0 {
		return
	}
	for _, dir := range slices.Backward(w.made) {
		_ = root.Remove(dir)
	}
	w.made = nil
}
