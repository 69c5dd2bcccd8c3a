package fakeca

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// maxBody bounds what is read of a request.
const maxBody = 64 << 20

// errReset is what a client sees of a connection that was reset.
var errReset = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}

// A reply is what goes back: an answer or the way there is none.
type reply struct {
	status   int
	header   http.Header
	body     []byte
	truncate int   // as in Answer
	err      error // no answer: errReset, or why the request ended
}

// ServeHTTP answers a request.
func (ca *CA) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reply := ca.serve(r)
	if reply.err != nil {
		abort(w)
		return
	}
	for name, values := range reply.header {
		w.Header()[name] = values
	}
	if r.Method != http.MethodHead && reply.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(reply.body)))
	}
	w.WriteHeader(reply.status)
	if r.Method != http.MethodHead {
		// Fewer bytes than promised make the server close the connection.
		_, _ = w.Write(cut(reply.body, reply.truncate))
	}
}

// abort closes the connection so that the client sees a reset.
func abort(w http.ResponseWriter) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		panic(http.ErrAbortHandler)
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// cut shortens a body as Answer.Truncate says.
func cut(body []byte, truncate int) []byte {
	if truncate == 0 {
		return body
	}
	return body[:min(max(truncate, 0), len(body))]
}

// Transport reaches the CA without a network, calling it in the caller's goroutine. A request to another host is logged
// and fails as an unknown name does.
func (ca *CA) Transport() http.RoundTripper { return transport{ca} }

type transport struct{ ca *CA }

// RoundTrip answers a request from memory.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }()
	}
	if r.URL.Scheme+"://"+r.URL.Host != t.ca.URL() {
		stray := Request{Method: r.Method, URL: r.URL.String(), Path: r.URL.Path}
		t.ca.count(&stray)
		t.ca.keep(stray)
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Hostname(), IsNotFound: true}}
	}
	if _, set := r.Header["User-Agent"]; !set {
		r = r.Clone(r.Context())
		r.Header.Set("User-Agent", "Go-http-client/1.1") // as net/http does
	}
	reply := t.ca.serve(r)
	if reply.err != nil {
		return nil, reply.err
	}
	return reply.response(r), nil
}

// response makes what an [http.Client] gets.
func (y *reply) response(r *http.Request) *http.Response {
	body := y.body
	if r.Method == http.MethodHead {
		body = nil
	}
	var reader io.Reader = bytes.NewReader(cut(body, y.truncate))
	if y.truncate != 0 && len(cut(body, y.truncate)) < len(body) {
		reader = io.MultiReader(reader, brokenReader{})
	}
	return &http.Response{
		Status:        strconv.Itoa(y.status) + " " + http.StatusText(y.status),
		StatusCode:    y.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        y.header,
		Body:          io.NopCloser(reader),
		ContentLength: int64(len(body)),
		Request:       r,
	}
}

// brokenReader ends a body too early.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// serve takes a request from its arrival to its reply and logs it.
func (ca *CA) serve(r *http.Request) *reply {
	now := ca.inFlight.Add(1)
	defer ca.inFlight.Add(-1)
	for old := ca.maxInFlight.Load(); now > old && !ca.maxInFlight.CompareAndSwap(old, now); old = ca.maxInFlight.Load() {
	}
	in, err := ca.receive(r)
	if err != nil {
		return &reply{err: err}
	}
	ca.arrivals.add()
	ca.count(&in.Request)
	busy := in.what != directory && ca.requests != nil && !ca.requests.Allow()
	reply := &reply{err: ca.sleep(r.Context(), ca.config.Latency)}
	switch {
	case reply.err != nil:
	case busy:
		reply = ca.busy()
	default:
		reply = ca.respond(r.Context(), in)
	}
	if reply.err == nil {
		in.Status = reply.status
	}
	ca.keep(in.Request)
	return reply
}

