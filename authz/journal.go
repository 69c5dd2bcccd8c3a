package authz

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/crypto/acme"
)

// This file keeps what a Manager or a Tracker is about to change and has
// changed, so that a run that is killed can be continued.
//
//	begin  ->  request to the CA  ->  end
//
//   - A begin is durable before its request is sent, an end before its Result
//     is handed out. A begin without an end was in flight: nobody knows what
//     became of it, and the CA is read before anything is sent again.
//   - Lines are only ever appended. A line that was cut off by a crash is the
//     last one; opening the journal cuts it off.
//   - Writers share an fsync: whoever comes first syncs for all that have
//     written by then.

// A JournalEvent says what a journal's [JournalEntry] tells.
type JournalEvent string

// The events of a journal.
const (
	EventBegin  JournalEvent = "begin"  // a change is about to be asked for
	EventEnd    JournalEvent = "end"    // the outcome is known
	EventOpen   JournalEvent = "open"   // a client of this process has, or may have, a pending authorization
	EventClosed JournalEvent = "closed" // and that is settled, or nobody's business any more
)

// A JournalEntry is one line of a journal. Its JSON form is stable: members may be
// added.
type JournalEntry struct {
	Time    time.Time    `json:"time"`
	Event   JournalEvent `json:"event"`
	URL     string       `json:"url"`               // of the authorization
	Account string       `json:"account,omitempty"` // its URL

	// Action is what is done, Failures how many failed validations the CA may
	// count for it: both with EventBegin.
	Action   Action `json:"action,omitempty"`
	Failures int    `json:"failures,omitempty"`

	// Type, Identifier and Wildcard name what the authorization is for.
	Type       string `json:"type,omitempty"`
	Identifier string `json:"identifier,omitempty"`
	Wildcard   bool   `json:"wildcard,omitempty"`

	// Status is the status after, Error what went wrong: both with EventEnd.
	Status string `json:"status,omitempty"`
	Error  string `json:"error,omitempty"`

	// Order and Directory are known with EventOpen.
	Order     string `json:"order,omitempty"`
	Directory string `json:"directory,omitempty"`
}

// A Journal keeps entries for later processes. A [*FileJournal] keeps them in a
// file; others may keep them elsewhere. It must be safe for concurrent use.
type Journal interface {
	// Append adds an entry that a later process will see, even if this one is
	// killed. It should not wait for a disk.
	Append(JournalEntry) error

	// Sync returns when all that was appended before is safe from a power
	// loss, too.
	Sync() error

	// Entries is all entries, from the first, as they were when the range
	// began. A non-nil error ends it.
	Entries() iter.Seq2[JournalEntry, error]
}

// ErrJournalLocked means that another process, or another part of this one,
// has the journal open.
var ErrJournalLocked = errors.New("authz: journal is in use")

// A JournalError is a journal that cannot be read or written. It unwraps to
// the reason.
type JournalError struct {
	Path string
	Line int // counted from 1; 0 if it is about no line
	Err  error
}

func (e *JournalError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("authz: journal %s, line %d: %v", e.Path, e.Line, e.Err)
	}
	return fmt.Sprintf("authz: journal %s: %v", e.Path, e.Err)
}

// Unwrap returns e.Err.
func (e *JournalError) Unwrap() error { return e.Err }

// A FileJournal is a [Journal] in a file, a JSON object on each line. One
// process has it open at a time. It is safe for concurrent use; close it with
// Close. Make one with [OpenJournal].
type FileJournal struct {
	path string
	lock *flock.Flock
	file *os.File

	mu      sync.Mutex
	synced  *sync.Cond // on mu
	written int64      // bytes, from the start of the file
	durable int64      // of these
	syncing bool       // somebody syncs, without mu
	err     error      // final: what is on the disk is not known any more
}

