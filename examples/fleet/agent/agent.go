// Package agent reads the logs of a host's ACME clients while they are written,
// and sends what is new to the hubs of its fleet. It needs no key of an account,
// and reads nothing but the logs that it is told to.
package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/acmeauthz/acmeauthz/examples/fleet/wire"
	"github.com/gofrs/flock"
)

// How logs become shards.
//
//	candidates  the files that rotation has made of a log            file.go
//	log         its generations, one after the other; the position   log.go
//	collector   what is new in the events, as a History              collect.go
//	spool       shards on the disk, until the server has them        spool.go
//
// Invariants:
//   - what is in the state was in the spool before: a process that is killed in between reads it again, and the same shard
//     twice changes nothing.
//   - when the spool is full, or cannot be written, nothing is read: the logs keep it.

type logger = *slog.Logger

// A Publisher hands messages to the server, and returns when that has them. An error with a method Permanent that returns
// true means that this message will never be taken; one with a method Forbidden, that none of this agent's will be.
type Publisher interface {
	Publish(ctx context.Context, subject, messageID string, data []byte) error
}

// forbidden reports whether the server lets this agent send nothing, as it is now.
func forbidden(err error) bool {
	f, ok := errors.AsType[interface {
		error
		Forbidden() bool
	}](err)
	return ok && f.Forbidden()
}

func permanent(err error) bool {
	p, ok := errors.AsType[interface {
		error
		Permanent() bool
	}](err)
	return ok && p.Permanent()
}

// A Config says what an agent reads. Host, Logs and StateDir are required.
type Config struct {
	// Host is the name under which the fleet knows this host. Case does not matter.
	Host string

	// Logs are the paths of logs, or patterns of filepath.Match. What rotation makes
	// of a log belongs to it, and need not be named.
	Logs []string

	// StateDir is the agent's own directory. One agent at a time uses it.
	StateDir string

	// SpoolLimit bounds what waits for the server, in bytes. When it is reached,
	// nothing is read until there is room; what rotation deletes meanwhile is lost.
	// If it is zero, it is 256 MiB.
	SpoolLimit int64

	// Account is the URL of the account that is assumed where a log does not tell
	// it. If it is empty, such authorizations are of no account.
	Account string

	// Location is the zone of times that are logged without one, as in
	// logparse.Reader.
	Location *time.Location

	// Poll is how often the logs are looked at; zero is a second.
	Poll time.Duration

	// Heartbeat is how often the agent says how it fares; zero is 15 seconds. A
	// host that says nothing for five minutes is taken to be silent.
	Heartbeat time.Duration

	// Version is told to people.
	Version string

	// Logger receives what happens. If it is nil, nothing is logged.
	Logger *slog.Logger
}

// How long nothing must be added to a log until more is told of it: records that are complete, and then the end of runs.
const (
	pauseAfter = 3 * time.Second
	endAfter   = 10 * time.Minute
)

// heartbeatEvery is how often an agent says how it fares.
const heartbeatEvery = 15 * time.Second

// An Agent follows logs. Make one with New; its methods must not be called at the same time.
type Agent struct {
	config  Config
	token   string
	log     logger
	lock    *flock.Flock
	spool   *spool
	collect *collector
	logs    map[string]*log
	started time.Time

	kept    *generation
	buffer  []byte   // that logs are read into: a Follower keeps what it was given last
	packed  [][]byte // shards that are not in the spool yet
	lost    int      // records that are too large for a shard
	failure error    // of the last flush, which is tried again
	odd     string   // what is named as a log and is none

	mu    sync.Mutex
	state wire.Heartbeat
}

// ErrInUse means that another agent uses the state directory.
var ErrInUse = errors.New("agent: another agent uses the directory")