// count numbers a request and counts it.
func (ca *CA) count(r *Request) {
	r.Time = time.Now()
	r.Number = int(ca.total.Add(1))
	ca.counts[r.Kind].Add(1)
}

// keep puts a request into the log.
func (ca *CA) keep(r Request) {
	if ca.config.NoLog {
		return
	}
	ca.logMu.Lock()
	defer ca.logMu.Unlock()
	ca.log = append(ca.log, r)
}

// sleep waits, at most until the request or the CA ends.
func (ca *CA) sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-ca.stop:
		return errReset
	}
}

// hang waits until the request or the CA ends.
func (ca *CA) hang(ctx context.Context) *reply {
	select {
	case <-ctx.Done():
		return &reply{err: context.Cause(ctx)}
	case <-ca.stop:
		return &reply{err: errReset}
	}
}

// respond verifies, lets the test intercept, and handles.
func (ca *CA) respond(ctx context.Context, in *incoming) *reply {
	if refused := ca.verify(in); refused != nil {
		return ca.finish(in, refused)
	}
	if ca.config.Intercept == nil {
		return ca.handleOrHang(ctx, in)
	}
	request := in.Request
	answer := ca.config.Intercept(&request)
	if answer == nil {
		return ca.handleOrHang(ctx, in)
	}
	normal := &reply{status: http.StatusOK, header: http.Header{}}
	if answer.After {
		normal = ca.handleOrHang(ctx, in)
	} else {
		ca.addNonce(in, normal)
	}
	return ca.replace(ctx, normal, answer)
}

// handleOrHang handles a request; a nil result of the handler is a CA that does not answer any more.
func (ca *CA) handleOrHang(ctx context.Context, in *incoming) *reply {
	if reply := ca.handle(in); reply != nil {
		return ca.finish(in, reply)
	}
	return ca.hang(ctx)
}

// finish gives the reply its nonce.
func (ca *CA) finish(in *incoming, y *reply) *reply {
	if y.err == nil && (y.status < 400 || ca.dialect.nonceOnError) && y.status != http.StatusMethodNotAllowed {
		ca.addNonce(in, y)
	}
	return y
}

// addNonce adds a nonce to the answer of a POST or of newNonce.
func (ca *CA) addNonce(in *incoming, y *reply) {
	if in.Method != http.MethodPost && in.Kind != Nonce || in.unknownPath {
		return
	}
	y.header.Set("Replay-Nonce", ca.nonces.make())
	y.header.Set("Cache-Control", "public, max-age=0, no-cache")
}

// replace turns the normal reply into what the test wants instead.
func (ca *CA) replace(ctx context.Context, y *reply, answer *Answer) *reply {
	if y.err != nil {
		return y
	}
	if err := ca.sleep(ctx, answer.Delay); err != nil {
		return &reply{err: err}
	}
	switch {
	case answer.Hang:
		return ca.hang(ctx)
	case answer.Reset:
		return &reply{err: errReset}
	}
	if answer.Status != 0 || answer.Body != nil {
		y.body = answer.Body
		y.header.Del("Content-Type")
	}
	y.status = cmp.Or(answer.Status, y.status)
	y.truncate = answer.Truncate
	for name, values := range answer.Header {
		y.header[http.CanonicalHeaderKey(name)] = values
	}
	if answer.NoNonce {
		y.header.Del("Replay-Nonce")
	}
	return y
}

// receive reads a request.
func (ca *CA) receive(r *http.Request) (*incoming, error) {
	in := &incoming{contentType: r.Header.Get("Content-Type")}
	in.Method, in.Path = r.Method, r.URL.Path
	in.URL = ca.URL() + r.URL.RequestURI()
	in.UserAgent, in.RemoteAddr = r.UserAgent(), r.RemoteAddr
	in.unknownPath = !ca.route(in)
	if r.Body == nil {
		return in, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, errReset
	}
	if err == nil && r.Method == http.MethodPost {
		in.parse(body)
	}
	return in, err
}
