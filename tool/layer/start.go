package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is how long anything may take to be over.
const patience = 60 * time.Second

// prepare builds what is measured.
func (b *bench) prepare() (err error) {
	if b.dir, err = os.MkdirTemp("", "layer-"); err != nil {
		return err
	}
	if b.udpPort, err = freePort(); err != nil {
		return err
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.quiver != "" {
		return nil
	}
	b.quiver = filepath.Join(b.dir, "quiver")
	out, err := exec.Command("go", "build", "-o", b.quiver, "./cmd/quiver").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build quiver: %w: %s", err, out)
	}
	return nil
}

// freePort returns a UDP port that nobody has: whoever else runs quiver here, perhaps to measure it, has other ports.
func freePort() (string, error) {
	c, err := net.ListenUDP("udp", nil)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return strconv.Itoa(c.LocalAddr().(*net.UDPAddr).Port), nil
}

func missingOf(needs []string) string {
	for _, n := range needs {
		if _, err := exec.LookPath(n); err != nil {
			return n
		}
	}
	return ""
}

// command is a program, over plain TCP or under quiver run. Those with the name of one of ours are ours.
func (b *bench) command(ctx context.Context, over bool, flags string, args ...string) *exec.Cmd {
	env := os.Environ()
	if _, ours := programs[args[0]]; ours {
		env = append(env, asProgram+"="+args[0])
		args = append([]string{b.self}, args[1:]...)
	}
	if over {
		args = append(append([]string{b.quiver, "run", "--insecure", "--udp-port", b.udpPort, "--mode", b.mode}, strings.Fields(flags)...), append([]string{"--"}, args...)...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(env, "QUIVER_RUNTIME_DIR="+b.dir+"/run", "QUIVER_STATE_DIR="+b.dir+"/state")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = io.Discard
	return cmd
}

// output runs a program and returns what it says, and the processor time of it and all below it.
func (b *bench) output(ctx context.Context, over bool, args ...string) (string, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := b.command(ctx, over, "", args...)
	out, err := cmd.Output()
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// A server is a program that runs until stop.
type server struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	said   bytes.Buffer  // its complaints; to be read once it has ended
	ended  chan struct{} // closed then
}

// serve starts a server and waits until something listens at a TCP port, which a program that tries it under the same conditions says.
func (b *bench) serve(ctx context.Context, over bool, port string, args ...string) (*server, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{cmd: b.command(ctx, over, "", args...), cancel: cancel, ended: make(chan struct{})}
	s.cmd.Stderr = &s.said
	if err := s.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if b.command(ctx, over, "", "try", "127.0.0.1:"+port).Run() == nil {
			return s, nil
		}
		select {
		case <-s.ended:
			cancel()
			return nil, fmt.Errorf("%s ended at once: %v: %s", args[0], s.cmd.ProcessState, bytes.TrimSpace(s.said.Bytes()))
		case <-time.After(100 * time.Millisecond):
		}
	}
	s.stop()
	return nil, fmt.Errorf("%s does not listen at port %s: %s", args[0], port, bytes.TrimSpace(s.said.Bytes()))
}

// stop ends a server, and returns the processor time that it took.
func (s *server) stop() time.Duration {
	s.cancel()
	<-s.ended
	return s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
}