// New opens the state directory. End the agent with Close.
func New(c Config) (*Agent, error) {
	token, err := wire.HostToken(c.Host)
	if err != nil {
		return nil, err
	}
	if c.StateDir == "" {
		return nil, errors.New("agent: the state directory is not named")
	}
	if dir, err := filepath.Abs(c.StateDir); err == nil {
		c.StateDir = dir // it is named to people
	}
	c.Host = strings.ToLower(c.Host) // as its token is, to which the hubs hold what is told
	if len(c.Logs) == 0 {
		return nil, errors.New("agent: no logs are named")
	}
	for _, pattern := range c.Logs {
		if _, err := filepath.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("agent: the pattern %q: %w", pattern, err)
		}
	}
	if err := os.MkdirAll(c.StateDir, 0o700); err != nil {
		return nil, fmt.Errorf("agent: the state directory: %w", err)
	}
	a := &Agent{config: c, token: token, log: c.Logger, logs: make(map[string]*log), started: time.Now()}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.lock = flock.New(filepath.Join(c.StateDir, "lock"), flock.SetPermissions(0o600))
	switch ok, err := a.lock.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("agent: the state directory: %w", err)
	case !ok:
		return nil, fmt.Errorf("%w %s", ErrInUse, c.StateDir)
	}
	if a.spool, err = openSpool(c.StateDir, cmp.Or(c.SpoolLimit, 256<<20), a.log); err != nil {
		return nil, errors.Join(fmt.Errorf("agent: the spool: %w", err), a.lock.Unlock())
	}
	a.collect = newCollector(c.Host, c.Account)
	a.load()
	a.note()
	return a, nil
}

// Close lets others use the state directory.
func (a *Agent) Close() error {
	for _, l := range a.logs {
		l.leave()
	}
	return a.lock.Unlock()
}

// stateSchema is that of the file state.json.
const stateSchema = "acmeauthz-fleet-agent/1"

type savedState struct {
	Schema string              `json:"schema"`
	Logs   map[string]savedLog `json:"logs"`
}

func (a *Agent) statePath() string { return filepath.Join(a.config.StateDir, "state.json") }

// load reads the state. Without one, or with one that is damaged, everything is read again.
func (a *Agent) load() {
	data, err := os.ReadFile(a.statePath())
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	var s savedState
	if err == nil {
		if err = json.Unmarshal(data, &s); err == nil && s.Schema != stateSchema {
			err = fmt.Errorf("its schema is %q", s.Schema)
		}
	}
	if err != nil {
		a.log.Warn("the state cannot be read; all logs are read again, which does no harm", "file", a.statePath(), "error", err)
		return
	}
	for key, saved := range s.Logs {
		if path := pathOf(key); a.named(path) { // it may be named no more
			a.logs[path] = restoreLog(a, path, saved)
		}
	}
}

// key is a path as JSON keeps it: what is not UTF-8 is quoted.
func key(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	return strconv.Quote(path)
}

// pathOf is the reverse of key.
func pathOf(key string) string {
	if path, err := strconv.Unquote(key); err == nil {
		return path
	}
	return key
}

// named reports whether the agent is told to read a log.
func (a *Agent) named(path string) bool {
	return slices.ContainsFunc(a.config.Logs, func(pattern string) bool {
		pattern, err := filepath.Abs(pattern)
		if err != nil {
			return false
		}
		ok, _ := filepath.Match(pattern, path)
		return ok || pattern == path
	})
}

// flush puts what was collected into the spool, and then saves where reading goes on. What it cannot put there is kept for the
// next time, as the same shards: those that are there already would otherwise be written again and again.
func (a *Agent) flush() error {
	err := a.write()
	if err != nil && (a.failure == nil || a.failure.Error() != err.Error()) {
		a.log.Error("what was read cannot be kept", "error", err)
	}
	a.failure = err
	return err
}

// write is flush, and returns what went wrong.
func (a *Agent) write() error {
	for {
		for len(a.packed) > 0 {
			if err := a.spool.add(a.packed[0]); err != nil {
				return fmt.Errorf("the spool: %w", err)
			}
			a.packed = a.packed[1:]
		}
		h := a.collect.take()
		if h == nil {
			break
		}
		for data, err := range wire.Pieces(h) {
			if err != nil { // it would be as large the next time, and keep back all others
				a.lost++
				a.log.Error("what was read cannot be sent", "error", err)
				continue
			}
			a.packed = append(a.packed, data)
		}
	}
	s := savedState{Schema: stateSchema, Logs: make(map[string]savedLog, len(a.logs))}
	for path, l := range a.logs {
		s.Logs[key(path)] = l.save()
	}
	data, err := json.Marshal(&s)
	if err == nil {
		err = writeFile(a.statePath(), data)
	}
	if err != nil {
		return fmt.Errorf("the state: %w", err)
	}
	return nil
}

