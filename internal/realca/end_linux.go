package realca

import (
	"os/exec"
	"syscall"
)

// endWithParent has the process killed when the thread that starts it ends.
func endWithParent(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
