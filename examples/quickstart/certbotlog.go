package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// A logTransport writes what passes through it in the words and shapes of
// Certbot's letsencrypt.log.
type logTransport struct {
	base http.RoundTripper
	log  io.Writer
}

func (t *logTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.logRequest(req); err != nil {
		return nil, err
	}
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	return resp, t.logResponse(req, resp)
}

// logRequest writes the payload as Python prints it, and the signed request.
func (t *logTransport) logRequest(req *http.Request) error {
	if req.Body == nil {
		return t.line("acme.client", "Sending %s request to %s.", req.Method, req.URL)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	var signed struct {
		Protected string `json:"protected"`
		Signature string `json:"signature"`
		Payload   string `json:"payload"`
	}
	if err := json.Unmarshal(body, &signed); err != nil {
		return err
	}
	pretty, err := json.MarshalIndent(signed, "", "  ")
	if err != nil {
		return err
	}
	if err := t.line("acme.client", "JWS payload:\n%s", pythonBytes(signed.Payload)); err != nil {
		return err
	}
	return t.line("acme.client", "Sending POST request to %s:\n%s", req.URL, pretty)
}

// pythonBytes is a payload as Certbot logs it: indented, with its newlines
// spelled out.
func pythonBytes(payload string) string {
	data, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return "b''"
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, data, "", "  ") != nil {
		return "b''"
	}
	return "b'" + strings.ReplaceAll(pretty.String(), "\n", `\n`) + "'"
}

// logResponse writes status, header and body as they came.
func (t *logTransport) logResponse(req *http.Request, resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if err := t.line("urllib3.connectionpool", `%s://%s "%s %s HTTP/1.1" %d %d`,
		req.URL.Scheme, req.URL.Host, req.Method, req.URL.Path, resp.StatusCode, len(body)); err != nil {
		return err
	}
	var header strings.Builder
	if err := resp.Header.Write(&header); err != nil {
		return err
	}
	return t.line("acme.client", "Received response:\nHTTP %d\n%s\n%s",
		resp.StatusCode, strings.ReplaceAll(header.String(), "\r\n", "\n"), strings.TrimRight(string(body), "\n"))
}

// line writes one record: local time, level, logger, message.
func (t *logTransport) line(logger, format string, args ...any) error {
	now := strings.Replace(time.Now().Format("2006-01-02 15:04:05.000"), ".", ",", 1)
	_, err := fmt.Fprintf(t.log, "%s:DEBUG:%s:%s\n", now, logger, fmt.Sprintf(format, args...))
	return err
}
