package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/acmeauthz/acmeauthz/examples/fleet/agent"
	"github.com/acmeauthz/acmeauthz/examples/fleet/picture"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server"
	"github.com/acmeauthz/acmeauthz/examples/fleet/server/servertest"
	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/acmeauthz/acmeauthz/internal/fakeca"
	"github.com/acmeauthz/acmeauthz/logparse"
	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/acme"
)

// A whole fleet as processes of this program, for tests that kill them and for those that measure them.

// A process is one of a fleet's, which may be started again after it was killed.
type process struct {
	t    testing.TB
	name string
	args []string
	log  string

	cmd   *exec.Cmd
	ended chan struct{}
	lives int
}

// start starts it. What it says goes to the file log.
func (p *process) start() {
	p.t.Helper()
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	require.NoError(p.t, err)
	defer log.Close()
	p.cmd = exec.Command(os.Args[0], p.args...)
	p.cmd.Env = append(os.Environ(), "FLEET_CHILD=1")
	p.cmd.Stdout, p.cmd.Stderr = log, log
	require.NoError(p.t, p.cmd.Start())
	p.lives++
	ended := make(chan struct{})
	p.ended = ended
	go func(cmd *exec.Cmd) {
		defer close(ended)
		_ = cmd.Wait()
	}(p.cmd)
}

// kill ends it as no process can prevent (SIGKILL), and returns when it is gone.
func (p *process) kill() {
	if p.cmd != nil {
		_ = p.cmd.Process.Kill()
		<-p.ended
		p.cmd = nil
	}
}

// alive fails the test if it has ended by itself.
func (p *process) alive() {
	p.t.Helper()
	if p.cmd == nil {
		return
	}
	select {
	case <-p.ended:
		text, _ := os.ReadFile(p.log)
		require.FailNow(p.t, p.name+" has ended", "%s", text[max(len(text)-2000, 0):])
	default:
	}
}

// memory is the most that it had in memory, and what it has, in bytes (proc(5), VmHWM and VmRSS); 0 where the system does not tell.
func (p *process) memory() (most, now int64) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &most)
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &now)
	}
	return most << 10, now << 10
}

// A fleetOfProcesses has a CA in this process, and everything else beside it.
type fleetOfProcesses struct {
	t        testing.TB
	dir      string
	ca       *fakeca.CA
	accounts []acme.KeyID
	urls     []string // of the servers
	servers  []*process
	hubs     []*process
	agents   []*process
	logs     []*writtenLog
	began    time.Time
	leaked   []string // URLs of authorizations
	orders   int
}

// newFleetOfProcesses makes a CA with accounts, a directory for each host, and one server or a cluster.
func newFleetOfProcesses(t testing.TB, servers, accounts, hosts int, config fakeca.Config) *fleetOfProcesses {
	t.Helper()
	f := &fleetOfProcesses{t: t, dir: t.TempDir(), ca: fakeca.New(config), began: time.Now().Add(-9 * time.Hour).Truncate(time.Second)}
	f.ca.Start(t)
	for i := range accounts {
		c := f.ca.NewAccount()
		f.accounts = append(f.accounts, c.KID)
		require.NoError(t, saveCertbotAccount(f.path("keys"), f.ca.DirectoryURL(), string(c.KID), c.Key, fmt.Sprintf("%032d", i)))
	}
	for i := range hosts {
		f.logs = append(f.logs, newWrittenLog(t, f.path(hostName(i), "log", "letsencrypt.log")))
	}
	f.addServers(servers)
	return f
}

// addServers makes one server, or several that are a cluster.
func (f *fleetOfProcesses) addServers(n int) {
	f.t.Helper()
	addresses := servertest.Addresses(f.t, 2*n)
	for i := range n {
		f.urls = append(f.urls, "nats://"+addresses[i])
		name := fmt.Sprint("server", i+1)
		args := []string{"server", "--store", f.path(name), "--listen", addresses[i]}
		if n > 1 {
			// Clients are not told of other servers: that would be a way around a proxy.
			text := fmt.Sprintf("server_name: %s\njetstream { sync_interval: always }\ncluster { name: fleet, listen: %q, no_advertise: true, routes: [\"nats://%s\"] }\n",
				name, addresses[n+i], strings.Join(addresses[n:], `", "nats://`))
			require.NoError(f.t, os.WriteFile(f.path(name+".conf"), []byte(text), 0o600))
			args = append(args, "--nats-config", f.path(name+".conf"))
		}
		f.servers = append(f.servers, f.process(name, args...))
	}
}

func hostName(i int) string { return fmt.Sprintf("web%03d.example.net", i) }

