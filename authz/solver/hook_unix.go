//go:build unix

package solver

import (
	"os/exec"
	"syscall"
)

// groupKilled makes the end of the command's context the end of all that it
// started.
func groupKilled(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
