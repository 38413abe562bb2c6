package backend

import (
	"context"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

const (
	stopGrace  = 10 * time.Second       // between asking a program to end and killing it
	outputTail = 300 * time.Millisecond // for output of a program's children after its own end
)

// process is a started program whose end can be awaited by many.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it ended; exit is valid then
	exit Exit
}

// startProcess starts cmd, with its output going to out. The goroutine that waits for it keeps its thread, because Linux ties
// the death signal of a child to the thread that started it.
func startProcess(cmd *exec.Cmd, out *lineWriter) (*process, error) {
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = outputTail
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		sweepGroup(cmd)
		cmd.Wait()
		out.flush()
		state := cmd.ProcessState
		p.exit = Exit{Code: state.ExitCode(), Signaled: state.ExitCode() < 0, Started: true}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop asks p to end, kills it when that takes longer than the grace time or ctx allows, and waits for its end.
func (p *process) stop(ctx context.Context) {
	if p.ended() {
		return
	}
	if p.cmd.Process.Signal(syscall.SIGTERM) != nil { // not on every system
		p.kill()
		return
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
	case <-ctx.Done():
	case <-grace.C:
	}
	p.kill()
}

// kill ends p, with its process group where it leads one, and waits for its end.
func (p *process) kill() {
	if !p.ended() {
		killTree(p.cmd)
	}
	<-p.done
}