// paths are the logs that the patterns name at present, and those that were known.
func (a *Agent) paths() []string {
	a.odd = ""
	found := make(map[string]bool)
	for _, pattern := range a.config.Logs {
		names, _ := filepath.Glob(pattern)
		one := !strings.ContainsAny(pattern, `*?[`)
		if len(names) == 0 && one {
			names = []string{pattern} // its rotated files may be there
		}
		for _, name := range names {
			if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a directory, or what cannot be read twice
				if one {
					a.odd = fmt.Sprintf("%s: %v", name, errNotRegular)
				}
				continue
			}
			if abs, err := filepath.Abs(name); err == nil {
				found[abs] = true
			}
		}
	}
	for path := range a.logs {
		found[path] = true
	}
	var all []string
	for path := range found {
		if !isRotated(path, found) {
			all = append(all, path)
		}
	}
	slices.Sort(all)
	return all
}

// poll reads what was added to the logs. It reports whether anything was.
func (a *Agent) poll(ctx context.Context, now time.Time) (news bool) {
	paths := a.paths()
	all := list(paths)
	for path, l := range a.logs {
		if _, ok := slices.BinarySearch(paths, path); !ok { // it belongs to another log that has come
			l.leave()
			delete(a.logs, path)
		}
	}
	for _, path := range paths {
		if ctx.Err() != nil {
			return news
		}
		l := a.logs[path]
		if l == nil {
			l = newLog(a, path)
			a.logs[path] = l
		}
		l.more = false
		files, err := all.candidates(path)
		if err == nil || errors.Is(err, fs.ErrNotExist) && len(l.generations) > 0 { // the directory went with the log
			var added bool
			added, err = l.poll(ctx, files, now)
			news = news || added
		}
		l.report(err)
		if l.over(now) {
			l.leave()
			delete(a.logs, path)
		}
	}
	return news
}

// room makes room for what is read next, by flushing. It reports false if the spool is full, or cannot be written.
func (a *Agent) room() bool {
	if a.collect.enough() || len(a.packed) > 0 {
		_ = a.flush() // the failure is told by others
	}
	return len(a.packed) == 0 && !a.spool.full()
}

// keep reports whether the text of a generation stays open until its next turn: what is compressed would have to be decompressed
// from the start again. Only one does, as each may take 128 MiB.
func (a *Agent) keep(g *generation) bool {
	if !g.text.compressed || a.kept != nil && a.kept != g && a.kept.text != nil {
		return false
	}
	a.kept = g
	return true
}

// more reports whether there is more to read at once, or when there is room.
func (a *Agent) more() bool {
	for _, l := range a.logs {
		if l.more {
			return true
		}
	}
	return false
}

// Run follows the logs until ctx ends.
func (a *Agent) Run(ctx context.Context, p Publisher) error {
	var group sync.WaitGroup
	defer group.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	group.Go(func() { a.spool.send(ctx, p, wire.ShardSubject(a.token), false) })
	group.Go(func() { a.beat(ctx, p) })
	tick := time.NewTicker(cmp.Or(a.config.Poll, time.Second))
	defer tick.Stop()
	for {
		if a.turn(ctx) && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return a.flush()
		case <-tick.C:
		}
	}
}

// turn reads what there is, and puts it into the spool. It reports whether there is more, and room for it.
func (a *Agent) turn(ctx context.Context) bool {
	news := a.poll(ctx, time.Now())
	if a.collect.events > 0 || news || a.failure != nil {
		_ = a.flush() // note tells the failure
	}
	a.note()
	return news && a.more() && a.failure == nil && !a.spool.full()
}

