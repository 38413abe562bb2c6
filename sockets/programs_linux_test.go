package sockets

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed51309289/quiver/internal/need"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// programs are what the tests run: none knows of QUIC. They say what they see, and return their exit status.
var programs = map[string]func(args []string) int{
	"exit":    func(args []string) int { n, _ := strconv.Atoi(args[1]); return n },
	"die":     func([]string) int { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} },
	"echo":    echo,
	"ask":     ask,
	"hold":    holdOpen,
	"both":    both,
	"odd":     odd,
	"obey":    obey,
	"orphan":  orphan,
	"burst":   burst,
	"asking":  asking,
	"sockets": kinds,
	"leave":   leave,
	"keep":    keep,
	"tell":    tell,
}

// echo serves at an address: what comes goes back.
func echo(args []string) int {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		fmt.Println("listen:", err)
		return 1
	}
	fmt.Println("listening at", l.Addr())
	for {
		c, err := l.Accept()
		if errors.Is(err, syscall.EMFILE) {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err != nil {
			return 1
		}
		fmt.Println("from", c.RemoteAddr())
		go func() {
			io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) // without pipes
			c.(*net.TCPConn).CloseWrite()
			c.Close()
		}()
	}
}

// ask sends a word to an address, ends its half, and says what comes back.
func ask(args []string) int {
	fmt.Println("dialing")
	c, err := net.DialTimeout("tcp", args[1], 15*time.Second)
	if err != nil {
		fmt.Println("dial:", plain(err))
		return 1
	}
	defer c.Close()
	fmt.Println("connected", c.LocalAddr(), c.RemoteAddr())
	fmt.Fprint(c, args[2])
	c.(*net.TCPConn).CloseWrite()
	b, err := io.ReadAll(c)
	fmt.Printf("answer %q %v\n", b, plain(err))
	return 0
}

// both serves and asks itself. The time that QUIC would take to find nobody is not there.
func both(args []string) int {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		fmt.Println("listen:", err)
		return 1
	}
	go func() {
		c, err := l.Accept()
		if err == nil {
			io.Copy(c, c)
			c.Close()
		}
	}()
	return ask([]string{"", args[1], "hello"})
}

// odd connects to where nobody can listen, and a socket to itself.
func odd([]string) int {
	_, err := net.Dial("tcp", "127.0.0.1:0")
	fmt.Println("port 0:", plain(err))
	fd, _ := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	name, _ := unix.Getsockname(fd)
	fmt.Println("self:", unix.Connect(fd, name))
	unix.Write(fd, []byte("hello"))
	b := make([]byte, 5)
	n, err := unix.Read(fd, b)
	fmt.Printf("from itself %q %v\n", b[:max(n, 0)], err)
	fd, _ = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_MPTCP)
	fmt.Println("MPTCP to nobody:", unix.Connect(fd, &unix.SockaddrInet4{Port: 1, Addr: [4]byte{127, 0, 0, 1}}))
	fmt.Println("broadcast:", unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{255, 255, 255, 255}}))
	return 0
}

// plain is the kernel's part of an error.
func plain(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// holdOpen connects, and says how the connection ends.
func holdOpen(args []string) int {
	c, err := net.DialTimeout("tcp", args[1], 15*time.Second)
	if err != nil {
		fmt.Println("dial:", plain(err))
		return 1
	}
	fmt.Println("connected")
	_, err = c.Read(make([]byte, 1))
	fmt.Println("ended:", plain(err))
	return 0
}

// obey says which signals reach it, and ends at SIGTERM.
func obey([]string) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGINT)
	fmt.Println("ready")
	for s := range signals {
		fmt.Println("got", s)
		if s == syscall.SIGTERM {
			return 5
		}
	}
	return 0
}

// orphan leaves a server behind and ends.
func orphan(args []string) int {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=echo")
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 3
}

// burst makes many connections at once and says how many echoed.
func burst(args []string) int {
	n, _ := strconv.Atoi(args[2])
	var ok atomic.Int64
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			c, err := net.DialTimeout("tcp", args[1], 15*time.Second)
			if err != nil {
				fmt.Println("dial:", plain(err))
				return
			}
			defer c.Close()
			c.SetDeadline(time.Now().Add(15 * time.Second))
			var b [1]byte
			c.Write([]byte("x"))
			if _, err := io.ReadFull(c, b[:]); err == nil && b[0] == 'x' {
				ok.Add(1)
			}
		})
	}
	all.Wait()
	fmt.Println("echoed", ok.Load())
	return 0
}

// asking connects with a socket of a protocol number of its own.
func asking(args []string) int {
	proto, _ := strconv.Atoi(args[2])
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, proto)
	if err != nil {
		fmt.Println("socket:", err)
		return 1
	}
	at := net.TCPAddrFromAddrPort(addrPort(args[1]))
	if err := unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte(at.IP.To4()), Port: at.Port}); err != nil {
		fmt.Println("connect:", err)
		return 1
	}
	unix.Write(fd, []byte("hi"))
	unix.Shutdown(fd, unix.SHUT_WR)
	b := make([]byte, 10)
	n, err := unix.Read(fd, b)
	fmt.Printf("answer %q %v\n", b[:max(n, 0)], err)
	return 0
}

// kinds opens sockets of other kinds and says what becomes of them.
func kinds([]string) int {
	u, err := net.ListenPacket("udp", "127.0.0.1:0")
	fmt.Println("udp", err)
	if err == nil {
		u.Close()
	}
	a, err := net.Listen("unix", "@"+strconv.Itoa(os.Getpid()))
	fmt.Println("abstract", err)
	if err == nil {
		a.Close()
	}
	list, err := net.Interfaces()
	fmt.Println("interfaces", len(list), err)
	_, err = unix.Socket(unix.AF_INET, 77, 0)
	fmt.Println("nonsense", err)
	return 0
}

// leave makes a network namespace of its own, and asks what is in it.
func leave([]string) int {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWUSER | unix.CLONE_NEWNET); err != nil {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			fmt.Println("unshare:", err)
			return 1
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		fmt.Println("lo:", err)
		return 1
	}
	fmt.Println("lo is", lo.Attrs().OperState, lo.Attrs().Flags&net.FlagUp != 0)
	return 0
}

// keep says what comes, to the end, and keeps its own half open for ever.
func keep(args []string) int {
	l, err := net.Listen("tcp", args[1])
	if err != nil {
		fmt.Println("listen:", err)
		return 1
	}
	fmt.Println("listening at", l.Addr())
	for {
		c, err := l.Accept()
		if err != nil {
			return 1
		}
		go func() {
			b, err := io.ReadAll(c)
			fmt.Println("heard", len(b), plain(err))
		}()
	}
}

// tell sends so many bytes, and ends.
func tell(args []string) int {
	n, _ := strconv.Atoi(args[2])
	c, err := net.DialTimeout("tcp", args[1], 15*time.Second)
	if err == nil {
		_, err = c.Write(make([]byte, n))
	}
	if err != nil {
		fmt.Println("tell:", plain(err))
		return 1
	}
	return 0
}

// upLoopback brings up the loopback interface of this network namespace.
func upLoopback(t *testing.T) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func missingNamespaces(t *testing.T, err error) {
	need.Missing(t, "netns", "this machine lets us make no namespaces: %v", err)
}
