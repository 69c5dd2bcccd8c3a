//go:build unix

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server/servertest"
	"github.com/acmeauthz/acmeauthz/internal/pebbleca"
	"github.com/stretchr/testify/require"
)

// need is the path of a program, without which the test skips, unless REQUIRE_DEPLOY says that all are there.
func need(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil && os.Getenv("REQUIRE_DEPLOY") == "" {
		t.Skip(name + " is not installed")
	}
	require.NoError(t, err)
	return path
}

// A site is a machine on which a document is followed, block for block.
type site struct {
	t      *testing.T
	dir    string
	leaks  *demo    // a CA, with an account and a log
	nats   string   // the server's address
	web    string   // that of metrics
	blocks []string // that are not run yet
}

// newSite puts the test's directory and a free port in the place of the document's.
func newSite(t *testing.T, document string) *site {
	t.Helper()
	need(t, "openssl")
	s := emptySite(t)
	ca, err := pebbleca.Start(pebbleca.Config{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = ca.Close() })
	s.leaks = &demo{ca: ca, dir: filepath.Join(s.dir, "client"), hosts: []string{"var"}}
	require.NoError(t, os.Mkdir(s.leaks.dir, 0o755))
	require.NoError(t, s.leaks.leak(t.Context()))
	s.write("root.pem", string(ca.RootPEM()))

	here := strings.NewReplacer("/etc/acmeauthz-fleet", s.path("etc"), "/etc/letsencrypt", s.leaks.accountDir,
		"/var/lib/acmeauthz-fleet-agent", s.path("web01-state"), "/var/lib/acmeauthz-fleet", s.path("store"),
		"/var/log/letsencrypt/letsencrypt.log", s.path("client/var/letsencrypt/letsencrypt.log"),
		"0.0.0.0:4222", s.nats, "127.0.0.1:4222", s.nats, "127.0.0.1:9464", s.web, "nats.example.org:4222", s.nats, "DNS:nats.example.org", "IP:127.0.0.1")
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```\n").FindAllStringSubmatch(string(text), -1) {
		s.blocks = append(s.blocks, here.Replace(block[1]))
	}
	conf, err := os.ReadFile("nats/fleet.conf")
	require.NoError(t, err)
	s.write("fleet.conf", here.Replace(string(conf)))
	return s
}

// emptySite has nothing but the programs: "fleet" is this one, and systemctl knows how to reload the server.
func emptySite(t *testing.T) *site {
	t.Helper()
	addresses := servertest.Addresses(t, 2)
	s := &site{t: t, dir: t.TempDir(), nats: addresses[0], web: addresses[1]}
	self, err := os.Executable()
	require.NoError(t, err)
	s.write("bin/fleet", fmt.Sprintf("#!/bin/sh\nFLEET_CHILD=1 exec '%s' \"$@\"\n", self))
	s.write("bin/systemctl", "#!/bin/sh\n[ \"$*\" = 'reload fleet-server' ] && kill -HUP \"$(cat server.pid)\"\n")
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, content string) {
	s.t.Helper()
	require.NoError(s.t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	require.NoError(s.t, os.WriteFile(s.path(name), []byte(content), 0o755))
}

func (s *site) read(name string) string {
	s.t.Helper()
	data, err := os.ReadFile(s.path(name))
	require.NoError(s.t, err)
	return string(data)
}

// next is the next block, which must begin so.
func (s *site) next(begin string) string {
	s.t.Helper()
	require.NotEmpty(s.t, s.blocks)
	block := s.blocks[0]
	require.True(s.t, strings.HasPrefix(block, begin), block)
	s.blocks = s.blocks[1:]
	return strings.TrimSpace(block)
}

func (s *site) command(ctx context.Context, script string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-euc", script)
	cmd.Dir = s.dir
	// With the race detector, each process would wait a second at its end.
	cmd.Env = append(os.Environ(), "PATH="+s.path("bin")+":"+os.Getenv("PATH"), "SSL_CERT_FILE="+s.path("root.pem"), "GORACE=atexit_sleep_ms=0")
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// try runs a script to its end.
func (s *site) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	out, err := s.command(ctx, script).CombinedOutput()
	return string(out), err
}

func (s *site) run(script string) string {
	s.t.Helper()
	out, err := s.try(script)
	require.NoError(s.t, err, "%s\n%s", script, out)
	return out
}

// refused runs a command that the server must not accept.
func (s *site) refused(script, why string) {
	s.t.Helper()
	out, err := s.try(script)
	require.Error(s.t, err, "%s\n%s", script, out)
	require.Regexp(s.t, why, out)
}

// start starts one command that does not end; its log is in NAME.log. stop ends it, as does the test's end.
func (s *site) start(name, command string) (stop func()) {
	s.t.Helper()
	require.NotContains(s.t, strings.ReplaceAll(command, "\\\n", ""), "\n")
	log, err := os.Create(s.path(name + ".log"))
	require.NoError(s.t, err)
	defer log.Close()
	cmd := s.command(context.Background(), "exec "+command)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(s.t, cmd.Start())
	s.write(name+".pid", fmt.Sprint(cmd.Process.Pid))
	done := make(chan struct{})
	go func() { defer close(done); _ = cmd.Wait() }()
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-done
			s.t.Errorf("%s did not end", name)
		}
	}
	s.t.Cleanup(func() {
		stop()
		if s.t.Failed() {
			s.t.Logf("%s:\n%s", name, s.read(name+".log"))
		}
	})
	return stop
}

// status is the command that looks at the fleet, wherever it stands among the blocks.
func (s *site) status() string {
	s.t.Helper()
	for _, block := range s.blocks {
		if strings.HasPrefix(block, "fleet status") {
			return strings.TrimSpace(block)
		}
	}
	require.Fail(s.t, "there is no status")
	return ""
}

// eventually waits until something is so.
func (s *site) eventually(what string, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(100 * time.Millisecond) {
		require.True(s.t, time.Now().Before(deadline), "%s: that did not come", what)
	}
}

// reload runs a block that reloads the server, and waits until the server says what came of it.
func (s *site) reload(script, says string) {
	s.t.Helper()
	before := strings.Count(s.read("server.log"), says)
	s.run(script)
	s.eventually(says, func() bool { return strings.Count(s.read("server.log"), says) > before })
}

const reloaded = "has read its configuration again"

// hosts are those that the status has.
func (s *site) hosts(status string) []string {
	s.t.Helper()
	var told picture.Status
	require.NoError(s.t, json.Unmarshal([]byte(s.run(status+" --json")), &told))
	var all []string
	for _, h := range told.Hosts {
		all = append(all, h.Host)
	}
	return all
}

// serial is the serial number of the server's certificate.
func (s *site) serial() string {
	s.t.Helper()
	roots := x509.NewCertPool()
	require.True(s.t, roots.AppendCertsFromPEM([]byte(s.read("ca.pem"))))
	conn, err := net.DialTimeout("tcp", s.nats, 10*time.Second)
	require.NoError(s.t, err)
	defer conn.Close()
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = bufio.NewReaderSize(conn, 16).ReadString('\n') // INFO comes before TLS
	require.NoError(s.t, err)
	own, err := tls.LoadX509KeyPair(s.path("alice.pem"), s.path("alice.key"))
	require.NoError(s.t, err)
	secure := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", Certificates: []tls.Certificate{own}})
	require.NoError(s.t, secure.Handshake())
	return secure.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

// plaintext is what the server answers to who does not encrypt, after its INFO.
func (s *site) plaintext() string {
	s.t.Helper()
	conn, err := net.DialTimeout("tcp", s.nats, 10*time.Second)
	require.NoError(s.t, err)
	defer conn.Close()
	require.NoError(s.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	r := bufio.NewReader(conn)
	info, err := r.ReadString('\n')
	require.NoError(s.t, err)
	require.Contains(s.t, info, `"tls_required":true`)
	require.Contains(s.t, info, `"tls_verify":true`)
	_, err = conn.Write([]byte("CONNECT {\"verbose\":false}\r\nPING\r\n"))
	require.NoError(s.t, err)
	answer, err := r.ReadString('\n')
	require.Error(s.t, err, answer) // it hangs up, and has said no line
	require.NotErrorIs(s.t, err, os.ErrDeadlineExceeded)
	return answer
}

// TestSecurityDocument follows SECURITY.md: whoever it lets in gets in, and nobody else.
func TestSecurityDocument(t *testing.T) {
	t.Parallel()
	s := newSite(t, "SECURITY.md")
	for _, begin := range []string{"umask 077\nopenssl req -x509", "cat >certificate.sh", "mkdir hosts", "cat >permissions.sh", "install -d"} {
		s.run(s.next(begin))
	}
	keys, err := filepath.Glob(s.path("*.key"))
	require.NoError(t, err)
	seeds, err := filepath.Glob(s.path("*.nk"))
	require.NoError(t, err)
	require.Len(t, append(keys, seeds...), 6+4)
	for _, file := range append(append(keys, seeds...), s.path("etc/server.key")) {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode(), file)
	}

	s.start("server", s.next("fleet server"))
	s.eventually("the server is there", func() bool { return strings.Contains(s.read("server.log"), "The server is at tls://") })
	s.start("hub1", s.next("fleet hub")+" --listen-http 127.0.0.1:0 --save-every 500ms --lease 3s")
	agent := s.next("fleet agent")
	stopAgent := s.start("web01", agent)
	status := s.next("fleet status")
	out := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(out)
		}
	})
	s.eventually("the hub has the agent's leaks", func() bool {
		out, _ = s.try(status) // the streams may not be there yet
		return strings.Contains(out, "20 of 20 authorizations are leaked") && regexp.MustCompile(`(?m)^hub1 .* 1 +1 +0`).MatchString(out) &&
			regexp.MustCompile(`(?m)^web01 `).MatchString(out) && strings.Contains(out, "20 deactivate")
	})

	s.testRefused(agent, status)
	s.testWhileItRuns(agent, status, stopAgent)
	require.Empty(t, s.blocks)
	require.NotContains(t, s.read("hub1.log"), "lost the connection")
	require.Zero(t, s.leaks.settled()) // without --apply
}

// other is an agent's command for another host.
func other(agent, host string) string {
	return strings.ReplaceAll(agent, "web01", host) + " --once"
}

// testRefused tries to get in.
func (s *site) testRefused(agent, status string) {
	s.t.Helper()
	// Another host's key: the server knows whose it is, and takes nothing in another's name.
	out, _ := s.try(strings.Replace(other(agent, "web02"), "--nkey web02.nk", "--nkey web01.nk", 1))
	for _, subject := range []string{"acmeauthz.shards.web02", "$KV.acmeauthz-hosts.web02"} {
		require.Contains(s.t, out, "a message to "+subject+": no permission to publish it")
	}
	require.Equal(s.t, []string{"web01"}, s.hosts(status))
	s.run("fleet nkey stranger.nk")
	s.refused(strings.Replace(status, "alice.nk", "stranger.nk", 1), "Authorization Violation")
	s.refused(strings.Replace(status, "--nkey alice.nk", "", 1), "Authorization Violation")
	// No certificate, or one that is not of this CA.
	s.refused(strings.Replace(status, "--tls-cert alice.pem --tls-key alice.key", "", 1), "tls")
	require.Contains(s.t, s.read("server.log"), "client didn't provide a certificate")
	s.run("mkdir elsewhere && cp certificate.sh elsewhere && cd elsewhere && cp ../ca.pem fleet-ca.pem\n" +
		`openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout ca.key -out ca.pem -subj "/CN=fleet CA" && sh certificate.sh alice clientAuth`)
	s.refused(strings.ReplaceAll(status, " alice.pem --tls-key alice.key", " elsewhere/alice.pem --tls-key elsewhere/alice.key"), "tls")
	require.Contains(s.t, s.read("server.log"), "certificate signed by unknown authority")
	s.refused(strings.Replace(status, "--tls-ca ca.pem", "--tls-ca elsewhere/ca.pem", 1), "certificate signed by unknown authority|failed to verify")
	require.Empty(s.t, s.plaintext())
}

// testWhileItRuns has hosts come and go, and keys and certificates replaced.
func (s *site) testWhileItRuns(agent, status string, stopAgent func()) {
	s.t.Helper()
	s.reload(s.next("fleet nkey web03.nk"), reloaded)
	s.run(other(agent, "web03"))
	s.start("web02", strings.TrimSuffix(other(agent, "web02"), " --once"))
	s.eventually("both are there", func() bool { return len(s.hosts(status)) == 3 })

	s.reload(s.next("rm hosts/web02"), reloaded)
	s.eventually("web02 is put out", func() bool { return strings.Contains(s.read("web02.log"), "lost the connection") })
	s.refused(strings.Replace(other(agent, "web02"), "web02-state", "web02-other", 1), "Authorization Violation")
	require.NotContains(s.t, s.read("web01.log"), "lost the connection")

	s.reload(s.next("fleet nkey web01.new.nk"), reloaded)
	s.eventually("the old key is out", func() bool { return strings.Contains(s.read("web01.log"), "lost the connection") })
	stopAgent()
	s.run(agent + " --once")

	before := s.serial()
	s.reload(s.next("sh certificate.sh server"), reloaded)
	require.NotEqual(s.t, before, s.serial())

	// What is not accepted changes nothing.
	s.reload("echo 'accounts { FLEET { users: [ { nkey: web01 } ] } }' >etc/permissions.conf && systemctl reload fleet-server", "goes on with the configuration that it has")
	s.run(status)
}
