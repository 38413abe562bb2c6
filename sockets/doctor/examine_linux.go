package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// The names under which the program starts itself again.
const (
	probeName = "quiver-doctor-probe" // tries what needs privileges, and tells on stdout
	idleName  = "quiver-doctor-idle"  // is looked at, until its input ends
)

const maxReport = 1 << 20 // bytes of what the probe tells

var mainCalled atomic.Bool

// Main must be called first by a program, or by a test's TestMain, that calls
// Examine: when this process was started by Examine to try something, Main does
// that and does not return. Otherwise it returns at once.
func Main() {
	mainCalled.Store(true)
	if len(os.Args) != 1 {
		return
	}
	switch os.Args[0] {
	case probeName:
		os.Exit(probe(os.Stdout))
	case idleName:
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
}

// examine collects all facts.
func examine(ctx context.Context) []Fact {
	facts := append([]Fact{platform()}, privileges(true)...)
	users := len(lacking(facts, ByRoot)) > 0
	probed := probeFacts()
	if !users || len(lacking(facts, ByUser)) == 0 {
		probed = askProbe(ctx, users)
	}
	facts = append(facts, probed...)
	facts = append(facts, seccompFacts()...)
	return append(facts, comforts(users)...)
}

// askProbe lets another process try what needs privileges, in a user namespace
// if users is set. With that process go its namespaces.
func askProbe(ctx context.Context, users bool) []Fact {
	facts := probeFacts()
	fail := func(err error) []Fact {
		for i := range facts {
			facts[i].Found = "not tried: " + oneLine(err.Error())
		}
		return facts
	}
	if !mainCalled.Load() {
		return fail(errors.New("this program does not call doctor.Main"))
	}
	cmd := again(ctx, probeName)
	if users {
		identity(cmd.SysProcAttr)
	}
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &limitedBuffer{Buffer: &out}, &limitedBuffer{Buffer: &said}
	if err := cmd.Run(); err != nil {
		return fail(fmt.Errorf("%w %s", err, said.String()))
	}
	var told []Fact
	if err := json.Unmarshal(out.Bytes(), &told); err != nil {
		return fail(err)
	}
	return told
}

// again is this program under one of the names above. It ends with this process,
// and with ctx.
func again(ctx context.Context, name string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Args = []string{name}
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// limitedBuffer keeps the first maxReport bytes.
type limitedBuffer struct{ *bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), maxReport-b.Len())])
	return len(p), nil
}

// comforts are the facts about this machine without which a run is slower, or
// knows less.
func comforts(users bool) []Fact {
	return []Fact{setuid(users), descriptors(), receiveBuffer(), segmentation(), coalescing()}
}

// setuid is about programs that gain privileges when they are started.
func setuid(users bool) Fact {
	f := Fact{Name: "setuid", What: "setuid programs, such as sudo, under quiver run", Hint: "run quiver as root for those"}
	set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)
	switch {
	case err != nil:
		return f.missing(err.Error(), f.Hint)
	case set != 0:
		return f.missing("no_new_privs is set on this process", f.Hint)
	case users:
		return f.missing("in a user namespace programs gain no privileges", f.Hint)
	}
	return f.there("")
}

const fewDescriptors = 4096

// descriptors is about how many connections can be.
func descriptors() Fact {
	f := Fact{Name: "descriptors", What: "many connections: each takes one"}
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return f.missing(err.Error(), "")
	}
	found := fmt.Sprintf("%d", limit.Max)
	if limit.Max < fewDescriptors {
		return f.missing("only "+found, fmt.Sprintf("raise the hard limit: ulimit -Hn %d, LimitNOFILE= of systemd", fewDescriptors))
	}
	return f.there(found)
}

// withSocket calls f with a UDP socket.
func withSocket(f func(fd int) error) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	return f(fd)
}

const wantReceiveBuffer = 7 << 20 // bytes, what a quic.Transport asks for

// receiveBuffer is about bursts of datagrams.
func receiveBuffer() Fact {
	fact := Fact{Name: "receive-buffer", What: "speed: room for bursts of datagrams",
		Hint: fmt.Sprintf("as root: sysctl -w net.core.rmem_max=%d", wantReceiveBuffer)}
	granted := 0
	err := withSocket(func(fd int) (err error) {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, wantReceiveBuffer) != nil {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, wantReceiveBuffer); err != nil {
				return err
			}
		}
		granted, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		granted /= 2 // the kernel doubles it, for its own use: socket(7)
		return err
	})
	switch {
	case err != nil:
		return fact.tried(err)
	case granted < wantReceiveBuffer:
		return fact.missing(fmt.Sprintf("%d KiB of %d are granted", granted>>10, wantReceiveBuffer>>10), fact.Hint)
	}
	return fact.there(fmt.Sprintf("%d KiB", granted>>10))
}

// segmentation is about sending many datagrams with one call.
func segmentation() Fact {
	f := Fact{Name: "udp-gso", What: "speed: many datagrams sent with one call", Since: "4.18", Hint: "it came with Linux 4.18"}
	return f.tried(withSocket(func(fd int) error {
		const size = 500
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return fmt.Errorf("bind: %w", err)
		}
		self, err := unix.Getsockname(fd)
		if err != nil {
			return fmt.Errorf("getsockname: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, size); err != nil {
			return fmt.Errorf("UDP_SEGMENT: %w", err)
		}
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1}); err != nil {
			return fmt.Errorf("SO_RCVTIMEO: %w", err)
		}
		if err := unix.Sendto(fd, make([]byte, 2*size), 0, self); err != nil {
			return fmt.Errorf("sendto: %w", err)
		}
		for range 2 {
			n, _, err := unix.Recvfrom(fd, make([]byte, 3*size), 0)
			if err != nil || n != size {
				return fmt.Errorf("a datagram of %d bytes came, want %d: %w", n, size, err)
			}
		}
		return nil
	}))
}

// coalescing is about receiving many datagrams with one call.
func coalescing() Fact {
	f := Fact{Name: "udp-gro", What: "speed: many datagrams received with one call", Since: "5.0", Hint: "it came with Linux 5.0"}
	return f.tried(withSocket(func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1); err != nil {
			return fmt.Errorf("UDP_GRO: %w", err)
		}
		return nil
	}))
}