// OpenJournal opens the journal at path, or makes it, readable by its owner
// alone. A last line that a crash cut off is removed: it tells of nothing that
// was sent. Its error is a [*JournalError]; it matches [ErrJournalLocked] if
// the journal is in use.
//
// The lock is on a file beside it, path with ".lock" behind, which stays.
func OpenJournal(path string) (*FileJournal, error) {
	lock := flock.New(path+".lock", flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	if err == nil && !locked {
		err = fmt.Errorf("%w: wait for the run that has it open, or name another file", ErrJournalLocked)
	}
	if err != nil {
		return nil, &JournalError{Path: path, Err: err}
	}
	j := &FileJournal{path: path, lock: lock}
	j.synced = sync.NewCond(&j.mu)
	if err := j.open(); err != nil {
		return nil, errors.Join(&JournalError{Path: path, Err: err}, lock.Unlock())
	}
	return j, nil
}

func (j *FileJournal) open() error {
	file, err := os.OpenFile(j.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	size, err := wholeLines(file)
	if err == nil {
		err = file.Truncate(size)
	}
	if err == nil {
		_, err = file.Seek(size, io.SeekStart)
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	j.file, j.written, j.durable = file, size, size
	return nil
}

// wholeLines is how many bytes of the file end with a newline.
func wholeLines(file *os.File) (int64, error) {
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("it is not a regular file")
	}
	buffer := make([]byte, 64<<10)
	for end := info.Size(); end > 0; {
		start := max(end-int64(len(buffer)), 0)
		chunk := buffer[:end-start]
		if _, err := file.ReadAt(chunk, start); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// Append adds an entry, with the present time if it has none. Its error is a
// [*JournalError].
func (j *FileJournal) Append(e JournalEntry) error {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC()
	line, err := json.Marshal(e)
	if err != nil {
		return &JournalError{Path: j.path, Err: err}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	n, err := j.file.Write(append(line, '\n'))
	j.written += int64(n)
	if err != nil {
		j.err = &JournalError{Path: j.path, Err: err} // half a line may be there: nothing may follow it
	}
	return j.err
}

// Sync returns when everything appended before is on the disk. Callers at the
// same time share the work. Its error is a [*JournalError].
func (j *FileJournal) Sync() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for want := j.written; j.err == nil && j.durable < want; {
		if j.syncing {
			j.synced.Wait()
			continue
		}
		j.syncing = true
		upTo := j.written
		j.mu.Unlock()
		err := j.file.Sync()
		j.mu.Lock()
		j.syncing, j.durable = false, upTo
		if err != nil {
			j.err = &JournalError{Path: j.path, Err: err}
		}
		j.synced.Broadcast()
	}
	return j.err
}

// maxJournalLine bounds a line: longer ones are not ours.
const maxJournalLine = 1 << 20

// Entries is all entries that are there when the range begins. A line that is
// no entry ends it with a [*JournalError], which names the line.
func (j *FileJournal) Entries() iter.Seq2[JournalEntry, error] {
	return func(yield func(JournalEntry, error) bool) {
		j.mu.Lock()
		size := j.written
		j.mu.Unlock()
		for e, err := range readJournal(j.path, io.NewSectionReader(j.file, 0, size)) {
			if !yield(e, err) {
				return
			}
		}
	}
}

func readJournal(path string, r io.Reader) iter.Seq2[JournalEntry, error] {
	return func(yield func(JournalEntry, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, 4096), maxJournalLine)
		n := 0
		for lines.Scan() {
			n++
			e, err := decodeEntry(lines.Bytes())
			if err != nil {
				yield(JournalEntry{}, &JournalError{Path: path, Line: n, Err: err})
				return
			}
			if !yield(e, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(JournalEntry{}, &JournalError{Path: path, Line: n + 1, Err: err})
		}
	}
}

func decodeEntry(line []byte) (JournalEntry, error) {
	var e JournalEntry
	if err := json.Unmarshal(line, &e); err != nil {
		return e, fmt.Errorf("no journal of this program: %w; name another file", err)
	}
	if e.Event == "" || e.URL == "" || e.Time.IsZero() {
		return e, errors.New("no journal of this program: it has no event, url or time; name another file")
	}
	return e, nil
}

// Close syncs and closes the journal, and lets others open it.
func (j *FileJournal) Close() error {
	err := j.Sync()
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err = errors.Join(err, j.file.Close(), j.lock.Unlock())
	j.file = nil
	j.err = &JournalError{Path: j.path, Err: os.ErrClosed}
	return err
}

// entry begins an entry about an authorization.
func entry(event JournalEvent, url, account string, a *acme.Authorization) JournalEntry {
	e := JournalEntry{Time: time.Now(), Event: event, URL: url, Account: account}
	if a != nil {
		e.Type, e.Identifier, e.Wildcard = a.Identifier.Type, a.Identifier.Value, a.Wildcard
	}
	return e
}
