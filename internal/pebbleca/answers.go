package pebbleca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/miekg/dns"
)

// answers is the world that Pebble's validation sees. Its records live in a challtestsrv.ChallSrv, which is not run: the
// listeners are ours, so that their ports are known to be free, and its DNS server is one for the whole process.
type answers struct {
	store             *challtestsrv.ChallSrv
	dns               string // address of the resolver
	httpPort, tlsPort int
	closers           []io.Closer
	running           sync.WaitGroup
}

// startAnswers listens for DNS always, for http-01 and tls-alpn-01 if no port is given.
func startAnswers(config Config, logger *log.Logger) (*answers, error) {
	// The address is never used, but one must be given.
	store, err := challtestsrv.New(challtestsrv.Config{Log: logger, HTTPOneAddrs: []string{"127.0.0.1:0"}})
	if err != nil {
		return nil, err
	}
	a := &answers{store: store, httpPort: config.HTTPPort, tlsPort: config.TLSPort}
	err = a.startDNS()
	if err == nil && a.httpPort == 0 {
		a.httpPort, err = a.startHTTP(logger)
	}
	if err == nil && a.tlsPort == 0 {
		a.tlsPort, err = a.startTLS(logger)
	}
	if err != nil {
		return nil, errors.Join(err, a.close())
	}
	return a, nil
}

// close ends all listeners and waits for them.
func (a *answers) close() error {
	var failed []error
	for _, closer := range a.closers {
		if err := closer.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			failed = append(failed, err)
		}
	}
	a.running.Wait()
	return errors.Join(failed...)
}

// startDNS answers over TCP, which is what Pebble uses with a resolver of its own.
func (a *answers) startDNS() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	a.dns = listener.Addr().String()
	a.closers = append(a.closers, listener)
	server := &dns.Server{Listener: listener, Handler: dns.HandlerFunc(a.resolve)}
	a.running.Go(func() { _ = server.ActivateAndServe() }) // until the listener is closed
	return nil
}

// resolve answers one DNS request: loopback for every name, and the text records of the store.
func (a *answers) resolve(w dns.ResponseWriter, request *dns.Msg) {
	response := new(dns.Msg).SetReply(request)
	for _, question := range request.Question {
		header := dns.RR_Header{Name: question.Name, Rrtype: question.Qtype, Class: dns.ClassINET}
		switch question.Qtype {
		case dns.TypeA:
			response.Answer = append(response.Answer, &dns.A{Hdr: header, A: net.IPv4(127, 0, 0, 1)})
		case dns.TypeTXT:
			for _, record := range a.store.GetDNSTXTRecords(strings.ToLower(question.Name)) {
				response.Answer = append(response.Answer, &dns.TXT{Hdr: header, Txt: []string{record}})
			}
		}
	}
	_ = w.WriteMsg(response)
}

// startHTTP serves http-01 tokens.
func (a *answers) startHTTP(logger *log.Logger) (port int, err error) {
	return a.serve(a.store, nil, logger)
}

// startTLS serves tls-alpn-01 certificates (RFC 8737).
func (a *answers) startTLS(logger *log.Logger) (port int, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	return a.serve(http.NotFoundHandler(), &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{challtestsrv.ACMETLS1Protocol},
		GetCertificate: a.store.ServeChallengeCertFunc(key),
	}, logger)
}

// serve listens on a free port, with TLS if it is configured.
func (a *answers) serve(handler http.Handler, config *tls.Config, logger *log.Logger) (port int, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("listening for challenges: %w", err)
	}
	port = listener.Addr().(*net.TCPAddr).Port
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	server := &http.Server{Handler: handler, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second, ErrorLog: logger}
	a.closers = append(a.closers, server)
	a.running.Go(func() { _ = server.Serve(listener) }) // until server is closed
	return port, nil
}