func (f *fleetOfProcesses) path(elements ...string) string {
	return filepath.Join(append([]string{f.dir}, elements...)...)
}

func (f *fleetOfProcesses) url() string { return strings.Join(f.urls, ",") }

// process makes a process that ends with the test.
func (f *fleetOfProcesses) process(name string, args ...string) *process {
	p := &process{t: f.t, name: name, args: args, log: f.path(name + ".out")}
	f.t.Cleanup(p.kill)
	return p
}

// addHub makes a hub that reaches the server at a URL.
func (f *fleetOfProcesses) addHub(url string, more ...string) *process {
	name := fmt.Sprint("hub", len(f.hubs)+1)
	p := f.process(name, append([]string{"hub", "--name", name, "--nats", url, "--listen-http", "", "--min-age", "-1s", "--lease", "3s", "--save-every", "500ms", "--replicas", fmt.Sprint(len(f.servers))}, more...)...)
	f.hubs = append(f.hubs, p)
	return p
}

// addAgent makes the agent of the next host.
func (f *fleetOfProcesses) addAgent(url string) *process {
	host := hostName(len(f.agents))
	p := f.process(host, "agent", "--name", host, "--nats", url, "--state-dir", f.path(host, "state"), "--logs", f.logs[len(f.agents)].path)
	f.agents = append(f.agents, p)
	return p
}

// all are all processes.
func (f *fleetOfProcesses) all() []*process {
	return slices.Concat(f.servers, f.hubs, f.agents)
}

// leak makes an order at the CA, and the lines of a run that was killed, as a host's log has them.
func (f *fleetOfProcesses) leak(host int, names []string) []byte {
	f.t.Helper()
	owner := f.accounts[host%len(f.accounts)]
	f.orders++
	run := certbotRun{
		Directory: f.ca.DirectoryURL(), Account: string(owner), Names: names, Expires: time.Now().Add(100 * time.Hour),
		Began: f.began.Add(time.Duration(f.orders) * 2 * time.Second),
	}
	for _, name := range names {
		run.Authorizations = append(run.Authorizations, f.ca.Add(fakeca.Authorization{Identifier: name, Owner: owner, Expires: run.Expires}))
	}
	run.Order = f.ca.AddOrder(fakeca.Order{Owner: owner, Authorizations: run.Authorizations, Expires: run.Expires})
	run.Finalize = run.Order + "/finalize"
	f.leaked = append(f.leaked, run.Authorizations...)
	var text bytes.Buffer
	require.NoError(f.t, run.write(&text))
	return text.Bytes()
}

// look is the fleet's status, and its history.
func (f *fleetOfProcesses) look(ctx context.Context, history bool) (*picture.Status, *logparse.History, error) {
	c, err := server.Connect(ctx, server.Access{URLs: f.urls})
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	s, err := picture.Look(ctx, c, time.Now())
	if err != nil || !history {
		return s, nil, err
	}
	h, err := s.History(ctx, c)
	return s, h, err
}

// A gathered is what agents publish, merged in memory.
type gathered struct {
	t      testing.TB
	whole  logparse.History
	shards int
}

// Publish implements agent.Publisher.
func (g *gathered) Publish(_ context.Context, subject, _ string, data []byte) error {
	token, ok := strings.CutPrefix(subject, wire.ShardSubject(""))
	if !ok {
		return nil
	}
	host, err := wire.HostName(token)
	require.NoError(g.t, err)
	h, _, err := wire.DecodeShard(host, data)
	require.NoError(g.t, err)
	g.whole.Merge(h)
	g.shards++
	return nil
}

// read is what the logs of all hosts tell when each is read once, in peace.
func (f *fleetOfProcesses) read() *logparse.History {
	f.t.Helper()
	g := &gathered{t: f.t}
	for i, l := range f.logs {
		a, err := agent.New(agent.Config{Host: hostName(i), Logs: []string{l.path}, StateDir: f.t.TempDir()})
		require.NoError(f.t, err)
		require.NoError(f.t, a.Once(f.t.Context(), g))
		require.NoError(f.t, a.Close())
	}
	return &g.whole
}

// A writtenLog is a log that is appended to and rotated.
type writtenLog struct {
	t       testing.TB
	path    string
	rotated int
}

func newWrittenLog(t testing.TB, path string) *writtenLog {
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	return &writtenLog{t: t, path: path}
}

func (l *writtenLog) append(text []byte) error {
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

// rotate renames the log, as logrotate does with dateext.
func (l *writtenLog) rotate() error {
	l.rotated++
	return os.Rename(l.path, fmt.Sprintf("%s-%08d", l.path, l.rotated))
}