// Once reads what there is, sends it, and returns when the server has it. What it has not when ctx ends stays in the spool. It is
// an error if a log cannot be read.
func (a *Agent) Once(ctx context.Context, p Publisher) error {
	sending, stop := context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { a.spool.send(sending, p, wire.ShardSubject(a.token), false) })
	a.poll(ctx, time.Now())
	for a.more() && a.failure == nil && ctx.Err() == nil {
		if !a.poll(ctx, time.Now()) { // the sender makes room
			time.Sleep(10 * time.Millisecond)
		}
	}
	unread := context.Cause(ctx)
	for _, l := range a.logs {
		l.finish()
	}
	err := a.flush()
	stop()
	group.Wait()
	if err != nil {
		return err
	}
	a.spool.send(ctx, p, wire.ShardSubject(a.token), true)
	a.note()
	a.send(ctx, p)
	switch n := a.spool.waiting(); {
	case n > 0 && ctx.Err() != nil:
		return fmt.Errorf("agent: %d bytes were not sent, and wait in %s: %w", n, a.spool.dir, context.Cause(ctx))
	case n > 0:
		return fmt.Errorf("agent: %d bytes were not sent, and wait in %s: %s", n, a.spool.dir, cmp.Or(a.spool.problem(), "the server refuses them"))
	case unread != nil:
		return fmt.Errorf("agent: not all was read: %w", unread)
	case a.unwell() != "":
		return fmt.Errorf("agent: %s", a.unwell())
	case a.spool.problem() != "":
		return fmt.Errorf("agent: %s", a.spool.problem())
	}
	return nil
}

// behind is how many bytes of the logs are not read.
func (a *Agent) behind() (n int64) {
	for _, l := range a.logs {
		n += l.unread
	}
	return n
}

// note brings the heartbeat up to date.
func (a *Agent) note() {
	unread, waiting, now := a.behind(), a.spool.waiting(), time.Now().UTC()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := &a.state
	*s = wire.Heartbeat{
		Schema: wire.HeartbeatSchema, Host: a.config.Host, Version: a.config.Version, Started: a.started.UTC(), Behind: s.Behind,
		Logs: len(a.logs), Unread: unread, Spooled: waiting, SpoolFull: a.spool.full(), LastEvent: a.collect.last,
	}
	switch {
	case unread+waiting == 0:
		s.Behind = time.Time{}
	case s.Behind.IsZero():
		s.Behind = now
	}
	s.Problem = cmp.Or(a.unwell(), a.spool.problem())
}

// unwell is what is wrong with reading, the worst first.
func (a *Agent) unwell() string {
	if a.failure != nil {
		return clip("what was read cannot be kept: " + a.failure.Error())
	}
	for _, path := range slices.Sorted(maps.Keys(a.logs)) {
		if l := a.logs[path]; l.problem != "" {
			return l.problem
		}
	}
	if a.lost > 0 {
		return fmt.Sprintf("%d records are too large to be sent", a.lost)
	}
	return clip(a.odd)
}

// beat sends heartbeats until ctx ends.
func (a *Agent) beat(ctx context.Context, p Publisher) {
	tick := time.NewTicker(cmp.Or(a.config.Heartbeat, heartbeatEvery))
	defer tick.Stop()
	first := time.After(time.Second)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-first:
		}
		a.send(ctx, p)
	}
}

func (a *Agent) send(ctx context.Context, p Publisher) {
	a.mu.Lock()
	s := a.state
	a.mu.Unlock()
	if s.Spooled = a.spool.waiting(); s.Spooled+s.Unread == 0 { // it was sent meanwhile
		s.Behind = time.Time{}
	}
	s.Seen = time.Now().UTC()
	data, err := json.Marshal(&s)
	if err == nil {
		err = p.Publish(ctx, wire.HostSubject(a.token), "", data)
	}
	if err != nil && ctx.Err() == nil {
		a.log.Warn("a heartbeat was not sent", "error", err)
	}
}

func clip(s string) string { return strings.ToValidUTF8(s[:min(len(s), 500)], "?") }
