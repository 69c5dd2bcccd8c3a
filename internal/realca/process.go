package realca

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startTimeout bounds the time until a server answers; attempts is how often another port is tried when somebody else has
// taken the free one meanwhile.
const (
	startTimeout = 30 * time.Second
	attempts     = 3
)

// findProgram returns the path of a program in a directory, or in PATH if that is empty. Without the program it ends the
// test: it fails it if the variable named required is set, and skips it otherwise.
func findProgram(t testing.TB, name, directory, required, hint string) string {
	t.Helper()
	if directory != "" {
		name = filepath.Join(directory, name)
	}
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv(required) != "" {
		t.Fatalf("%s is set: %v: %s", required, err, hint)
	}
	t.Skipf("%v: %s", err, hint)
	return ""
}

// A process is a server's. Its output goes to a file: a pipe would have to be read until the end.
type process struct {
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed when err is set
	err   error         // of the wait
}

// startProcess runs a program in a directory of its own until stop. Nothing of the test's environment reaches it but PATH.
func startProcess(directory, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), log: filepath.Join(directory, "log"), ended: make(chan struct{})}
	output, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = output.Close() }()
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = directory, output, output
	p.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + directory,
		"TMPDIR=" + directory,
		"GODEBUG=netdns=go", // for Unresolvable
	}
	endWithParent(p.cmd)
	started := make(chan error)
	go p.run(started)
	return p, <-started
}

// run starts the process and waits for its end. The kernel takes the end of the thread that started a process for the end
// of its parent, so that thread is kept.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(p.ended)
	err := p.cmd.Start()
	started <- err
	if err == nil {
		p.err = p.cmd.Wait()
	}
}

// stop kills the process and waits for its end.
func (p *process) stop() error {
	err := p.cmd.Process.Kill()
	<-p.ended
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// maxOutput is how much of a server's log is shown, in bytes.
const maxOutput = 16 << 10

// output is the end of what the process has written.
func (p *process) output() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-maxOutput):])
}

// run starts a server, several times if it finds its ports taken, and waits until it answers. Configure prepares a new
// directory for it and returns its description, the file of the root that it will be trusted by, and its arguments.
func run(t testing.TB, program string, configure func(directory string) (ca *CA, root string, args []string)) *CA {
	t.Helper()
	for attempt := 1; ; attempt++ {
		directory := t.TempDir()
		ca, root, args := configure(directory)
		process, err := startProcess(directory, program, args...)
		require.NoError(t, err)
		ca.process = process
		t.Cleanup(func() { ca.close(t) })
		err = ca.ready(root)
		if err == nil {
			return ca
		}
		if attempt == attempts || !strings.Contains(process.output(), "address already in use") {
			require.NoError(t, err, "%s does not answer", program)
		}
	}
}

// ready waits until the server has a root and shows its directory.
func (c *CA) ready(root string) error {
	var failed error
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		select {
		case <-c.process.ended:
			return errors.Join(errors.New("realca: the server has ended"), c.process.err)
		default:
		}
		if failed = c.tryDirectory(root); failed == nil {
			return nil
		}
	}
	return failed
}

// tryDirectory asks for the directory once.
func (c *CA) tryDirectory(root string) error {
	pem, err := os.ReadFile(root)
	if err != nil {
		return err
	}
	if err := c.trust(pem); err != nil {
		return err
	}
	response, err := c.HTTPClient.Get(c.DirectoryURL)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return errors.New("realca: the directory is " + response.Status)
	}
	return nil
}

// close ends the server, and shows its log if the test failed.
func (c *CA) close(t testing.TB) {
	c.HTTPClient.CloseIdleConnections()
	if err := c.process.stop(); err != nil {
		t.Errorf("ending the server: %v", err)
	}
	if t.Failed() {
		t.Logf("the log of %s:\n%s", c.process.cmd.Path, c.process.output())
	}
}
